#include "core/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "core/memory.h"
#include "core/random.h"

namespace millrace {
namespace {

void ReleaseAll(BlockPool& pool, std::vector<std::byte*>& blocks) {
  for (std::byte* block : blocks) pool.Release(block);
  blocks.clear();
}

TEST(BlockPool, GivesBlocksThatDoNotOverlapAndAreAligned) {
  BlockPool pool(100, 4, 10);
  EXPECT_EQ(pool.block_bytes(), 128u);
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 10; ++i) {
    blocks.push_back(pool.Acquire());
    ASSERT_NE(blocks.back(), nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(blocks.back()) % BlockPool::kAlignment, 0u);
    std::memset(blocks.back(), i, pool.block_bytes());
  }
  for (int i = 0; i < 10; ++i) {
    for (std::size_t b = 0; b < pool.block_bytes(); ++b) {
      ASSERT_EQ(blocks[static_cast<std::size_t>(i)][b], static_cast<std::byte>(i));
    }
  }
  ReleaseAll(pool, blocks);
}

TEST(BlockPool, RefusesBeyondItsBoundUntilOneComesBack) {
  BlockPool pool(64, 4, 6);  // a slab of four and one of two
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 6; ++i) blocks.push_back(pool.Acquire());
  EXPECT_EQ(pool.in_use(), 6u);
  EXPECT_EQ(pool.capacity(), 6u);
  EXPECT_EQ(pool.Acquire(), nullptr);
  EXPECT_EQ(pool.in_use(), 6u);
  std::byte* back = blocks[2];
  pool.Release(back);
  EXPECT_EQ(pool.Acquire(), back);
  ReleaseAll(pool, blocks);
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(BlockPool, GivesOutFirstWhatCameBackLast) {
  BlockPool pool(64, 8, 8);
  std::byte* a = pool.Acquire();
  std::byte* b = pool.Acquire();
  pool.Release(a);
  pool.Release(b);
  EXPECT_EQ(pool.Acquire(), b);
  EXPECT_EQ(pool.Acquire(), a);
  pool.Release(a);
  pool.Release(b);
}

TEST(BlockPool, AllocatesNothingWithinWhatWasReserved) {
  BlockPool pool(2048, 16, 100);
  EXPECT_EQ(pool.Reserve(50), 64u);  // whole slabs
  std::vector<std::byte*> blocks;
  blocks.reserve(64);
  const std::uint64_t before = ScopedNoAlloc::Violations();
  {
    const ScopedNoAlloc guard;
    for (int turn = 0; turn < 3; ++turn) {
      for (int i = 0; i < 64; ++i) blocks.push_back(pool.Acquire());
      ReleaseAll(pool, blocks);
    }
  }
  EXPECT_EQ(ScopedNoAlloc::Violations(), before);
  EXPECT_EQ(pool.Reserve(1000), 100u);  // the bound
}

TEST(BlockPool, TrimFreesOnlySlabsWithoutABlockOut) {
  BlockPool pool(64, 4, 12);
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 12; ++i) blocks.push_back(pool.Acquire());
  std::byte* kept = blocks[5];  // of the second slab
  std::memset(kept, 0x5a, 64);
  std::erase(blocks, kept);
  ReleaseAll(pool, blocks);
  EXPECT_EQ(pool.Trim(), 8u * 64u);
  EXPECT_EQ(pool.capacity(), 4u);
  EXPECT_EQ(pool.in_use(), 1u);
  EXPECT_TRUE(std::all_of(kept, kept + 64, [](std::byte b) { return b == std::byte{0x5a}; }));
  EXPECT_EQ(pool.Trim(), 0u);
  for (int i = 0; i < 11; ++i) {  // grows back to its bound
    blocks.push_back(pool.Acquire());
    ASSERT_NE(blocks.back(), nullptr);
  }
  EXPECT_EQ(pool.Acquire(), nullptr);
  blocks.push_back(kept);
  ReleaseAll(pool, blocks);
  EXPECT_EQ(pool.Trim(), 12u * 64u);
  EXPECT_EQ(pool.capacity(), 0u);
}

TEST(BlockPool, NeverGivesOutABlockTwiceWhateverTheOrder) {
  SeededRandom random(11);
  BlockPool pool(256, 7, 100);
  std::vector<std::byte*> out;
  std::set<std::byte*> live;
  for (int step = 0; step < 20'000; ++step) {
    if (random.Chance(0.52)) {
      std::byte* block = pool.Acquire();
      ASSERT_EQ(block == nullptr, live.size() == 100);
      if (block == nullptr) continue;
      ASSERT_TRUE(live.insert(block).second);
      std::memset(block, 0xff,
                  pool.block_bytes());  // would show a link kept in a block that is out
      out.push_back(block);
    } else if (!out.empty()) {
      std::swap(out[random.Below(out.size())], out.back());
      pool.Release(out.back());
      live.erase(out.back());
      out.pop_back();
    }
    if (random.Chance(0.005)) pool.Trim();
    ASSERT_EQ(pool.in_use(), live.size());
    ASSERT_LE(pool.capacity(), 100u);
  }
  ReleaseAll(pool, out);
}

}  // namespace
}  // namespace millrace
