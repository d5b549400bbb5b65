#include "core/counters.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace millrace {
namespace {

TEST(Counter, AddsAndSets) {
  Counter counter;
  EXPECT_EQ(counter.Get(), 0u);
  counter.Add();
  counter.Add(41);
  EXPECT_EQ(counter.Get(), 42u);
  counter.Set(7);
  EXPECT_EQ(counter.Get(), 7u);
}

TEST(ShardCounters, TheSnapshotHasEveryCounterInItsOwnPlace) {
  ShardCounters counters;
  std::uint64_t next = 1;
#define MILLRACE_TEST_SET(name, what) counters.name.Set(next++ * 1000);
  MILLRACE_SHARD_COUNTERS(MILLRACE_TEST_SET)
#undef MILLRACE_TEST_SET
  ShardCountersSnapshot snapshot;
  snapshot.Add(counters);
  std::uint64_t expected = 1;
#define MILLRACE_TEST_CHECK(name, what) EXPECT_EQ(snapshot.name, expected++ * 1000) << #name;
  MILLRACE_SHARD_COUNTERS(MILLRACE_TEST_CHECK)
#undef MILLRACE_TEST_CHECK
  EXPECT_GT(expected, 20u);
}

TEST(ShardCounters, TheSnapshotSumsShards) {
  std::vector<ShardCounters> shards(3);
  shards[0].requests.Add(1);
  shards[1].requests.Add(10);
  shards[2].requests.Add(100);
  shards[2].blocks_acquired.Add(5);
  ShardCountersSnapshot sum;
  for (const ShardCounters& shard : shards) sum.Add(shard);
  EXPECT_EQ(sum.requests, 111u);
  EXPECT_EQ(sum.blocks_acquired, 5u);
  EXPECT_EQ(sum.parse_errors, 0u);
}

TEST(ShardCounters, EachHasANameOfItsOwnAndAnExplanation) {
  std::set<std::string> names;
#define MILLRACE_TEST_NAME(name, what)     \
  EXPECT_TRUE(names.insert(#name).second); \
  EXPECT_FALSE(std::string(what).empty());
  MILLRACE_SHARD_COUNTERS(MILLRACE_TEST_NAME)
#undef MILLRACE_TEST_NAME
}

TEST(ShardCounters, AReaderOnAnotherThreadNeverSeesThemGoBack) {
  ShardCounters counters;
  std::atomic<bool> done{false};
  std::uint64_t backward = 0, last = 0;
  std::thread reader([&] {
    while (!done.load(std::memory_order_acquire)) {
      ShardCountersSnapshot now;
      now.Add(counters);
      if (now.udp_packets_sent < last) ++backward;
      last = now.udp_packets_sent;
    }
  });
  for (int i = 0; i < 200'000; ++i) counters.udp_packets_sent.Add();
  done.store(true, std::memory_order_release);
  reader.join();
  EXPECT_EQ(backward, 0u);
  EXPECT_LE(last, 200'000u);
  EXPECT_EQ(counters.udp_packets_sent.Get(), 200'000u);
}

}  // namespace
}  // namespace millrace
