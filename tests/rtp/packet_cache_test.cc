#include "rtp/packet_cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <set>
#include <utility>

#include "core/memory.h"
#include "tests/rtp/vod_fakes.h"

namespace millrace {
namespace {

constexpr std::size_t kSetBytes = 1000;

// Sets of kSetBytes without packets.
class FakeSource final : public BlockSource {
 public:
  absl::StatusOr<std::unique_ptr<BlockSet>> ReadBlock(const PresentationRef& presentation,
                                                      std::uint32_t number) override {
    loads.emplace_back(presentation->id, number);
    if (failing.count(number) != 0) return absl::AbortedError("file changed");
    auto set = std::make_unique<BlockSet>();
    set->number = number;
    set->memory_bytes = kSetBytes;
    return set;
  }
  std::vector<std::pair<std::uint64_t, std::uint32_t>> loads;
  std::set<std::uint32_t> failing;
};

class TestWaiter final : public BlockWaiter {
 public:
  int calls = 0;
  BlockRef block;
  absl::Status status;
  std::function<void()> then;

 private:
  void OnBlock(BlockRef the_block) override {
    EXPECT_FALSE(waiting());
    ++calls;
    block = std::move(the_block);
    if (then) then();
  }
  void OnBlockFailed(const absl::Status& the_status) override {
    EXPECT_FALSE(waiting());
    ++calls;
    status = the_status;
    if (then) then();
  }
};

PresentationRef Film(std::uint64_t id = 1) { return FakePresentation(*FakeVideoFile(1000), id); }

class PacketCacheTest : public testing::Test {
 protected:
  explicit PacketCacheTest(std::uint64_t cache_bytes = 10 * kSetBytes) {
    VodOptions options;
    options.cache_bytes = cache_bytes;
    cache_ = std::make_unique<PacketCache>(&source_, &loader_, &poster_, options);
    for (std::size_t i = 0; i < 3; ++i) {
      clients_.push_back(std::make_unique<BlockClient>(cache_.get(), i));
    }
  }

  ~PacketCacheTest() override { loader_.Stop(); }

  void Settle() {
    while (loader_.RunOne() || poster_.waiting() > 0) poster_.DeliverAll();
  }
  BlockRef Acquire(std::uint32_t number, BlockWaiter* waiter = nullptr, std::size_t shard = 0) {
    return clients_[shard]->Acquire(film_, number, waiter);
  }
  // Loads it if need be.
  BlockRef Get(std::uint32_t number) {
    TestWaiter waiter;
    BlockRef block = Acquire(number, &waiter);
    if (block) return block;
    Settle();
    EXPECT_EQ(waiter.calls, 1);
    return std::move(waiter.block);
  }
  bool Holds(std::uint32_t number) {
    const std::uint64_t hits = cache_->stats().hits;
    clients_[0]->Prefetch(film_, number);
    return cache_->stats().hits > hits;
  }

  FakeSource source_;
  ManualLoader loader_;
  ManualPoster poster_;
  std::unique_ptr<PacketCache> cache_;
  std::vector<std::unique_ptr<BlockClient>> clients_;
  PresentationRef film_ = Film();
};

TEST_F(PacketCacheTest, TellsAWaiterOnceTheBlockIsLoadedAndHitsFromThenOn) {
  TestWaiter waiter;
  EXPECT_FALSE(Acquire(7, &waiter));
  EXPECT_TRUE(waiter.waiting());
  loader_.RunAll();
  EXPECT_EQ(waiter.calls, 0);  // not before the mailbox brings it
  poster_.DeliverAll();
  EXPECT_EQ(waiter.calls, 1);
  ASSERT_TRUE(waiter.block);
  EXPECT_EQ(waiter.block->number, 7u);
  const BlockRef again = Acquire(7, &waiter);
  ASSERT_TRUE(again);
  EXPECT_EQ(&*again, &*waiter.block);
  EXPECT_FALSE(waiter.waiting());
  EXPECT_EQ(cache_->stats().hits, 1u);
  EXPECT_EQ(cache_->stats().misses, 1u);
  EXPECT_EQ(cache_->stats().bytes, kSetBytes);
}

TEST_F(PacketCacheTest, LoadsABlockOnceHoweverManyViewersOnHoweverManyShardsAsk) {
  std::vector<TestWaiter> waiters(300);
  for (std::size_t i = 0; i < waiters.size(); ++i) EXPECT_FALSE(Acquire(3, &waiters[i], i % 3));
  EXPECT_EQ(loader_.waiting(), 1u);
  loader_.RunAll();
  EXPECT_EQ(poster_.waiting(), 3u);  // one message a shard
  EXPECT_TRUE(Acquire(3));           // a hit, while the others' blocks are on their way
  poster_.DeliverAll();
  for (const TestWaiter& waiter : waiters) {
    EXPECT_EQ(waiter.calls, 1);
    EXPECT_EQ(&*waiter.block, &*waiters[0].block);
  }
  EXPECT_EQ(source_.loads.size(), 1u);
  EXPECT_EQ(waiters[0].block->references.load(), 301u);  // theirs and the cache's
}

TEST_F(PacketCacheTest, KeepsBlocksOfDifferentPresentationsApart) {
  const PresentationRef other = Film(2);
  TestWaiter one, two;
  EXPECT_FALSE(Acquire(5, &one));
  EXPECT_FALSE(clients_[0]->Acquire(other, 5, &two));
  Settle();
  EXPECT_NE(&*one.block, &*two.block);
  EXPECT_EQ(source_.loads.size(), 2u);
}

TEST_F(PacketCacheTest, SendsNoShardAMessageForAPrefetch) {
  clients_[1]->Prefetch(film_, 4);
  loader_.RunAll();
  EXPECT_EQ(poster_.waiting(), 0u);
  EXPECT_TRUE(Acquire(4));
}

TEST_F(PacketCacheTest, JoinsAPrefetchUnderWay) {
  clients_[1]->Prefetch(film_, 4);
  TestWaiter waiter;
  EXPECT_FALSE(Acquire(4, &waiter));
  Settle();
  EXPECT_EQ(waiter.calls, 1);
  EXPECT_EQ(source_.loads.size(), 1u);
}

TEST_F(PacketCacheTest, StaysWithinItsBoundAndDropsTheLeastRecentlyAskedFor) {
  for (std::uint32_t k = 0; k < 9; ++k) Get(k);
  EXPECT_EQ(cache_->stats().evictions, 0u);
  Get(0);  // newest now
  for (std::uint32_t k = 9; k < 100; ++k) {
    Get(k);
    Get(0);
    EXPECT_LT(cache_->stats().bytes, 10 * kSetBytes);
    EXPECT_EQ(cache_->stats().bytes, cache_->stats().blocks * kSetBytes);
  }
  EXPECT_EQ(cache_->stats().bytes_most, 10 * kSetBytes);  // for the moment in which one makes room
  EXPECT_TRUE(Holds(0));
  EXPECT_TRUE(Holds(99));
  EXPECT_FALSE(Holds(1));
}

TEST_F(PacketCacheTest, NeverEvictsABlockInUse) {
  std::vector<BlockRef> used;
  for (std::uint32_t k = 0; k < 5; ++k) used.push_back(Get(k));
  for (std::uint32_t k = 10; k < 200; ++k) Get(k);
  for (std::uint32_t k = 0; k < 5; ++k) {
    const BlockRef again = Acquire(k);
    ASSERT_TRUE(again);
    EXPECT_EQ(&*again, &*used[k]);
  }
}

TEST_F(PacketCacheTest, LetsLoadsWaitForRoomInTheirOrderAndGoOnWhenThereIsSome) {
  std::vector<BlockRef> used;
  for (std::uint32_t k = 0; k < 10; ++k) used.push_back(Get(k));
  EXPECT_EQ(cache_->stats().bytes, 10 * kSetBytes);
  std::vector<TestWaiter> waiters(4);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_FALSE(Acquire(100 + i, &waiters[i]));
  Settle();
  EXPECT_EQ(cache_->stats().waiting, 4u);
  EXPECT_EQ(source_.loads.size(), 10u);
  for (int i = 0; i < 5; ++i) {  // nothing becomes of trying again
    cache_->Pump();
    Settle();
  }
  EXPECT_EQ(cache_->stats().waiting, 4u);
  EXPECT_EQ(cache_->stats().bytes, 10 * kSetBytes);

  used[4].Reset();
  EXPECT_EQ(loader_.waiting(), 0u);  // nobody has told the cache yet
  cache_->Pump();
  Settle();
  EXPECT_EQ(waiters[0].calls, 1);
  EXPECT_EQ(waiters[1].calls + waiters[2].calls + waiters[3].calls, 0);
  EXPECT_LE(cache_->stats().bytes, 10 * kSetBytes);

  used.clear();
  for (TestWaiter& waiter : waiters) waiter.then = [&waiter] { waiter.block.Reset(); };
  cache_->Pump();
  Settle();  // each load that ends lets the next one try
  for (const TestWaiter& waiter : waiters) EXPECT_EQ(waiter.calls, 1);
  ASSERT_EQ(source_.loads.size(), 14u);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(source_.loads[10 + i].second, 100 + i);
  EXPECT_EQ(cache_->stats().waiting, 0u);
}

TEST_F(PacketCacheTest, LetsNoNewerLoadOvertakeOneThatWaitsForRoom) {
  std::vector<BlockRef> used;
  for (std::uint32_t k = 0; k < 10; ++k) used.push_back(Get(k));
  TestWaiter old, young;
  Acquire(100, &old);
  Settle();
  used.clear();
  Acquire(200, &young);
  Settle();
  ASSERT_EQ(source_.loads.size(), 12u);
  EXPECT_EQ(source_.loads[10].second, 100u);
  EXPECT_EQ(source_.loads[11].second, 200u);
  EXPECT_EQ(old.calls + young.calls, 2);
}

TEST_F(PacketCacheTest, JoinsALoadThatWaitsForRoom) {
  std::vector<BlockRef> used;
  for (std::uint32_t k = 0; k < 10; ++k) used.push_back(Get(k));
  TestWaiter one, two;
  Acquire(100, &one, 0);
  Settle();
  Acquire(100, &two, 1);
  used.clear();
  cache_->Pump();
  Settle();
  EXPECT_EQ(one.calls, 1);
  EXPECT_EQ(two.calls, 1);
  EXPECT_EQ(source_.loads.size(), 11u);
}

TEST_F(PacketCacheTest, FindsRoomBehindManyBlocksInUse) {
  VodOptions options;
  options.cache_bytes = 1001 * kSetBytes;
  clients_.clear();
  cache_ = std::make_unique<PacketCache>(&source_, &loader_, &poster_, options);
  clients_.push_back(std::make_unique<BlockClient>(cache_.get(), 0));
  std::vector<BlockRef> used;
  for (std::uint32_t k = 0; k < 900; ++k) used.push_back(Get(k));
  for (std::uint32_t k = 900; k < 950; ++k) Get(k);
  for (std::uint32_t k = 0; k < 51; ++k) used.push_back(Get(k + 950));
  for (std::uint32_t k = 0; k < 900; ++k) Acquire(k);  // so that the unused lie in the middle
  EXPECT_TRUE(Get(2000));
  EXPECT_EQ(cache_->stats().waits_for_room, 0u);
  EXPECT_GE(cache_->stats().evictions, 1u);
}

class PacketCacheWithoutRoom : public PacketCacheTest {
 protected:
  PacketCacheWithoutRoom() : PacketCacheTest(0) {}
};

TEST_F(PacketCacheWithoutRoom, StillLoadsOneBlockAtATime) {
  for (std::uint32_t k = 0; k < 5; ++k) {
    const BlockRef block = Get(k);
    ASSERT_TRUE(block);
    EXPECT_EQ(block->number, k);
    EXPECT_EQ(cache_->stats().blocks, 1u);
  }
  const BlockRef held = Get(50);
  TestWaiter waiter;
  Acquire(51, &waiter);
  Settle();
  EXPECT_TRUE(waiter.waiting());
}

TEST_F(PacketCacheTest, TellsEveryWaiterOfAFailureAndKeepsNothingOfIt) {
  source_.failing = {3};
  TestWaiter one, two;
  Acquire(3, &one, 0);
  Acquire(3, &two, 2);
  Settle();
  for (const TestWaiter* waiter : {&one, &two}) {
    EXPECT_EQ(waiter->calls, 1);
    EXPECT_EQ(waiter->status, absl::AbortedError("file changed"));
  }
  EXPECT_EQ(cache_->stats().blocks, 0u);
  EXPECT_EQ(cache_->stats().failures, 1u);
  source_.failing.clear();
  EXPECT_TRUE(Get(3));
  EXPECT_EQ(source_.loads.size(), 2u);
}

TEST_F(PacketCacheTest, LetsAWaiterAskAgainWhenItIsToldOfAFailure) {
  source_.failing = {3};
  TestWaiter waiter;
  waiter.then = [&] {
    if (waiter.calls < 3) {
      EXPECT_FALSE(Acquire(3, &waiter));
    }
  };
  Acquire(3, &waiter);
  Settle();
  EXPECT_EQ(waiter.calls, 3);
  EXPECT_EQ(source_.loads.size(), 3u);
}

TEST_F(PacketCacheTest, GoesOnWithWaitingLoadsAfterAFailure) {
  std::vector<BlockRef> used;
  for (std::uint32_t k = 0; k < 10; ++k) used.push_back(Get(k));
  source_.failing = {100};
  TestWaiter failing, next;
  Acquire(100, &failing);
  Acquire(101, &next);
  Settle();
  used.clear();
  cache_->Pump();
  Settle();
  EXPECT_FALSE(failing.status.ok());
  EXPECT_TRUE(next.block);
}

TEST_F(PacketCacheTest, TellsNobodyWhoHasCancelled) {
  TestWaiter stays, cancels;
  auto dies = std::make_unique<TestWaiter>();
  Acquire(1, &stays);
  Acquire(1, &cancels);
  Acquire(1, dies.get());
  clients_[0]->Cancel(&cancels);
  clients_[0]->Cancel(&cancels);
  dies.reset();
  Settle();
  EXPECT_EQ(stays.calls, 1);
  EXPECT_EQ(cancels.calls, 0);
  EXPECT_EQ(stays.block->references.load(), 2u);
}

TEST_F(PacketCacheTest, DropsABlockForWhichNobodyWaitsAnyMore) {
  auto waiter = std::make_unique<TestWaiter>();
  Acquire(1, waiter.get());
  loader_.RunAll();
  waiter.reset();
  poster_.DeliverAll();
  EXPECT_EQ(Acquire(1)->references.load(), 2u);  // the cache's and this one
}

TEST_F(PacketCacheTest, LetsACallbackCancelOrDestroyAnyWaiterWhereverItStands) {
  for (std::size_t first_to_act = 0; first_to_act < 5; ++first_to_act) {
    const auto number = static_cast<std::uint32_t>(first_to_act);
    std::vector<std::unique_ptr<TestWaiter>> waiters;
    for (int i = 0; i < 5; ++i) {
      waiters.push_back(std::make_unique<TestWaiter>());
      Acquire(number, waiters.back().get());
    }
    TestWaiter* const actor = waiters[first_to_act].get();
    actor->then = [&] {
      clients_[0]->Cancel(waiters[1].get());
      for (std::size_t i : {0u, 2u, 4u}) {
        if (i != first_to_act) waiters[i].reset();
      }
    };
    Settle();
    EXPECT_EQ(actor->calls, 1);
    // Served in the order in which they came: those before the actor had been told.
    EXPECT_EQ(waiters[1]->calls, first_to_act >= 1 ? 1 : 0);
    EXPECT_EQ(waiters[3]->calls, 1);
  }
}

TEST_F(PacketCacheTest, LetsAWaiterDestroyItselfOrWaitForTheNextBlockInItsCallback) {
  auto dies = std::make_unique<TestWaiter>();
  Acquire(1, dies.get());
  bool told = false;
  dies->then = [&] {
    told = true;
    const auto last_words = std::move(dies->then);  // the running function outlives the waiter
    dies.reset();
  };
  TestWaiter plays;
  plays.then = [&] {
    while (plays.block->number < 20) {
      BlockRef next = Acquire(plays.block->number + 1, &plays);
      if (!next) return;
      plays.block = std::move(next);
    }
  };
  Acquire(1, &plays);
  Settle();
  EXPECT_TRUE(told);
  EXPECT_EQ(plays.block->number, 20u);
}

TEST_F(PacketCacheTest, AllocatesNothingOnAHit) {
  for (std::uint32_t k = 0; k < 8; ++k) Get(k);
  TestWaiter waiter;
  const std::uint64_t before = ThreadAllocations().allocations;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    BlockRef block = Acquire(i % 8, &waiter);
    if (!block) std::abort();
  }
  EXPECT_EQ(ThreadAllocations().allocations, before);
}

TEST_F(PacketCacheTest, AllocatesNothingWhenJoiningALoad) {
  clients_[0]->Prefetch(film_, 1);
  std::vector<TestWaiter> waiters(100);
  const std::uint64_t before = ThreadAllocations().allocations;
  for (TestWaiter& waiter : waiters) Acquire(1, &waiter);
  EXPECT_EQ(ThreadAllocations().allocations, before);
  Settle();
  EXPECT_EQ(waiters[99].calls, 1);
}

TEST_F(PacketCacheTest, CancelsLoadsWithTheLoaderAndLeaksNothing) {
  BlockRef outlives = Get(0);
  TestWaiter under_way, queued, late;
  Acquire(1, &under_way);
  loader_.RunAll();  // its message is never delivered
  Acquire(2, &queued);
  loader_.Stop();
  Acquire(3, &late);
  EXPECT_EQ(queued.calls + late.calls, 0);
  for (TestWaiter* waiter : {&under_way, &queued, &late}) clients_[0]->Cancel(waiter);
  clients_.clear();
  poster_.DropAll();
  cache_.reset();
  EXPECT_EQ(outlives->references.load(), 1u);
  EXPECT_EQ(outlives->number, 0u);
}

TEST_F(PacketCacheTest, EndsWithLoadsThatStillWaitForRoom) {
  std::vector<BlockRef> used;
  for (std::uint32_t k = 0; k < 10; ++k) used.push_back(Get(k));
  TestWaiter waiter;
  Acquire(100, &waiter);
  Settle();
  loader_.Stop();
  cache_->Pump();
  clients_[0]->Cancel(&waiter);
  clients_.clear();
  cache_.reset();
  EXPECT_EQ(used[0]->references.load(), 1u);
}

using PacketCacheDeathTest = PacketCacheTest;

TEST_F(PacketCacheDeathTest, StopsAtAWrongOrderOfShutdown) {
  TestWaiter waiter;
  EXPECT_DEATH(cache_.reset(), "");  // clients left
  Acquire(1, &waiter);
  EXPECT_DEATH(clients_[0].reset(), "");  // a waiter left
  clients_[0]->Cancel(&waiter);
  clients_.clear();
  EXPECT_DEATH(cache_.reset(), "");  // a load left
  loader_.Stop();
  cache_.reset();
}

}  // namespace
}  // namespace millrace
