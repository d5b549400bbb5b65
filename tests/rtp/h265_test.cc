#include "rtp/payload/h265.h"

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
  return {static_cast<std::uint8_t>((forbidden ? 0x80 : 0) | type << 1 | layer >> 5),
          static_cast<std::uint8_t>((layer & 31) << 3 | temporal)};
}

Bytes Nal(int type, std::size_t size, int layer = 0, int temporal = 1) {
  Bytes nal = Header(type, layer, temporal);
  nal.resize(size, 0xab);
  return nal;
}

PacketBlock Packets(const std::vector<Bytes>& nals, bool* sound = nullptr) {
  return testing::PacketizeOne(testing::MakeTrack(Codec::kH265), kPacket,
                               testing::FrameNalUnits(nals, 4), sound);
}

TEST(H265, ChoosesTheFormOfPacketByTheSizesOfTheUnits) {
  struct Case {
    const char* what;
    std::vector<std::size_t> nal_sizes;
    std::vector<std::size_t> payload_sizes;
    std::vector<int> packet_types;
  };
  const std::vector<Case> cases = {
      {"the smallest unit", {2}, {2}, {1}},
      {"just below a packet", {kMax - 1}, {kMax - 1}, {1}},
      {"exactly a packet", {kMax}, {kMax}, {1}},
      {"one more than a packet: halves", {kMax + 1}, {97, 96}, {49, 49}},
      {"as much as two fragments hold", {2 + 2 * 185}, {188, 188}, {49, 49}},
      {"one byte more makes three", {3 + 2 * 185}, {127, 127, 126}, {49, 49, 49}},
      {"two that just fit together", {91, 91}, {kMax}, {48}},
      {"two that just do not", {92, 91}, {92, 91}, {1, 1}},
      {"small ones around a large one",
       {5, 6, 400, 7, 8},
       {17, 136, 136, 135, 21},
       {48, 49, 49, 49, 48}},
  };
  for (const Case& c : cases) {
    std::vector<Bytes> nals;
    for (const std::size_t size : c.nal_sizes) nals.push_back(Nal(1, size));
    const PacketBlock block = Packets(nals);
    std::vector<std::size_t> sizes;
    std::vector<int> types;
    for (const Bytes& payload : testing::Payloads(block)) {
      sizes.push_back(payload.size());
      types.push_back(payload[0] >> 1 & 0x3f);
    }
    EXPECT_THAT(sizes, ElementsAreArray(c.payload_sizes)) << c.what;
    EXPECT_THAT(types, ElementsAreArray(c.packet_types)) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(H265, WritesAnAggregationPacketByteForByte) {
  // VPS, SPS, PPS as encoders write them: layer 0, temporal id plus one 1.
  const PacketBlock block = Packets({{0x40, 1, 0xaa}, {0x42, 1, 0xbb, 0xbc}, {0x44, 1}});
  EXPECT_THAT(testing::Payloads(block),
              ElementsAre(ElementsAre(0x60, 1, 0, 3, 0x40, 1, 0xaa, 0, 4, 0x42, 1, 0xbb, 0xbc, 0, 2,
                                      0x44, 1)));
}

TEST(H265, GivesAnAggregationTheLowestLayerAndTemporalIdOfItsUnits) {
  struct Case {
    Bytes first, second, header;
  };
  const Case cases[] = {
      {Header(1, 5, 3), Header(1, 2, 4), Header(48, 2, 3)},
      {Header(1, 63, 7), Header(1, 63, 7), Header(48, 63, 7)},
      {Header(1, 32, 1), Header(1, 31, 1), Header(48, 31, 1)},
      {Header(1, 0, 2, true), Header(1, 33, 1), Header(48, 0, 1, true)},
  };
  for (const Case& c : cases) {
    const auto payloads = testing::Payloads(Packets({c.first, c.second}));
    ASSERT_EQ(payloads.size(), 1u);
    EXPECT_THAT(std::span(payloads[0]).first(2), ElementsAreArray(c.header));
  }
}

TEST(H265, KeepsLayerAndTemporalIdInEveryFragmentAndTheTypeInItsThirdByte) {
  Bytes nal = Nal(19, 500, 37, 5);
  nal[0] |= 0x80;
  const auto payloads = testing::Payloads(Packets({nal}));
  ASSERT_EQ(payloads.size(), 3u);
  const Bytes header = Header(49, 37, 5, true);
  const int bits[] = {0x80 | 19, 19, 0x40 | 19};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_THAT(std::span(payloads[i]).first(3), ElementsAre(header[0], header[1], bits[i])) << i;
  }
}

TEST(H265, MarksOnlyTheLastPacketOfTheAccessUnit) {
  const PacketBlock block = Packets({Nal(32, 20), Nal(19, 900), Nal(19, 300)});
  ASSERT_GT(block.packets().size(), 4u);
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    EXPECT_EQ((block.packets()[i].flags & kPacketMarker) != 0, i + 1 == block.packets().size());
  }
}

TEST(H265, LeavesOutUnitsWhoseTypeMeansAPacketOfAnotherKind) {
  for (int type = 0; type < 64; ++type) {
    bool sound = false;
    const PacketBlock block = Packets({Nal(type, 10), Nal(19, 500)}, &sound);
    EXPECT_TRUE(sound) << type;
    testing::H265Depacketizer receiver;
    EXPECT_EQ(receiver.AddAll(testing::Payloads(block)), "") << type;
    EXPECT_EQ(receiver.nals.size(), type >= 48 && type <= 50 ? 1u : 2u) << type;
  }
}

TEST(H265, DropsAUnitWithoutAWholeHeaderAndSaysSo) {
  bool sound = true;
  const PacketBlock block = Packets({{0x40}, Nal(19, 10)}, &sound);
  EXPECT_FALSE(sound);
  testing::H265Depacketizer receiver;
  EXPECT_EQ(receiver.AddAll(testing::Payloads(block)), "");
  EXPECT_THAT(receiver.nals, ElementsAre(Nal(19, 10)));
}

TEST(H265, ComesOutOfAnIndependentReceiverAsItWentIn) {
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
          Header(static_cast<int>(random.Below(48)), static_cast<int>(random.Below(64)),
                 static_cast<int>(random.Below(8)), random.Chance(0.1));
      std::copy(header.begin(), header.end(), nals.back().begin());
    }
    const PacketBlock block = testing::PacketizeOne(testing::MakeTrack(Codec::kH265), packet_bytes,
                                                    testing::FrameNalUnits(nals, 4));
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::H265Depacketizer receiver;
    ASSERT_EQ(receiver.AddAll(testing::Payloads(block)), "") << "seed " << seed;
    ASSERT_EQ(receiver.nals, nals) << "seed " << seed;
    aggregations += receiver.aggregations;
    fragments += receiver.fragments;
  }
  EXPECT_GT(aggregations, 100u);
  EXPECT_GT(fragments, 1000u);
}

TEST(H265, MakesFragmentsOfOneSizeButForTheLast) {
  for (std::size_t size = kMax + 1; size < 6 * kMax; ++size) {
    const std::vector<std::size_t> lengths = testing::PacketLengths(Packets({Nal(1, size)}));
    ASSERT_GE(lengths.size(), 2u);
    for (std::size_t i = 1; i + 1 < lengths.size(); ++i) ASSERT_EQ(lengths[i], lengths[0]) << size;
    ASSERT_LE(lengths.back(), lengths[0]) << size;
    // Equal shares: the last is shorter by less than a byte for each of the others.
    ASSERT_LT(lengths[0] - lengths.back(), lengths.size()) << size;
  }
}

}  // namespace
}  // namespace millrace
