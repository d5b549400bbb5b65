#include "rtp/payload/g711.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/sample_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 1400;

Track G711Track(std::uint32_t clock_rate = 8000, std::uint32_t channels = 1) {
  Track track = testing::MakeTrack(Codec::kPcmu, 0, clock_rate);
  track.channels = channels;
  return track;
}

Bytes Samples(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
  return bytes;
}

TEST(G711, HasStaticPayloadTypesForTelephoneSoundOnly) {
  struct Case {
    std::uint32_t clock_rate, channels;
    bool is_static;
    const char* suffix;
  };
  const Case cases[] = {
      {8000, 1, true, "/8000"},    {8000, 0, true, "/8000"},      {8000, 2, false, "/8000/2"},
      {16000, 1, false, "/16000"}, {44100, 2, false, "/44100/2"}, {7999, 1, false, "/7999"},
  };
  for (const Case& c : cases) {
    const Track track = G711Track(c.clock_rate, c.channels);
    EXPECT_EQ(kPcmuFormat.encoding(track), std::string("PCMU") + c.suffix);
    EXPECT_EQ(kPcmaFormat.encoding(track), std::string("PCMA") + c.suffix);
    EXPECT_EQ(kPcmuFormat.static_type(track),
              c.is_static ? std::optional<std::uint8_t>(0) : std::nullopt);
    EXPECT_EQ(kPcmaFormat.static_type(track),
              c.is_static ? std::optional<std::uint8_t>(8) : std::nullopt);
  }
  EXPECT_EQ(kPcmuFormat.parameters, nullptr);
  EXPECT_EQ(kPcmaFormat.parameters, nullptr);
}

TEST(G711, CutsUnitsIntoEqualPacketsOfAtMostAPacketAnd20Ms) {
  struct Case {
    const char* what;
    std::uint32_t clock_rate, channels;
    std::size_t packet_bytes, size;
    std::vector<std::size_t> payload_sizes;
  };
  const std::vector<Case> cases = {
      {"one sample", 8000, 1, kPacket, 1, {1}},
      {"20 ms", 8000, 1, kPacket, 160, {160}},
      {"a sample more", 8000, 1, kPacket, 161, {81, 80}},
      {"40 ms", 8000, 1, kPacket, 320, {160, 160}},
      {"a sample more than 40 ms", 8000, 1, kPacket, 321, {107, 107, 107}},
      {"what equal packets do not divide", 8000, 1, kPacket, 322, {108, 108, 106}},
      {"as many bytes as a packet holds", 8000, 1, 128, 116, {116}},
      {"a byte more", 8000, 1, 128, 117, {59, 58}},
      {"two packets full", 8000, 1, 128, 232, {116, 116}},
      {"stereo, 20 ms", 8000, 2, kPacket, 320, {320}},
      {"stereo, a sample group more", 8000, 2, kPacket, 322, {162, 160}},
      {"three channels that do not fill the room", 8000, 3, 128, 117, {60, 57}},
      {"a rate of which 20 ms are no whole number", 11025, 1, kPacket, 221, {111, 110}},
      {"a rate at which the room is the bound", 96000, 1, kPacket, 1389, {695, 694}},
      {"a rate of less than a sample in 20 ms", 20, 1, kPacket, 3, {1, 1, 1}},
      {"no rate", 0, 1, kPacket, 2, {1, 1}},
  };
  for (const PayloadFormat* format : {&kPcmuFormat, &kPcmaFormat}) {
    for (const Case& c : cases) {
      const Track track = G711Track(c.clock_rate, c.channels);
      std::vector<bool> taken;
      const PacketBlock block = testing::PacketizeSamples(*format, track, {{500, Samples(c.size)}},
                                                          c.packet_bytes, &taken);
      EXPECT_THAT(taken, ElementsAre(true)) << c.what;
      std::vector<std::size_t> sizes;
      Bytes all;
      for (const Bytes& payload : testing::Payloads(block)) {
        sizes.push_back(payload.size());
        all.insert(all.end(), payload.begin(), payload.end());
      }
      EXPECT_THAT(sizes, ElementsAreArray(c.payload_sizes)) << c.what;
      EXPECT_EQ(all, Samples(c.size)) << c.what;
      EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.what;
    }
  }
}

TEST(G711, GivesEveryPacketItsOwnExactTimes) {
  const auto packetizer = kPcmuFormat.make_packetizer(G711Track(), kPacket);
  PacketBlockBuilder builder(testing::kTestStream, 1s, 0, 1);
  const Bytes data = Samples(321);
  // Not marked as random access, as it always is nevertheless.
  EXPECT_TRUE(
      packetizer->Packetize({.pts = 8500, .dts = 8400, .duration = 321, .data = data}, builder));
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  ASSERT_EQ(block.packets().size(), 3u);
  const std::int64_t pts[] = {8500, 8607, 8714};
  const std::uint32_t due_us[] = {50'000, 63'375, 76'750};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(block.packets()[i].pts, pts[i]);
    EXPECT_EQ(block.packets()[i].due_us, due_us[i]);
    EXPECT_EQ(block.packets()[i].flags, kPacketUnitStart | kPacketRandomAccess);  // no marker
  }
}

TEST(G711, LeavesOutBytesThatAreNoWholeSampleGroupAndSaysSo) {
  struct Case {
    std::size_t size;
    std::size_t sent;
  };
  const Case cases[] = {{0, 0}, {1, 0}, {2, 2}, {3, 2}, {321, 320}, {323, 322}};
  for (const Case& c : cases) {
    std::vector<bool> taken;
    const std::vector<testing::SampleUnit> units = {{0, Samples(c.size)}, {1000, Samples(4)}};
    const PacketBlock block =
        testing::PacketizeSamples(kPcmaFormat, G711Track(8000, 2), units, kPacket, &taken);
    EXPECT_THAT(taken, ElementsAre(c.size != 0 && c.sent == c.size, true)) << c.size;
    testing::SampleDepacketizer receiver(8000, 2);
    EXPECT_EQ(testing::ReceiveSamples(block, &receiver), "") << c.size;
    EXPECT_EQ(receiver.runs, testing::ExpectedRuns(units, 1, 2, false)) << c.size;
    EXPECT_EQ(receiver.runs.size(), c.sent == 0 ? 1u : 2u) << c.size;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.size;
  }
}

TEST(G711, SendsNothingOfMoreChannelsThanAPacketHolds) {
  for (const std::uint32_t channels : {116u, 117u, 4'000'000'000u}) {
    std::vector<bool> taken;
    const PacketBlock block = testing::PacketizeSamples(kPcmuFormat, G711Track(8000, channels),
                                                        {{0, Samples(116 * 117)}}, 128, &taken);
    EXPECT_THAT(taken, ElementsAre(channels == 116)) << channels;
    EXPECT_EQ(block.packets().size(), channels == 116 ? 117u : 0u) << channels;
  }
}

TEST(G711, ComesOutOfAnIndependentReceiverAsItWentIn) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SeededRandom random(seed);
    const std::uint32_t rates[] = {8000, 11025, 16000, 44100};
    const Track track = G711Track(rates[random.Below(4)], 1 + random.Below(3));
    const std::size_t packet_bytes = 128 + random.Below(1300);
    std::vector<testing::SampleUnit> units;
    std::int64_t pts = -1000;
    for (std::uint64_t i = random.Below(20); i-- > 0;) {
      const std::size_t groups = random.Below(random.Chance(0.1) ? 20'000 : 2000);
      units.push_back({pts, testing::RandomBytes(groups * track.channels, random)});
      pts += static_cast<std::int64_t>(groups + (random.Chance(0.8) ? 0 : random.Below(50)));
    }
    const PacketBlock block = testing::PacketizeSamples(kPcmuFormat, track, units, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::SampleDepacketizer receiver(track.clock_rate, track.channels);
    ASSERT_EQ(testing::ReceiveSamples(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.runs, testing::ExpectedRuns(units, 1, track.channels, false))
        << "seed " << seed;
  }
}

}  // namespace
}  // namespace millrace
