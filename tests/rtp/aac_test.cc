#include "rtp/payload/aac.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/rtp/depacketizers.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 1400;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes;  // 1388

using Frame = testing::SourceUnit;

PacketBlock Packets(const std::vector<Frame>& frames, std::uint32_t clock_rate = 48000,
                    std::size_t packet_bytes = kPacket, std::size_t* refused = nullptr) {
  return testing::PacketizeAll(testing::MakeTrack(Codec::kAac, 0, clock_rate), packet_bytes, frames,
                               refused);
}

// Frames of these sizes, one behind the other.
std::vector<Frame> Contiguous(const std::vector<std::size_t>& sizes, std::int64_t duration = 1024) {
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    frames.push_back({static_cast<std::int64_t>(i) * duration, duration,
                      Bytes(sizes[i], static_cast<std::uint8_t>(i))});
  }
  return frames;
}

TEST(Aac, WritesUnitHeadersByteForByte) {
  const PacketBlock block = Packets({{0, 1024, {0xaa, 0xbb, 0xcc}}, {1024, 1024, {0xdd}}});
  // Two headers of 16 bits: size 3 and size 1, shifted over three index bits.
  EXPECT_THAT(testing::Payloads(block),
              ElementsAre(ElementsAre(0, 32, 0, 3 << 3, 0, 1 << 3, 0xaa, 0xbb, 0xcc, 0xdd)));
  EXPECT_EQ(block.packets()[0].flags, kPacketMarker | kPacketUnitStart | kPacketRandomAccess);
}

TEST(Aac, GroupsUnitsWhileTheyFitAPacketAndATenthOfASecond) {
  struct Case {
    const char* what;
    std::uint32_t clock_rate;
    std::vector<std::size_t> sizes;
    std::vector<std::size_t> units_per_packet;
  };
  const std::vector<Case> cases = {
      {"85 ms", 48000, {100, 100, 100, 100, 100, 100}, {4, 2}},
      {"93 ms", 44100, {100, 100, 100, 100, 100}, {4, 1}},
      {"96 ms", 32000, {100, 100, 100, 100}, {3, 1}},
      {"64 ms are one of two", 16000, {100, 100, 100}, {1, 1, 1}},
      {"longer than the bound alone", 8000, {100, 100}, {1, 1}},
      {"by size: exactly full", 48000, {691, 691, 10}, {2, 1}},
      {"by size: one too many", 48000, {692, 691, 10}, {1, 2}},
      {"a unit that fills the packet", 48000, {kMax - 4, kMax - 4}, {1, 1}},
  };
  for (const Case& c : cases) {
    const PacketBlock block = Packets(Contiguous(c.sizes), c.clock_rate);
    testing::AacDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_THAT(receiver.units_per_packet, ElementsAreArray(c.units_per_packet)) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(Aac, EndsAGroupWhereTheTimesDoNotFollow) {
  struct Case {
    const char* what;
    Frame second;
    std::size_t packets;
  };
  const Bytes data(10, 1);
  const std::vector<Case> cases = {
      {"it follows", {1024, 1024, data}, 1},
      {"a gap of a sample", {1025, 1024, data}, 2},
      {"an overlap of a sample", {1023, 1024, data}, 2},
      {"back to the start", {0, 1024, data}, 2},
      {"it follows and has no duration", {1024, 0, data}, 1},
  };
  for (const Case& c : cases) {
    const PacketBlock block = Packets({{0, 1024, data}, c.second});
    EXPECT_EQ(block.packets().size(), c.packets) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
  // Nothing can follow a unit of unknown duration.
  EXPECT_EQ(Packets({{0, 0, data}, {0, 0, data}, {1024, 0, data}}).packets().size(), 3u);
}

TEST(Aac, StampsAndSendsAGroupByItsFirstUnit) {
  const PacketBlock block = Packets(Contiguous({50, 50, 50, 50, 50, 50}));
  ASSERT_EQ(block.packets().size(), 2u);
  EXPECT_EQ(block.packets()[0].pts, 0);
  EXPECT_EQ(block.packets()[1].pts, 4096);
  EXPECT_EQ(block.packets()[1].due_us, 85'333u);
}

TEST(Aac, CutsALargeUnitIntoEqualFragmentsOfItsOwn) {
  struct Case {
    std::size_t size;
    std::vector<std::size_t> payload_sizes;
  };
  const std::vector<Case> cases = {
      {kMax - 4, {kMax}},
      {kMax - 3, {697, 696}},
      {2 * (kMax - 4), {kMax, kMax}},
      {2 * (kMax - 4) + 1, {927, 927, 927}},
      {kAacUnitBytesMax, {1370, 1370, 1370, 1370, 1370, 1365}},
  };
  for (const Case& c : cases) {
    // Small units before and behind must keep out of it.
    const PacketBlock block = Packets(Contiguous({20, c.size, 20}));
    testing::AacDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.size;
    ASSERT_EQ(receiver.frames.size(), 3u) << c.size;
    EXPECT_EQ(receiver.frames[1], Bytes(c.size, 1)) << c.size;
    std::vector<std::size_t> sizes;
    for (const Bytes& payload : testing::Payloads(block)) sizes.push_back(payload.size());
    ASSERT_EQ(sizes.size(), c.payload_sizes.size() + 2) << c.size;
    EXPECT_THAT(std::vector<std::size_t>(sizes.begin() + 1, sizes.end() - 1),
                ElementsAreArray(c.payload_sizes))
        << c.size;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.size;
  }
}

TEST(Aac, RefusesUnitsThatTheHeaderCannotTell) {
  std::size_t refused = 0;
  std::vector<Frame> frames = Contiguous({10, 10, kAacUnitBytesMax + 1, 10, 0, 10});
  const PacketBlock block = Packets(frames, 48000, kPacket, &refused);
  EXPECT_EQ(refused, 2u);
  testing::AacDepacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  // What surrounds them is sent, and no group reaches over the hole.
  EXPECT_THAT(receiver.units_per_packet, ElementsAre(2, 1, 1));
}

TEST(Aac, HasNothingLeftAfterFlush) {
  const std::unique_ptr<Packetizer> packetizer =
      MakePacketizer(testing::MakeTrack(Codec::kAac, 0, 48000), kPacket);
  PacketBlockBuilder builder = testing::MakeBuilder();
  packetizer->Flush(builder);
  EXPECT_EQ(builder.packet_count(), 0u);
  const Bytes data(10, 1);
  EXPECT_TRUE(packetizer->Packetize({.duration = 1024, .data = data}, builder));
  EXPECT_EQ(builder.packet_count(), 0u);  // waits for company
  packetizer->Flush(builder);
  EXPECT_EQ(builder.packet_count(), 1u);
  packetizer->Flush(builder);
  EXPECT_EQ(builder.packet_count(), 1u);
}

TEST(Aac, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t fragments = 0;
  std::size_t groups = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? kPacket : 128 + random.Below(1300);
    const std::uint32_t rates[] = {8000, 22050, 44100, 48000, 96000};
    std::vector<Frame> frames;
    std::vector<Bytes> sent;
    std::int64_t pts = 0;
    for (std::uint64_t i = 1 + random.Below(60); i-- > 0;) {
      const std::size_t size =
          random.Chance(0.8) ? 1 + random.Below(600) : 1 + random.Below(kAacUnitBytesMax);
      sent.push_back(testing::RandomBytes(size, random));
      frames.push_back({pts, 1024, sent.back()});
      pts += random.Chance(0.9) ? 1024 : 1024 + static_cast<std::int64_t>(random.Below(100));
    }
    const PacketBlock block = Packets(frames, rates[random.Below(5)], packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::AacDepacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.frames, sent) << "seed " << seed;
    fragments += receiver.fragments;
    for (const std::size_t units : receiver.units_per_packet) groups += units > 1 ? 1 : 0;
  }
  EXPECT_GT(fragments, 100u);
  EXPECT_GT(groups, 100u);
}

}  // namespace
}  // namespace millrace
