#include "rtp/payload/mpeg4_video.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/mpeg4_video_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 200;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes;  // 188

// A VOP header's start code and zeros.
Bytes Vop(std::size_t size) {
  Bytes vop(size, 0);
  vop[2] = 1;
  vop[3] = 0xb6;
  return vop;
}

PacketBlock Packets(const std::vector<Bytes>& frames, std::size_t packet_bytes = kPacket,
                    std::size_t* refused = nullptr) {
  return testing::PacketizeAll(testing::MakeTrack(Codec::kMpeg4Video), packet_bytes,
                               testing::GroupOfPictures(frames), refused);
}

TEST(Mpeg4Video, DescribesItselfByItsConfiguration) {
  struct Case {
    const char* what;
    Bytes config;
    std::string parameters;
  };
  const std::vector<Case> cases = {
      {"no configuration", {}, "profile-level-id=1"},
      {"advanced simple profile, level 5",
       {0, 0, 1, 0xb0, 0xf5, 0, 0, 1, 0xb5, 0x09},
       "profile-level-id=245;config=000001B0F5000001B509"},
      {"simple profile, level 3", {0, 0, 1, 0xb0, 3}, "profile-level-id=3;config=000001B003"},
      {"no visual object sequence",
       {0, 0, 1, 0, 0, 0, 1, 0x20, 0xab},
       "profile-level-id=1;config=0000010000000120AB"},
      {"a visual object sequence behind something else",
       {0xff, 0, 0, 0, 1, 0xb0, 0x0a},
       "profile-level-id=10;config=FF00000001B00A"},
      {"a start code without its byte", {0, 0, 1, 0xb0}, "profile-level-id=1;config=000001B0"},
      {"half a start code", {0, 0}, "profile-level-id=1;config=0000"},
  };
  for (const Case& c : cases) {
    Track track = testing::MakeTrack(Codec::kMpeg4Video);
    track.config = c.config;
    EXPECT_EQ(kMpeg4VideoFormat.parameters(track), c.parameters) << c.what;
    EXPECT_EQ(kMpeg4VideoFormat.encoding(track), "MP4V-ES/90000") << c.what;
  }
  EXPECT_EQ(kMpeg4VideoFormat.static_type, nullptr);
}

TEST(Mpeg4Video, SendsTheBytesWithNothingBeforeThem) {
  const Bytes data = {0, 0, 1, 0xb3, 0, 0x10, 7, 0, 0, 1, 0xb6, 0x10, 0x60};
  EXPECT_THAT(testing::Payloads(Packets({data})), ElementsAre(data));
}

TEST(Mpeg4Video, CutsAFrameIntoEqualFragments) {
  struct Case {
    const char* what;
    std::size_t size;
    std::vector<std::size_t> payload_sizes;
  };
  const std::vector<Case> cases = {
      {"a VOP that is not coded", 7, {7}},
      {"just below a packet", kMax - 1, {kMax - 1}},
      {"exactly a packet", kMax, {kMax}},
      {"one more than a packet: halves", kMax + 1, {95, 94}},
      {"as much as two fragments hold", 2 * kMax, {kMax, kMax}},
      {"one byte more makes three", 2 * kMax + 1, {126, 126, 125}},
  };
  for (const Case& c : cases) {
    const PacketBlock block = Packets({Vop(c.size)});
    EXPECT_THAT(testing::PayloadSizes(block), ElementsAreArray(c.payload_sizes)) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(Mpeg4Video, MarksOnlyTheLastPacketOfEachFrame) {
  const PacketBlock block = Packets({Vop(300), Vop(20)});
  ASSERT_EQ(block.packets().size(), 3u);
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart | kPacketRandomAccess);
  EXPECT_EQ(block.packets()[1].flags, kPacketMarker);
  EXPECT_EQ(block.packets()[2].flags, kPacketMarker | kPacketUnitStart);
}

TEST(Mpeg4Video, TimesPacketsByDecodingTimeAndStampsThemByPresentationTime) {
  const auto packetizer =
      kMpeg4VideoFormat.make_packetizer(testing::MakeTrack(Codec::kMpeg4Video), kPacket);
  PacketBlockBuilder builder(testing::kTestStream, 1s, 0, 1);
  const Bytes data = Vop(300);
  EXPECT_TRUE(packetizer->Packetize({.pts = 108000, .dts = 99000, .duration = 3600, .data = data},
                                    builder));
  const PacketBlock block = std::move(builder).Seal();
  ASSERT_EQ(block.packets().size(), 2u);
  EXPECT_EQ(block.packets()[0].pts, 108000);
  EXPECT_EQ(block.packets()[0].due_us, 100'000u);
  EXPECT_EQ(block.packets()[1].due_us, 120'000u);
}

TEST(Mpeg4Video, RefusesAnEmptyFrameAndSendsThoseAroundIt) {
  std::size_t refused = 0;
  const PacketBlock block = Packets({Vop(10), {}, Vop(11)}, kPacket, &refused);
  EXPECT_EQ(refused, 1u);
  testing::Mpeg4VideoDepacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  EXPECT_THAT(receiver.frames, ElementsAre(Vop(10), Vop(11)));
}

TEST(Mpeg4Video, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t packets = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? 1400 : 128 + random.Below(1300);
    const std::size_t max = packet_bytes - kRtpHeaderBytes;
    const std::size_t edges[] = {1, 2, max - 1, max, max + 1, 2 * max, 2 * max + 1, 3 * max};
    std::vector<Bytes> frames;
    for (std::uint64_t i = 1 + random.Below(8); i-- > 0;) {
      const std::size_t size = random.Chance(0.4)   ? edges[random.Below(std::size(edges))]
                               : random.Chance(0.5) ? 1 + random.Below(100)
                                                    : 1 + random.Below(40'000);
      frames.push_back(testing::RandomBytes(size, random));
    }
    const PacketBlock block = Packets(frames, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::Mpeg4VideoDepacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.frames, frames) << "seed " << seed;
    packets += block.packets().size();
  }
  EXPECT_GT(packets, 5000u);  // the inputs were such that there was much to cut
}

TEST(Mpeg4Video, KeepsPacketsWithinBoundsWhateverSizeIsAskedFor) {
  const Bytes frame = Vop(200'000);
  for (const std::size_t asked : {std::size_t{0}, kPacketBytesMin, std::size_t{1} << 40}) {
    const PacketBlock block = Packets({frame}, asked);
    EXPECT_EQ(testing::FindFault(block, asked <= kPacketBytesMin ? kPacketBytesMin : 65535), "");
    testing::Mpeg4VideoDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << asked;
    EXPECT_THAT(receiver.frames, ElementsAre(frame)) << asked;
  }
}

}  // namespace
}  // namespace millrace
