#include "rtp/sequence.h"

#include <gtest/gtest.h>

#include <limits>

namespace millrace {
namespace {

TEST(Sequence, DistanceGoesTheShorterWayRound) {
  struct Case {
    std::uint16_t from, to;
    std::int32_t distance;
  };
  for (const Case& c : {Case{0, 0, 0},
                        {0, 1, 1},
                        {1, 0, -1},
                        {65535, 0, 1},
                        {0, 65535, -1},
                        {65530, 5, 11},
                        {5, 65530, -11},
                        {0, 32767, 32767},
                        {0, 32769, -32767},
                        {0, 32768, -32768},
                        {32768, 0, -32768}}) {
    EXPECT_EQ(SequenceDistance(c.from, c.to), c.distance) << c.from << " to " << c.to;
  }
}

TEST(Sequence, NewerIsAStrictOrderWithinHalfATurn) {
  EXPECT_TRUE(SequenceNewer(1, 0));
  EXPECT_TRUE(SequenceNewer(0, 65535));
  EXPECT_TRUE(SequenceNewer(32767, 0));
  EXPECT_FALSE(SequenceNewer(0, 0));
  EXPECT_FALSE(SequenceNewer(65535, 0));
  // Exactly half a turn apart: neither.
  EXPECT_FALSE(SequenceNewer(32768, 0));
  EXPECT_FALSE(SequenceNewer(0, 32768));
}

TEST(Sequence, TimestampsCompareAcrossTheWrap) {
  EXPECT_EQ(TimestampDistance(0xffffff00u, 0x100u), 0x200);
  EXPECT_EQ(TimestampDistance(0x100u, 0xffffff00u), -0x200);
  EXPECT_EQ(TimestampDistance(0, 0x80000000u), std::numeric_limits<std::int32_t>::min());
  EXPECT_TRUE(TimestampNewer(5, 0xfffffff0u));
  EXPECT_FALSE(TimestampNewer(0xfffffff0u, 5));
  EXPECT_FALSE(TimestampNewer(7, 7));
}

TEST(ExtendedSequence, CountsEveryTurnOnce) {
  ExtendedSequence extended;
  EXPECT_FALSE(extended.started());
  std::uint16_t sequence = 65000;
  for (std::int64_t i = 0; i < 200'000; ++i, ++sequence) {
    ASSERT_EQ(extended.Extend(sequence), 65000 + i);
  }
  EXPECT_EQ(extended.highest(), 65000 + 199'999);
}

TEST(ExtendedSequence, PutsLatePacketsIntoTheTurnTheyBelongTo) {
  ExtendedSequence extended;
  EXPECT_EQ(extended.Extend(65534), 65534);
  EXPECT_EQ(extended.Extend(2), 65538);
  EXPECT_EQ(extended.Extend(65535), 65535);
  EXPECT_EQ(extended.Extend(0), 65536);
  EXPECT_EQ(extended.highest(), 65538);
}

TEST(ExtendedSequence, GivesAPacketBeforeTheFirstANumberBelowZero) {
  ExtendedSequence extended;
  EXPECT_EQ(extended.Extend(1), 1);
  EXPECT_EQ(extended.Extend(65535), -1);
  EXPECT_EQ(extended.highest(), 1);
}

}  // namespace
}  // namespace millrace
