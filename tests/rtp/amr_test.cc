#include "rtp/payload/amr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/rtp/amr_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using testing::AmrDepacketizer;
using ::testing::ElementsAre;

constexpr std::size_t kPacket = 1400;

const PayloadFormat& FormatOf(bool wideband) { return wideband ? kAmrWbFormat : kAmrFormat; }
std::int64_t FrameTicks(bool wideband) { return wideband ? 320 : 160; }

Bytes MakeFrame(bool wideband, int type, bool good = true, std::uint8_t fill = 0x5a) {
  Bytes frame(1 + (static_cast<std::size_t>(AmrDepacketizer::Bits(wideband, type)) + 7) / 8, fill);
  frame[0] = static_cast<std::uint8_t>(type << 3 | (good ? 4 : 0));
  return frame;
}

struct Unit {
  std::int64_t pts = 0;
  Bytes data;
};

PacketBlock Packets(bool wideband, const std::vector<Unit>& units,
                    std::size_t packet_bytes = kPacket, std::size_t* refused = nullptr) {
  const Track track =
      testing::MakeTrack(wideband ? Codec::kAmrWb : Codec::kAmr, 0, wideband ? 16000 : 8000);
  const std::unique_ptr<Packetizer> packetizer =
      FormatOf(wideband).make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  for (const Unit& unit : units) {
    const Bytes lent = unit.data;  // gone after the call, as a demuxer's buffer may be
    const bool taken = packetizer->Packetize(
        {.pts = unit.pts, .dts = unit.pts, .random_access = true, .data = lent}, builder);
    if (!taken && refused != nullptr) ++*refused;
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

std::vector<Unit> Contiguous(bool wideband, const std::vector<Bytes>& frames) {
  std::vector<Unit> units;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    units.push_back({static_cast<std::int64_t>(i) * FrameTicks(wideband), frames[i]});
  }
  return units;
}

TEST(Amr, IsOfferedOctetAligned) {
  const Track track;
  EXPECT_EQ(kAmrFormat.encoding(track), "AMR/8000");
  EXPECT_EQ(kAmrWbFormat.encoding(track), "AMR-WB/16000");
  EXPECT_EQ(kAmrFormat.parameters(track), "octet-align=1");
  EXPECT_EQ(kAmrWbFormat.parameters(track), "octet-align=1");
}

TEST(Amr, PutsTheTableOfContentsInFront) {
  const Bytes first = MakeFrame(false, 0, true, 1), second = MakeFrame(false, 8, false, 2);
  const PacketBlock block = Packets(false, Contiguous(false, {first, second}));
  Bytes expected = {0xf0, 0x80 | 0x04, 8 << 3};
  expected.insert(expected.end(), first.begin() + 1, first.end());
  expected.insert(expected.end(), second.begin() + 1, second.end());
  EXPECT_THAT(testing::Payloads(block), ElementsAre(expected));
}

TEST(Amr, CarriesEveryTypeOfFrame) {
  for (const bool wideband : {false, true}) {
    for (int type = 0; type < 16; ++type) {
      if (AmrDepacketizer::Bits(wideband, type) < 0) continue;
      const Bytes frame = MakeFrame(wideband, type);
      AmrDepacketizer receiver(wideband);
      std::size_t refused = 0;
      EXPECT_EQ(Receive(Packets(wideband, {{0, frame}}, kPacket, &refused), &receiver), "") << type;
      EXPECT_EQ(refused, 0u) << type;
      ASSERT_EQ(receiver.frames.size(), 1u) << type;
      EXPECT_EQ(receiver.frames[0].bytes, frame) << type;
    }
  }
}

TEST(Amr, SharesAPacketAmongFramesOfATenthOfASecond) {
  for (const bool wideband : {false, true}) {
    const std::vector<Bytes> frames(12, MakeFrame(wideband, 7));
    AmrDepacketizer receiver(wideband);
    EXPECT_EQ(Receive(Packets(wideband, Contiguous(wideband, frames)), &receiver), "");
    EXPECT_THAT(receiver.frames_per_packet, ElementsAre(5, 5, 2));
    // The same in units of several frames, as 3GP has them.
    Bytes six;
    for (int i = 0; i < 6; ++i) six.insert(six.end(), frames[0].begin(), frames[0].end());
    AmrDepacketizer second(wideband);
    EXPECT_EQ(Receive(Packets(wideband, {{0, six}, {6 * FrameTicks(wideband), six}}), &second), "");
    EXPECT_THAT(second.frames_per_packet, ElementsAre(5, 5, 2));
    EXPECT_EQ(second.frames, receiver.frames);
  }
  AmrDepacketizer narrow_packets(true);
  const PacketBlock block =
      Packets(true, Contiguous(true, std::vector<Bytes>(4, MakeFrame(true, 8))), 128);
  EXPECT_EQ(Receive(block, &narrow_packets), "");
  EXPECT_THAT(narrow_packets.frames_per_packet, ElementsAre(1, 1, 1, 1));
  EXPECT_EQ(testing::FindFault(block, 128), "");
}

TEST(Amr, EndsAPacketWhereTheTimesDoNotFollow) {
  const Bytes frame = MakeFrame(false, 3);
  for (const std::int64_t pts : {159, 161, 0}) {
    EXPECT_EQ(Packets(false, {{0, frame}, {pts, frame}}).packets().size(), 2u) << pts;
  }
}

TEST(Amr, MarksThePacketThatBeginsATalkSpurt) {
  const Bytes speech = MakeFrame(false, 7), noise = MakeFrame(false, 8),
              none = MakeFrame(false, 15);
  struct Case {
    const char* what;
    std::vector<Bytes> frames;
    std::vector<bool> markers;
  };
  const std::vector<Case> cases = {
      {"speech alone", {speech, speech}, {false}},
      {"behind comfort noise", {noise, noise, noise, noise, noise, speech}, {false, true}},
      {"behind nothing", {none, none, none, none, none, speech}, {false, true}},
      {"within a packet", {noise, none, speech}, {false}},
      {"going on", {noise, none, none, none, speech, speech}, {false, false}},
      {"silence", {speech, speech, speech, speech, speech, noise}, {false, false}},
  };
  for (const Case& c : cases) {
    std::vector<bool> markers;
    const PacketBlock block = Packets(false, Contiguous(false, c.frames));
    for (const PacketEntry& entry : block.packets()) {
      markers.push_back((entry.flags & kPacketMarker) != 0);
    }
    EXPECT_EQ(markers, c.markers) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(Amr, SendsWhatStandsBeforeAFault) {
  const Bytes frame = MakeFrame(false, 4);
  Bytes cut = frame;
  cut.pop_back();
  Bytes padded = frame;
  padded[0] |= 1;
  struct Case {
    const char* what;
    Bytes fault;
    bool behind_a_frame;
  };
  const std::vector<Case> cases = {
      {"nothing", {}, false},        {"cut", cut, true},
      {"padding set", padded, true}, {"another codec's type", {9 << 3, 0, 0, 0, 0, 0}, true},
      {"reserved", {13 << 3}, true},
  };
  for (const Case& c : cases) {
    Bytes unit = c.behind_a_frame ? frame : Bytes();
    unit.insert(unit.end(), c.fault.begin(), c.fault.end());
    std::size_t refused = 0;
    AmrDepacketizer receiver(false);
    const PacketBlock block =
        Packets(false, {{0, frame}, {160, unit}, {320, frame}}, kPacket, &refused);
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_EQ(refused, 1u) << c.what;
    EXPECT_EQ(receiver.frames.size(), c.behind_a_frame ? 3u : 2u) << c.what;
  }
}

TEST(Amr, ComesOutOfAnIndependentReceiverAsItWentIn) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const bool wideband = random.Chance(0.5);
    const std::size_t packet_bytes = 128 + random.Below(600);
    std::vector<AmrDepacketizer::Frame> sent;
    std::vector<Unit> units;
    std::int64_t pts = -500;
    for (std::uint64_t i = 1 + random.Below(40); i-- > 0;) {
      Unit unit{pts, {}};
      for (std::uint64_t n = 1 + random.Below(random.Chance(0.5) ? 1 : 12); n-- > 0;) {
        int type = static_cast<int>(random.Below(16));
        while (AmrDepacketizer::Bits(wideband, type) < 0) type = (type + 1) % 16;
        const Bytes frame = MakeFrame(wideband, type, random.Chance(0.9),
                                      static_cast<std::uint8_t>(random.Next32()));
        sent.push_back(
            {testing::kTestStream.first_timestamp + static_cast<std::uint32_t>(pts), frame});
        unit.data.insert(unit.data.end(), frame.begin(), frame.end());
        pts += FrameTicks(wideband);
      }
      if (random.Chance(0.1)) pts += static_cast<std::int64_t>(random.Below(1000));
      units.push_back(std::move(unit));
    }
    std::size_t refused = 0;
    const PacketBlock block = Packets(wideband, units, packet_bytes, &refused);
    ASSERT_EQ(refused, 0u) << "seed " << seed;
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    AmrDepacketizer receiver(wideband);
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.frames, sent) << "seed " << seed;
  }
}

}  // namespace
}  // namespace millrace
