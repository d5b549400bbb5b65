#include "rtp/payload/linear_pcm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/sample_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 1400;

Track PcmTrack(std::uint32_t sample_bytes, std::uint32_t channels = 2,
               std::uint32_t clock_rate = 48000, bool little_endian = false) {
  Track track = testing::MakeTrack(Codec::kLinearPcm, 0, clock_rate);
  track.channels = channels;
  track.sample_bytes = sample_bytes;
  track.little_endian = little_endian;
  return track;
}

TEST(LinearPcm, IsNamedByItsSampleSize) {
  struct Case {
    std::uint32_t sample_bytes, channels, clock_rate;
    const char* encoding;
    std::optional<std::uint8_t> static_type;
  };
  const Case cases[] = {
      {1, 1, 8000, "L8/8000", {}},      {1, 2, 44100, "L8/44100/2", {}},
      {2, 1, 44100, "L16/44100", 11},   {2, 2, 44100, "L16/44100/2", 10},
      {2, 0, 44100, "L16/44100", 11},   {2, 3, 44100, "L16/44100/3", {}},
      {2, 2, 48000, "L16/48000/2", {}}, {2, 6, 48000, "L16/48000/6", {}},
      {3, 2, 44100, "L24/44100/2", {}}, {3, 1, 96000, "L24/96000", {}},
  };
  for (const Case& c : cases) {
    for (const bool little_endian : {false, true}) {
      const Track track = PcmTrack(c.sample_bytes, c.channels, c.clock_rate, little_endian);
      EXPECT_EQ(kLinearPcmFormat.encoding(track), c.encoding);
      EXPECT_EQ(kLinearPcmFormat.static_type(track), c.static_type) << c.encoding;
    }
  }
  EXPECT_EQ(kLinearPcmFormat.parameters, nullptr);
}

TEST(LinearPcm, SendsTheMostSignificantByteFirst) {
  struct Case {
    std::uint32_t sample_bytes;
    bool little_endian;
    Bytes sent;
  };
  const Bytes data = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const Case cases[] = {
      {1, false, data}, {1, true, data},
      {2, false, data}, {2, true, {2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11}},
      {3, false, data}, {3, true, {3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10}},
  };
  for (const Case& c : cases) {
    for (const std::uint32_t channels : {1u, 2u}) {
      const PacketBlock block = testing::PacketizeSamples(
          kLinearPcmFormat, PcmTrack(c.sample_bytes, channels, 48000, c.little_endian), {{0, data}},
          kPacket);
      EXPECT_THAT(testing::Payloads(block), ElementsAre(ElementsAreArray(c.sent)))
          << c.sample_bytes << c.little_endian;
    }
  }
}

TEST(LinearPcm, CutsUnitsAtWholeSampleGroups) {
  struct Case {
    const char* what;
    std::uint32_t sample_bytes, channels, clock_rate;
    std::size_t packet_bytes, groups;
    std::vector<std::size_t> payload_sizes;
  };
  const std::vector<Case> cases = {
      {"L16 mono, the room is the bound", 2, 1, 44100, kPacket, 882, {882, 882}},
      {"L16 mono, exactly the room", 2, 1, 44100, kPacket, 694, {1388}},
      {"L16 mono, a sample more", 2, 1, 44100, kPacket, 695, {696, 694}},
      {"L16 mono, 20 ms is the bound", 2, 1, 16000, kPacket, 640, {640, 640}},
      {"L16 stereo, what a container has", 2, 2, 44100, kPacket, 1024, {1368, 1368, 1360}},
      {"L24 stereo, two bytes of the room are spare", 3, 2, 48000, kPacket, 462, {1386, 1386}},
      {"L24 stereo, a group more", 3, 2, 48000, kPacket, 463, {930, 930, 918}},
      {"L24 of six channels", 3, 6, 48000, kPacket, 78, {702, 702}},
      {"L8 stereo, 20 ms is the bound", 1, 2, 8000, kPacket, 161, {162, 160}},
      {"20 channels of L24, a group a packet", 3, 20, 48000, 128, 3, {60, 60, 60}},
      {"38 channels of L24 in 116 bytes", 3, 38, 48000, 128, 2, {114, 114}},
  };
  for (const Case& c : cases) {
    for (const bool little_endian : {false, true}) {
      const std::size_t group_bytes = c.sample_bytes * c.channels;
      SeededRandom random(7);
      const std::vector<testing::SampleUnit> units = {
          {77, testing::RandomBytes(c.groups * group_bytes, random)}};
      std::vector<bool> taken;
      const PacketBlock block = testing::PacketizeSamples(
          kLinearPcmFormat, PcmTrack(c.sample_bytes, c.channels, c.clock_rate, little_endian),
          units, c.packet_bytes, &taken);
      EXPECT_THAT(taken, ElementsAre(true)) << c.what;
      std::vector<std::size_t> sizes;
      for (const Bytes& payload : testing::Payloads(block)) sizes.push_back(payload.size());
      EXPECT_THAT(sizes, ElementsAreArray(c.payload_sizes)) << c.what;
      testing::SampleDepacketizer receiver(c.clock_rate, group_bytes);
      EXPECT_EQ(testing::ReceiveSamples(block, &receiver), "") << c.what;
      EXPECT_EQ(receiver.runs,
                testing::ExpectedRuns(units, c.sample_bytes, c.channels, little_endian))
          << c.what;
      EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.what;
    }
  }
}

TEST(LinearPcm, LeavesOutBytesThatAreNoWholeSampleGroupAndSaysSo) {
  for (std::uint32_t sample_bytes = 1; sample_bytes <= 3; ++sample_bytes) {
    const std::size_t group_bytes = sample_bytes * 2;
    for (std::size_t size = 0; size <= 3 * group_bytes; ++size) {
      std::vector<bool> taken;
      SeededRandom random(size);
      const std::vector<testing::SampleUnit> units = {{10, testing::RandomBytes(size, random)}};
      const PacketBlock block = testing::PacketizeSamples(
          kLinearPcmFormat, PcmTrack(sample_bytes, 2, 48000, true), units, kPacket, &taken);
      EXPECT_THAT(taken, ElementsAre(size != 0 && size % group_bytes == 0)) << size;
      testing::SampleDepacketizer receiver(48000, group_bytes);
      EXPECT_EQ(testing::ReceiveSamples(block, &receiver), "") << size;
      EXPECT_EQ(receiver.runs, testing::ExpectedRuns(units, sample_bytes, 2, true)) << size;
      EXPECT_EQ(testing::FindFault(block, kPacket), "") << size;
    }
  }
}

TEST(LinearPcm, SendsNothingOfATrackThatNoPacketCanCarry) {
  struct Case {
    const char* what;
    std::uint32_t sample_bytes, channels;
  };
  const Case cases[] = {
      {"samples of nothing", 0, 2},
      {"samples of four bytes", 4, 2},
      {"samples of a number that overflows", 0x40000000, 4},
      {"a group larger than the room", 3, 39},
      {"a group of gigabytes", 3, 0xffffffff},
  };
  for (const Case& c : cases) {
    std::vector<bool> taken;
    const PacketBlock block = testing::PacketizeSamples(
        kLinearPcmFormat, PcmTrack(c.sample_bytes, c.channels), {{0, Bytes(1200, 1)}}, 128, &taken);
    EXPECT_THAT(taken, ElementsAre(false)) << c.what;
    EXPECT_EQ(block.packets().size(), 0u) << c.what;
  }
}

TEST(LinearPcm, SurvivesTimesAtTheEdges) {
  for (const std::int64_t pts : {INT64_MIN, INT64_MAX - 5, INT64_MAX}) {
    const std::vector<testing::SampleUnit> units = {{pts, Bytes(20'000, 1)}};
    const PacketBlock block =
        testing::PacketizeSamples(kLinearPcmFormat, PcmTrack(2), units, kPacket);
    testing::SampleDepacketizer receiver(48000, 4);
    EXPECT_EQ(testing::ReceiveSamples(block, &receiver), "");
    EXPECT_EQ(receiver.runs, testing::ExpectedRuns(units, 2, 2, false));
    EXPECT_EQ(testing::FindFault(block, kPacket), "");
  }
}

TEST(LinearPcm, ComesOutOfAnIndependentReceiverAsItWentIn) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SeededRandom random(seed);
    const std::uint32_t rates[] = {8000, 22050, 44100, 48000, 192000};
    const Track track = PcmTrack(1 + static_cast<std::uint32_t>(random.Below(3)),
                                 1 + static_cast<std::uint32_t>(random.Below(8)),
                                 rates[random.Below(5)], random.Chance(0.5));
    const std::size_t packet_bytes = 128 + random.Below(1300);
    const std::size_t group_bytes = track.channels * track.sample_bytes;
    std::vector<testing::SampleUnit> units;
    std::int64_t pts = -1000;
    for (std::uint64_t i = random.Below(20); i-- > 0;) {
      const std::size_t groups = random.Below(1500);
      const std::size_t spare = random.Chance(0.9) ? 0 : random.Below(group_bytes);
      units.push_back({pts, testing::RandomBytes(groups * group_bytes + spare, random)});
      pts += static_cast<std::int64_t>(groups + (random.Chance(0.8) ? 0 : random.Below(50)));
    }
    const PacketBlock block =
        testing::PacketizeSamples(kLinearPcmFormat, track, units, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::SampleDepacketizer receiver(track.clock_rate, group_bytes);
    ASSERT_EQ(testing::ReceiveSamples(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.runs,
              testing::ExpectedRuns(units, track.sample_bytes, track.channels, track.little_endian))
        << "seed " << seed;
  }
}

}  // namespace
}  // namespace millrace
