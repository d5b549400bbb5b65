#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/random.h"
#include "media/dv_frame.h"
#include "tests/media/dv_testing.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using testing::DvFrame;
using testing::DvRecipe;

TEST(DvFrame, TellsItsKindByItsFirstBlocks) {
  struct Case {
    bool lines_625;
    int application, signal_type;
    const char* name;  // null: of no kind
    std::uint32_t frame_bytes;
  };
  const Case cases[] = {
      {false, 0, 0, "SD-VCR/525-60", 120000},
      {true, 0, 0, "SD-VCR/625-50", 144000},
      {false, 1, 0, "314M-25/525-60", 120000},
      {true, 1, 0, "314M-25/625-50", 144000},
      {false, 1, 4, "314M-50/525-60", 240000},
      {true, 1, 4, "314M-50/625-50", 288000},
      {false, 1, 0x14, "370M/1080-60i", 480000},
      {true, 1, 0x14, "370M/1080-50i", 576000},
      {false, 0, 0x18, "370M/720-60p", 240000},
      {true, 1, 0x18, "370M/720-50p", 288000},
      {false, 0, 1, nullptr, 0},
      {true, 0, 0x1f, nullptr, 0},
  };
  for (const Case& c : cases) {
    const Bytes frame = DvFrame({.lines_625 = c.lines_625,
                                 .application = c.application,
                                 .signal_type = c.signal_type,
                                 .bytes = kDvHeadBytes});
    const DvFormat* const format = ReadDvFormat(frame);
    ASSERT_EQ(format != nullptr, c.name != nullptr) << c.signal_type;
    if (format == nullptr) continue;
    EXPECT_EQ(format->name, c.name);
    EXPECT_EQ(format->frame_bytes, c.frame_bytes);
    EXPECT_EQ(format->frame_bytes % (12'000 * (c.lines_625 ? 12 : 10)), 0u);
  }
}

TEST(DvFrame, TellsWhetherThereIsSound) {
  EXPECT_TRUE(HasDvSound(DvFrame({.sound = true})));
  EXPECT_FALSE(HasDvSound(DvFrame({.sound = false})));
}

TEST(DvFrame, IsReadNoFurtherThanItReaches) {
  const Bytes frame = DvFrame({.sound = true});
  for (std::size_t size = 0; size < kDvHeadBytes; ++size) {
    ASSERT_EQ(ReadDvFormat(ByteSpan(frame).first(size)), nullptr) << size;
    ASSERT_FALSE(HasDvSound(ByteSpan(frame).first(size))) << size;
  }
  EXPECT_NE(ReadDvFormat(ByteSpan(frame).first(kDvHeadBytes)), nullptr);
  Bytes other = frame;
  other[5 * 80 + 48] = 0xff;  // no VAUX source pack
  EXPECT_EQ(ReadDvFormat(other), nullptr);
}

// So many frames, each of its own byte.
Bytes DvFile(const std::vector<std::uint8_t>& fills, DvRecipe recipe = {}) {
  Bytes file;
  for (const std::uint8_t fill : fills) {
    recipe.fill = fill;
    const Bytes frame = DvFrame(recipe);
    file.insert(file.end(), frame.begin(), frame.end());
  }
  return file;
}

// The byte that each frame is made of.
std::vector<int> Fills(Demuxer* demuxer) {
  std::vector<int> fills;
  AccessUnit unit;
  while (demuxer->Next(&unit).value_or(false)) fills.push_back(unit.data.back());
  return fills;
}

TEST(DvFile, GivesFramesTheirExactTimes) {
  auto demuxer = OpenBytes(DvFile(std::vector<std::uint8_t>(40, 1), {.sound = true}), "tape.dv");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const MediaInfo& info = (*demuxer)->info();
  ASSERT_EQ(info.tracks.size(), 1u);
  EXPECT_EQ(info.tracks[0].codec, Codec::kDv);
  EXPECT_EQ(info.tracks[0].width, 720u);
  EXPECT_EQ(info.tracks[0].height, 480u);
  EXPECT_TRUE(HasDvSound(info.tracks[0].config));
  EXPECT_EQ(info.tracks[0].bit_rate, 28'771'228u);
  EXPECT_EQ(info.tracks[0].ClockFromDuration(info.duration), 40 * 3003);
  EXPECT_EQ(info.random_access.size(), 40u);
  AccessUnit unit;
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE((*demuxer)->Next(&unit).value_or(false));
    EXPECT_EQ(unit.pts, i * 3003);
    EXPECT_EQ(unit.dts, unit.pts);
    EXPECT_EQ(unit.duration, 3003);
    EXPECT_TRUE(unit.random_access);
    EXPECT_EQ(unit.data.size(), 120000u);
  }
  EXPECT_FALSE((*demuxer)->Next(&unit).value_or(true));
}

TEST(DvFile, SkipsWhatIsNoWholeFrame) {
  const Bytes whole = DvFile({1, 2, 3, 4, 5, 6});
  const auto at = [](Bytes& file, std::ptrdiff_t offset) { return file.begin() + offset; };
  struct Case {
    const char* what;
    std::function<void(Bytes*)> damage;
    std::vector<int> fills;
  };
  const Case cases[] = {
      {"nothing", [](Bytes*) {}, {1, 2, 3, 4, 5, 6}},
      {"the end is cut off", [](Bytes* file) { file->pop_back(); }, {1, 2, 3, 4, 5}},
      {"bytes behind the end",
       [&](Bytes* file) { file->insert(file->end(), 1000, 0x77); },
       {1, 2, 3, 4, 5, 6}},
      {"half a frame in front",
       [&](Bytes* file) { file->erase(at(*file, 0), at(*file, 60001)); },
       {2, 3, 4, 5, 6}},
      {"a hole in a frame",
       [&](Bytes* file) { file->erase(at(*file, 250'000), at(*file, 250'017)); },
       {1, 2, 4, 5, 6}},
      // What is left of two frames passes for one: blocks are not looked at.
      {"a hole over a frame's end",
       [&](Bytes* file) { file->erase(at(*file, 350'000), at(*file, 370'000)); },
       {1, 2, 4, 5, 6}},
      {"a header destroyed", [&](Bytes* file) { (*file)[360'000] = 0; }, {1, 2, 3, 5, 6}},
      {"a frame twice",
       [&](Bytes* file) {
         const Bytes frame(at(*file, 120'000), at(*file, 240'000));
         file->insert(at(*file, 240'000), frame.begin(), frame.end());
       },
       {1, 2, 2, 3, 4, 5, 6}},
  };
  for (const Case& c : cases) {
    Bytes file = whole;
    c.damage(&file);
    auto demuxer = OpenBytes(file, "tape.dv");
    ASSERT_TRUE(demuxer.ok()) << c.what << ": " << demuxer.status();
    EXPECT_EQ(Fills(demuxer->get()), c.fills) << c.what;
  }
}

TEST(DvFile, RefusesWhatHasNoFrame) {
  const Bytes one = DvFile({1});
  EXPECT_FALSE(OpenBytes(Bytes(one.begin(), one.end() - 1), "tape.dv").ok());
  EXPECT_FALSE(OpenBytes(DvFile({1, 2}, {.signal_type = 1}), "tape.dv").ok());
  EXPECT_TRUE(OpenBytes(one, "tape.dv").ok());
}

}  // namespace
}  // namespace millrace
