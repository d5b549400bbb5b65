#include "rtp/payload/jpeg2000.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "media/jpeg2000_image.h"
#include "tests/media/jpeg2000_testing.h"
#include "tests/rtp/jpeg2000_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::J2kMainHeader;
using testing::J2kStream;
using testing::J2kTilePart;

constexpr std::size_t kPacket = 200;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes - 8;  // 180

// One access unit after the other, 3000 ticks each; `sound`: of the last.
PacketBlock Packets(const std::vector<Bytes>& pictures, std::size_t packet_bytes = kPacket,
                    bool* sound = nullptr) {
  const std::unique_ptr<Packetizer> packetizer =
      kJpeg2000Format.make_packetizer(testing::MakeTrack(Codec::kJpeg2000), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::int64_t pts = 0;
  for (const Bytes& picture : pictures) {
    const bool result = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = 3000, .random_access = true, .data = picture},
        builder);
    if (sound != nullptr) *sound = result;
    pts += 3000;
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

TEST(Jpeg2000, IsDescribedByItsMainHeader) {
  Track track = testing::MakeTrack(Codec::kJpeg2000);
  EXPECT_EQ(kJpeg2000Format.encoding(track), "jpeg2000/90000");
  EXPECT_EQ(kJpeg2000Format.static_type, nullptr);
  EXPECT_EQ(&PayloadFormatOf(Codec::kJpeg2000), &kJpeg2000Format);
  EXPECT_EQ(kJpeg2000Format.parameters(track), "");
  track.config =
      J2kStream(J2kMainHeader({.components = {{1, 1}, {2, 2}, {2, 2}}}), {J2kTilePart(0, 100)});
  EXPECT_EQ(kJpeg2000Format.parameters(track), "sampling=YCbCr-4:2:0;width=160;height=120");
}

TEST(Jpeg2000, WritesItsHeaderByteForByte) {
  const Bytes header = J2kMainHeader();
  const auto payloads = testing::Payloads(
      Packets({J2kStream(header, {J2kTilePart(0x0102, 300), J2kTilePart(3, 20)})}));
  ASSERT_EQ(payloads.size(), 4u);
  const auto front = [&](std::size_t i) {
    return Bytes(payloads[i].begin(), payloads[i].begin() + 8);
  };
  // MHF 3, T; then tile 258 in halves, and the last tile with the end of the codestream.
  EXPECT_THAT(front(0), ElementsAre(0x31, 255, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(front(1), ElementsAre(0, 255, 1, 2, 0, 0, 0, header.size()));
  EXPECT_THAT(front(2), ElementsAre(0, 255, 1, 2, 0, 0, 0, header.size() + 150));
  const std::size_t last = header.size() + 300;
  EXPECT_THAT(front(3), ElementsAre(0, 255, 0, 3, 0, 0, last >> 8, last & 0xff));
  EXPECT_EQ(payloads[3].size(), 8u + 20 + 2);
}

TEST(Jpeg2000, PutsWholeTilePartsTogether) {
  struct Case {
    const char* what;
    std::vector<std::pair<int, std::size_t>> parts;  // tile, bytes
    std::vector<std::size_t> payload_sizes;          // behind the main header's
    std::vector<int> no_tile;                        // T
  };
  const std::vector<Case> cases = {
      {"one", {{0, 100}}, {110}, {0}},
      {"parts of one tile", {{5, 60}, {5, 60}}, {130}, {0}},
      {"parts of two", {{0, 60}, {1, 60}}, {130}, {1}},
      {"exactly full", {{0, 60}, {1, kMax - 62}}, {kMax + 8}, {1}},
      {"a byte too many", {{0, 60}, {1, kMax - 61}}, {68, kMax - 61 + 10}, {0, 0}},
      {"a large one between",
       {{0, 60}, {1, 400}, {2, 60}},
       {68, 142, 142, 140, 70},
       {0, 0, 0, 0, 0}},
  };
  for (const Case& c : cases) {
    std::vector<Bytes> parts;
    for (const auto& [tile, bytes] : c.parts) {
      parts.push_back(J2kTilePart(static_cast<std::uint16_t>(tile), bytes));
    }
    const Bytes picture = J2kStream(J2kMainHeader(), parts);
    const PacketBlock block = Packets({picture});
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
    std::vector<std::size_t> sizes;
    std::vector<int> no_tile;
    for (const Bytes& payload : testing::Payloads(block)) {
      sizes.push_back(payload.size());
      no_tile.push_back(payload[0] & 1);
    }
    EXPECT_THAT(std::vector(sizes.begin() + 1, sizes.end()), ElementsAreArray(c.payload_sizes))
        << c.what;
    EXPECT_THAT(std::vector(no_tile.begin() + 1, no_tile.end()), ElementsAreArray(c.no_tile))
        << c.what;
    testing::Jpeg2000Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_THAT(receiver.pictures, ElementsAre(picture)) << c.what;
  }
}

TEST(Jpeg2000, CutsAMainHeaderThatFitsNoPacket) {
  const Bytes picture = J2kStream(J2kMainHeader({.comment_bytes = 500}), {J2kTilePart(0, 100)});
  const PacketBlock block = Packets({picture});
  std::vector<int> kinds;
  for (const Bytes& payload : testing::Payloads(block)) kinds.push_back(payload[0] >> 4);
  EXPECT_THAT(kinds, ElementsAre(1, 1, 1, 2, 0));
  testing::Jpeg2000Depacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  EXPECT_THAT(receiver.pictures, ElementsAre(picture));
}

TEST(Jpeg2000, MarksOnlyTheLastPacketOfEachPicture) {
  const Bytes picture = J2kStream(J2kMainHeader(), {J2kTilePart(0, 100)});
  const PacketBlock block = Packets({picture, picture});
  ASSERT_EQ(block.packets().size(), 4u);
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart | kPacketRandomAccess);
  EXPECT_EQ(block.packets()[1].flags & kPacketMarker, kPacketMarker);
  EXPECT_EQ(block.packets()[2].flags & kPacketMarker, 0);
  EXPECT_EQ(block.packets()[3].flags & kPacketMarker, kPacketMarker);
}

TEST(Jpeg2000, SendsWhatIsSound) {
  const Bytes whole = J2kStream(J2kMainHeader(), {J2kTilePart(0, 100), J2kTilePart(1, 100)});
  Bytes cut = whole;
  cut.resize(whole.size() - 20);
  Bytes huge = J2kStream(J2kMainHeader(), {J2kTilePart(0, 0x1000000)});
  struct Case {
    const char* what;
    Bytes picture;
    bool sound;
    std::size_t sent;  // bytes of it
  };
  const std::size_t first = J2kMainHeader().size() + 100;
  const std::vector<Case> cases = {
      {"nothing", {}, false, 0},
      {"a picture", whole, true, whole.size()},
      {"its end missing", cut, false, first},
      {"a header alone", J2kMainHeader(), false, 0},
      {"boxes", testing::J2kFile(whole, 16), false, 0},
      {"beyond what the offset tells", huge, false, 0},
  };
  const Bytes small = J2kStream(J2kMainHeader(), {J2kTilePart(0, 20)});
  for (const Case& c : cases) {
    bool sound = !c.sound;
    const PacketBlock block = Packets({small, c.picture, small, c.picture}, kPacket, &sound);
    EXPECT_EQ(sound, c.sound) << c.what;
    testing::Jpeg2000Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    ASSERT_EQ(receiver.pictures.size(), c.sent == 0 ? 2u : 4u) << c.what;
    if (c.sent == 0) continue;
    EXPECT_THAT(receiver.pictures[1],
                ElementsAreArray(c.picture.begin(),
                                 c.picture.begin() + static_cast<std::ptrdiff_t>(c.sent)))
        << c.what;
  }
}

TEST(Jpeg2000, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t packets = 0, starts = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? 1400 : 128 + random.Below(1300);
    std::vector<Bytes> pictures;
    for (std::uint64_t i = 1 + random.Below(5); i-- > 0;) {
      std::vector<Bytes> parts;
      for (std::uint64_t part = 1 + random.Below(20); part-- > 0;) {
        parts.push_back(J2kTilePart(static_cast<std::uint16_t>(random.Below(5)),
                                    14 + random.Below(random.Chance(0.3) ? 9000 : 300)));
      }
      pictures.push_back(J2kStream(
          J2kMainHeader({.comment_bytes = static_cast<std::size_t>(random.Below(1500))}), parts));
    }
    const PacketBlock block = Packets(pictures, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::Jpeg2000Depacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.pictures, pictures) << "seed " << seed;
    packets += receiver.packets;
    starts += receiver.tile_starts;
  }
  EXPECT_GT(packets, 5000u);  // the inputs were such that there was much to cut
  EXPECT_GT(starts, 2000u);
}

}  // namespace
}  // namespace millrace
