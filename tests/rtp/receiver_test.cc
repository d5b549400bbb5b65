#include "rtp/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/memory.h"
#include "core/random.h"
#include "media/track.h"
#include "rtp/big_endian.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr std::uint32_t kSsrc = 0xa1b2c3d4;
constexpr std::uint32_t kOtherSsrc = 0x01020304;
constexpr std::uint8_t kPayloadType = 96;
constexpr Instant kStart{100 * 24h};  // so long up that careless arithmetic has overflowed

Bytes Packet(int sequence, std::uint32_t timestamp = 0, std::uint32_t ssrc = kSsrc,
             std::size_t bytes = 40) {
  Bytes packet(bytes, static_cast<std::uint8_t>(sequence));
  packet[0] = 0x80;
  packet[1] = kPayloadType;
  StoreBe16(&packet[2], static_cast<std::uint16_t>(sequence));
  StoreBe32(&packet[4], timestamp);
  StoreBe32(&packet[8], ssrc);
  return packet;
}

class Recorder final : public ReceivedPacketSink {
 public:
  void OnPacket(const PacketView& view, std::span<const std::uint8_t> packet,
                Instant arrival) override {
    EXPECT_EQ(Bytes(packet.begin(), packet.end()),
              Packet(view.sequence, view.timestamp, view.ssrc, packet.size()));
    sequences.push_back(view.sequence);
    ssrcs.push_back(view.ssrc);
    arrivals.push_back(arrival);
  }

  std::vector<int> sequences;
  std::vector<std::uint32_t> ssrcs;
  std::vector<Instant> arrivals;
};

Receiver::Options MakeOptions(bool reorder) {
  Receiver::Options options = {.clock_rate = 8000, .reorder = reorder};
  options.payload_types.set(kPayloadType);
  return options;
}

class ReceiverTest : public ::testing::Test {
 protected:
  void Take(int sequence, Instant now = kStart, std::uint32_t ssrc = kSsrc) {
    receiver.OnPacket(Packet(sequence, 0, ssrc), now);
  }

  BlockPool pool{Receiver::kBlockBytes, 16, 100};
  Recorder sink;
  Receiver receiver{MakeOptions(true), &pool, &sink};
};

TEST_F(ReceiverTest, GivesOnPacketsInOrderAtOnceAndWithoutACopy) {
  for (int i = 0; i < 5; ++i) {
    Take(100 + i, kStart + i * 1ms);
    EXPECT_EQ(sink.sequences.back(), 100 + i);
    EXPECT_EQ(sink.arrivals.back(), kStart + i * 1ms);
    EXPECT_EQ(pool.in_use(), 0u);
    EXPECT_EQ(receiver.deadline(), kNever);
  }
  EXPECT_EQ(receiver.stats().packets, 5u);
}

struct OrderCase {
  const char* what;
  std::vector<int> arriving;
  std::vector<int> given;  // at once
  std::vector<int> held;   // given when the window is emptied
  std::uint64_t lost, reordered, late, duplicates;
};

void ExpectOrder(const OrderCase& c, bool reorder) {
  SCOPED_TRACE(c.what);
  BlockPool pool(Receiver::kBlockBytes, 16, 100);
  Recorder sink;
  Receiver receiver(MakeOptions(reorder), &pool, &sink);
  for (const int sequence : c.arriving) receiver.OnPacket(Packet(sequence), kStart);
  EXPECT_THAT(sink.sequences, ElementsAreArray(c.given));
  EXPECT_EQ(receiver.held(), c.held.size());
  EXPECT_EQ(pool.in_use(), c.held.size());
  EXPECT_EQ(receiver.deadline(),
            c.held.empty() ? kNever : Instant(kStart + Receiver::kReorderDelay));
  sink.sequences.clear();
  receiver.OnDeadline(kNever);
  EXPECT_THAT(sink.sequences, ElementsAreArray(c.held));
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_EQ(receiver.stats().packets, c.given.size() + c.held.size());
  EXPECT_EQ(receiver.stats().lost, c.lost);
  EXPECT_EQ(receiver.stats().reordered, c.reordered);
  EXPECT_EQ(receiver.stats().late, c.late);
  EXPECT_EQ(receiver.stats().duplicates, c.duplicates);
}

TEST(Receiver, PutsDatagramsInOrder) {
  const OrderCase cases[] = {
      {"two swapped", {1, 3, 2, 4}, {1, 2, 3, 4}, {}, 0, 1, 0, 0},
      {"a whole run backwards", {1, 5, 4, 3, 2}, {1, 2, 3, 4, 5}, {}, 0, 3, 0, 0},
      {"a gap", {1, 2, 4, 5}, {1, 2}, {4, 5}, 1, 0, 0, 0},
      {"two gaps, the second filled", {1, 3, 6, 4, 5}, {1}, {3, 4, 5, 6}, 1, 2, 0, 0},
      {"two gaps, the first filled", {1, 3, 5, 2}, {1, 2, 3}, {5}, 1, 1, 0, 0},
      {"duplicates of what was given", {1, 1, 2, 2, 1}, {1, 2}, {}, 0, 0, 0, 3},
      {"a duplicate of what is held", {1, 3, 3}, {1}, {3}, 1, 0, 0, 1},
      {"a packet from before the first", {10, 9, 11}, {10, 11}, {}, 0, 0, 1, 0},
      {"and its duplicate", {10, 9, 9}, {10}, {}, 0, 0, 1, 1},
      {"the wrap", {65534, 0, 65535, 1}, {65534, 65535, 0, 1}, {}, 0, 1, 0, 0},
      {"a gap across the wrap", {65534, 1}, {65534}, {1}, 2, 0, 0, 0},
      {"before the first and before the wrap", {0, 65535, 1}, {0, 1}, {}, 0, 0, 1, 0},
  };
  for (const OrderCase& c : cases) ExpectOrder(c, true);
}

TEST(Receiver, TakesInterleavedFramesAsTheyComeAndDropsOldOnes) {
  const OrderCase cases[] = {
      {"in order", {1, 2, 3}, {1, 2, 3}, {}, 0, 0, 0, 0},
      {"a gap", {1, 4}, {1, 4}, {}, 2, 0, 0, 0},
      {"an old one", {1, 3, 2, 4}, {1, 3, 4}, {}, 1, 0, 1, 0},
      {"duplicates", {1, 1, 2, 1, 2}, {1, 2}, {}, 0, 0, 0, 3},
      {"the wrap", {65535, 1, 0, 2}, {65535, 1, 2}, {}, 1, 0, 1, 0},
  };
  for (const OrderCase& c : cases) ExpectOrder(c, false);
}

TEST_F(ReceiverTest, GivesUpOnAMissingPacketWhenItsTimeIsOver) {
  Take(1);
  Take(3, kStart + 5ms);
  Take(4, kStart + 9ms);
  EXPECT_EQ(receiver.deadline(), kStart + 25ms);
  receiver.OnDeadline(kStart + 25ms - 1ns);
  EXPECT_THAT(sink.sequences, ElementsAre(1));
  receiver.OnDeadline(kStart + 25ms);
  EXPECT_THAT(sink.sequences, ElementsAre(1, 3, 4));
  EXPECT_THAT(sink.arrivals, ElementsAre(kStart, kStart + 5ms, kStart + 9ms));
  EXPECT_EQ(receiver.deadline(), kNever);
  Take(2, kStart + 26ms);
  EXPECT_EQ(receiver.stats().late, 1u);
  EXPECT_EQ(receiver.stats().lost, 1u);
  EXPECT_EQ(sink.sequences.size(), 3u);
}

TEST_F(ReceiverTest, CountsTheTimeOfEachGapFromWhenItWasSeen) {
  Take(1);
  Take(3, kStart + 5ms);   // 2 is missing
  Take(5, kStart + 15ms);  // 4 as well
  receiver.OnDeadline(kStart + 25ms);
  EXPECT_THAT(sink.sequences, ElementsAre(1, 3));
  EXPECT_EQ(receiver.deadline(), kStart + 35ms);
  Take(4, kStart + 34ms);
  EXPECT_THAT(sink.sequences, ElementsAre(1, 3, 4, 5));
  EXPECT_EQ(receiver.deadline(), kNever);
}

TEST_F(ReceiverTest, GivesUpEveryGapBeforeAPacketThatHasWaitedLongEnough) {
  Take(1);
  Take(6, kStart + 5ms);
  Take(4, kStart + 15ms);  // behind 6, which has waited since 5 ms; 2, 3 and 5 are missing
  receiver.OnDeadline(kStart + 25ms);
  EXPECT_THAT(sink.sequences, ElementsAre(1, 4, 6));
  EXPECT_EQ(receiver.stats().lost, 3u);
}

TEST_F(ReceiverTest, HoldsAWindowOfSixtyFourNumbersAndNoMore) {
  Take(1);
  for (int i = 3; i <= 65; ++i) Take(i);  // 2 is missing
  EXPECT_THAT(sink.sequences, ElementsAre(1));
  EXPECT_EQ(pool.in_use(), 63u);
  Take(66);
  EXPECT_EQ(sink.sequences.size(), 65u);
  EXPECT_EQ(sink.sequences.back(), 66);
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_EQ(receiver.stats().lost, 1u);
}

TEST_F(ReceiverTest, GivesUpNoMoreThanTheWindowNeeds) {
  Take(1);
  Take(3);
  Take(100);  // 2 falls out, then 4 to 36; 37 to 99 may still come
  EXPECT_THAT(sink.sequences, ElementsAre(1, 3));
  EXPECT_EQ(receiver.stats().lost, 1u + 33u);
  Take(36);
  EXPECT_EQ(receiver.stats().late, 1u);
  Take(37);
  EXPECT_THAT(sink.sequences, ElementsAre(1, 3, 37));
  receiver.OnDeadline(kStart + 20ms);
  EXPECT_THAT(sink.sequences, ElementsAre(1, 3, 37, 100));
  EXPECT_EQ(receiver.stats().lost, 1u + 33u + 62u);
}

TEST_F(ReceiverTest, DoesNotHoldAPacketLargerThanABlock) {
  Take(1);
  Take(3);
  receiver.OnPacket(Packet(5, 0, kSsrc, Receiver::kBlockBytes), kStart);
  EXPECT_EQ(pool.in_use(), 2u);
  receiver.OnPacket(Packet(7, 0, kSsrc, Receiver::kBlockBytes + 1), kStart);
  EXPECT_THAT(sink.sequences, ElementsAre(1, 3, 5, 7));
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_EQ(receiver.stats().lost, 3u);
}

TEST(Receiver, HoldsNothingWhenThePoolIsExhausted) {
  BlockPool pool(Receiver::kBlockBytes, 1, 1);
  Recorder sink;
  Receiver receiver(MakeOptions(true), &pool, &sink);
  for (const int sequence : {1, 3, 5}) receiver.OnPacket(Packet(sequence), kStart);
  EXPECT_THAT(sink.sequences, ElementsAre(1, 3, 5));
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(Receiver, GivesItsBlocksBackWhenItDies) {
  BlockPool pool(Receiver::kBlockBytes, 16, 16);
  Recorder sink;
  {
    Receiver receiver(MakeOptions(true), &pool, &sink);
    for (const int sequence : {1, 3, 5}) receiver.OnPacket(Packet(sequence), kStart);
    EXPECT_EQ(pool.in_use(), 2u);
  }
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_THAT(sink.sequences, ElementsAre(1));
}

TEST(Receiver, AllocatesNothingOnceThePoolHasItsBlocks) {
  class Counter final : public ReceivedPacketSink {
   public:
    void OnPacket(const PacketView&, std::span<const std::uint8_t>, Instant) override { ++count; }
    int count = 0;
  };
  BlockPool pool(Receiver::kBlockBytes, 16, 64);
  pool.Reserve(64);
  Counter sink;
  Receiver receiver(MakeOptions(true), &pool, &sink);
  Bytes packet = Packet(0);
  const std::uint64_t before = ThreadAllocations().allocations;
  for (int i = 0; i < 10'000; ++i) {
    StoreBe16(&packet[2], static_cast<std::uint16_t>(i ^ 7));  // eight at a time, backwards
    if (i % 1000 != 0) receiver.OnPacket(packet, kStart + i * 1ms);
    receiver.OnDeadline(kStart + i * 1ms);
  }
  EXPECT_EQ(ThreadAllocations().allocations, before);
  EXPECT_GT(sink.count, 9900);
}

TEST_F(ReceiverTest, CountsWhatIsNoPacketOrNoneOfTheStream) {
  Take(1);
  receiver.OnPacket({}, kStart);
  receiver.OnPacket(Bytes(11, 0x80), kStart);
  receiver.OnPacket(Bytes(40, 0x40), kStart);
  Bytes packet = Packet(2);
  packet[1] = kPayloadType + 1;
  receiver.OnPacket(packet, kStart);
  Take(2, kStart, kOtherSsrc);
  EXPECT_THAT(sink.sequences, ElementsAre(1));
  EXPECT_EQ(receiver.stats().malformed, 3u);
  EXPECT_EQ(receiver.stats().foreign, 2u);
  EXPECT_EQ(receiver.stats().sources, 1u);
}

TEST_F(ReceiverTest, LatchesOnlyToASoundPacketOfTheStream) {
  EXPECT_FALSE(receiver.ssrc());
  Bytes packet = Packet(1, 0, kOtherSsrc);
  packet[1] = 0;
  receiver.OnPacket(packet, kStart);
  EXPECT_FALSE(receiver.ssrc());
  Take(1);
  EXPECT_EQ(receiver.ssrc(), kSsrc);
}

TEST_F(ReceiverTest, BelievesAJumpOnlyWithinBounds) {
  struct Case {
    int from, to;
    bool believed;
  };
  for (const Case& c : {Case{1000, 3999, true},
                        {1000, 4000, false},
                        {1000, 1000 + 32768, false},
                        {1000, 901, true},
                        {1000, 900, false},
                        {65000, 2463, true},
                        {65000, 2464, false},
                        {50, 65487, true},
                        {50, 65486, false}}) {
    Recorder out;
    Receiver r(MakeOptions(false), &pool, &out);
    r.OnPacket(Packet(c.from), kStart);
    r.OnPacket(Packet(c.to), kStart);
    EXPECT_EQ(r.stats().jumps, c.believed ? 0u : 1u) << c.from << " to " << c.to;
  }
}

TEST_F(ReceiverTest, FollowsAJumpFromItsSecondPacketAndCountsAfresh) {
  struct Case {
    int from, to;
  };
  for (const Case& c : {Case{1000, 4000}, {1000, 30000}, {1000, 50000}, {1000, 0}, {9, 65000}}) {
    SCOPED_TRACE(std::to_string(c.from) + " to " + std::to_string(c.to));
    for (const bool reorder : {false, true}) {
      Recorder out;
      Receiver r(MakeOptions(reorder), &pool, &out);
      for (const int sequence : {c.from, c.to, c.to + 1, c.to + 2}) {
        r.OnPacket(Packet(sequence), kStart);
      }
      EXPECT_THAT(out.sequences, ElementsAre(c.from, c.to + 1, c.to + 2));
      EXPECT_EQ(r.stats().lost, 0u);
      EXPECT_EQ(r.stats().sources, 1u);
      EXPECT_EQ(r.MakeReportBlock(kStart).cumulative_lost, 0);
      EXPECT_EQ(r.MakeReportBlock(kStart).highest_sequence, static_cast<std::uint32_t>(c.to + 2));
    }
  }
}

TEST_F(ReceiverTest, TakesTwoStraysThatDoNotFollowOneAnotherForWhatTheyAre) {
  Take(1);
  for (const int stray : {20000, 20000, 20002, 20001, 40000}) Take(stray);
  Take(20001 + 1);  // would have confirmed 20001, had 40000 not come between
  EXPECT_EQ(receiver.stats().jumps, 6u);
  Take(2);
  Take(20003);  // nor does it once the stream has gone on
  EXPECT_EQ(receiver.stats().jumps, 7u);
  EXPECT_THAT(sink.sequences, ElementsAre(1, 2));
}

TEST_F(ReceiverTest, EmptiesTheWindowBeforeItFollowsAJump) {
  Take(1);
  Take(3);
  Take(10000);
  EXPECT_THAT(sink.sequences, ElementsAre(1));
  Take(10001);
  EXPECT_THAT(sink.sequences, ElementsAre(1, 3, 10001));
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST_F(ReceiverTest, FollowsANewSourceWhenTheOldOneHasBeenSilent) {
  Take(10);
  Take(12);
  Take(500, kStart + 2s - 1ns, kOtherSsrc);
  EXPECT_EQ(receiver.ssrc(), kSsrc);
  Take(501, kStart + 2s, kOtherSsrc);
  EXPECT_EQ(receiver.ssrc(), kOtherSsrc);
  EXPECT_THAT(sink.sequences, ElementsAre(10, 12, 501));
  EXPECT_THAT(sink.ssrcs, ElementsAre(kSsrc, kSsrc, kOtherSsrc));
  EXPECT_EQ(receiver.stats().sources, 2u);
  EXPECT_EQ(receiver.stats().foreign, 1u);
  // The old one is foreign now.
  Take(13, kStart + 2s);
  EXPECT_EQ(receiver.stats().foreign, 2u);
}

TEST_F(ReceiverTest, FollowsANewSourceAfterSixteenPacketsOfItAlone) {
  Take(10);
  Take(12);
  for (int i = 0; i < 15; ++i) Take(500 + i, kStart, kOtherSsrc);
  EXPECT_THAT(sink.sequences, ElementsAre(10));
  Take(515, kStart, kOtherSsrc);
  EXPECT_THAT(sink.sequences, ElementsAre(10, 12, 515));
  EXPECT_EQ(receiver.ssrc(), kOtherSsrc);
  const rtcp::ReportBlock block = receiver.MakeReportBlock(kStart);
  EXPECT_EQ(block.ssrc, kOtherSsrc);
  EXPECT_EQ(block.highest_sequence, 515u);
  EXPECT_EQ(block.cumulative_lost, 0);
}

TEST_F(ReceiverTest, StaysWithTheSourceWhileItSendsAsWell) {
  Take(0);
  for (int i = 0; i < 150; ++i) {
    Take(500 + i, kStart, kOtherSsrc);
    if (i % 15 == 14) Take(1 + i / 15);
  }
  EXPECT_EQ(receiver.ssrc(), kSsrc);
  EXPECT_EQ(receiver.stats().foreign, 150u);
  EXPECT_EQ(receiver.stats().packets, 11u);
}

TEST_F(ReceiverTest, DoesNotAddUpThePacketsOfSeveralStrangers) {
  Take(1);
  for (int i = 0; i < 100; ++i) {
    Take(i, kStart, i % 15 == 14 ? kOtherSsrc + 1 : kOtherSsrc);
  }
  EXPECT_EQ(receiver.ssrc(), kSsrc);
  EXPECT_EQ(receiver.stats().foreign, 100u);
}

TEST_F(ReceiverTest, ReportsLossAsAppendixA3Does) {
  for (const int sequence : {65530, 65531, 65533, 65534, 65535, 1, 2, 3}) Take(sequence);
  rtcp::ReportBlock block = receiver.MakeReportBlock(kStart);
  EXPECT_EQ(block.ssrc, kSsrc);
  // 65530 to 3 of the next turn are 10; 65532 and 0 are missing.
  EXPECT_EQ(block.fraction_lost, 2 * 256 / 10);
  EXPECT_EQ(block.cumulative_lost, 2);
  EXPECT_EQ(block.highest_sequence, 65536u + 3);

  // The next 10, with one more copy: nothing lost in the interval, and less than before in all.
  for (int sequence = 4; sequence <= 13; ++sequence) Take(sequence);
  Take(13);
  block = receiver.MakeReportBlock(kStart);
  EXPECT_EQ(block.fraction_lost, 0);
  EXPECT_EQ(block.cumulative_lost, 1);

  // A missing one comes late: received all the same.
  receiver.OnDeadline(kStart + 1s);
  Take(0, kStart + 1s);
  Take(65532, kStart + 1s);
  block = receiver.MakeReportBlock(kStart + 1s);
  EXPECT_EQ(block.fraction_lost, 0);
  EXPECT_EQ(block.cumulative_lost, -1);

  // Half of ten, and then nothing at all.
  for (const int sequence : {15, 17, 19, 21, 23}) Take(sequence, kStart + 1s);
  EXPECT_EQ(receiver.MakeReportBlock(kStart + 1s).fraction_lost, 128);
  EXPECT_EQ(receiver.MakeReportBlock(kStart + 1s).fraction_lost, 0);
}

TEST_F(ReceiverTest, ReportsTheHighestPacketThatCameThoughItIsHeldStill) {
  Take(1);
  Take(3);
  EXPECT_EQ(receiver.MakeReportBlock(kStart).highest_sequence, 3u);
  EXPECT_EQ(receiver.MakeReportBlock(kStart).cumulative_lost, 1);
}

// 20 ms apart by their timestamps of 8 kHz; arrivals in ms. By hand, in sixteenths:
//   0: -   20: 0   45: +40 = 40   60: +40 - (48 >> 4) = 77   80: -(85 >> 4) = 72
TEST(Receiver, MeasuresJitterAsAppendixA8Does) {
  BlockPool pool(Receiver::kBlockBytes, 16, 16);
  Recorder sink;
  Receiver receiver(MakeOptions(true), &pool, &sink);
  const Duration arrivals[] = {0ms, 20ms, 45ms, 60ms, 80ms};
  const std::uint32_t jitter[] = {0, 0, 40 >> 4, 77 >> 4, 72 >> 4};
  for (int i = 0; i < 5; ++i) {
    const auto timestamp = static_cast<std::uint32_t>(i * 160 - 200);  // wraps on its way
    receiver.OnPacket(Packet(i, timestamp), kStart + arrivals[i]);
    receiver.OnPacket(Packet(i, timestamp), kStart + arrivals[i] + 7ms);  // a copy counts nothing
    EXPECT_EQ(receiver.MakeReportBlock(kStart).jitter, jitter[i]) << i;
  }
}

// Every transit 40 ticks off the one before: x + 40 - ((x + 8) >> 4) stands still from 632 on.
TEST(Receiver, RoundsJitterAsAppendixA8Does) {
  BlockPool pool(Receiver::kBlockBytes, 16, 16);
  Recorder sink;
  Receiver receiver(MakeOptions(true), &pool, &sink);
  for (int i = 0; i < 200; ++i) {
    receiver.OnPacket(Packet(i, static_cast<std::uint32_t>(i * 160)),
                      kStart + i * 20ms + (i % 2) * 5ms);
  }
  EXPECT_EQ(receiver.MakeReportBlock(kStart).jitter, 632u >> 4);
}

TEST(Receiver, TakesNoJumpAndNoNewSourceForJitter) {
  BlockPool pool(Receiver::kBlockBytes, 16, 16);
  Recorder sink;
  Receiver receiver(MakeOptions(true), &pool, &sink);
  const auto play = [&](int sequence, std::uint32_t timestamp, std::uint32_t ssrc, Instant start) {
    for (int i = 0; i < 20; ++i) {
      receiver.OnPacket(Packet(sequence + i, timestamp + static_cast<std::uint32_t>(i * 160), ssrc),
                        start + i * 20ms);
    }
  };
  play(0, 0, kSsrc, kStart);
  play(20000, 1'000'000, kSsrc, kStart + 1s);
  EXPECT_EQ(receiver.MakeReportBlock(kStart).jitter, 0u);
  receiver.OnPacket(Packet(20020, 5'000'000), kStart + 2s);
  EXPECT_GT(receiver.MakeReportBlock(kStart).jitter, 0u);
  play(100, 77, kOtherSsrc, kStart + 5s);
  EXPECT_EQ(receiver.MakeReportBlock(kStart).jitter, 0u);
}

TEST(Receiver, KeepsJitterFiniteWhateverTheTimestamps) {
  BlockPool pool(Receiver::kBlockBytes, 16, 16);
  Recorder sink;
  Receiver receiver(MakeOptions(true), &pool, &sink);
  for (int i = 0; i < 1000; ++i) {
    receiver.OnPacket(Packet(i, i % 2 == 0 ? 0 : 0x80000000u), kStart);
  }
  EXPECT_NEAR(receiver.MakeReportBlock(kStart).jitter, 0x80000000u, 16);
}

TEST(Receiver, MeasuresNoJitterWithoutAClockRate) {
  Receiver::Options options = MakeOptions(true);
  options.clock_rate = 0;
  BlockPool pool(Receiver::kBlockBytes, 16, 16);
  Recorder sink;
  Receiver receiver(options, &pool, &sink);
  for (int i = 0; i < 10; ++i) {
    receiver.OnPacket(Packet(i, static_cast<std::uint32_t>(i * i * 1000)), kStart + i * 1ms);
  }
  EXPECT_EQ(receiver.MakeReportBlock(kStart).jitter, 0u);
}

TEST_F(ReceiverTest, TellsTheLastSenderReportAndItsAge) {
  const rtcp::SenderInfo info = {.ssrc = kSsrc, .ntp = 0x1122334455667788};
  receiver.OnSenderReport(info, kStart);
  Take(1);
  rtcp::ReportBlock block = receiver.MakeReportBlock(kStart + 1500ms);
  EXPECT_EQ(block.last_sr, 0x33445566u);
  EXPECT_EQ(block.delay_since_last_sr, 65536u + 32768u);
  // Another source's says nothing of this one.
  receiver.OnSenderReport({.ssrc = kOtherSsrc, .ntp = 1}, kStart + 1s);
  block = receiver.MakeReportBlock(kStart + 2s);
  EXPECT_EQ(block.last_sr, 0x33445566u);
  EXPECT_EQ(block.delay_since_last_sr, 2u * 65536);
  // Nor this one's of the next.
  Take(1, kStart + 3s, kOtherSsrc);
  block = receiver.MakeReportBlock(kStart + 3s);
  EXPECT_EQ(block.ssrc, kOtherSsrc);
  EXPECT_EQ(block.last_sr, 0u);
  EXPECT_EQ(block.delay_since_last_sr, 0u);
}

// The rules of the header in the plainest way: numbers that never wrap, a map, no slots.
class Model {
 public:
  void Arrive(std::int64_t number, Instant now) {
    if (!started) next = first = highest = number;
    started = true;
    highest = std::max(highest, number);
    ++received;
    if (!seen.insert(number).second) {
      ++duplicates;
      return;
    }
    if (number < next) {
      ++late;
      return;
    }
    waiting.emplace(number, now);
    while (number >= next + 64) GiveUp(next);
    Run();
  }
  void Expire(Instant now) {
    while (!waiting.empty() && Deadline() <= now) {
      GiveUp(waiting.begin()->first - 1);
      Run();
    }
  }
  Instant Deadline() const {
    Instant earliest = kNever;
    for (const auto& [number, arrival] : waiting) earliest = std::min(earliest, arrival + 20ms);
    return earliest;
  }

  bool started = false;
  std::int64_t first = 0, highest = 0, next = 0;
  std::int64_t received = 0;
  std::uint64_t duplicates = 0, late = 0, lost = 0;
  std::set<std::int64_t> seen;
  std::map<std::int64_t, Instant> waiting;
  std::vector<int> given;

 private:
  void Run() {
    while (waiting.erase(next) != 0) given.push_back(static_cast<int>(next++ % 65536));
  }
  void GiveUp(std::int64_t last) {
    while (next <= last) {
      Run();
      if (next > last) break;
      ++lost;
      ++next;
    }
  }
};

struct Arrival {
  Instant at;
  std::int64_t number;
};

// Loses, doubles and delays the packets of a stream that sends one each `spacing` on average.
std::vector<Arrival> Network(Random& random, Duration spacing, Duration delay_max, double loss) {
  std::vector<Arrival> arrivals;
  Instant sent = kStart;
  std::int64_t number = static_cast<std::int64_t>(random.Below(65536));
  for (int i = 0; i < 1500; ++i, ++number) {
    sent += spacing / 2 + Duration(random.Below(static_cast<std::uint64_t>(spacing.count())));
    if (random.Chance(loss)) continue;
    for (int copies = random.Chance(0.05) ? 2 : 1; copies > 0; --copies) {
      const Duration delay =
          random.Chance(0.7)
              ? 0ns
              : Duration(random.Below(static_cast<std::uint64_t>(delay_max.count())));
      arrivals.push_back({sent + delay, number});
    }
  }
  std::stable_sort(arrivals.begin(), arrivals.end(),
                   [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
  return arrivals;
}

void ExpectAsTheModel(const std::vector<Arrival>& arrivals, Model* model, const Recorder& sink,
                      Receiver* receiver) {
  for (const Arrival& arrival : arrivals) {
    while (receiver->deadline() < arrival.at) {
      const Instant deadline = receiver->deadline();
      receiver->OnDeadline(deadline);
      model->Expire(deadline);
      ASSERT_GT(receiver->deadline(), deadline);
    }
    receiver->OnPacket(Packet(static_cast<int>(arrival.number % 65536)), arrival.at);
    model->Arrive(arrival.number, arrival.at);
    ASSERT_EQ(receiver->held(), model->waiting.size());
    ASSERT_EQ(receiver->deadline(), model->Deadline());
  }
  receiver->OnDeadline(kNever);
  model->Expire(kNever);
  ASSERT_EQ(sink.sequences, model->given);
  EXPECT_EQ(receiver->stats().lost, model->lost);
  EXPECT_EQ(receiver->stats().late, model->late);
  EXPECT_EQ(receiver->stats().duplicates, model->duplicates);
  EXPECT_EQ(receiver->stats().jumps, 0u);
  const rtcp::ReportBlock block = receiver->MakeReportBlock(kStart);
  EXPECT_EQ(block.highest_sequence, static_cast<std::uint32_t>(model->highest));
  EXPECT_EQ(block.cumulative_lost, model->highest - model->first + 1 - model->received);
}

TEST(Receiver, GivesEverythingThatComesWithinTheWindowOnceAndInOrder) {
  std::uint64_t reordered = 0, lost = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    // At least 0.4 ms apart: in 20 ms and the lost ones around come fewer than 64.
    const std::vector<Arrival> arrivals = Network(random, 800us, 15ms, 0.02);
    BlockPool pool(Receiver::kBlockBytes, 16, 64);
    Recorder sink;
    Model model;
    Receiver receiver(MakeOptions(true), &pool, &sink);
    ExpectAsTheModel(arrivals, &model, sink, &receiver);
    if (HasFatalFailure()) return;
    // Beyond the model: every number that came and was not before the first is there.
    std::set<std::int64_t> came;
    for (const Arrival& arrival : arrivals) {
      if (arrival.number >= arrivals[0].number) came.insert(arrival.number);
    }
    ASSERT_EQ(receiver.stats().packets, came.size());
    EXPECT_EQ(pool.in_use(), 0u);
    reordered += receiver.stats().reordered;
    lost += receiver.stats().lost;
  }
  EXPECT_GT(reordered, 10'000u);
  EXPECT_GT(lost, 2'000u);
}

TEST(Receiver, DoesAsTheModelWhenTheNetworkIsWorseThanTheWindow) {
  std::uint64_t late = 0;
  for (std::uint64_t seed = 1000; seed < 1200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    // At most 24 ms late and on average 0.3 ms apart: within 100 numbers, but not within 64.
    const std::vector<Arrival> arrivals = Network(random, 300us, 24ms, random.Unit() * 0.5);
    BlockPool pool(Receiver::kBlockBytes, 16, 64);
    Recorder sink;
    Model model;
    Receiver receiver(MakeOptions(true), &pool, &sink);
    ExpectAsTheModel(arrivals, &model, sink, &receiver);
    if (HasFatalFailure()) return;
    EXPECT_EQ(pool.in_use(), 0u);
    late += receiver.stats().late;
  }
  EXPECT_GT(late, 1'000u);
}

}  // namespace
}  // namespace millrace
