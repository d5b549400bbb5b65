#include "rtp/payload/h266.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/depacketizers.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 200;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes;  // 188

// The two header bytes of a NAL unit.
Bytes Header(int type, int layer, int temporal, bool forbidden = false) {
  return {static_cast<std::uint8_t>((forbidden ? 0x80 : 0) | layer),
          static_cast<std::uint8_t>(type << 3 | temporal)};
}

Bytes Nal(int type, std::size_t size, int layer = 0, int temporal = 1) {
  Bytes nal = Header(type, layer, temporal);
  nal.resize(size, 0xab);
  return nal;
}

PacketBlock Packets(const std::vector<Bytes>& nals, bool* sound = nullptr) {
  return testing::PacketizeOne(testing::MakeTrack(Codec::kH266), kPacket,
                               testing::FrameNalUnits(nals, 4), sound);
}

TEST(H266, DescribesItself) {
  Track track = testing::MakeTrack(Codec::kH266);
  track.sps = {{0, 0x79, 1}};
  track.pps = {{0, 0x81, 2}, {0, 0x81, 3}};
  EXPECT_EQ(kH266Format.encoding(track), "H266/90000");
  EXPECT_EQ(kH266Format.parameters(track), "sprop-sps=AHkB;sprop-pps=AIEC,AIED");
  track.vps = {{0, 0x71}};
  EXPECT_EQ(kH266Format.parameters(track), "sprop-vps=AHE=;sprop-sps=AHkB;sprop-pps=AIEC,AIED");
}

TEST(H266, ChoosesTheFormOfPacketByTheSizesOfTheUnits) {
  struct Case {
    const char* what;
    std::vector<std::size_t> nal_sizes;
    std::vector<std::size_t> payload_sizes;
    std::vector<int> packet_types;
  };
  const std::vector<Case> cases = {
      {"the smallest unit", {2}, {2}, {1}},
      {"exactly a packet", {kMax}, {kMax}, {1}},
      {"one more than a packet: halves", {kMax + 1}, {97, 96}, {29, 29}},
      {"as much as two fragments hold", {2 + 2 * 185}, {188, 188}, {29, 29}},
      {"one byte more makes three", {3 + 2 * 185}, {127, 127, 126}, {29, 29, 29}},
      {"two that just fit together", {91, 91}, {kMax}, {28}},
      {"two that just do not", {92, 91}, {92, 91}, {1, 1}},
      {"small ones around a large one",
       {5, 6, 400, 7, 8},
       {17, 136, 136, 135, 21},
       {28, 29, 29, 29, 28}},
  };
  for (const Case& c : cases) {
    std::vector<Bytes> nals;
    for (const std::size_t size : c.nal_sizes) nals.push_back(Nal(1, size));
    const PacketBlock block = Packets(nals);
    std::vector<std::size_t> sizes;
    std::vector<int> types;
    for (const Bytes& payload : testing::Payloads(block)) {
      sizes.push_back(payload.size());
      types.push_back(payload[1] >> 3);
    }
    EXPECT_THAT(sizes, ElementsAreArray(c.payload_sizes)) << c.what;
    EXPECT_THAT(types, ElementsAreArray(c.packet_types)) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(H266, WritesAnAggregationPacketByteForByte) {
  // VPS, SPS, PPS as encoders write them: layer 0, temporal id plus one 1.
  const PacketBlock block = Packets({{0, 0x71, 0xaa}, {0, 0x79, 0xbb, 0xbc}, {0, 0x81}});
  EXPECT_THAT(testing::Payloads(block),
              ElementsAre(ElementsAre(0, 0xe1, 0, 3, 0, 0x71, 0xaa, 0, 4, 0, 0x79, 0xbb, 0xbc, 0, 2,
                                      0, 0x81)));
}

TEST(H266, GivesAnAggregationTheLowestLayerAndTemporalIdOfItsUnits) {
  struct Case {
    Bytes first, second, header;
  };
  const Case cases[] = {
      {Header(1, 5, 3), Header(1, 2, 4), Header(28, 2, 3)},
      {Header(1, 63, 7), Header(1, 63, 7), Header(28, 63, 7)},
      {Header(1, 0, 2, true), Header(1, 33, 1), Header(28, 0, 1, true)},
  };
  for (const Case& c : cases) {
    const auto payloads = testing::Payloads(Packets({c.first, c.second}));
    ASSERT_EQ(payloads.size(), 1u);
    EXPECT_THAT(std::span(payloads[0]).first(2), ElementsAreArray(c.header));
  }
}

TEST(H266, KeepsLayerAndTemporalIdInEveryFragmentAndTheTypeInItsThirdByte) {
  Bytes nal = Nal(17, 500, 37, 5);
  nal[0] |= 0x80;
  const auto payloads = testing::Payloads(Packets({nal}));
  ASSERT_EQ(payloads.size(), 3u);
  const Bytes header = Header(29, 37, 5, true);
  const int bits[] = {0x80 | 17, 17, 0x40 | 17};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_THAT(std::span(payloads[i]).first(3), ElementsAre(header[0], header[1], bits[i])) << i;
  }
}

// Which third bytes have P, by unit.
TEST(H266, MarksTheLastFragmentOfThePicturesLastSlice) {
  struct Case {
    const char* what;
    std::vector<Bytes> nals;
    std::vector<int> bits;  // S, E and P of each fragment
  };
  const std::vector<Case> cases = {
      {"one slice", {Nal(8, 300)}, {0x80, 0x60}},
      {"two slices", {Nal(8, 300), Nal(8, 300)}, {0x80, 0x40, 0x80, 0x60}},
      {"a suffix behind it", {Nal(0, 300), Nal(24, 300)}, {0x80, 0x60, 0x80, 0x40}},
      {"a last slice that is not cut", {Nal(0, 300), Nal(0, 100)}, {0x80, 0x40}},
      {"the last type that is a slice", {Nal(11, 300)}, {0x80, 0x60}},
      {"the first that is not", {Nal(12, 300)}, {0x80, 0x40}},
  };
  for (const Case& c : cases) {
    std::vector<int> bits;
    for (const Bytes& payload : testing::Payloads(Packets(c.nals))) {
      if (payload[1] >> 3 == 29) bits.push_back(payload[2] & 0xe0);
    }
    EXPECT_EQ(bits, c.bits) << c.what;
  }
}

TEST(H266, MarksOnlyTheLastPacketOfTheAccessUnit) {
  const PacketBlock block = Packets({Nal(14, 20), Nal(8, 900), Nal(8, 300)});
  ASSERT_GT(block.packets().size(), 4u);
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    EXPECT_EQ((block.packets()[i].flags & kPacketMarker) != 0, i + 1 == block.packets().size());
  }
}

TEST(H266, LeavesOutUnitsWhoseTypeMeansAPacketOfAnotherKind) {
  for (int type = 0; type < 32; ++type) {
    bool sound = false;
    const PacketBlock block = Packets({Nal(type, 10), Nal(8, 500)}, &sound);
    EXPECT_TRUE(sound) << type;
    testing::H266Depacketizer receiver;
    EXPECT_EQ(receiver.AddAll(testing::Payloads(block)), "") << type;
    EXPECT_EQ(receiver.nals.size(), type == 28 || type == 29 ? 1u : 2u) << type;
  }
}

TEST(H266, DropsAUnitWithoutAWholeHeaderAndSaysSo) {
  bool sound = true;
  const PacketBlock block = Packets({{0}, Nal(8, 10)}, &sound);
  EXPECT_FALSE(sound);
  testing::H266Depacketizer receiver;
  EXPECT_EQ(receiver.AddAll(testing::Payloads(block)), "");
  EXPECT_THAT(receiver.nals, ElementsAre(Nal(8, 10)));
}

TEST(H266, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t aggregations = 0;
  std::size_t fragments = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? 1400 : 128 + random.Below(1300);
    const std::size_t max = packet_bytes - kRtpHeaderBytes;
    const std::size_t edges[] = {2, 3, max - 1, max, max + 1, max / 2, 2 * max, 3 * (max - 3) + 2};
    std::vector<Bytes> nals;
    for (std::uint64_t i = 1 + random.Below(12); i-- > 0;) {
      const std::size_t size = random.Chance(0.4)   ? edges[random.Below(std::size(edges))]
                               : random.Chance(0.5) ? 2 + random.Below(100)
                                                    : 2 + random.Below(40'000);
      nals.push_back(testing::RandomBytes(size, random));
      const Bytes header =
          Header(static_cast<int>(random.Below(28)), static_cast<int>(random.Below(64)),
                 static_cast<int>(random.Below(8)), random.Chance(0.1));
      std::copy(header.begin(), header.end(), nals.back().begin());
    }
    const PacketBlock block = testing::PacketizeOne(testing::MakeTrack(Codec::kH266), packet_bytes,
                                                    testing::FrameNalUnits(nals, 4));
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::H266Depacketizer receiver;
    ASSERT_EQ(receiver.AddAll(testing::Payloads(block)), "") << "seed " << seed;
    ASSERT_EQ(receiver.nals, nals) << "seed " << seed;
    aggregations += receiver.aggregations;
    fragments += receiver.fragments;
  }
  EXPECT_GT(aggregations, 100u);
  EXPECT_GT(fragments, 1000u);
}

}  // namespace
}  // namespace millrace
