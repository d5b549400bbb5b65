#include "rtp/payload/dv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/media/dv_testing.h"
#include "tests/rtp/dv_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using testing::DvFrame;
using ::testing::ElementsAre;

constexpr std::size_t kPacket = 1400;
constexpr std::size_t kFrameBytes = 120000;

Track DvTrack(const Bytes& frame) {
  Track track = testing::MakeTrack(Codec::kDv);
  track.config.assign(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(kDvHeadBytes));
  return track;
}

// One access unit after the other, 3003 ticks each; `sound`: of the last.
PacketBlock Packets(const Track& track, const std::vector<Bytes>& frames,
                    std::size_t packet_bytes = kPacket, bool* sound = nullptr) {
  const std::unique_ptr<Packetizer> packetizer = kDvFormat.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::int64_t pts = 0;
  for (const Bytes& frame : frames) {
    const bool result = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = 3003, .random_access = true, .data = frame}, builder);
    if (sound != nullptr) *sound = result;
    pts += 3003;
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

TEST(Dv, IsDescribedByItsKindAndWhetherItHasSound) {
  EXPECT_EQ(kDvFormat.encoding(testing::MakeTrack(Codec::kDv)), "DV/90000");
  EXPECT_EQ(kDvFormat.static_type, nullptr);
  EXPECT_EQ(&PayloadFormatOf(Codec::kDv), &kDvFormat);
  EXPECT_EQ(kDvFormat.parameters(DvTrack(DvFrame({.sound = true}))),
            "encode=SD-VCR/525-60;audio=bundled");
  EXPECT_EQ(kDvFormat.parameters(DvTrack(DvFrame({.lines_625 = true, .signal_type = 4}))),
            "encode=314M-50/625-50;audio=none");
  EXPECT_EQ(kDvFormat.parameters(testing::MakeTrack(Codec::kDv)), "");
}

TEST(Dv, PutsAsManyWholeBlocksInAPacketAsFit) {
  struct Case {
    std::size_t packet_bytes;
    std::size_t packets, blocks_each, blocks_in_last;
  };
  const Case cases[] = {
      {1400, 89, 17, 4},    {1372, 89, 17, 4}, {1371, 94, 16, 12}, {kPacketBytesMin, 1500, 1, 1},
      {65535, 2, 750, 750}, {172, 750, 2, 2},
  };
  const Bytes frame = DvFrame({});
  for (const Case& c : cases) {
    const PacketBlock block = Packets(DvTrack(frame), {frame}, c.packet_bytes);
    const auto payloads = testing::Payloads(block);
    ASSERT_EQ(payloads.size(), c.packets) << c.packet_bytes;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
      const bool last = i + 1 == payloads.size();
      EXPECT_EQ(payloads[i].size(), 80 * (last ? c.blocks_in_last : c.blocks_each)) << i;
      EXPECT_EQ((block.packets()[i].flags & kPacketMarker) != 0, last) << i;
    }
    EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.packet_bytes;
  }
}

TEST(Dv, RefusesWhatIsNoFrameOfTheTrack) {
  const Bytes frame = DvFrame({});
  Bytes short_frame = frame;
  short_frame.resize(kFrameBytes - 80);
  Bytes half_block = frame;
  half_block.resize(kFrameBytes - 1);
  Bytes headless = frame;
  headless[0] = 0x3f;
  struct Case {
    const char* what;
    Bytes frame;
    bool sound;
    bool sound_of_unknown;  // where the track does not tell how long a frame is
  };
  const std::vector<Case> cases = {
      {"nothing", {}, false, false},
      {"a frame", frame, true, true},
      {"a block missing", short_frame, false, true},
      {"a byte missing", half_block, false, false},
      {"no header in front", headless, false, false},
      {"a frame of another kind", DvFrame({.lines_625 = true, .bytes = 144000}), false, true},
  };
  for (const Case& c : cases) {
    for (const bool known : {true, false}) {
      const Track track = known ? DvTrack(frame) : testing::MakeTrack(Codec::kDv);
      const bool wanted = known ? c.sound : c.sound_of_unknown;
      bool sound = !wanted;
      // What surrounds it is sent.
      const PacketBlock block = Packets(track, {frame, c.frame, frame, c.frame}, kPacket, &sound);
      EXPECT_EQ(sound, wanted) << c.what;
      testing::DvDepacketizer receiver;
      EXPECT_EQ(Receive(block, &receiver), "") << c.what;
      EXPECT_EQ(receiver.frames.size(), wanted ? 4u : 2u) << c.what;
    }
  }
}

TEST(Dv, ComesOutOfAnIndependentReceiverAsItWentIn) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = 128 + random.Below(1400);
    std::vector<Bytes> frames;
    for (std::uint64_t i = 1 + random.Below(4); i-- > 0;) {
      frames.push_back(DvFrame({.fill = static_cast<std::uint8_t>(random.Below(256))}));
    }
    const PacketBlock block = Packets(DvTrack(frames[0]), frames, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::DvDepacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.frames, frames) << "seed " << seed;
  }
}

TEST(Dv, KeepsPacketsWithinBoundsWhateverSizeIsAskedFor) {
  const Bytes frame = DvFrame({});
  for (const std::size_t asked : {std::size_t{0}, kPacketBytesMin, std::size_t{1} << 40}) {
    const PacketBlock block = Packets(DvTrack(frame), {frame}, asked);
    EXPECT_EQ(testing::FindFault(block, asked <= kPacketBytesMin ? kPacketBytesMin : 65535), "");
    testing::DvDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << asked;
    EXPECT_THAT(receiver.frames, ElementsAre(frame)) << asked;
  }
}

}  // namespace
}  // namespace millrace
