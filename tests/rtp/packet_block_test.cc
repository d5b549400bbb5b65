#include "rtp/packet_block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "core/random.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

void AddPackets(PacketBlockBuilder& builder, std::size_t count, std::size_t payload_bytes) {
  for (std::size_t i = 0; i < count; ++i)
    std::memset(builder.AddPacket(payload_bytes), 1, payload_bytes);
}

std::vector<std::uint32_t> DueTimes(const PacketBlock& block) {
  std::vector<std::uint32_t> due;
  for (const PacketEntry& entry : block.packets()) due.push_back(entry.due_us);
  return due;
}

std::vector<int> Flags(const PacketBlock& block) {
  std::vector<int> flags;
  for (const PacketEntry& entry : block.packets()) flags.push_back(entry.flags);
  return flags;
}

TEST(PacketBlock, BeginsEveryPacketWithAFinishedHeader) {
  PacketBlockBuilder builder(
      {.payload_type = 96, .ssrc = 0xa1b2c3d4, .first_timestamp = 0xfffffff0}, 5s, 0xffff, 16);
  builder.BeginUnit(0x20, 5s, 0s, false);
  builder.AddPacket(1)[0] = 0x77;
  builder.AddPacket(1)[0] = 0x88;
  builder.EndUnit(true);
  const PacketBlock block = std::move(builder).Seal();
  EXPECT_EQ(block.first_sequence(), 0xffff);
  EXPECT_EQ(block.start(), 5s);
  EXPECT_THAT(block.packet(0),
              ElementsAre(0x80, 96, 0xff, 0xff, 0, 0, 0, 0x10, 0xa1, 0xb2, 0xc3, 0xd4, 0x77));
  EXPECT_THAT(block.packet(1),
              ElementsAre(0x80, 0xe0, 0, 0, 0, 0, 0, 0x10, 0xa1, 0xb2, 0xc3, 0xd4, 0x88));
}

TEST(PacketBlock, TurnsATimeBeforeZeroIntoAnEarlierTimestamp) {
  PacketBlockBuilder builder({.first_timestamp = 5}, 0s, 0, 16);
  builder.BeginUnit(-7, 0s, 0s, false);
  builder.AddPacket(1)[0] = 0;
  builder.EndUnit(false);
  const PacketBlock block = std::move(builder).Seal();
  EXPECT_EQ(block.packets()[0].pts, -7);
  EXPECT_EQ(PacketView::Parse(block.packet(0))->timestamp, 0xfffffffeu);
}

TEST(PacketBlock, FlagsTheFirstPacketOfAUnitAndMarksItsLast) {
  PacketBlockBuilder builder = testing::MakeBuilder();
  builder.BeginUnit(0, 0s, 0s, true);
  AddPackets(builder, 3, 10);
  builder.EndUnit(true);
  builder.BeginUnit(1, 0s, 0s, false);
  AddPackets(builder, 1, 10);
  builder.EndUnit(true);
  builder.BeginUnit(2, 0s, 0s, false);
  AddPackets(builder, 2, 10);
  builder.EndUnit(false);
  const PacketBlock block = std::move(builder).Seal();
  EXPECT_THAT(Flags(block), ElementsAre(kPacketUnitStart | kPacketRandomAccess, 0, kPacketMarker,
                                        kPacketUnitStart | kPacketMarker, kPacketUnitStart, 0));
  EXPECT_EQ(testing::FindFault(block, 22), "");
}

TEST(PacketBlock, LetsAUnitWithoutPacketsLeaveNoTrace) {
  PacketBlockBuilder builder = testing::MakeBuilder();
  builder.BeginUnit(0, 0s, 0s, true);
  builder.EndUnit(true);
  builder.BeginUnit(9, 0s, 0s, false);
  AddPackets(builder, 1, 10);
  builder.EndUnit(false);
  builder.BeginUnit(10, 0s, 0s, true);
  builder.EndUnit(true);  // must not mark the packet of the unit before
  const PacketBlock block = std::move(builder).Seal();
  EXPECT_THAT(Flags(block), ElementsAre(kPacketUnitStart));
  EXPECT_EQ(testing::FindFault(block, 22), "");
}

TEST(PacketBlock, SpreadsAUnitsPacketsInBursts) {
  struct Case {
    const char* what;
    std::size_t burst, packets;
    Duration due, spread;
    std::vector<std::uint32_t> due_us;
  };
  const std::vector<Case> cases = {
      {"one packet", 4, 1, 10010ms, 40ms, {10000}},
      {"one burst goes at once", 4, 4, 10010ms, 40ms, {10000, 10000, 10000, 10000}},
      {"the fifth of five has four fifths of the time",
       4,
       5,
       10010ms,
       40ms,
       {10000, 10000, 10000, 10000, 42000}},
      {"two bursts halve the time", 2, 4, 10010ms, 40ms, {10000, 10000, 30000, 30000}},
      {"single packets", 1, 4, 10010ms, 40ms, {10000, 20000, 30000, 40000}},
      {"no spread, no waiting", 1, 3, 10010ms, 0ms, {10000, 10000, 10000}},
      {"an unknown spread below zero", 1, 3, 10010ms, -5ms, {10000, 10000, 10000}},
      {"before the block's start", 1, 2, 9000ms, 500ms, {0, 0}},
      {"partly before the block's start", 1, 2, 9980ms, 80ms, {0, 20000}},
      {"a burst of nothing counts as one", 0, 2, 10010ms, 40ms, {10000, 30000}},
      {"71 minutes after the start", 1, 1, 100h, 0ms, {UINT32_MAX}},
  };
  for (const Case& c : cases) {
    PacketBlockBuilder builder({}, 10000ms, 0, c.burst);
    builder.BeginUnit(0, c.due, c.spread, false);
    AddPackets(builder, c.packets, 10);
    builder.EndUnit(true);
    const PacketBlock block = std::move(builder).Seal();
    EXPECT_THAT(DueTimes(block), ElementsAreArray(c.due_us)) << c.what;
    EXPECT_EQ(block.due(0), 10000ms + std::chrono::microseconds(c.due_us[0])) << c.what;
  }
}

TEST(PacketBlock, NeverHasAPacketDueBeforeAnEarlierOne) {
  PacketBlockBuilder builder({}, 0s, 0, 1);
  builder.BeginUnit(0, 0ms, 80ms, true);
  AddPackets(builder, 4, 10);
  builder.EndUnit(true);
  builder.BeginUnit(0, 40ms, 40ms, false);  // overlaps the first unit's last packet
  AddPackets(builder, 2, 10);
  builder.EndUnit(true);
  builder.BeginUnit(0, 20ms, 0ms, false);  // a file whose times go back
  AddPackets(builder, 1, 10);
  builder.EndUnit(true);
  const PacketBlock block = std::move(builder).Seal();
  EXPECT_THAT(DueTimes(block), ElementsAre(0, 20000, 40000, 60000, 60000, 60000, 60000));
}

TEST(PacketBlock, KeepsEveryByteWhileItGrows) {
  SeededRandom random(3);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;
  for (int unit = 0; unit < 200; ++unit) {
    builder.BeginUnit(unit, std::chrono::milliseconds(unit), 1ms, false);
    for (std::uint64_t i = random.Below(8); i-- > 0;) {
      expected.push_back(testing::RandomBytes(1 + random.Below(3000), random));
      std::memcpy(builder.AddPacket(expected.back().size()), expected.back().data(),
                  expected.back().size());
    }
    builder.EndUnit(true);
    ASSERT_EQ(builder.packet_count(), expected.size());
  }
  const PacketBlock block = std::move(builder).Seal();
  EXPECT_EQ(testing::FindFault(block, 3012), "");
  EXPECT_EQ(testing::Payloads(block), expected);
}

TEST(PacketBlock, SealsWithLittleMemoryToSpare) {
  for (const std::size_t packets : {1, 3, 11, 12, 13, 100, 700, 1000}) {
    PacketBlockBuilder builder = testing::MakeBuilder();
    builder.BeginUnit(0, 0s, 0s, false);
    AddPackets(builder, packets, 1388);
    builder.EndUnit(true);
    const PacketBlock block = std::move(builder).Seal();
    const std::size_t used = block.byte_count() + packets * sizeof(PacketEntry);
    EXPECT_EQ(block.byte_count(), packets * 1400);
    EXPECT_GE(block.memory_bytes(), used);
    EXPECT_LE(block.memory_bytes(), used + used / 8) << packets;
  }
}

TEST(PacketBlock, CostsNothingWhenEmpty) {
  PacketBlockBuilder builder = testing::MakeBuilder();
  const PacketBlock block = std::move(builder).Seal();
  EXPECT_TRUE(block.packets().empty());
  EXPECT_EQ(block.byte_count(), 0u);
  EXPECT_EQ(block.memory_bytes(), 0u);
}

TEST(PacketBlock, DropsAndCountsWhatExceedsItsBound) {
  constexpr std::size_t kPayload = 65523;
  constexpr std::size_t kFitting = kBlockBytesMax / 65535;
  PacketBlockBuilder builder = testing::MakeBuilder();
  builder.BeginUnit(0, 0s, 0s, false);
  for (std::size_t i = 0; i < kFitting + 3; ++i) {
    std::uint8_t* room = builder.AddPacket(kPayload);
    room[0] = room[kPayload - 1] = 1;  // the room is real even if what is written there is lost
  }
  builder.EndUnit(true);
  EXPECT_EQ(builder.packet_count(), kFitting);
  EXPECT_EQ(builder.dropped_packets(), 3u);
  const PacketBlock block = std::move(builder).Seal();
  EXPECT_LE(block.byte_count(), kBlockBytesMax);
  EXPECT_EQ(block.packets().back().flags, kPacketMarker);
}

TEST(PacketBlockDeathTest, StopsAtAPayloadNoPacketCanHave) {
  PacketBlockBuilder builder = testing::MakeBuilder();
  builder.BeginUnit(0, 0s, 0s, false);
  EXPECT_DEATH(builder.AddPacket(0), "");
  EXPECT_DEATH(builder.AddPacket(65524), "");
}

}  // namespace
}  // namespace millrace
