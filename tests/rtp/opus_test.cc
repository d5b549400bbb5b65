#include "rtp/payload/opus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/rtp/opus_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;

constexpr std::size_t kPacket = 1400;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes;  // 1388

Track OpusTrack(std::uint32_t channels = 2) {
  Track track = testing::MakeTrack(Codec::kOpus, 0, 48000);
  track.channels = channels;
  return track;
}

// Opus packets of 20 ms, one behind the other.
PacketBlock Packets(const std::vector<Bytes>& units, std::size_t packet_bytes = kPacket,
                    std::vector<bool>* taken = nullptr) {
  const auto packetizer = kOpusFormat.make_packetizer(OpusTrack(), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::int64_t pts = 0;
  for (const Bytes& unit : units) {
    const bool result = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = 960, .random_access = true, .data = unit}, builder);
    if (taken != nullptr) taken->push_back(result);
    pts += 960;
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

TEST(Opus, IsDescribedAsStereoWhateverItHas) {
  for (const std::uint32_t channels : {0u, 1u, 2u}) {
    const Track track = OpusTrack(channels);
    EXPECT_EQ(kOpusFormat.encoding(track), "opus/48000/2");
    EXPECT_EQ(kOpusFormat.parameters(track), channels == 2 ? "sprop-stereo=1" : "sprop-stereo=0");
  }
  EXPECT_EQ(kOpusFormat.static_type, nullptr);
}

TEST(Opus, SendsEachPacketAsItIsAndAlone) {
  const PacketBlock block = Packets({{0xfc, 1, 2}, {0xf8}, {0xff, 3}});
  EXPECT_THAT(testing::Payloads(block),
              ElementsAre(ElementsAre(0xfc, 1, 2), ElementsAre(0xf8), ElementsAre(0xff, 3)));
  for (const PacketEntry& entry : block.packets()) {
    EXPECT_EQ(entry.flags, kPacketUnitStart | kPacketRandomAccess);  // no marker
  }
  EXPECT_EQ(testing::FindFault(block, kPacket), "");
}

TEST(Opus, RefusesWhatOnePacketCannotHold) {
  struct Case {
    std::size_t packet_bytes, size;
    bool taken;
  };
  const Case cases[] = {
      {kPacket, 0, false}, {kPacket, 1, true}, {kPacket, kMax, true},    {kPacket, kMax + 1, false},
      {128, 116, true},    {128, 117, false},  {65535, 65523, true},     {65535, 65524, false},
      {1, 116, true},      {1, 117, false},    {kPacket, 70'000, false},
  };
  for (const Case& c : cases) {
    // What surrounds it is sent.
    std::vector<bool> taken;
    const PacketBlock block = Packets({{1}, Bytes(c.size, 7), {2}}, c.packet_bytes, &taken);
    EXPECT_THAT(taken, ElementsAre(true, c.taken, true)) << c.packet_bytes << " " << c.size;
    EXPECT_EQ(block.packets().size(), c.taken ? 3u : 2u) << c.packet_bytes << " " << c.size;
    EXPECT_EQ(testing::FindFault(block, std::max(c.packet_bytes, kPacketBytesMin)), "");
  }
}

TEST(Opus, StampsAndTimesEachPacketByItsUnit) {
  const auto packetizer = kOpusFormat.make_packetizer(OpusTrack(), kPacket);
  PacketBlockBuilder builder(testing::kTestStream, 1s, 0, 1);
  const Bytes data = {0xfc};
  EXPECT_TRUE(packetizer->Packetize({.pts = 52'800, .dts = 50'400, .duration = 960, .data = data},
                                    builder));
  EXPECT_EQ(builder.packet_count(), 1u);  // nothing waits
  const PacketBlock block = std::move(builder).Seal();
  ASSERT_EQ(block.packets().size(), 1u);
  EXPECT_EQ(block.packets()[0].pts, 52'800);
  EXPECT_EQ(block.packets()[0].due_us, 50'000u);
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart);
}

TEST(Opus, ComesOutOfAnIndependentReceiverAsItWentIn) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = 128 + random.Below(1300);
    std::vector<Bytes> units;
    for (std::uint64_t i = random.Below(40); i-- > 0;) {
      units.push_back(testing::RandomBytes(random.Below(1500), random));
    }
    std::vector<Bytes> expected;
    std::vector<std::uint32_t> timestamps;
    for (std::size_t i = 0; i < units.size(); ++i) {
      if (units[i].empty() || units[i].size() > packet_bytes - kRtpHeaderBytes) continue;
      expected.push_back(units[i]);
      timestamps.push_back(testing::kTestStream.first_timestamp +
                           static_cast<std::uint32_t>(i) * 960);
    }
    const PacketBlock block = Packets(units, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::OpusDepacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.packets, expected) << "seed " << seed;
    ASSERT_EQ(receiver.timestamps, timestamps) << "seed " << seed;
  }
}

}  // namespace
}  // namespace millrace
