#include "rtp/payload/vp9.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/packet_testing.h"
#include "tests/rtp/vp9_depacketizer.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 200;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes;  // 188, of which 1 is the descriptor

struct Frame {
  bool random_access = false;
  Bytes data;
};

PacketBlock Packets(const std::vector<Frame>& frames, std::size_t packet_bytes = kPacket,
                    std::size_t* refused = nullptr) {
  std::vector<testing::SourceUnit> units;
  for (const Frame& frame : frames) {
    units.push_back({.pts = 3000 * static_cast<std::int64_t>(units.size()),
                     .data = frame.data,
                     .random_access = frame.random_access});
  }
  return testing::PacketizeAll(testing::MakeTrack(Codec::kVp9), packet_bytes, units, refused);
}

TEST(Vp9, IsDescribedByItsNameAlone) {
  const Track track = testing::MakeTrack(Codec::kVp9);
  EXPECT_EQ(kVp9Format.encoding(track), "VP9/90000");
  EXPECT_EQ(kVp9Format.parameters, nullptr);
  EXPECT_EQ(kVp9Format.static_type, nullptr);
}

TEST(Vp9, WritesTheDescriptorByteForByte) {
  struct Case {
    const char* what;
    bool random_access;
    std::size_t size;
    std::vector<std::uint8_t> descriptors;
  };
  const std::vector<Case> cases = {
      {"a key frame in one packet: B and E", true, 20, {0x08 | 0x04}},
      {"another frame in one packet: P too", false, 20, {0x40 | 0x08 | 0x04}},
      {"a key frame in two: B, then E", true, 300, {0x08, 0x04}},
      {"a key frame in three", true, 500, {0x08, 0, 0x04}},
      {"P in every packet of another", false, 500, {0x40 | 0x08, 0x40, 0x40 | 0x04}},
  };
  for (const Case& c : cases) {
    const PacketBlock block = Packets({{c.random_access, Bytes(c.size, 0xff)}});
    std::vector<std::uint8_t> descriptors;
    for (const Bytes& payload : testing::Payloads(block)) descriptors.push_back(payload[0]);
    EXPECT_EQ(descriptors, c.descriptors) << c.what;
  }
  EXPECT_THAT(testing::Payloads(Packets({{true, {0x82, 0x49, 0x83}}})),
              ElementsAre(ElementsAre(0x0c, 0x82, 0x49, 0x83)));
}

TEST(Vp9, CutsAFrameIntoEqualFragments) {
  struct Case {
    const char* what;
    std::size_t size;
    std::vector<std::size_t> payload_sizes;
  };
  const std::vector<Case> cases = {
      {"the smallest frame", 1, {2}},
      {"just below a packet", kMax - 2, {kMax - 1}},
      {"exactly a packet", kMax - 1, {kMax}},
      {"one more than a packet: halves", kMax, {95, 95}},
      {"as much as two fragments hold", 2 * (kMax - 1), {kMax, kMax}},
      {"one byte more makes three", 2 * (kMax - 1) + 1, {126, 126, 126}},
      {"the last is shorter", 1000, {168, 168, 168, 168, 168, 166}},
  };
  for (const Case& c : cases) {
    const PacketBlock block = Packets({{false, Bytes(c.size, 0x86)}});
    EXPECT_THAT(testing::PayloadSizes(block), ElementsAreArray(c.payload_sizes)) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(Vp9, MarksOnlyTheLastPacketOfEachFrame) {
  const PacketBlock block = Packets({{true, Bytes(300, 1)}, {false, Bytes(20, 2)}});
  ASSERT_EQ(block.packets().size(), 3u);
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart | kPacketRandomAccess);
  EXPECT_EQ(block.packets()[1].flags, kPacketMarker);
  EXPECT_EQ(block.packets()[2].flags, kPacketMarker | kPacketUnitStart);
}

TEST(Vp9, TimesPacketsByDecodingTimeAndStampsThemByPresentationTime) {
  const auto packetizer = kVp9Format.make_packetizer(testing::MakeTrack(Codec::kVp9), kPacket);
  PacketBlockBuilder builder(testing::kTestStream, 1s, 0, 1);
  const Bytes data(300, 0x86);
  EXPECT_TRUE(packetizer->Packetize({.pts = 108000, .dts = 99000, .duration = 3600, .data = data},
                                    builder));
  const PacketBlock block = std::move(builder).Seal();
  ASSERT_EQ(block.packets().size(), 2u);
  EXPECT_EQ(block.packets()[0].pts, 108000);
  EXPECT_EQ(block.packets()[0].due_us, 100'000u);
  EXPECT_EQ(block.packets()[1].due_us, 120'000u);
}

TEST(Vp9, RefusesAnEmptyFrameAndSendsThoseAroundIt) {
  std::size_t refused = 0;
  const PacketBlock block =
      Packets({{true, Bytes(10, 1)}, {false, {}}, {false, Bytes(11, 2)}}, kPacket, &refused);
  EXPECT_EQ(refused, 1u);
  testing::Vp9Depacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  EXPECT_THAT(receiver.frames, ElementsAre(Bytes(10, 1), Bytes(11, 2)));
}

TEST(Vp9, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t packets = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? 1400 : 128 + random.Below(1300);
    const std::size_t max = packet_bytes - kRtpHeaderBytes;
    const std::size_t edges[] = {1, 2, max - 2, max - 1, max, 2 * (max - 1), 2 * max, 3 * max};
    std::vector<Frame> frames;
    std::vector<Bytes> sent;
    std::vector<bool> predictions;
    for (std::uint64_t i = 1 + random.Below(8); i-- > 0;) {
      const std::size_t size = random.Chance(0.4)   ? edges[random.Below(std::size(edges))]
                               : random.Chance(0.5) ? 1 + random.Below(100)
                                                    : 1 + random.Below(40'000);
      sent.push_back(testing::RandomBytes(size, random));
      predictions.push_back(random.Chance(0.7));
      frames.push_back({!predictions.back(), sent.back()});
    }
    const PacketBlock block = Packets(frames, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::Vp9Depacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.frames, sent) << "seed " << seed;
    ASSERT_EQ(receiver.predictions, predictions) << "seed " << seed;
    packets += block.packets().size();
  }
  EXPECT_GT(packets, 5000u);  // the inputs were such that there was much to cut
}

TEST(Vp9, KeepsPacketsWithinBoundsWhateverSizeIsAskedFor) {
  const Bytes frame(200'000, 0x86);
  for (const std::size_t asked : {std::size_t{0}, kPacketBytesMin, std::size_t{1} << 40}) {
    const PacketBlock block = Packets({{false, frame}}, asked);
    EXPECT_EQ(testing::FindFault(block, asked <= kPacketBytesMin ? kPacketBytesMin : 65535), "");
    testing::Vp9Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << asked;
    EXPECT_THAT(receiver.frames, ElementsAre(frame)) << asked;
  }
}

}  // namespace
}  // namespace millrace
