#include "rtp/payload/h263.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/rtp/h263_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 200;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes;  // 188, of which 2 are the header

// A group of blocks, or with number 0 a picture and the group that it begins with.
Bytes Group(std::size_t size, int number = 0) {
  Bytes group(size, 0x55);
  group[0] = group[1] = 0;
  group[2] = static_cast<std::uint8_t>(0x80 | number << 2 | 2);
  return group;
}

Bytes Join(const std::vector<Bytes>& groups) {
  Bytes all;
  for (const Bytes& group : groups) all.insert(all.end(), group.begin(), group.end());
  return all;
}

// One access unit after the other, 3000 ticks each; `sound`: of the last.
PacketBlock Packets(const std::vector<Bytes>& pictures, std::size_t packet_bytes = kPacket,
                    bool* sound = nullptr) {
  const std::unique_ptr<Packetizer> packetizer =
      kH263Format.make_packetizer(testing::MakeTrack(Codec::kH263), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::int64_t pts = 0;
  for (const Bytes& picture : pictures) {
    const bool result = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = 3000, .random_access = pts == 0, .data = picture},
        builder);
    if (sound != nullptr) *sound = result;
    pts += 3000;
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

TEST(H263, IsDescribedByItsNameAlone) {
  EXPECT_EQ(kH263Format.encoding(testing::MakeTrack(Codec::kH263)), "H263-1998/90000");
  EXPECT_EQ(kH263Format.parameters, nullptr);
  EXPECT_EQ(kH263Format.static_type, nullptr);
  EXPECT_EQ(&PayloadFormatOf(Codec::kH263), &kH263Format);
}

TEST(H263, LetsOneBitStandForTheZerosOfAStartCode) {
  EXPECT_THAT(testing::Payloads(Packets({{0, 0, 0x80, 2, 8, 9, 10}})),
              ElementsAre(ElementsAre(0x04, 0, 0x80, 2, 8, 9, 10)));
  const auto payloads = testing::Payloads(Packets({Group(500)}));
  ASSERT_EQ(payloads.size(), 3u);
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    EXPECT_EQ(payloads[i][0], i == 0 ? 0x04 : 0) << i;
    EXPECT_EQ(payloads[i][1], 0) << i;
  }
}

TEST(H263, CutsAPictureWhereItsGroupsBegin) {
  struct Case {
    const char* what;
    std::vector<std::size_t> groups;
    std::vector<std::size_t> payload_sizes;
    std::size_t starts;
  };
  const std::vector<Case> cases = {
      {"a picture header", {6}, {6}, 1},
      {"all in a packet", {60, 60, 68}, {188}, 1},
      {"a byte too many: the last group goes alone", {60, 60, 69}, {120, 69}, 2},
      {"groups of a packet each", {188, 188, 188}, {188, 188, 188}, 3},
      {"a group that fits no packet", {60, 500, 60}, {60, 168, 168, 168, 60}, 3},
      {"no groups: equal fragments", {400}, {135, 135, 134}, 1},
      {"a group of a start code alone", {187, 3, 100}, {187, 103}, 2},
  };
  for (const Case& c : cases) {
    std::vector<Bytes> groups;
    for (const std::size_t size : c.groups) {
      groups.push_back(Group(size, static_cast<int>(groups.size())));
    }
    const PacketBlock block = Packets({Join(groups)});
    EXPECT_THAT(testing::PayloadSizes(block), ElementsAreArray(c.payload_sizes)) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
    testing::H263Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_THAT(receiver.pictures, ElementsAre(Join(groups))) << c.what;
    EXPECT_EQ(receiver.starts_seen, c.starts) << c.what;
  }
}

TEST(H263, MarksOnlyTheLastPacketOfEachPicture) {
  const PacketBlock block = Packets({Group(300), Group(20)});
  ASSERT_EQ(block.packets().size(), 3u);
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart | kPacketRandomAccess);
  EXPECT_EQ(block.packets()[1].flags, kPacketMarker);
  EXPECT_EQ(block.packets()[2].flags, kPacketMarker | kPacketUnitStart);
}

TEST(H263, RefusesWhatIsNotAPicture) {
  struct Case {
    const char* what;
    Bytes picture;
    bool sound;
  };
  const std::vector<Case> cases = {
      {"nothing", {}, false},
      {"two zeros", {0, 0}, false},
      {"a start code alone", {0, 0, 0x80}, false},
      {"a byte of the header missing", {0, 0, 0x80, 2, 8}, false},
      {"a header", {0, 0, 0x80, 2, 8, 0}, true},
      {"the highest temporal reference", {0, 0, 0x83, 0xff, 8, 0}, true},
      {"a group", Group(30, 1), false},
      {"Sorenson's start code", {0, 0, 0x84, 0, 0, 0, 0}, false},
      {"no start code", {0, 1, 0x80, 2, 8, 0}, false},
  };
  for (const Case& c : cases) {
    bool sound = !c.sound;
    // What surrounds it is sent.
    const PacketBlock block =
        Packets({Group(30), c.picture, Group(40), c.picture}, kPacket, &sound);
    EXPECT_EQ(sound, c.sound) << c.what;
    testing::H263Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_EQ(receiver.pictures.size(), c.sound ? 4u : 2u) << c.what;
  }
}

TEST(H263, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t packets = 0, starts = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? 1400 : 128 + random.Below(1300);
    const std::size_t max = packet_bytes - kRtpHeaderBytes;
    std::vector<Bytes> pictures;
    for (std::uint64_t i = 1 + random.Below(8); i-- > 0;) {
      std::vector<Bytes> groups;
      for (std::uint64_t group = 0, count = 1 + random.Below(18); group < count; ++group) {
        const std::size_t edges[] = {6, max - 1, max, max + 1, 2 * max, 3 * max};
        const std::size_t size =
            random.Chance(0.2) ? edges[random.Below(std::size(edges))] : 6 + random.Below(max);
        groups.push_back(testing::RandomBytes(size, random));
        std::ranges::replace(groups.back(), 0, 1);  // no start codes beside these
        const Bytes head = Group(6, static_cast<int>(group));
        std::copy(head.begin(), head.end(), groups.back().begin());
      }
      pictures.push_back(Join(groups));
    }
    const PacketBlock block = Packets(pictures, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::H263Depacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.pictures, pictures) << "seed " << seed;
    packets += block.packets().size();
    starts += receiver.starts_seen;
  }
  EXPECT_GT(packets, 5000u);  // the inputs were such that there was much to cut
  EXPECT_GT(starts, packets / 2);
}

TEST(H263, KeepsPacketsWithinBoundsWhateverSizeIsAskedFor) {
  const Bytes picture = Join({Group(100'000), Group(100'000, 1)});
  for (const std::size_t asked : {std::size_t{0}, kPacketBytesMin, std::size_t{1} << 40}) {
    const PacketBlock block = Packets({picture}, asked);
    EXPECT_EQ(testing::FindFault(block, asked <= kPacketBytesMin ? kPacketBytesMin : 65535), "");
    testing::H263Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << asked;
    EXPECT_THAT(receiver.pictures, ElementsAre(picture)) << asked;
  }
}

}  // namespace
}  // namespace millrace
