#include "media/latm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/random.h"
#include "tests/media/latm_testing.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using testing::AacConfig;
using testing::BitWriter;
using testing::LatmKind;
using testing::MakeLatm;

Bytes FrameOf(const Bytes& element, const LatmElement& parsed) {
  Bytes frame(parsed.frame_bytes);
  CopyBits(element, parsed.frame_at, frame);
  return frame;
}

Bytes SomeFrame(std::size_t bytes) {
  Bytes frame(bytes);
  for (std::size_t i = 0; i < bytes; ++i) frame[i] = static_cast<std::uint8_t>(i * 29 + 1);
  return frame;
}

TEST(Latm, GivesConfigurationAndFrameOfEveryKindThatIsUsed) {
  struct Case {
    const char* what;
    LatmKind kind;
  };
  const std::vector<Case> cases = {
      {"plain", {}},
      {"mono, 960 samples", {.config = {.channels = 1, .short_frames = true}}},
      {"a rate of its own", {.config = {.rate_index = 15, .rate = 44000}}},
      {"main profile", {.config = {.type = 1}}},
      {"SBR", {.config = {.rate_index = 6, .sbr_type = 5}}},
      {"SBR and PS", {.config = {.rate_index = 6, .channels = 1, .sbr_type = 29}}},
      {"rates of their own",
       {.config = {.rate_index = 15, .rate = 24000, .sbr_type = 5, .sbr_rate_index = 3}}},
      {"other data", {.other_data = true}},
      {"a checksum", {.checksum = true}},
      {"both", {.other_data = true, .checksum = true}},
      {"version 1", {.version_1 = true}},
      {"version 1, filled up", {.version_1 = true, .fill_bits = 21}},
      {"version 1, filled up as far as may be", {.version_1 = true, .fill_bits = 1008}},
      {"other data, of a long length", {.other_data = true, .other_length_bytes = 4}},
      {"version 1 with all",
       {.version_1 = true, .fill_bits = 3, .other_data = true, .checksum = true}},
  };
  for (const Case& c : cases) {
    for (const std::size_t bytes : {0, 1, 254, 255, 256, 510, 1000}) {
      SCOPED_TRACE(::testing::Message() << c.what << ", " << bytes << " bytes");
      const Bytes frame = SomeFrame(bytes);
      const Bytes element = MakeLatm(c.kind, frame);
      const auto parsed = ParseLatm(element);
      ASSERT_TRUE(parsed);
      ASSERT_TRUE(parsed->config);
      const Bytes config = testing::ConfigBytes(c.kind.config);
      EXPECT_THAT(parsed->config->bytes(), ::testing::ElementsAreArray(config));
      EXPECT_EQ(FrameOf(element, *parsed), frame);
      const std::optional<AacConfigBits> again = ReadAacConfigBits(config);
      ASSERT_TRUE(again);
      EXPECT_EQ(*again, *parsed->config);
      for (std::size_t cut = 0; bytes > 0 && cut + 1 < element.size(); cut += 1 + cut / 9) {
        EXPECT_FALSE(ParseLatm(ByteSpan(element).first(cut))) << cut;
      }
    }
  }
}

TEST(Latm, ReadsAnElementThatSaysAsBefore) {
  const Bytes frame = SomeFrame(700);
  const Bytes element = MakeLatm({.as_before = true}, frame);
  const auto parsed = ParseLatm(element);
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->config);
  EXPECT_EQ(FrameOf(element, *parsed), frame);
}

TEST(Latm, RefusesWhatItCannotPass) {
  struct Case {
    const char* what;
    LatmKind kind;
  };
  const std::vector<Case> cases = {
      {"reserved version", {.version_1 = true, .version_a = true}},
      {"frames out of step", {.same_framing = false}},
      {"two frames", {.more_frames = 1}},
      {"two programs", {.more_programs = 1}},
      {"two layers", {.more_layers = 1}},
      {"fixed lengths", {.length_type = 1}},
      {"channels in a program config element", {.config = {.channels = 0}}},
      {"depends on a core", {.config = {.depends_on_core = true}}},
      {"extended", {.config = {.has_extension = true}}},
      {"a configuration longer than any", {.version_1 = true, .fill_bits = 1009}},
      {"a length of other data longer than any", {.other_data = true, .other_length_bytes = 5}},
      {"no object type", {.config = {.type = 0}}},
      {"scalable", {.config = {.type = 6}}},
      {"error resilient", {.config = {.type = 17}}},
  };
  for (const Case& c : cases) {
    EXPECT_FALSE(ParseLatm(MakeLatm(c.kind, SomeFrame(300)))) << c.what;
  }
  // A length of configuration that is less than it has.
  Bytes shorter = MakeLatm({.version_1 = true}, SomeFrame(300));
  constexpr std::size_t kLengthAt = 1 + 2 + 2 + 16 + 1 + 6 + 4 + 3 + 2;  // in bits
  static_assert(kLengthAt == 37);
  shorter[5] ^= 0x80;  // its fourth bit: 16 becomes 0
  EXPECT_FALSE(ParseLatm(shorter));
}

TEST(Latm, TellsAFramesLengthByItsSyncWord) {
  EXPECT_EQ(LoasFrameBytes(Bytes{0x56, 0xe0, 0x01}), 4u);
  EXPECT_EQ(LoasFrameBytes(Bytes{0x56, 0xff, 0xff, 9}), 8194u);
  EXPECT_FALSE(LoasFrameBytes(Bytes{0x56, 0xe0}));
  EXPECT_FALSE(LoasFrameBytes(Bytes{0x56, 0xe0, 0}));
  EXPECT_FALSE(LoasFrameBytes(Bytes{0x56, 0xc0, 1}));
  EXPECT_FALSE(LoasFrameBytes(Bytes{0x57, 0xe0, 1}));
}

// Of one track.
std::vector<Bytes> UnitsOf(Demuxer* demuxer) {
  std::vector<Bytes> units;
  AccessUnit unit;
  while (demuxer->Next(&unit).value_or(false)) {
    units.emplace_back(unit.data.begin(), unit.data.end());
  }
  return units;
}

TEST(Latm, HasTheFramesThatWerePutIntoIt) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  auto source = OpenPath(Sample("audio.m4a"));
  ASSERT_TRUE(source.ok()) << source.status();
  const std::vector<Bytes> frames = UnitsOf(source->get());
  for (const char* name : {"latm.ts", "bare.loas", "told_once.loas"}) {
    SCOPED_TRACE(name);
    auto demuxer = OpenPath(Sample(name));
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    ASSERT_EQ((*demuxer)->info().tracks.size(), 1u);
    const Track& track = (*demuxer)->info().tracks[0];
    EXPECT_EQ(track.config, (Bytes{0x12, 0x08}));  // LC, 44.1 kHz, one channel
    const std::vector<Bytes> units = UnitsOf(demuxer->get());
    ASSERT_EQ(units.size(), frames.size());
    for (std::size_t i = 0; i < units.size(); ++i) {
      const auto element = ParseLatm(units[i]);
      ASSERT_TRUE(element) << i;
      ASSERT_EQ(FrameOf(units[i], *element), frames[i]) << i;
    }
  }
}

Bytes Loas(const Bytes& element) {
  Bytes frame = {0x56, static_cast<std::uint8_t>(0xe0 | element.size() >> 8),
                 static_cast<std::uint8_t>(element.size())};
  frame.insert(frame.end(), element.begin(), element.end());
  return frame;
}

// Frames are skipped that come before any configuration, or with another than the first.
TEST(Latm, BeginsAFileWhereItsConfigurationIsTold) {
  Bytes file;
  const auto add = [&file](const LatmKind& kind, int count) {
    for (int i = 0; i < count; ++i) {
      const Bytes frame = Loas(MakeLatm(kind, SomeFrame(200)));
      file.insert(file.end(), frame.begin(), frame.end());
    }
  };
  add({.as_before = true}, 7);
  add({}, 1);
  add({.as_before = true}, 100);
  add({.config = {.channels = 1}}, 5);
  add({.as_before = true}, 30);  // as those of one channel
  add({}, 10);
  add({.as_before = true}, 5);
  add({.more_frames = 1}, 1);
  add({.as_before = true}, 30);  // as what is not read
  add({}, 5);
  auto demuxer = OpenBytes(file, "hand.loas");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const Track& track = (*demuxer)->info().tracks.at(0);
  EXPECT_EQ(track.codec, Codec::kAacLatm);
  EXPECT_EQ(track.channels, 2u);
  EXPECT_EQ(track.clock_rate, 44100u);
  EXPECT_EQ(UnitsOf(demuxer->get()).size(), 121u);
}

// Every few bytes something that would be a frame, were it not for the configuration's length.
TEST(Latm, IsNotHeldUpByLongConfigurations) {
  BitWriter head;
  head.Put(0x56e000, 24);  // and its length, below
  head.Put(0b010, 3);      // a configuration, version 1
  head.Put(0, 10);         // taraBufferFullness
  head.Put(1, 1);
  head.Put(0, 13);
  head.Put(2, 2);  // the length of three bytes
  head.Put(60'000, 24);
  testing::PutConfig({}, &head);
  Bytes frame = head.bytes();
  const std::size_t body = 8191 / frame.size() * frame.size() - kLoasHeaderBytes;
  frame[1] |= static_cast<std::uint8_t>(body >> 8);
  frame[2] = static_cast<std::uint8_t>(body);
  Bytes file;
  while (file.size() < std::size_t{1} << 20) file.insert(file.end(), frame.begin(), frame.end());
  EXPECT_FALSE(OpenBytes(file, "held_up.loas").ok());
}

TEST(LatmFilter, PassesWhatIsOfItsConfiguration) {
  const LatmKind as_before = {.as_before = true}, other = {.config = {.channels = 1}};
  struct Step {
    Bytes element;
    bool passes;
  };
  const Bytes frame = SomeFrame(20);
  const std::vector<Step> steps = {
      {MakeLatm(as_before, frame), true},  {MakeLatm({}, frame), true},
      {MakeLatm(as_before, frame), true},  {MakeLatm(other, frame), false},
      {MakeLatm(as_before, frame), false}, {{}, false},
      {MakeLatm(as_before, frame), false}, {MakeLatm({.version_1 = true}, frame), true},
      {MakeLatm(as_before, frame), true},  {MakeLatm({.more_layers = 1}, frame), false},
      {MakeLatm(as_before, frame), false},
  };
  LatmFilter filter(testing::ConfigBytes({}));
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Bytes& element = steps[i].element;
    EXPECT_EQ(filter.Passes(element, ParseLatm(element)), steps[i].passes) << i;
  }
  filter.Forget();
  EXPECT_TRUE(filter.Passes(steps[0].element, ParseLatm(steps[0].element)));
}

TEST(Latm, TakesAnyBytes) {
  SeededRandom random(7);
  std::size_t parsed = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = MakeLatm({.version_1 = random.Chance(0.5),
                            .config = {.sbr_type = random.Chance(0.3) ? 5 : 0},
                            .other_data = random.Chance(0.5)},
                           SomeFrame(random.Below(40)));
    for (std::uint64_t i = random.Below(4); i > 0; --i) {
      bytes[random.Below(bytes.size())] = static_cast<std::uint8_t>(random.Next32());
    }
    bytes.resize(random.Below(bytes.size() + 1));
    bytes.shrink_to_fit();
    const auto element = ParseLatm(bytes);
    if (!element) continue;
    ++parsed;
    EXPECT_LE(element->frame_at + 8 * element->frame_bytes, 8 * bytes.size());
    FrameOf(bytes, *element);
  }
  EXPECT_GT(parsed, 500u);
}

}  // namespace
}  // namespace millrace
