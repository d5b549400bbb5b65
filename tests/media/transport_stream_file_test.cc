#include "media/transport_stream_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/random.h"
#include "tests/media/samples.h"
#include "tests/media/transport_testing.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;
using testing::MakeStream;
using testing::StreamSpec;

absl::StatusOr<std::unique_ptr<Demuxer>> OpenStream(const Bytes& bytes) {
  const int fd = memfd_create("stream", MFD_CLOEXEC);
  if (fd < 0 || write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    return absl::InternalError("memfd");
  }
  return OpenTransportStreamFile(MediaFile(fd));
}

struct Group {
  SeenUnit seen;
  Bytes data;
};

std::vector<Group> ReadGroups(Demuxer* demuxer) {
  std::vector<Group> groups;
  AccessUnit unit;
  while (demuxer->Next(&unit).value_or(false)) {
    groups.push_back({See(unit), Bytes(unit.data.begin(), unit.data.end())});
  }
  return groups;
}

Bytes Together(const std::vector<Group>& groups) {
  Bytes all;
  for (const Group& group : groups) all.insert(all.end(), group.data.begin(), group.data.end());
  return all;
}

// The stream's packets in a framing that has `before` and `behind` bytes around each.
Bytes Reframe(const Bytes& stream, std::size_t before, std::size_t behind) {
  Bytes framed;
  for (std::size_t at = 0; at + kTransportPacketBytes <= stream.size();
       at += kTransportPacketBytes) {
    framed.insert(framed.end(), before, 0x47);  // sync bytes where none belong
    const auto from = stream.begin() + static_cast<std::ptrdiff_t>(at);
    framed.insert(framed.end(), from, from + kTransportPacketBytes);
    framed.insert(framed.end(), behind, 0x48);
  }
  return framed;
}

// Every unit lasts as long as the stream's constant rate says, within `tolerance` ticks of 90 kHz.
void ExpectEvenPace(const std::vector<Group>& groups, const StreamSpec& spec,
                    std::int64_t tolerance) {
  std::int64_t packets = 0;
  for (const Group& group : groups) {
    const std::int64_t expected = packets * spec.ticks_per_packet / 300;
    ASSERT_NEAR(static_cast<double>(group.seen.pts), static_cast<double>(expected),
                static_cast<double>(tolerance))
        << packets;
    ASSERT_EQ(group.seen.dts, group.seen.pts);
    packets += static_cast<std::int64_t>(group.data.size() / kTransportPacketBytes);
  }
}

TEST(TransportStreamFile, IsOneTrackOfWholePacketsInAnyFraming) {
  const Bytes stream = MakeStream({});
  struct Case {
    const char* what;
    std::size_t before, behind;
  };
  for (const Case& c : {Case{"TS", 0, 0}, Case{"M2TS", 4, 0}, Case{"204", 0, 16}}) {
    SCOPED_TRACE(c.what);
    auto demuxer = OpenStream(Reframe(stream, c.before, c.behind));
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    const MediaInfo& info = (*demuxer)->info();
    ASSERT_EQ(info.tracks.size(), 1u);
    EXPECT_EQ(info.tracks[0].codec, Codec::kMpegTs);
    EXPECT_EQ(info.tracks[0].clock_rate, 90000u);
    EXPECT_NEAR(ToSeconds(info.duration), 10, 0.001);
    const std::vector<Group> groups = ReadGroups(demuxer->get());
    // Word for word: comparing vectors would print megabytes.
    EXPECT_TRUE(Together(groups) == stream);
    ExpectEvenPace(groups, {}, 1);
    std::size_t full = 0;
    for (const Group& group : groups) full += group.data.size() == 7 * 188u ? 1 : 0;
    EXPECT_GT(full, groups.size() * 8 / 10);
  }
}

TEST(TransportStreamFile, BeginsWhereTablesAndThenAPictureAreMet) {
  auto demuxer = OpenStream(MakeStream({}));
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  std::size_t starts = 0;
  for (const Group& group : ReadGroups(demuxer->get())) {
    const TransportHeader first = ReadTransportHeader(ByteSpan(group.data).first(188));
    EXPECT_EQ(group.seen.random_access, first.pid == 0);
    starts += group.seen.random_access ? 1 : 0;
  }
  EXPECT_EQ(starts, 10000u / StreamSpec::kStartEvery);
}

TEST(TransportStreamFile, BeginsWithTablesWhereNoPictureIsMarkedAndAnywhereWithoutTables) {
  auto demuxer = OpenStream(MakeStream({.marked = false}));
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  std::vector<Group> groups = ReadGroups(demuxer->get());
  EXPECT_EQ(std::ranges::count_if(groups, [](const Group& g) { return g.seen.random_access; }), 25);
  demuxer = OpenStream(MakeStream({.marked = false, .tables = false}));
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  groups = ReadGroups(demuxer->get());
  EXPECT_GT(groups.size(), 1400u);
  EXPECT_TRUE(std::ranges::all_of(groups, [](const Group& g) { return g.seen.random_access; }));
}

TEST(TransportStreamFile, FindsTheStartWhosePictureLiesInTheNextSegment) {
  // There are clock references between tables and picture. With what is put in front, the first
  // reference behind 1 MiB, where the second segment begins, is one of those.
  for (int shift = 0; shift < 400; shift += 19) {
    Bytes stream(static_cast<std::size_t>(shift) * 188);
    for (std::size_t at = 0; at < stream.size(); at += 188) {
      const Bytes packet = testing::MakeTransportPacket({.pid = 0x1fff});
      std::ranges::copy(packet, stream.begin() + static_cast<std::ptrdiff_t>(at));
    }
    const Bytes rest = MakeStream({.packets = 12000, .picture_behind = 90});
    stream.insert(stream.end(), rest.begin(), rest.end());
    auto demuxer = OpenStream(stream);
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    const std::vector<Group> groups = ReadGroups(demuxer->get());
    EXPECT_EQ(std::ranges::count_if(groups, [](const Group& g) { return g.seen.random_access; }),
              30)
        << shift;
  }
}

TEST(TransportStreamFile, KeepsItsPaceOverJumpsOfTheClock) {
  constexpr std::int64_t kSecond = 27'000'000;
  struct Case {
    const char* what;
    StreamSpec spec;
  };
  const std::vector<Case> cases = {
      {"wraps", {.packets = 30000, .first_pcr = kPcrModulus - 15 * kSecond}},
      {"back by an hour", {.packets = 30000, .jump_at = 11000, .jump = -3600 * kSecond}},
      {"forward by an hour", {.packets = 30000, .jump_at = 17000, .jump = 3600 * kSecond}},
      {"back by a second", {.packets = 30000, .jump_at = 9000, .jump = -kSecond}},
      {"at the start", {.packets = 30000, .jump_at = 30, .jump = 7777 * kSecond}},
      {"at the end", {.packets = 30000, .jump_at = 29900, .jump = -7777 * kSecond}},
      {"in a small file", {.packets = 3000, .jump_at = 1000, .jump = 7777 * kSecond}},
      {"told, by little",
       {.packets = 3000, .jump_at = 1000, .jump = kSecond / 5, .jump_told = true}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    auto demuxer = OpenStream(MakeStream(c.spec));
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    EXPECT_NEAR(ToSeconds((*demuxer)->info().duration), c.spec.packets / 1000.0, 1.1);
    const std::vector<Group> groups = ReadGroups(demuxer->get());
    // A segment whose whole length a small jump does not make odd is fitted into that length.
    ExpectEvenPace(groups, c.spec, c.spec.jump == -kSecond ? 90000 : 1);
    for (std::size_t i = 1; i < groups.size(); ++i) {
      const std::int64_t step = groups[i].seen.pts - groups[i - 1].seen.pts;
      ASSERT_GE(step, 0) << i;
      ASSERT_LE(step, 2 * 7 * 90) << i;
    }
  }
}

TEST(TransportStreamFile, FindsClockReferencesWithoutTables) {
  auto demuxer = OpenStream(MakeStream({.tables = false}));
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  ExpectEvenPace(ReadGroups(demuxer->get()), {}, 1);
}

TEST(TransportStreamFile, RefusesWhatHasNoPaceOrIsNoTransportStream) {
  struct Case {
    const char* what;
    Bytes bytes;
    const char* why;
  };
  Bytes silent;
  for (int i = 0; i < 100; ++i) {
    const Bytes packet = testing::MakeTransportPacket({});
    silent.insert(silent.end(), packet.begin(), packet.end());
  }
  Bytes once = MakeStream({.packets = 20});
  const std::vector<Case> cases = {
      {"nothing", {}, "not an MPEG transport stream"},
      {"sync bytes alone", Bytes(188, 0x47), "not an MPEG transport stream"},
      {"zeros", Bytes(100000), "not an MPEG transport stream"},
      {"no clock", silent, "without clock references"},
      {"one reference", once, "without clock references"},
  };
  for (const Case& c : cases) {
    const absl::Status status = OpenStream(c.bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.what;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.why)) << c.what;
  }
}

// Of a file of several segments, or of one as it is on disk.
void ExpectTheSameUnitsAfterEverySeek(const Bytes& stream) {
  auto opened = OpenStream(stream);
  ASSERT_TRUE(opened.ok()) << opened.status();
  Demuxer* const demuxer = opened->get();
  const std::vector<SeenUnit> whole = ReadAll(demuxer).front();
  const MediaInfo& info = demuxer->info();
  SeededRandom random(7);
  AccessUnit unit;
  for (Duration time = -100ms; time < info.duration + 1s; time += info.duration / 23) {
    ASSERT_TRUE(demuxer->Seek(time).ok());
    for (std::uint64_t i = random.Below(300); i > 0; --i) ASSERT_TRUE(demuxer->Next(&unit).ok());
    ASSERT_TRUE(demuxer->Seek(time).ok());
    const std::vector<SeenUnit> after = ReadAll(demuxer).front();
    const auto due = [&](const std::vector<SeenUnit>& units) {
      std::vector<SeenUnit> kept;
      for (const SeenUnit& seen : units) {
        if (info.tracks[0].DurationFromClock(seen.dts) >= time) kept.push_back(seen);
      }
      return kept;
    };
    ASSERT_TRUE(due(after) == due(whole)) << ToSeconds(time);
  }
}

TEST(TransportStreamFile, SeeksToTheSameUnitsWhateverWasReadBefore) {
  ExpectTheSameUnitsAfterEverySeek(MakeStream({.packets = 40000}));
  ExpectTheSameUnitsAfterEverySeek(
      MakeStream({.packets = 40000, .jump_at = 20000, .jump = -27'000'000}));
}

TEST(TransportStreamFile, HoldsWhatFfmpegWrote) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const char* name : {"long.ts", "mpeg2.ts", "audio.ts", "disc.m2ts"}) {
    SCOPED_TRACE(name);
    const std::string path = Sample(name);
    const Bytes file = ReadWhole(path);
    auto demuxer = OpenTransportStreamFile(MediaFile(open(path.c_str(), O_RDONLY | O_CLOEXEC)));
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    const std::vector<Group> groups = ReadGroups(demuxer->get());
    const bool disc = std::string(name).ends_with("m2ts");
    EXPECT_TRUE(disc ? Reframe(Together(groups), 4, 0).size() == file.size()
                     : Together(groups) == file);
    EXPECT_NEAR(ToSeconds((*demuxer)->info().duration), name == std::string("long.ts") ? 25 : 5,
                0.8);
    std::int64_t last_start = 0, longest = 0;
    for (const Group& group : groups) {
      if (!group.seen.random_access) continue;
      longest = std::max(longest, group.seen.pts - last_start);
      last_start = group.seen.pts;
    }
    EXPECT_GT(last_start, 0);
    EXPECT_LT(longest, 90000 * 3 / 2);
    ExpectTheSameUnitsAfterEverySeek(file);
  }
}

TEST(TransportStreamFile, SkipsDamageAndGivesWholePacketsAtRisingTimes) {
  const Bytes whole = MakeStream({.packets = 12000});
  SeededRandom random(3);
  int opened = 0;
  for (int round = 0; round < 120; ++round) {
    Bytes damaged = whole;
    for (std::uint64_t i = 1 + random.Below(6); i > 0; --i) {
      const auto at = static_cast<std::ptrdiff_t>(random.Below(damaged.size() - 70000));
      const auto from = damaged.begin() + at;
      const auto to = from + static_cast<std::ptrdiff_t>(random.Below(70000));
      switch (random.Below(4)) {
        case 0:
          damaged.erase(from, to);
          break;
        case 1:
          damaged.insert(from, static_cast<std::size_t>(to - from), kTransportSync);
          break;
        case 2:
          std::generate(from, to, [&random] { return static_cast<std::uint8_t>(random.Next32()); });
          break;
        default:
          for (int bytes = 0; bytes < 200; ++bytes) {
            damaged[random.Below(damaged.size())] = static_cast<std::uint8_t>(random.Next32());
          }
      }
    }
    if (random.Chance(0.3)) damaged.resize(random.Below(damaged.size()));
    auto demuxer = OpenStream(damaged);
    if (!demuxer.ok()) continue;
    ++opened;
    std::int64_t last = 0;
    std::size_t bytes = 0;
    for (const Group& group : ReadGroups(demuxer->get())) {
      ASSERT_GE(group.seen.pts, last);
      last = group.seen.pts;
      ASSERT_GE(group.seen.duration, 0);
      ASSERT_EQ(group.data.size() % 188, 0u);
      for (std::size_t at = 0; at < group.data.size(); at += 188) ASSERT_EQ(group.data[at], 0x47);
      bytes += group.data.size();
    }
    EXPECT_GT(bytes, damaged.size() / 3);
    EXPECT_LE((*demuxer)->info().tracks[0].DurationFromClock(last), (*demuxer)->info().duration);
    if (round % 20 == 0) ExpectTheSameUnitsAfterEverySeek(damaged);
  }
  EXPECT_GT(opened, 80);
}

}  // namespace
}  // namespace millrace
