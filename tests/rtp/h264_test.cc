#include "rtp/payload/h264.h"

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

Bytes Nal(std::uint8_t header, std::size_t size, std::uint8_t fill = 0xab) {
  Bytes nal(size, fill);
  nal[0] = header;
  return nal;
}

PacketBlock Packets(const std::vector<Bytes>& nals, std::size_t nal_length_size = 4) {
  return testing::PacketizeOne(testing::MakeTrack(Codec::kH264, nal_length_size), kPacket,
                               testing::FrameNalUnits(nals, nal_length_size));
}

TEST(H264, ChoosesTheFormOfPacketByTheSizesOfTheUnits) {
  struct Case {
    const char* what;
    std::vector<std::size_t> nal_sizes;
    std::vector<std::size_t> payload_sizes;
    std::vector<int> packet_types;
  };
  const std::vector<Case> cases = {
      {"the smallest unit", {1}, {1}, {1}},
      {"just below a packet", {kMax - 1}, {kMax - 1}, {1}},
      {"exactly a packet", {kMax}, {kMax}, {1}},
      {"one more than a packet: halves", {kMax + 1}, {96, 96}, {28, 28}},
      {"as much as two fragments hold", {1 + 2 * 186}, {188, 188}, {28, 28}},
      {"one byte more makes three", {2 + 2 * 186}, {127, 127, 125}, {28, 28, 28}},
      {"two that just fit together", {91, 92}, {kMax}, {24}},
      {"two that just do not", {92, 92}, {92, 92}, {1, 1}},
      {"a run that fills two packets", {60, 60, 60, 60}, {187, 60}, {24, 1}},
      {"small ones around a large one",
       {5, 6, 400, 7, 8},
       {16, 135, 135, 135, 20},
       {24, 28, 28, 28, 24}},
      {"a small one between two large",
       {200, 3, 200},
       {102, 101, 3, 102, 101},
       {28, 28, 1, 28, 28}},
  };
  for (const Case& c : cases) {
    std::vector<Bytes> nals;
    for (const std::size_t size : c.nal_sizes) nals.push_back(Nal(0x61, size));
    const PacketBlock block = Packets(nals);
    std::vector<std::size_t> sizes;
    std::vector<int> types;
    for (const Bytes& payload : testing::Payloads(block)) {
      sizes.push_back(payload.size());
      types.push_back(payload[0] & 0x1f);
    }
    EXPECT_THAT(sizes, ElementsAreArray(c.payload_sizes)) << c.what;
    EXPECT_THAT(types, ElementsAreArray(c.packet_types)) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(H264, WritesAStapAByteForByte) {
  const PacketBlock block = Packets({{0x67, 1, 2}, {0x28, 3}, {0xe6}});
  // F of the third unit, NRI 3 of the first and third, type 24.
  EXPECT_THAT(testing::Payloads(block), ElementsAre(ElementsAre(0x80 | 0x60 | 24, 0, 3, 0x67, 1, 2,
                                                                0, 2, 0x28, 3, 0, 1, 0xe6)));
}

TEST(H264, GivesAStapATheHighestImportanceOfItsUnits) {
  for (int first = 0; first < 4; ++first) {
    for (int second = 0; second < 4; ++second) {
      const auto a = static_cast<std::uint8_t>(first << 5 | 1);
      const auto b = static_cast<std::uint8_t>(second << 5 | 6);
      const auto payloads = testing::Payloads(Packets({{a}, {b}}));
      ASSERT_EQ(payloads.size(), 1u);
      EXPECT_EQ(payloads[0][0] >> 5, std::max(first, second));
    }
  }
}

TEST(H264, CopiesForbiddenBitAndImportanceIntoEveryFragment) {
  const auto payloads = testing::Payloads(Packets({Nal(0xc5, 500)}));
  ASSERT_EQ(payloads.size(), 3u);
  EXPECT_THAT((std::vector{payloads[0][0], payloads[1][0], payloads[2][0]}),
              ElementsAre(0xc0 | 28, 0xc0 | 28, 0xc0 | 28));
  EXPECT_THAT((std::vector{payloads[0][1], payloads[1][1], payloads[2][1]}),
              ElementsAre(0x80 | 5, 5, 0x40 | 5));
}

TEST(H264, MarksOnlyTheLastPacketOfTheAccessUnit) {
  const PacketBlock block = Packets({Nal(0x67, 20), Nal(0x65, 900), Nal(0x65, 300)});
  ASSERT_GT(block.packets().size(), 4u);
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const bool last = i + 1 == block.packets().size();
    EXPECT_EQ((block.packets()[i].flags & kPacketMarker) != 0, last) << i;
    EXPECT_EQ((block.packets()[i].flags & kPacketRandomAccess) != 0, i == 0) << i;
  }
}

TEST(H264, TimesPacketsByDecodingTimeAndStampsThemByPresentationTime) {
  const auto packetizer = MakePacketizer(testing::MakeTrack(Codec::kH264), kPacket);
  PacketBlockBuilder builder(testing::kTestStream, 1s, 0, 1);
  const Bytes data = testing::FrameNalUnits({Nal(0x61, 2 * 186 + 1)}, 4);
  EXPECT_TRUE(packetizer->Packetize({.pts = 108000, .dts = 99000, .duration = 3600, .data = data},
                                    builder));
  const PacketBlock block = std::move(builder).Seal();
  ASSERT_EQ(block.packets().size(), 2u);
  EXPECT_EQ(block.packets()[0].pts, 108000);
  EXPECT_EQ(block.packets()[0].due_us, 100'000u);
  EXPECT_EQ(block.packets()[1].due_us, 120'000u);
}

TEST(H264, LeavesOutUnitsWhoseTypeMeansAPacketOfAnotherKind) {
  for (int type = 0; type < 32; ++type) {
    bool sound = false;
    const auto header = static_cast<std::uint8_t>(0x60 | type);
    const PacketBlock block =
        testing::PacketizeOne(testing::MakeTrack(Codec::kH264), kPacket,
                              testing::FrameNalUnits({{header, 1}, Nal(0x65, 500)}, 4), &sound);
    EXPECT_TRUE(sound) << type;
    testing::H264Depacketizer receiver;
    EXPECT_EQ(receiver.AddAll(testing::Payloads(block)), "") << type;
    EXPECT_EQ(receiver.nals.size(), type >= 1 && type <= 23 ? 2u : 1u) << type;
  }
}

TEST(H264, SendsTheSoundPartOfAMalformedUnitAndSaysSo) {
  struct Case {
    const char* what;
    std::uint32_t nal_length_size;
    Bytes data;
    bool sound;
    std::vector<Bytes> nals;
  };
  const std::vector<Case> cases = {
      {"nothing", 4, {}, true, {}},
      {"a length beyond the end", 4, {0, 0, 0, 1, 0x65, 0, 0, 0, 9, 0x61}, false, {{0x65}}},
      {"a length with nothing behind it", 4, {0, 0, 0, 1, 0x65, 0, 0, 0, 9}, false, {{0x65}}},
      {"a length of 4 GiB", 4, {255, 255, 255, 255, 0x65}, false, {}},
      {"a torn length", 4, {0, 0, 0, 1, 0x65, 0, 0}, false, {{0x65}}},
      {"a unit of nothing", 4, {0, 0, 0, 0, 0, 0, 0, 1, 0x65}, true, {{0x65}}},
      {"two bytes of length", 2, {0, 1, 0x65, 0, 2, 0x61, 7}, true, {{0x65}, {0x61, 7}}},
      {"one byte of length", 1, {1, 0x65, 2, 0x61, 7}, true, {{0x65}, {0x61, 7}}},
      {"start codes of both lengths",
       0,
       {0, 0, 1, 0x65, 0, 0, 0, 1, 0x61, 7},
       true,
       {{0x65}, {0x61, 7}}},
      {"zeros behind the last unit", 0, {0, 0, 0, 1, 0x65, 9, 0, 0, 0}, true, {{0x65, 9}}},
      {"no start code", 0, {0x65, 1, 2, 3}, false, {}},
      {"bytes before the first start code", 0, {5, 0, 0, 1, 0x65}, false, {{0x65}}},
      {"ones and zeros that are no start code",
       0,
       {0, 0, 1, 0x65, 0, 1, 1, 0, 0, 2, 1},
       true,
       {{0x65, 0, 1, 1, 0, 0, 2, 1}}},
      {"start code right behind start code", 0, {0, 0, 1, 0, 0, 1, 0x65}, true, {{0x65}}},
  };
  for (const Case& c : cases) {
    bool sound = !c.sound;
    const PacketBlock block = testing::PacketizeOne(
        testing::MakeTrack(Codec::kH264, c.nal_length_size), kPacket, c.data, &sound);
    EXPECT_EQ(sound, c.sound) << c.what;
    testing::H264Depacketizer receiver;
    EXPECT_EQ(receiver.AddAll(testing::Payloads(block)), "") << c.what;
    EXPECT_EQ(receiver.nals, c.nals) << c.what;
  }
}

// Within a run of fragments only the last may be shorter, so that the run is one GSO train.
void ExpectFragmentsOfOneSize(const std::vector<Bytes>& payloads) {
  for (std::size_t i = 1; i < payloads.size(); ++i) {
    const bool fragments = (payloads[i - 1][0] & 0x1f) == 28 && (payloads[i][0] & 0x1f) == 28;
    if (!fragments || (payloads[i][1] & 0x80) != 0) continue;  // another unit begins
    if ((payloads[i][1] & 0x40) != 0) {
      EXPECT_LE(payloads[i].size(), payloads[i - 1].size());
    } else {
      EXPECT_EQ(payloads[i].size(), payloads[i - 1].size());
    }
  }
}

TEST(H264, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t aggregations = 0;
  std::size_t fragments = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? 1400 : 128 + random.Below(1300);
    const std::size_t max = packet_bytes - kRtpHeaderBytes;
    const std::size_t edges[] = {1, 2, max - 1, max, max + 1, max / 2, 2 * max, 3 * (max - 2) + 1};
    std::vector<Bytes> nals;
    for (std::uint64_t i = 1 + random.Below(12); i-- > 0;) {
      const std::size_t size = random.Chance(0.4)   ? edges[random.Below(std::size(edges))]
                               : random.Chance(0.5) ? 1 + random.Below(100)
                                                    : 1 + random.Below(40'000);
      nals.push_back(testing::RandomBytes(size, random));
      nals.back()[0] = static_cast<std::uint8_t>(random.Below(8) << 5 | (1 + random.Below(23)));
    }
    const PacketBlock block = testing::PacketizeOne(testing::MakeTrack(Codec::kH264), packet_bytes,
                                                    testing::FrameNalUnits(nals, 4));
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    const std::vector<Bytes> payloads = testing::Payloads(block);
    testing::H264Depacketizer receiver;
    ASSERT_EQ(receiver.AddAll(payloads), "") << "seed " << seed;
    ASSERT_EQ(receiver.nals, nals) << "seed " << seed;
    ExpectFragmentsOfOneSize(payloads);
    aggregations += receiver.aggregations;
    fragments += receiver.fragments;
  }
  // The inputs were such that both forms were tried.
  EXPECT_GT(aggregations, 100u);
  EXPECT_GT(fragments, 1000u);
}

TEST(H264, CutsEvenAHugeUnitIntoPacketsThatFit) {
  // So many fragments of so few bytes that the equal share leaves fewer of them than were counted.
  for (const std::size_t size : {13'000, 13'100, 14'000, 200'000, 3'000'000}) {
    const PacketBlock block =
        testing::PacketizeOne(testing::MakeTrack(Codec::kH264), kPacketBytesMin,
                              testing::FrameNalUnits({Nal(0x65, size)}, 4));
    EXPECT_EQ(testing::FindFault(block, kPacketBytesMin), "") << size;
    testing::H264Depacketizer receiver;
    EXPECT_EQ(receiver.AddAll(testing::Payloads(block)), "") << size;
    EXPECT_THAT(receiver.nals, ElementsAre(Nal(0x65, size))) << size;
  }
}

TEST(H264, KeepsPacketsWithinBoundsWhateverSizeIsAskedFor) {
  const Bytes data = testing::FrameNalUnits({Nal(0x65, 100'000)}, 4);
  for (const std::size_t asked : {std::size_t{0}, std::size_t{1}, std::size_t{1} << 40}) {
    const PacketBlock block = testing::PacketizeOne(testing::MakeTrack(Codec::kH264), asked, data);
    const std::size_t bound = asked < kPacketBytesMin ? kPacketBytesMin : 65535;
    EXPECT_EQ(testing::FindFault(block, bound), "") << asked;
    testing::H264Depacketizer receiver;
    EXPECT_EQ(receiver.AddAll(testing::Payloads(block)), "") << asked;
    EXPECT_EQ(receiver.nals.size(), 1u);
  }
}

}  // namespace
}  // namespace millrace
