#include "rtp/payload/mpeg_ts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "media/transport_stream_file.h"
#include "rtp/block_reader.h"
#include "rtp/presentation.h"
#include "tests/media/samples.h"
#include "tests/media/transport_testing.h"
#include "tests/rtp/mpeg_ts_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

Bytes MakeUnit(std::size_t packets) {
  Bytes unit;
  for (std::size_t i = 0; i < packets; ++i) {
    const Bytes packet =
        testing::MakeTransportPacket({.payload = {static_cast<std::uint8_t>(i), 1, 2, 3}});
    unit.insert(unit.end(), packet.begin(), packet.end());
  }
  return unit;
}

TEST(MpegTs, IsCalledMp2tOfType33) {
  const Track track = testing::MakeTrack(Codec::kMpegTs);
  EXPECT_EQ(&PayloadFormatOf(Codec::kMpegTs), &kMpegTsFormat);
  EXPECT_EQ(kMpegTsFormat.encoding(track), "MP2T/90000");
  EXPECT_EQ(kMpegTsFormat.static_type(track), 33);
  EXPECT_EQ(kMpegTsFormat.parameters, nullptr);
}

TEST(MpegTs, PutsAsManyWholePacketsInOneAsFitAndAtMostSeven) {
  struct Case {
    std::size_t packet_bytes, unit_packets;
    std::vector<std::size_t> expected;
  };
  const std::vector<Case> cases = {
      {1400, 1, {1}},
      {1400, 7, {7}},
      {1400, 8, {7, 1}},
      {65535, 15, {7, 7, 1}},
      {12 + 1316, 7, {7}},
      {12 + 1315, 7, {6, 1}},
      {12 + 2 * 188, 7, {2, 2, 2, 1}},
      {12 + 188, 3, {1, 1, 1}},
  };
  for (const Case& c : cases) {
    const Bytes unit = MakeUnit(c.unit_packets);
    bool sound = false;
    const PacketBlock block =
        testing::PacketizeOne(testing::MakeTrack(Codec::kMpegTs), c.packet_bytes, unit, &sound);
    EXPECT_TRUE(sound);
    EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "");
    testing::MpegTsDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "");
    EXPECT_EQ(receiver.stream, unit);
    EXPECT_THAT(receiver.transport_packets, ElementsAreArray(c.expected)) << c.packet_bytes;
  }
}

TEST(MpegTs, MarksTheUnitsStartAndNothingElse) {
  const PacketBlock block =
      testing::PacketizeOne(testing::MakeTrack(Codec::kMpegTs), 12 + 188, MakeUnit(2));
  ASSERT_EQ(block.packets().size(), 2u);
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart | kPacketRandomAccess);
  EXPECT_EQ(block.packets()[1].flags, 0);
}

TEST(MpegTs, SendsTheWholePacketsInFrontOfDamage) {
  Bytes torn = MakeUnit(3), shifted = MakeUnit(3), strange = MakeUnit(3);
  torn.pop_back();
  shifted.erase(shifted.begin() + 200);
  strange[2 * 188] = 0x46;
  struct Case {
    const char* what;
    Bytes data;
    std::size_t packet_bytes, sent;
  };
  for (const Case& c :
       {Case{"torn", torn, 1400, 2}, Case{"shifted", shifted, 1400, 2},
        Case{"no sync", strange, 1400, 2}, Case{"nothing", {}, 1400, 0},
        Case{"noise", Bytes(400, 9), 1400, 0}, Case{"no room", MakeUnit(2), 12 + 187, 0}}) {
    bool sound = true;
    const PacketBlock block =
        testing::PacketizeOne(testing::MakeTrack(Codec::kMpegTs), c.packet_bytes, c.data, &sound);
    EXPECT_FALSE(sound) << c.what;
    testing::MpegTsDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_EQ(receiver.stream.size(), c.sent * 188) << c.what;
  }
}

// From a file to blocks, as a server does it.
TEST(MpegTs, CarriesAFileWholeAtItsPace) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const std::string path = Sample("plain.ts");
  const auto open_file = [&path] {
    return OpenTransportStreamFile(MediaFile(open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  };
  auto demuxer = open_file();
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  Presentation presentation;
  presentation.duration = (*demuxer)->info().duration;
  presentation.streams.push_back({.track = (*demuxer)->info().tracks[0], .payload_type = 33});
  BlockReader reader(*std::move(demuxer), {});
  auto other = open_file();
  ASSERT_TRUE(other.ok()) << other.status();
  BlockReader backwards(*std::move(other), {});
  testing::MpegTsDepacketizer receiver;
  std::vector<Bytes> blocks;
  for (std::uint32_t i = 0; i < presentation.block_count(); ++i) {
    const std::uint16_t first[] = {0};
    auto set = reader.Read(presentation, i, first);
    ASSERT_TRUE(set.ok()) << set.status();
    const PacketBlock& block = (*set)->streams[0];
    ASSERT_EQ(Receive(block, &receiver), "");
    if (i < 5) {
      EXPECT_GT(block.packets().size(), 3u) << i;
    }
    blocks.emplace_back(block.bytes(), block.bytes() + block.byte_count());
  }
  EXPECT_GE(blocks.size(), 5u);
  EXPECT_TRUE(receiver.stream == ReadWhole(path));
  for (std::uint32_t i = presentation.block_count(); i-- > 0;) {
    const std::uint16_t first[] = {0};
    auto set = backwards.Read(presentation, i, first);
    ASSERT_TRUE(set.ok()) << set.status();
    const PacketBlock& block = (*set)->streams[0];
    EXPECT_TRUE(Bytes(block.bytes(), block.bytes() + block.byte_count()) == blocks[i]) << i;
  }
}

}  // namespace
}  // namespace millrace
