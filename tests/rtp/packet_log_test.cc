#include "rtp/packet_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/random.h"

namespace millrace {
namespace {

constexpr Instant kT0{Duration(1000s)};
constexpr std::uint64_t kNone = PacketLog::kNone;
constexpr int kSeeds = 250;

// The bytes of the packet at `position`: all of them follow from it.
const std::uint8_t* BytesOf(std::uint64_t position) {
  static const auto pattern = [] {
    std::vector<std::uint8_t> bytes(65535 + 1021);
    SeededRandom random(1);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.Next64());
    return bytes;
  }();
  return pattern.data() + position % 1021;
}

struct Written {
  std::size_t length = 0;
  std::int64_t timestamp = 0;
  std::uint16_t flags = 0;
  Instant at{};
};

std::uint64_t AppendTo(PacketLog& log, const Written& packet) {
  const std::uint64_t position = log.end();
  std::uint8_t* const room = log.Append(packet.length, packet.timestamp, packet.flags, packet.at);
  std::memcpy(room, BytesOf(position), packet.length);
  return position;
}

// Empty when the packet at `position` lies there as it was written.
std::string Differs(const LogReader& reader, std::uint64_t position, const Written& packet,
                    const LogChunk* near = nullptr) {
  const LogChunk* const chunk = reader.Find(position, near);
  const std::string name = "packet " + std::to_string(position);
  if (position < chunk->first || position - chunk->first >= LogChunk::kPackets) {
    return name + " is not in its chunk";
  }
  const std::size_t index = position - chunk->first;
  const PacketEntry& entry = chunk->packets[index];
  if (entry.length != packet.length || entry.pts != packet.timestamp ||
      entry.flags != packet.flags || entry.offset + packet.length > LogChunk::kBytes) {
    return name + " has another entry";
  }
  if (chunk->TimeOf(index) != packet.at) return name + " has another time";
  if (std::memcmp(&chunk->bytes[entry.offset], BytesOf(position), packet.length) != 0) {
    return name + " has other bytes";
  }
  return "";
}

// A log of its own pool; small packets a millisecond apart unless told otherwise.
class PacketLogTest : public testing::Test {
 protected:
  explicit PacketLogTest(const LogWindow& window = {}) { Begin(window); }
  ~PacketLogTest() override {
    reader_.reset();
    log_.reset();
    EXPECT_EQ(pool_.in_use(), 0u);
  }

  void Begin(const LogWindow& window) {
    reader_.reset();
    log_ = std::make_unique<PacketLog>(&pool_, window);
    reader_ = std::make_unique<LogReader>(log_.get());
    written_.clear();
    now_ = kT0;
  }
  std::uint64_t Append(std::size_t length = 100, std::uint16_t flags = 0) {
    now_ += 1ms;
    written_.push_back({length, static_cast<std::int64_t>(written_.size()) * 90, flags, now_});
    return AppendTo(*log_, written_.back());
  }
  void AppendChunks(std::size_t chunks) {
    for (std::size_t i = 0; i < chunks * LogChunk::kPackets; ++i) Append(20);
  }
  // Everything the reader may read is what was written.
  void ExpectWhole() {
    const LogChunk* near = nullptr;
    for (std::uint64_t p = reader_->first(); p < reader_->tail(); ++p) {
      ASSERT_EQ(Differs(*reader_, p, written_[p], near), "");
      near = reader_->Find(p, near);
    }
  }

  LogChunkPool pool_{SIZE_MAX, 8};
  std::unique_ptr<PacketLog> log_;
  std::unique_ptr<LogReader> reader_;
  std::vector<Written> written_;
  Instant now_ = kT0;
};

TEST_F(PacketLogTest, BeginsEmptyAtPositionZeroWithoutAnAccessPoint) {
  EXPECT_EQ(log_->end(), 0u);
  EXPECT_EQ(reader_->first(), 0u);
  EXPECT_EQ(reader_->tail(), 0u);
  EXPECT_EQ(reader_->access(), kNone);
  EXPECT_EQ(reader_->NewestUnit(), kNone);
  EXPECT_EQ(pool_.in_use(), 1u);
  EXPECT_FALSE(reader_->Refresh());
}

TEST_F(PacketLogTest, ShowsAPacketAfterItsCommitAndARefreshNotBefore) {
  Append();
  Append();
  EXPECT_FALSE(reader_->Refresh()) << "nothing is committed";
  log_->Commit(1, now_);
  EXPECT_EQ(reader_->tail(), 0u) << "a reader looks when it wants";
  EXPECT_TRUE(reader_->Refresh());
  EXPECT_EQ(reader_->tail(), 1u);
  EXPECT_FALSE(reader_->Refresh());
  log_->CommitAll(now_);
  EXPECT_TRUE(reader_->Refresh());
  EXPECT_EQ(reader_->tail(), 2u);
  ExpectWhole();
}

TEST_F(PacketLogTest, ACommitOfLessThanBeforeChangesNothing) {
  for (int i = 0; i < 3; ++i) Append();
  log_->CommitAll(now_);
  log_->Commit(1, now_);
  EXPECT_EQ(log_->committed(), 3u);
  reader_->Refresh();
  EXPECT_EQ(reader_->tail(), 3u);
}

TEST_F(PacketLogTest, APacketOfEverySizeUpToTheLargestLiesWholeInAChunk) {
  for (const std::size_t length :
       {std::size_t{1}, std::size_t{12}, std::size_t{1472}, std::size_t{65535}, std::size_t{65535},
        std::size_t{2}, std::size_t{65535}, std::size_t{32768}, std::size_t{32768},
        std::size_t{1}}) {
    Append(length);
  }
  log_->CommitAll(now_);
  reader_->Refresh();
  EXPECT_EQ(reader_->tail(), 10u);
  ExpectWhole();
}

TEST_F(PacketLogTest, AChunkTakesAsManyPacketsOrBytesAsItHoldsAndNoMore) {
  for (std::size_t i = 0; i < LogChunk::kPackets; ++i) Append(1);
  EXPECT_EQ(pool_.in_use(), 1u);
  Append(1);
  EXPECT_EQ(pool_.in_use(), 2u);
  for (int i = 0; i < 3; ++i) Append(LogChunk::kBytes / 4);
  Append(LogChunk::kBytes / 4 - 1);  // to the last byte
  EXPECT_EQ(pool_.in_use(), 2u);
  Append(1);
  EXPECT_EQ(pool_.in_use(), 3u);
  log_->CommitAll(now_);
  reader_->Refresh();
  ExpectWhole();
}

TEST_F(PacketLogTest, AnAccessUnitLiesInOneChunkOnceItsLikeHasBeenSeen) {
  constexpr std::size_t kPackets = 30, kBytes = 1000;  // a unit is 30 kB: four to a chunk
  for (int unit = 0; unit < 20; ++unit) {
    for (std::size_t i = 0; i < kPackets; ++i) Append(kBytes, i == 0 ? kPacketUnitStart : 0);
    log_->CommitAll(now_);
    reader_->Refresh();
    const std::uint64_t first = reader_->tail() - kPackets;
    EXPECT_EQ(reader_->Find(first, nullptr), reader_->Find(reader_->tail() - 1, nullptr)) << unit;
  }
  EXPECT_EQ(pool_.in_use(), 5u);
  ExpectWhole();
}

TEST_F(PacketLogTest, AnAccessUnitOfMoreThanHalfAChunkWastesNone) {
  for (int unit = 0; unit < 6; ++unit) {
    for (int i = 0; i < 80; ++i) Append(1000, i == 0 ? kPacketUnitStart : 0);
  }
  EXPECT_EQ(pool_.in_use(), (6 * 80 * 1000 + LogChunk::kBytes - 1) / LogChunk::kBytes);
}

TEST_F(PacketLogTest, AFullChunkIsCommittedEvenInTheMidstOfAFrame) {
  for (std::size_t i = 0; i < LogChunk::kPackets + 10; ++i) Append(20);
  EXPECT_EQ(log_->committed(), LogChunk::kPackets);
  EXPECT_TRUE(reader_->Refresh());
  EXPECT_EQ(reader_->tail(), LogChunk::kPackets);
  log_->CommitAll(now_);
  reader_->Refresh();
  EXPECT_EQ(reader_->tail(), LogChunk::kPackets + 10);
  ExpectWhole();
}

TEST_F(PacketLogTest, KnowsWhenAPacketCameUnlessItIsAnHourBehindItsChunksFirst) {
  Append();
  now_ += 70min;  // an entry's 32 bits of microseconds
  Append();
  now_ += 24h;
  Append();
  log_->CommitAll(now_);
  reader_->Refresh();
  const LogChunk* const chunk = reader_->Find(0, nullptr);
  EXPECT_EQ(chunk->TimeOf(0), written_[0].at);
  EXPECT_EQ(chunk->TimeOf(1), written_[1].at);
  EXPECT_LT(chunk->TimeOf(2), written_[2].at);
  EXPECT_GE(chunk->TimeOf(2), chunk->TimeOf(1));
}

// --- The access point

TEST_F(PacketLogTest, ShowsAnAccessPointWithTheCommitThatShowsItsPacket) {
  Append();
  log_->SetAccess(log_->end());
  log_->CommitAll(now_);
  reader_->Refresh();
  EXPECT_EQ(reader_->access(), kNone) << "its packet has not come";
  Append();
  log_->CommitAll(now_);
  EXPECT_TRUE(reader_->Refresh());
  EXPECT_EQ(reader_->access(), 1u);
}

TEST_F(PacketLogTest, AMovedAccessPointAloneIsNews) {
  Append();
  Append();
  log_->SetAccess(0);
  log_->CommitAll(now_);
  reader_->Refresh();
  log_->SetAccess(1);
  log_->CommitAll(now_);
  EXPECT_TRUE(reader_->Refresh());
  EXPECT_EQ(reader_->access(), 1u);
  log_->SetAccess(kNone);
  log_->CommitAll(now_);
  EXPECT_TRUE(reader_->Refresh());
  EXPECT_EQ(reader_->access(), kNone);
}

TEST_F(PacketLogTest, AReaderThatComesLateFindsWhatIsThere) {
  AppendChunks(3);
  log_->SetAccess(300);
  log_->CommitAll(now_);
  const LogReader late(log_.get());
  EXPECT_EQ(late.first(), 0u);
  EXPECT_EQ(late.tail(), 3 * LogChunk::kPackets);
  EXPECT_EQ(late.access(), 300u);
}

// --- The newest unit

TEST_F(PacketLogTest, TheNewestUnitBeginsAtTheLastUnitStartThatIsCommitted) {
  Append(100, kPacketUnitStart);
  Append();
  log_->CommitAll(now_);
  Append(100, kPacketUnitStart);
  reader_->Refresh();
  EXPECT_EQ(reader_->NewestUnit(), 0u);
  log_->CommitAll(now_);
  reader_->Refresh();
  EXPECT_EQ(reader_->NewestUnit(), 2u);
}

TEST_F(PacketLogTest, TheNewestUnitIsFoundBeyondTheChunksItFills) {
  Append(100, kPacketUnitStart);
  Append(100, kPacketUnitStart);
  AppendChunks(3);
  log_->CommitAll(now_);
  reader_->Refresh();
  EXPECT_EQ(reader_->NewestUnit(), 1u);
}

TEST_F(PacketLogTest, WhereTheNewestUnitHasLostItsBeginningTheWindowsFirstPacketIsMeant) {
  Begin({.time = 1s, .bytes_max = 2 * sizeof(LogChunk)});
  Append(20, kPacketUnitStart);
  AppendChunks(4);
  log_->CommitAll(now_);
  reader_->Refresh();
  ASSERT_GT(reader_->first(), 0u);
  EXPECT_EQ(reader_->NewestUnit(), reader_->first());
}

// --- The window

TEST_F(PacketLogTest, KeepsAtLeastTheWindowsTimeAndLetsOlderChunksGo) {
  Begin({.time = 1s, .bytes_max = std::size_t{64} << 20});
  for (int i = 0; i < 5000; ++i) {
    Append(20);
    log_->CommitAll(now_);
    reader_->Refresh();
    const std::uint64_t first = reader_->first();
    if (first > 0) {
      ASSERT_GE(now_ - written_[first].at, 1s);
    }
    // A chunk more than the time, and the one that is being filled.
    ASSERT_LE(now_ - written_[first].at, 1s + 2 * LogChunk::kPackets * Duration(1ms));
  }
  EXPECT_GT(reader_->first(), 3000u);
  ExpectWhole();
  EXPECT_EQ(pool_.in_use(), log_->memory_bytes() / sizeof(LogChunk));
}

TEST_F(PacketLogTest, ByTimeTheCurrentGroupOfPicturesStays) {
  Begin({.time = 1s, .bytes_max = std::size_t{64} << 20});
  AppendChunks(1);
  log_->SetAccess(Append(20, kPacketUnitStart));
  AppendChunks(6);  // one and a half seconds
  now_ += 1min;
  log_->CommitAll(now_);
  reader_->Refresh();
  EXPECT_EQ(reader_->access(), LogChunk::kPackets);
  EXPECT_EQ(reader_->first(), LogChunk::kPackets) << "what is before it goes";
  ExpectWhole();
  log_->SetAccess(Append(20, kPacketUnitStart));  // the next group: the one before may go
  log_->CommitAll(now_);
  reader_->Refresh();
  EXPECT_EQ(reader_->access(), 7 * LogChunk::kPackets + 1);
  EXPECT_EQ(reader_->first(), 7 * LogChunk::kPackets);
}

TEST_F(PacketLogTest, ByBytesTheGroupGoesAndItsAccessPointWithIt) {
  Begin({.time = 1h, .bytes_max = 4 * sizeof(LogChunk)});
  log_->SetAccess(Append(20, kPacketUnitStart));
  AppendChunks(4);
  log_->CommitAll(now_);
  EXPECT_LE(log_->memory_bytes(), 4 * sizeof(LogChunk));
  EXPECT_EQ(log_->wanted_access(), kNone) << "the writer learns it";
  reader_->Refresh();
  EXPECT_EQ(reader_->access(), kNone);
  EXPECT_GT(reader_->first(), 0u);
  ExpectWhole();
}

TEST_F(PacketLogTest, AWindowOfNothingStillHoldsTwoChunks) {
  Begin({.time = 0s, .bytes_max = 0});
  AppendChunks(10);
  log_->CommitAll(now_);
  reader_->Refresh();
  EXPECT_LE(pool_.in_use(), 2u);
  ExpectWhole();
  EXPECT_EQ(reader_->tail(), 10 * LogChunk::kPackets);
}

TEST_F(PacketLogTest, WhatIsNotCommittedNeverLeavesTheWindow) {
  Begin({.time = 1s, .bytes_max = 0});
  AppendChunks(1);
  Append(20);  // opens the second chunk; stays open
  now_ += 1h;
  log_->Commit(log_->committed(), now_);
  reader_->Refresh();
  EXPECT_LE(reader_->first(), LogChunk::kPackets);
  EXPECT_EQ(reader_->tail(), LogChunk::kPackets);
  // The full chunk is back in the pool and becomes another log's. What comes is not written there.
  PacketLog other(&pool_, {});
  LogReader others(&other);
  Append(20);
  log_->CommitAll(now_);
  others.Refresh();
  EXPECT_EQ(others.tail(), 0u);
  reader_->Refresh();
  EXPECT_EQ(reader_->tail(), LogChunk::kPackets + 2);
  ExpectWhole();
}

TEST(LogChunkPool, WhereAllLogsTogetherHoldTooMuchEachKeepsTheLeastItCan) {
  LogChunkPool pool(8);
  {
    PacketLog first(&pool, {.time = 1h, .bytes_max = 100 * sizeof(LogChunk)});
    PacketLog second(&pool, {.time = 1h, .bytes_max = 100 * sizeof(LogChunk)});
    for (std::size_t i = 0; i < 5 * LogChunk::kPackets; ++i) AppendTo(first, {20, 0, 0, kT0});
    first.CommitAll(kT0);
    EXPECT_EQ(first.memory_bytes(), 5 * sizeof(LogChunk));
    for (std::size_t i = 0; i < 20 * LogChunk::kPackets; ++i) {
      AppendTo(second, {20, 0, 0, kT0});
      second.CommitAll(kT0);
    }
    EXPECT_LE(pool.in_use(), 9u);
    EXPECT_GE(second.memory_bytes(), 2 * sizeof(LogChunk));
    for (std::size_t i = 0; i < 20 * LogChunk::kPackets; ++i) {  // the first gives way as well
      AppendTo(first, {20, 0, 0, kT0});
      first.CommitAll(kT0);
      AppendTo(second, {20, 0, 0, kT0});
      second.CommitAll(kT0);
    }
    EXPECT_LE(pool.in_use(), 10u);
    EXPECT_FALSE(second.memory_bytes() < 2 * sizeof(LogChunk));
  }
  EXPECT_EQ(pool.in_use(), 0u);
}

// --- Who holds what

TEST_F(PacketLogTest, AReaderThatDoesNotRefreshKeepsWhatItMayReadAndLetsGoWhenItDoes) {
  Begin({.time = 1s, .bytes_max = 2 * sizeof(LogChunk)});
  AppendChunks(2);
  log_->CommitAll(now_);
  reader_->Refresh();
  const std::uint64_t tail = reader_->tail();
  AppendChunks(20);
  log_->CommitAll(now_);
  EXPECT_GE(pool_.in_use(), 20u) << "the chain from its oldest chunk on";
  EXPECT_EQ(reader_->tail(), tail);
  ExpectWhole();
  EXPECT_TRUE(reader_->Refresh());
  EXPECT_LE(pool_.in_use(), 2u);
  EXPECT_EQ(reader_->oldest_first(), reader_->first());
  ExpectWhole();
}

TEST_F(PacketLogTest, TheLastHolderOfALongChainGivesAllOfItBack) {
  Begin({.time = 1s, .bytes_max = 2 * sizeof(LogChunk)});
  auto second = std::make_unique<LogReader>(log_.get());
  AppendChunks(100);
  log_->CommitAll(now_);
  EXPECT_GE(pool_.in_use(), 100u);
  reader_.reset();
  EXPECT_GE(pool_.in_use(), 100u) << "the second still holds it";
  second.reset();
  EXPECT_LE(pool_.in_use(), 2u);
}

TEST_F(PacketLogTest, ALogWithoutReadersHoldsItsWindowOnly) {
  Begin({.time = 1s, .bytes_max = 3 * sizeof(LogChunk)});
  reader_.reset();
  for (int i = 0; i < 20'000; ++i) {
    Append(20);
    log_->CommitAll(now_);
    ASSERT_LE(pool_.in_use(), 4u);  // one more while a chunk is begun
  }
}

// --- Seeds

TEST(PacketLogSeeds, WhateverIsWrittenIsReadInPlaceByEveryReaderOfTheWindow) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    SeededRandom random(static_cast<std::uint64_t>(seed));
    LogChunkPool pool(random.Chance(0.5) ? SIZE_MAX : random.Below(10), random.Below(8));
    {
      const LogWindow window{.time = Duration(1ms) * random.Below(500),
                             .bytes_max = sizeof(LogChunk) * random.Below(6)};
      PacketLog log(&pool, window);
      std::vector<std::unique_ptr<LogReader>> readers;
      std::vector<Written> written;
      Instant now = kT0;
      const std::size_t longest = random.Chance(0.2) ? 65535 : 1 + random.Below(3000);
      for (int step = 0; step < 150; ++step) {
        now += Duration(1ms) * random.Below(20);
        for (std::uint64_t n = random.Below(20); n > 0; --n) {
          written.push_back({1 + random.Below(longest), static_cast<std::int64_t>(random.Next32()),
                             static_cast<std::uint16_t>(random.Below(8)), now});
          const std::uint64_t position = AppendTo(log, written.back());
          ASSERT_EQ(position + 1, written.size());
          if (random.Chance(0.02)) log.SetAccess(position);
        }
        const std::uint64_t committed = log.committed();
        log.Commit(committed + random.Below(log.end() - committed + 1), now);
        if (random.Chance(0.05) && readers.size() < 4) {
          readers.push_back(std::make_unique<LogReader>(&log));
        }
        if (random.Chance(0.02) && !readers.empty()) readers.pop_back();
        for (const auto& reader : readers) {
          const std::uint64_t first = reader->first(), tail = reader->tail();
          if (random.Chance(0.3)) {
            reader->Refresh();
            ASSERT_EQ(reader->tail(), log.committed()) << "seed " << seed;
          }
          ASSERT_GE(reader->first(), first);
          ASSERT_GE(reader->tail(), tail);
          ASSERT_LE(reader->first(), reader->tail());
          ASSERT_LE(reader->oldest_first(), reader->first());
          if (reader->access() != kNone) {
            ASSERT_GE(reader->access(), reader->first());
            ASSERT_LT(reader->access(), reader->tail());
          }
          const LogChunk* near = nullptr;
          for (std::uint64_t p = reader->first(); p < reader->tail();
               p += 1 + random.Below(1 + (reader->tail() - reader->first()) / 4)) {
            ASSERT_EQ(Differs(*reader, p, written[p], near), "") << "seed " << seed;
            near = reader->Find(p, near);
          }
        }
      }
    }
    ASSERT_EQ(pool.in_use(), 0u) << "seed " << seed;
  }
}

// --- Threads

// Reads every packet it gets to see, from where the window is.
void ReadWhile(PacketLog* log, const std::atomic<bool>* done, std::atomic<int>* wrong,
               std::atomic<std::uint64_t>* read) {
  std::optional<LogReader> reader(log);
  SeededRandom random(2);
  std::uint64_t position = reader->first();
  for (bool last = false; !last;) {
    last = done->load();
    if (random.Chance(0.01)) {
      reader.reset();
      reader.emplace(log);
    }
    reader->Refresh();
    if (reader->first() > reader->tail()) ++*wrong;
    position = std::max(position, reader->first());
    const LogChunk* chunk = nullptr;
    for (; position < reader->tail(); ++position) {
      chunk = reader->Find(position, chunk);
      const PacketEntry& entry = chunk->packets[position - chunk->first];
      const std::uint8_t* const bytes = chunk->bytes.data() + entry.offset;
      if (entry.pts != static_cast<std::int64_t>(position)) ++*wrong;
      if (std::memcmp(bytes, BytesOf(position), entry.length) != 0) ++*wrong;
      read->fetch_add(1, std::memory_order_relaxed);
    }
    const std::uint64_t access = reader->access();
    if (access != kNone) {
      chunk = reader->Find(access, nullptr);
      if ((chunk->packets[access - chunk->first].flags & kPacketUnitStart) == 0) ++*wrong;
    }
    std::this_thread::yield();
  }
}

TEST(PacketLogThreads, ReadersOnOtherThreadsSeeWholePacketsWhileTheWindowMoves) {
  LogChunkPool pool(SIZE_MAX, 2);
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> read{0};
  {
    PacketLog log(&pool, {.time = 1h, .bytes_max = 2 * sizeof(LogChunk)});
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; ++i) {
      readers.emplace_back([&] { ReadWhile(&log, &done, &wrong, &read); });
    }
    const auto end = std::chrono::steady_clock::now() + 200ms;
    SeededRandom random(1);
    Instant now = kT0;
    for (int frame = 0; std::chrono::steady_clock::now() < end; ++frame) {
      now += 1ms;
      if (frame % 5 == 0) log.SetAccess(log.end());
      for (std::uint64_t i = 0; i < 8; ++i) {
        const std::uint64_t position = log.end();
        AppendTo(log, {20 + random.Below(300), static_cast<std::int64_t>(position),
                       static_cast<std::uint16_t>(i == 0 ? kPacketUnitStart : 0), now});
      }
      log.CommitAll(now);
      if (frame % 4 == 0) std::this_thread::yield();
    }
    done = true;
    for (std::thread& reader : readers) reader.join();
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(read, 100u);
  EXPECT_EQ(pool.in_use(), 0u);
}

}  // namespace
}  // namespace millrace
