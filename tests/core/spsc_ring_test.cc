#include "core/spsc_ring.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <thread>

#include "core/random.h"

namespace millrace {
namespace {

TEST(SpscRing, GivesBackInOrderWhatItTook) {
  SpscRing<int, 8> ring;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(ring.TryPush(i));
  EXPECT_EQ(ring.size(), 5u);
  for (int i = 0; i < 5; ++i) {
    int value = -1;
    ASSERT_TRUE(ring.TryPop(&value));
    EXPECT_EQ(value, i);
  }
  EXPECT_TRUE(ring.empty());
}

TEST(SpscRing, RefusesWhenFullAndLeavesTheValueAlone) {
  SpscRing<std::unique_ptr<int>, 2> ring;
  EXPECT_TRUE(ring.TryPush(std::make_unique<int>(1)));
  EXPECT_TRUE(ring.TryPush(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(ring.TryPush(std::move(third)));
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(*third, 3);
  std::unique_ptr<int> out;
  ASSERT_TRUE(ring.TryPop(&out));
  EXPECT_EQ(*out, 1);
  EXPECT_TRUE(ring.TryPush(std::move(third)));
}

TEST(SpscRing, LeavesTheTargetAloneWhenEmpty) {
  SpscRing<int, 2> ring;
  int value = 99;
  EXPECT_FALSE(ring.TryPop(&value));
  EXPECT_EQ(value, 99);
}

TEST(SpscRing, HoldsOneWhenItsCapacityIsOne) {
  SpscRing<int, 1> ring;
  int value = 0;
  for (int i = 1; i < 10; ++i) {
    EXPECT_TRUE(ring.TryPush(i));
    EXPECT_FALSE(ring.TryPush(100));
    ASSERT_TRUE(ring.TryPop(&value));
    EXPECT_EQ(value, i);
    EXPECT_FALSE(ring.TryPop(&value));
  }
}

TEST(SpscRing, AgreesWithADequeOverManyTurns) {
  SeededRandom random(3);
  SpscRing<std::uint64_t, 16> ring;
  std::deque<std::uint64_t> model;
  for (int step = 0; step < 50'000; ++step) {
    if (random.Chance(0.5)) {
      const std::uint64_t value = random.Next64();
      ASSERT_EQ(ring.TryPush(value), model.size() < 16);
      if (model.size() < 16) model.push_back(value);
    } else {
      std::uint64_t value = 0;
      ASSERT_EQ(ring.TryPop(&value), !model.empty());
      if (!model.empty()) {
        ASSERT_EQ(value, model.front());
        model.pop_front();
      }
    }
    ASSERT_EQ(ring.size(), model.size());
  }
}

TEST(SpscRing, LosesAndRepeatsNothingBetweenTwoThreads) {
  struct Pair {  // two words, so that a torn element shows
    std::uint64_t a = 0, b = 0;
  };
  constexpr std::uint64_t kCount = 200'000;
  SpscRing<Pair, 64> ring;
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kCount; ++i) {
      while (!ring.TryPush(Pair{i, ~i})) std::this_thread::yield();
    }
  });
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    Pair pair;
    while (!ring.TryPop(&pair)) std::this_thread::yield();
    if (pair.a != i || pair.b != ~i) ++wrong;
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_TRUE(ring.empty());
}

}  // namespace
}  // namespace millrace
