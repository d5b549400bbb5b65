#include "core/seqlock.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace millrace {
namespace {

// Every byte of it tells the same number, whatever its size is.
template <std::size_t kBytes>
struct Even {
  std::array<std::uint8_t, kBytes> bytes{};

  static Even Of(std::uint64_t number) {
    Even made;
    made.bytes.fill(static_cast<std::uint8_t>(number));
    return made;
  }
};

template <typename T>
class SeqlockOfSize : public testing::Test {};

using Sizes = testing::Types<Even<1>, Even<3>, Even<7>, Even<8>, Even<9>, Even<15>, Even<16>,
                             Even<17>, Even<64>, Even<129>>;
TYPED_TEST_SUITE(SeqlockOfSize, Sizes);

TYPED_TEST(SeqlockOfSize, BeginsAsZerosAndGivesBackWhatWasWritten) {
  Seqlock<TypeParam> lock;
  EXPECT_EQ(lock.Read().bytes, TypeParam::Of(0).bytes);
  for (std::uint64_t number = 1; number < 300; ++number) {
    const TypeParam value = TypeParam::Of(number);
    lock.Write(value);
    ASSERT_EQ(lock.Read().bytes, value.bytes);
    ASSERT_EQ(lock.Read().bytes, value.bytes) << "reading takes nothing away";
  }
}

TYPED_TEST(SeqlockOfSize, TouchesNothingBeyondItself) {
  struct {
    std::uint64_t before = 0x1111;
    Seqlock<TypeParam> lock;
    std::uint64_t behind = 0x2222;
  } row;
  row.lock.Write(TypeParam::Of(0xff));
  EXPECT_EQ(row.before, 0x1111u);
  EXPECT_EQ(row.behind, 0x2222u);
}

struct Moment {
  std::uint64_t number = 0;
  std::uint32_t twice = 0;
  std::uint16_t negated = 0;
  std::array<std::uint64_t, 5> copies{};

  static Moment Of(std::uint64_t number) {
    Moment made;
    made.number = number;
    made.twice = static_cast<std::uint32_t>(2 * number);
    made.negated = static_cast<std::uint16_t>(~number);
    made.copies.fill(number);
    return made;
  }
  bool whole() const {
    const Moment wanted = Of(number);
    return twice == wanted.twice && negated == wanted.negated && copies == wanted.copies;
  }
};

TEST(Seqlock, ReadersSeeWholeValuesThatOnlyGrowWhileAThreadWrites) {
  constexpr std::uint64_t kWrites = 5'000;
  Seqlock<Moment> lock;
  lock.Write(Moment::Of(0));
  std::atomic<int> ready{0}, torn{0}, backwards{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      ++ready;
      for (std::uint64_t last = 0; last < kWrites;) {
        const Moment seen = lock.Read();
        if (!seen.whole()) ++torn;
        if (seen.number < last) ++backwards;
        last = seen.number;
      }
    });
  }
  while (ready < 3) std::this_thread::yield();
  for (std::uint64_t number = 1; number <= kWrites; ++number) {
    lock.Write(Moment::Of(number));
    if (number % 64 == 0) std::this_thread::yield();
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(backwards, 0);
}

TEST(Seqlock, WritersWhoTakeTurnsLeaveTheLastOnesValue) {
  Seqlock<Moment> lock;
  for (std::uint64_t turn = 1; turn <= 20; ++turn) {
    std::thread([&] { lock.Write(Moment::Of(turn)); }).join();
    const Moment seen = lock.Read();
    EXPECT_TRUE(seen.whole());
    EXPECT_EQ(seen.number, turn);
  }
}

}  // namespace
}  // namespace millrace
