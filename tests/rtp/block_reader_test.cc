#include "rtp/block_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tests/rtp/vod_fakes.h"

namespace millrace {
namespace {

struct Opened {
  explicit Opened(std::shared_ptr<FakeFile> the_file, std::uint64_t seed = 0,
                  std::size_t preroll_max = 0)
      : file(std::move(the_file)),
        presentation(FakePresentation(*file, 1)),
        first_sequences(presentation->streams.size(), 100),
        reader(std::make_unique<FakeDemuxer>(file, &counts, seed, preroll_max), VodOptions{}) {}

  std::unique_ptr<BlockSet> Read(std::uint32_t number) {
    auto set = reader.Read(*presentation, number, first_sequences);
    EXPECT_TRUE(set.ok()) << set.status();
    return set.ok() ? *std::move(set) : nullptr;
  }

  std::shared_ptr<FakeFile> file;
  FakeDemuxerCounts counts;
  PresentationRef presentation;
  std::vector<std::uint16_t> first_sequences;
  BlockReader reader;
};

std::vector<std::int64_t> PtsOf(const PacketBlock& block) {
  std::vector<std::int64_t> pts;
  for (const PacketEntry& packet : block.packets()) pts.push_back(packet.pts);
  return pts;
}

std::vector<std::int64_t> Frames(int from, int to) {
  std::vector<std::int64_t> pts;
  for (int i = from; i < to; ++i) pts.push_back(i * 3600);
  return pts;
}

// Everything of a set that a viewer could notice.
Bytes Fingerprint(const BlockSet& set) {
  Bytes all;
  const auto add = [&all](const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    all.insert(all.end(), bytes, bytes + size);
  };
  add(&set.number, sizeof(set.number));
  all.push_back(set.last);
  for (const PacketBlock& block : set.streams) {
    const std::size_t count = block.packets().size();
    add(&count, sizeof(count));
    for (const PacketEntry& packet : block.packets()) {
      add(&packet.pts, sizeof(packet.pts));
      add(&packet.due_us, sizeof(packet.due_us));
      add(&packet.flags, sizeof(packet.flags));
      add(&packet.length, sizeof(packet.length));
    }
    add(block.bytes(), block.byte_count());
  }
  return all;
}

TEST(BlockReader, GivesEachUnitToTheBlockOfItsDecodingTime) {
  Opened opened(FakeVideoFile(3));
  for (int k = 0; k < 3; ++k) {
    const auto set = opened.Read(static_cast<std::uint32_t>(k));
    EXPECT_EQ(PtsOf(set->streams[0]), Frames(k * 25, k * 25 + 25));
    EXPECT_EQ(set->streams[0].start(), k * kBlockDuration);
    EXPECT_EQ(set->streams[0].first_sequence(), 100);
    EXPECT_EQ(set->last, k == 2);
    EXPECT_GT(set->memory_bytes, set->streams[0].byte_count());
  }
}

TEST(BlockReader, SeeksOnlyWhenABlockDoesNotFollowTheLast) {
  Opened opened(FakeVideoFile(9));
  for (std::uint32_t k : {0u, 1u, 2u}) opened.Read(k);
  EXPECT_EQ(opened.counts.seeks, 0);
  EXPECT_EQ(PtsOf(opened.Read(6)->streams[0]), Frames(150, 175));
  EXPECT_EQ(opened.counts.seeks, 1);
  EXPECT_EQ(PtsOf(opened.Read(7)->streams[0]), Frames(175, 200));
  EXPECT_EQ(opened.counts.seeks, 1);
  EXPECT_EQ(PtsOf(opened.Read(7)->streams[0]), Frames(175, 200));
  EXPECT_EQ(opened.counts.seeks, 2);
}

TEST(BlockReader, PutsUnitsBeforeTheStartIntoBlockZeroFromWhereverItComes) {
  auto file = FakeVideoFile(3);
  for (int i = 0; i < 75; ++i) file->units[static_cast<std::size_t>(i)].dts -= 7200;  // two frames
  Opened opened(file);
  const Bytes from_start = Fingerprint(*opened.Read(0));
  EXPECT_EQ(PtsOf(opened.Read(1)->streams[0]), Frames(27, 52));
  opened.Read(2);
  const auto again = opened.Read(0);
  EXPECT_EQ(PtsOf(again->streams[0]), Frames(0, 27));
  EXPECT_EQ(Fingerprint(*again), from_start);
}

TEST(BlockReader, GivesEverythingBehindTheStatedEndToTheLastBlock) {
  auto file = FakeVideoFile(5);
  file->info.duration = 2500ms;  // the file is longer than its header says
  Opened opened(file);
  ASSERT_EQ(opened.presentation->block_count(), 3u);
  const auto last = opened.Read(2);
  EXPECT_TRUE(last->last);
  EXPECT_EQ(PtsOf(last->streams[0]), Frames(50, 125));
}

TEST(BlockReader, CutsALastBlockThatWouldLastOverAnHour) {
  auto file = FakeVideoFile(2);
  for (std::int64_t second : {3600, 3601, 3602, 9999}) {
    file->units.push_back(FakeVideoUnit(0, second * 90000));
  }
  Opened opened(file);
  const auto last = opened.Read(1);  // from 1 s to 3601 s
  EXPECT_EQ(last->streams[0].packets().size(), 26u);
  EXPECT_GE(opened.reader.losses().cut_units, 1u);
}

TEST(BlockReader, GivesEmptyBlocksWhereTheFileEndsEarly) {
  auto file = FakeVideoFile(2);
  file->info.duration = 5s;
  Opened opened(file);
  EXPECT_EQ(opened.Read(1)->streams[0].packets().size(), 25u);
  EXPECT_EQ(opened.Read(2)->streams[0].packets().size(), 0u);
  const auto last = opened.Read(4);
  EXPECT_EQ(last->streams[0].packets().size(), 0u);
  EXPECT_TRUE(last->last);
}

// Video, and behind each stretch of it the other track's units of that stretch.
std::shared_ptr<FakeFile> LaggingFile(int seconds, int lag_seconds) {
  auto file = FakeVideoFile(seconds);
  file->info.tracks.push_back(FakeVideoTrack());
  std::vector<FakeUnit> units;
  for (int i = 0; i < (seconds + lag_seconds) * 25; ++i) {
    if (i < seconds * 25) units.push_back(FakeVideoUnit(0, i * 3600));
    const int behind = i - lag_seconds * 25;
    if (behind >= 0) units.push_back(FakeVideoUnit(1, behind * 3600));
  }
  file->units = std::move(units);
  return file;
}

TEST(BlockReader, WaitsForATrackThatLiesFurtherBackInTheFile) {
  Opened opened(LaggingFile(8, 2));
  for (int k = 0; k < 8; ++k) {
    const auto set = opened.Read(static_cast<std::uint32_t>(k));
    EXPECT_EQ(PtsOf(set->streams[0]), Frames(k * 25, k * 25 + 25)) << k;
    EXPECT_EQ(PtsOf(set->streams[1]), Frames(k * 25, k * 25 + 25)) << k;
  }
  EXPECT_EQ(opened.reader.losses().late_units, 0u);
}

TEST(BlockReader, LeavesOutAndCountsUnitsBeyondTheInterleaveMargin) {
  Opened opened(LaggingFile(12, 5));
  for (int k = 0; k < 12; ++k) {
    const auto set = opened.Read(static_cast<std::uint32_t>(k));
    EXPECT_EQ(set->streams[0].packets().size(), 25u) << k;
    // Video comes to the end before it is over the margin: what remains of the file is waited for.
    EXPECT_EQ(set->streams[1].packets().size(), k < 8 ? 0u : 25u) << k;
  }
  EXPECT_EQ(opened.reader.losses().late_units, 8u * 25u);
}

TEST(BlockReader, ReadsNoFurtherThanTheMarginForASparseTrack) {
  auto file = FakeVideoFile(30);
  file->info.tracks.push_back(FakeVideoTrack());
  file->units.insert(file->units.begin() + 10, FakeVideoUnit(1, 100));  // its only unit
  Opened opened(file);
  EXPECT_EQ(opened.Read(0)->streams[1].packets().size(), 1u);
  EXPECT_EQ(opened.counts.furthest,
            4u * 25u + 2u);  // 1 s, 3 s, the unit that shows it, the other's
  EXPECT_EQ(opened.Read(1)->streams[1].packets().size(), 0u);
}

// A cue may stand anywhere before its time.
TEST(BlockReader, IsNotHurriedByATrackOfText) {
  auto file = FakeVideoFile(12);
  Track text;
  text.codec = Codec::kT140;
  text.clock_rate = 1000;
  file->info.tracks.push_back(text);
  for (const std::int64_t ms : {9000, 4500}) {  // both read while block 0 is filled
    file->units.insert(file->units.begin() + 10, {1, ms, ms, 0, true, Bytes{'h', 'i'}});
  }
  Opened opened(file);
  for (int k = 0; k < 12; ++k) {
    const auto set = opened.Read(static_cast<std::uint32_t>(k));
    EXPECT_EQ(PtsOf(set->streams[0]), Frames(k * 25, k * 25 + 25)) << k;
    EXPECT_EQ(set->streams[1].packets().size(), k == 4 || k == 9 ? 1u : 0u) << k;
  }
  EXPECT_EQ(opened.reader.losses().late_units, 0u);
}

TEST(BlockReader, KeepsAudioAndVideoClocksApart) {
  auto file = FakeVideoFile(4);
  file->info.tracks.push_back(FakeAudioTrack(44100));
  std::vector<FakeUnit> units = std::move(file->units);
  for (std::int64_t i = 0; i * 1024 < 4 * 44100; ++i) {
    units.push_back({1, i * 1024, i * 1024, 1024, true, Bytes(300, static_cast<std::uint8_t>(i))});
  }
  std::stable_sort(units.begin(), units.end(), [&](const FakeUnit& a, const FakeUnit& b) {
    const auto& tracks = file->info.tracks;
    return tracks[a.track].DurationFromClock(a.dts) < tracks[b.track].DurationFromClock(b.dts);
  });
  file->units = std::move(units);
  Opened opened(file);
  std::size_t audio_bytes = 0;
  for (std::uint32_t k = 0; k < 4; ++k) {
    const auto set = opened.Read(k);
    for (const PacketEntry& packet : set->streams[1].packets()) {
      EXPECT_GE(packet.pts, std::int64_t{k} * 44100);
      EXPECT_LT(packet.pts, std::int64_t{k + 1} * 44100);
      EXPECT_LT(packet.due_us, 1'000'000u);
      audio_bytes += packet.length;
    }
  }
  EXPECT_GE(audio_bytes, 173u * 300u);  // every one of ceil(4 * 44100 / 1024) units
}

TEST(BlockReader, CountsMalformedUnitsAndGoesOn) {
  auto file = FakeVideoFile(2);
  file->units[3].bytes = {0, 0, 1, 0, 0x41};  // claims 256 bytes
  Opened opened(file);
  EXPECT_EQ(opened.Read(0)->streams[0].packets().size(), 24u);
  EXPECT_EQ(opened.reader.losses().malformed_units, 1u);
}

TEST(BlockReader, IgnoresUnitsOfTracksItDoesNotKnow) {
  auto file = FakeVideoFile(2);
  Opened opened(file);
  file->info.tracks.push_back(FakeVideoTrack());
  file->units.insert(file->units.begin(), FakeVideoUnit(1, 0));
  EXPECT_EQ(opened.Read(0)->streams[0].packets().size(), 25u);
}

TEST(BlockReader, HandsOnTheDemuxersErrors) {
  auto file = FakeVideoFile(3);
  file->fails_at = 40;
  Opened opened(file);
  EXPECT_NE(opened.Read(0), nullptr);
  const auto set = opened.reader.Read(*opened.presentation, 1, opened.first_sequences);
  EXPECT_EQ(set.status().code(), absl::StatusCode::kInternal);
}

// Some tracks, cut and shuffled: late starts, early ends, gaps, decoding times that jump back,
// tracks that lie far apart in the file.
std::shared_ptr<FakeFile> OddFile(std::uint64_t seed) {
  SeededRandom random(seed);
  auto file = std::make_shared<FakeFile>();
  const int seconds = 3 + static_cast<int>(random.Below(12));
  file->info.duration = std::chrono::milliseconds(seconds * 1000 - random.Below(900));
  file->identity = {1, seed, 1, 1};
  const std::size_t tracks = 1 + random.Below(3);
  const double apart = random.Chance(0.5) ? 1.0 : 6.0;  // seconds
  std::vector<std::pair<double, FakeUnit>> placed;
  for (std::uint32_t t = 0; t < tracks; ++t) {
    const bool audio = random.Chance(0.4);
    file->info.tracks.push_back(audio ? FakeAudioTrack(random.Chance(0.5) ? 44100 : 48000)
                                      : FakeVideoTrack());
    const double rate = file->info.tracks.back().clock_rate;
    const double begin = random.Chance(0.3) ? random.Unit() * seconds : -0.2 * random.Unit();
    const double end = random.Chance(0.3) ? random.Unit() * seconds : seconds + random.Unit();
    const double lag = random.Unit() * apart;
    double key = -10;
    for (double time = begin; time < end; time += 0.005 + random.Unit() * 0.1) {
      if (random.Chance(0.01)) time += random.Unit() * 5;
      FakeUnit unit;
      unit.track = t;
      unit.dts = static_cast<std::int64_t>((time - (random.Chance(0.05) ? 0.5 : 0)) * rate);
      unit.pts = unit.dts + static_cast<std::int64_t>(random.Below(3)) * 3600;
      unit.duration = audio ? 1024 : 3600;
      unit.random_access = random.Chance(0.1);
      const std::size_t bytes = 20 + random.Below(random.Chance(0.1) ? 9000 : 300);
      unit.bytes = audio ? Bytes(bytes, static_cast<std::uint8_t>(random.Next64()))
                         : FakeSlice(unit.pts, bytes);
      key = std::max(key, time + lag + random.Unit() * 0.5);  // a track's own order stays
      placed.emplace_back(key, std::move(unit));
    }
  }
  std::stable_sort(placed.begin(), placed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [key, unit] : placed) file->units.push_back(std::move(unit));
  return file;
}

TEST(BlockReader, GivesTheSameBytesHoweverItCameToABlock) {
  std::size_t packets = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    const auto file = OddFile(seed);
    Opened straight(file);
    const std::uint32_t blocks = straight.presentation->block_count();
    std::vector<Bytes> expected;
    for (std::uint32_t k = 0; k < blocks; ++k) {
      const auto set = straight.Read(k);
      expected.push_back(Fingerprint(*set));
      for (const PacketBlock& block : set->streams) packets += block.packets().size();
    }
    EXPECT_EQ(straight.counts.seeks, 0);
    Opened wandering(file, seed, 40);
    SeededRandom random(seed);
    for (int i = 0; i < 40; ++i) {
      const std::uint32_t k = random.Chance(0.6) && wandering.reader.next_block() < blocks
                                  ? wandering.reader.next_block()
                                  : static_cast<std::uint32_t>(random.Below(blocks));
      ASSERT_EQ(Fingerprint(*wandering.Read(k)), expected[k]) << "block " << k;
    }
  }
  EXPECT_GT(packets, 10'000u);  // there was something to compare
}

}  // namespace
}  // namespace millrace
