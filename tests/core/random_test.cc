#include "core/random.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace millrace {
namespace {

// Gives what it is told, then counts up.
class Script final : public Random {
 public:
  explicit Script(std::uint64_t first) : next_(first) {}
  std::uint64_t Next64() override {
    ++calls;
    return next_++;
  }
  int calls = 0;

 private:
  std::uint64_t next_;
};

TEST(SeededRandom, RepeatsFromItsSeedOnEveryMachine) {
  SeededRandom zero(0);
  // The published first values of SplitMix64 from state 0.
  EXPECT_EQ(zero.Next64(), 0xe220a8397b1dcdafu);
  EXPECT_EQ(zero.Next64(), 0x6e789e6aa1b965f4u);
  EXPECT_EQ(zero.Next64(), 0x06c45d188009454fu);
  SeededRandom a(7), b(7), c(8);
  EXPECT_EQ(a.Next64(), b.Next64());
  EXPECT_NE(a.Next64(), c.Next64());
}

TEST(Random, BelowStaysInItsRangeAndReachesAllOfIt) {
  SeededRandom random(1);
  for (const std::uint64_t bound : {1u, 2u, 3u, 7u, 64u, 100u}) {
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 5000; ++i) {
      const std::uint64_t value = random.Below(bound);
      ASSERT_LT(value, bound);
      seen.insert(value);
    }
    EXPECT_EQ(seen.size(), bound);
  }
}

TEST(Random, BelowTakesBoundsUpToTheWholeRange) {
  SeededRandom random(2);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_LT(random.Below(UINT64_MAX), UINT64_MAX);
    ASSERT_LT(random.Below((std::uint64_t{1} << 63) + 1), (std::uint64_t{1} << 63) + 1);
  }
}

TEST(Random, BelowDrawsAgainInTheShortLastStretch) {
  // 2^64 - 1 is a multiple of 3, so only the very last value would favour 0.
  Script script(UINT64_MAX);
  EXPECT_EQ(script.Below(3), 0u);  // of the second draw, which is 0
  EXPECT_EQ(script.calls, 2);
}

TEST(Random, BelowIsEvenWithinFourSigma) {
  SeededRandom random(3);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60'000; ++i) ++counts[random.Below(6)];
  for (const int n : counts) EXPECT_NEAR(n, 10'000, 4 * 92);
}

TEST(Random, UnitIsInItsHalfOpenRange) {
  Script most(UINT64_MAX);
  EXPECT_LT(most.Unit(), 1.0);
  Script least(0);
  EXPECT_EQ(least.Unit(), 0.0);
  SeededRandom random(4);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double u = random.Unit();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST(Random, ChanceIsNeverAtZeroAndAlwaysAtOne) {
  SeededRandom random(5);
  int hits = 0;
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_FALSE(random.Chance(0.0));
    ASSERT_TRUE(random.Chance(1.0));
    hits += random.Chance(0.25) ? 1 : 0;
  }
  EXPECT_NEAR(hits, 2500, 250);
}

TEST(Random, NarrowNumbersAreTheHighBits) {
  Script script(0x0123456789abcdefu);
  EXPECT_EQ(script.Next32(), 0x01234567u);
  EXPECT_EQ(script.Next16(), 0x0123u);
}

TEST(SystemRandom, NeverRepeatsOverSeveralBatches) {
  SystemRandom a, b;
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    seen.insert(a.Next64());
    seen.insert(b.Next64());
  }
  EXPECT_EQ(seen.size(), 2000u);
}

}  // namespace
}  // namespace millrace
