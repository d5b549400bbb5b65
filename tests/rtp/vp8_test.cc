#include "rtp/payload/vp8.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/packet_testing.h"
#include "tests/rtp/vp8_depacketizer.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 200;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes;  // 188, of which 1 is the descriptor

// Bit 0 of a frame's first byte: 0 in a key frame (RFC 6386 section 9.1).
Bytes InterFrame(std::size_t size) { return Bytes(size, 0x51); }
Bytes KeyFrame(std::size_t size) { return Bytes(size, 0x50); }

PacketBlock Packets(const std::vector<Bytes>& frames, std::size_t packet_bytes = kPacket,
                    std::size_t* refused = nullptr) {
  return testing::PacketizeAll(testing::MakeTrack(Codec::kVp8), packet_bytes,
                               testing::GroupOfPictures(frames), refused);
}

TEST(Vp8, IsDescribedByItsNameAlone) {
  const Track track = testing::MakeTrack(Codec::kVp8);
  EXPECT_EQ(kVp8Format.encoding(track), "VP8/90000");
  EXPECT_EQ(kVp8Format.parameters, nullptr);
  EXPECT_EQ(kVp8Format.static_type, nullptr);
}

TEST(Vp8, WritesTheDescriptorByteForByte) {
  EXPECT_THAT(testing::Payloads(Packets({{0x51, 2, 3, 4}})),
              ElementsAre(ElementsAre(0x10, 0x51, 2, 3, 4)));
  const auto payloads = testing::Payloads(Packets({InterFrame(500)}));
  ASSERT_EQ(payloads.size(), 3u);
  // S in the first alone; partition 0, no extension.
  EXPECT_THAT((std::vector{payloads[0][0], payloads[1][0], payloads[2][0]}),
              ElementsAre(0x10, 0, 0));
}

TEST(Vp8, CutsAFrameIntoEqualFragments) {
  struct Case {
    const char* what;
    std::size_t size;
    std::vector<std::size_t> payload_sizes;
  };
  const std::vector<Case> cases = {
      {"the smallest frame", 3, {4}},
      {"just below a packet", kMax - 2, {kMax - 1}},
      {"exactly a packet", kMax - 1, {kMax}},
      {"one more than a packet: halves", kMax, {95, 95}},
      {"as much as two fragments hold", 2 * (kMax - 1), {kMax, kMax}},
      {"one byte more makes three", 2 * (kMax - 1) + 1, {126, 126, 126}},
      {"the last is shorter", 1000, {168, 168, 168, 168, 168, 166}},
  };
  for (const Case& c : cases) {
    const PacketBlock block = Packets({InterFrame(c.size)});
    EXPECT_THAT(testing::PayloadSizes(block), ElementsAreArray(c.payload_sizes)) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(Vp8, MarksOnlyTheLastPacketOfEachFrame) {
  const PacketBlock block = Packets({KeyFrame(300), InterFrame(20)});
  ASSERT_EQ(block.packets().size(), 3u);
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart | kPacketRandomAccess);
  EXPECT_EQ(block.packets()[1].flags, kPacketMarker);
  EXPECT_EQ(block.packets()[2].flags, kPacketMarker | kPacketUnitStart);
}

TEST(Vp8, TimesPacketsByDecodingTimeAndStampsThemByPresentationTime) {
  const auto packetizer = kVp8Format.make_packetizer(testing::MakeTrack(Codec::kVp8), kPacket);
  PacketBlockBuilder builder(testing::kTestStream, 1s, 0, 1);
  const Bytes data = InterFrame(300);
  EXPECT_TRUE(packetizer->Packetize({.pts = 108000, .dts = 99000, .duration = 3600, .data = data},
                                    builder));
  const PacketBlock block = std::move(builder).Seal();
  ASSERT_EQ(block.packets().size(), 2u);
  EXPECT_EQ(block.packets()[0].pts, 108000);
  EXPECT_EQ(block.packets()[0].due_us, 100'000u);
  EXPECT_EQ(block.packets()[1].due_us, 120'000u);
}

TEST(Vp8, RefusesAFrameWithoutItsWholeHeader) {
  struct Case {
    const char* what;
    Bytes frame;
    bool sound;
  };
  const std::vector<Case> cases = {
      {"nothing", {}, false},
      {"a byte", {0x51}, false},
      {"two bytes", {0x51, 0}, false},
      {"a frame tag", {0x51, 0, 0}, true},
      {"the frame tag of a key frame", {0x50, 0, 0}, false},
      {"a byte of the key frame's header missing", KeyFrame(9), false},
      {"a key frame's header", KeyFrame(10), true},
  };
  for (const Case& c : cases) {
    std::size_t refused = 0;
    // What surrounds it is sent.
    const PacketBlock block =
        Packets({InterFrame(30), c.frame, InterFrame(40), c.frame}, kPacket, &refused);
    EXPECT_EQ(refused, c.sound ? 0u : 2u) << c.what;
    testing::Vp8Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_EQ(receiver.frames.size(), c.sound ? 4u : 2u) << c.what;
  }
}

TEST(Vp8, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t packets = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? 1400 : 128 + random.Below(1300);
    const std::size_t max = packet_bytes - kRtpHeaderBytes;
    const std::size_t edges[] = {10, max - 2, max - 1, max, 2 * (max - 1), 2 * max, 3 * max};
    std::vector<Bytes> frames;
    for (std::uint64_t i = 1 + random.Below(8); i-- > 0;) {
      const std::size_t size = random.Chance(0.4)   ? edges[random.Below(std::size(edges))]
                               : random.Chance(0.5) ? 10 + random.Below(100)
                                                    : 10 + random.Below(40'000);
      frames.push_back(testing::RandomBytes(size, random));
    }
    const PacketBlock block = Packets(frames, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::Vp8Depacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.frames, frames) << "seed " << seed;
    packets += block.packets().size();
  }
  EXPECT_GT(packets, 5000u);  // the inputs were such that there was much to cut
}

TEST(Vp8, KeepsPacketsWithinBoundsWhateverSizeIsAskedFor) {
  const Bytes frame = InterFrame(200'000);
  for (const std::size_t asked : {std::size_t{0}, kPacketBytesMin, std::size_t{1} << 40}) {
    const PacketBlock block = Packets({frame}, asked);
    EXPECT_EQ(testing::FindFault(block, asked <= kPacketBytesMin ? kPacketBytesMin : 65535), "");
    testing::Vp8Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << asked;
    EXPECT_THAT(receiver.frames, ElementsAre(frame)) << asked;
  }
}

}  // namespace
}  // namespace millrace
