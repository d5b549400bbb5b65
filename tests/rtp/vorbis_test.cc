#include "rtp/payload/vorbis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/strip.h"
#include "tests/media/xiph_testing.h"
#include "tests/rtp/packet_testing.h"
#include "tests/rtp/vorbis_depacketizer.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::LaceXiphHeaders;

constexpr std::size_t kPacket = 1400;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes;  // 1388

// A header packet of `size` bytes.
Bytes Header(std::uint8_t type, std::size_t size, std::uint8_t fill = 0x5a) {
  Bytes packet = {type, 'v', 'o', 'r', 'b', 'i', 's'};
  packet.resize(size, fill);
  return packet;
}

Track VorbisTrack(const Bytes& config, std::uint32_t clock_rate = 48000) {
  Track track = testing::MakeTrack(Codec::kVorbis, 0, clock_rate);
  track.channels = 2;
  track.config = config;
  return track;
}

Track VorbisTrack(std::uint32_t clock_rate = 48000) {
  return VorbisTrack(LaceXiphHeaders(Header(1, 30), Header(3, 300), Header(5, 4000)), clock_rate);
}

std::uint32_t IdentOf(const Track& track) {
  testing::VorbisConfiguration configuration;
  EXPECT_EQ(configuration.Read(kVorbisFormat.parameters(track)), "");
  return configuration.ident;
}

struct Unit {
  std::int64_t pts = 0;
  std::int64_t duration = 1024;
  Bytes data;
};

PacketBlock Packets(const Track& track, const std::vector<Unit>& units,
                    std::size_t packet_bytes = kPacket, std::vector<bool>* taken = nullptr) {
  const auto packetizer = kVorbisFormat.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  for (const Unit& unit : units) {
    const Bytes lent = unit.data;  // gone after the call, as a demuxer's buffer may be
    const bool result = packetizer->Packetize({.pts = unit.pts,
                                               .dts = unit.pts,
                                               .duration = unit.duration,
                                               .random_access = true,
                                               .data = lent},
                                              builder);
    if (taken != nullptr) taken->push_back(result);
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

// Units of these sizes, one behind the other, each of one even byte, as audio begins with.
std::vector<Unit> Contiguous(const std::vector<std::size_t>& sizes, std::int64_t duration = 1024) {
  std::vector<Unit> units;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    units.push_back({static_cast<std::int64_t>(i) * duration, duration,
                     Bytes(sizes[i], static_cast<std::uint8_t>(2 * i))});
  }
  return units;
}

TEST(VorbisDescription, NamesRateAndChannels) {
  Track track = VorbisTrack(44100);
  EXPECT_EQ(kVorbisFormat.encoding(track), "vorbis/44100/2");
  track.channels = 1;
  EXPECT_EQ(kVorbisFormat.encoding(track), "vorbis/44100/1");
  track.channels = 0;
  EXPECT_EQ(kVorbisFormat.encoding(track), "vorbis/44100/1");
  EXPECT_EQ(kVorbisFormat.static_type, nullptr);
}

TEST(VorbisDescription, PacksTheHeadersByteForByte) {
  const Track track = VorbisTrack(LaceXiphHeaders(Header(1, 30), Header(3, 300), Header(5, 200)));
  std::string packed;
  ASSERT_TRUE(absl::Base64Unescape(
      absl::StripPrefix(kVorbisFormat.parameters(track), "configuration="), &packed));
  const Bytes bytes(packed.begin(), packed.end());
  ASSERT_EQ(bytes.size(), 12u + 30 + 16 + 200);
  EXPECT_THAT(Bytes(bytes.begin(), bytes.begin() + 4), ElementsAre(0, 0, 0, 1));
  // The headers' length without its own fields; two lengths told; they fit seven bits each.
  EXPECT_THAT(Bytes(bytes.begin() + 7, bytes.begin() + 12), ElementsAre(0, 246, 2, 30, 16));
  EXPECT_EQ(Bytes(bytes.begin() + 12, bytes.begin() + 42), Header(1, 30));
  EXPECT_THAT(Bytes(bytes.begin() + 42, bytes.begin() + 58),
              ElementsAre(3, 'v', 'o', 'r', 'b', 'i', 's', 0, 0, 0, 0, 0, 0, 0, 0, 1));
  EXPECT_EQ(Bytes(bytes.begin() + 58, bytes.end()), Header(5, 200));
}

TEST(VorbisDescription, TellsHeadersOfAnyLengthThat16BitsHold) {
  struct Case {
    std::size_t identification, setup;
    bool told;
  };
  const Case cases[] = {{7, 7, true},           {30, 7, true},           {127, 4000, true},
                        {128, 4000, true},      {16383, 100, true},      {16384, 100, true},
                        {30, 65535 - 46, true}, {30, 65536 - 46, false}, {30, 1'000'000, false}};
  for (const Case& c : cases) {
    const Bytes identification = Header(1, c.identification);
    const Bytes setup = Header(5, c.setup);
    const std::string parameters = kVorbisFormat.parameters(
        VorbisTrack(LaceXiphHeaders(identification, Header(3, 90), setup)));
    EXPECT_EQ(!parameters.empty(), c.told) << c.identification << " " << c.setup;
    if (!c.told) continue;
    testing::VorbisConfiguration configuration;
    EXPECT_EQ(configuration.Read(parameters), "") << c.identification << " " << c.setup;
    EXPECT_EQ(configuration.identification, identification);
    EXPECT_EQ(configuration.setup, setup);
  }
}

TEST(VorbisDescription, HasNoParametersForDamagedHeaders) {
  const Bytes sound = LaceXiphHeaders(Header(1, 30), Header(3, 60), Header(5, 100));
  Bytes of_two_packets = sound;
  of_two_packets[0] = 1;
  struct Case {
    const char* what;
    Bytes config;
  };
  const Case cases[] = {
      {"nothing", {}},
      {"only the sizes", Bytes(sound.begin(), sound.begin() + 3)},
      {"cut within the comment", Bytes(sound.begin(), sound.begin() + 50)},
      {"no setup header", LaceXiphHeaders(Header(1, 30), Header(3, 60), {})},
      {"another lacing", of_two_packets},
      {"a setup header in front", LaceXiphHeaders(Header(5, 30), Header(3, 60), Header(5, 100))},
      {"a comment header behind", LaceXiphHeaders(Header(1, 30), Header(3, 60), Header(3, 100))},
      {"half a signature", LaceXiphHeaders({1, 'v', 'o', 'r'}, Header(3, 60), Header(5, 100))},
      {"another signature", LaceXiphHeaders({1, 't', 'h', 'e', 'o', 'r', 'a'}, {}, Header(5, 100))},
  };
  EXPECT_NE(kVorbisFormat.parameters(VorbisTrack(sound)), "");
  for (const Case& c : cases) {
    const Track track = VorbisTrack(c.config);
    EXPECT_EQ(kVorbisFormat.parameters(track), "") << c.what;
    // Packets can be made all the same.
    testing::VorbisDepacketizer receiver(0);
    EXPECT_EQ(Receive(Packets(track, Contiguous({10, 20})), &receiver), "") << c.what;
    EXPECT_EQ(receiver.units.size(), 2u) << c.what;
  }
  // What is not sent is not looked at.
  EXPECT_NE(
      kVorbisFormat.parameters(VorbisTrack(LaceXiphHeaders(Header(1, 30), {9}, Header(5, 100)))),
      "");
}

TEST(VorbisDescription, NamesTheSameHeadersAlikeAndOthersOtherwise) {
  const std::uint32_t ident = IdentOf(VorbisTrack());
  EXPECT_EQ(IdentOf(VorbisTrack()), ident);
  EXPECT_EQ(IdentOf(VorbisTrack(LaceXiphHeaders(Header(1, 30), {}, Header(5, 4000)))), ident);
  EXPECT_NE(IdentOf(VorbisTrack(LaceXiphHeaders(Header(1, 30, 1), {}, Header(5, 4000)))), ident);
  EXPECT_NE(IdentOf(VorbisTrack(LaceXiphHeaders(Header(1, 30), {}, Header(5, 4000, 1)))), ident);
  EXPECT_NE(IdentOf(VorbisTrack(LaceXiphHeaders(Header(1, 30), {}, Header(5, 4001)))), ident);
  // The same on every machine and in every version, for packets may outlive a process.
  EXPECT_EQ(ident, 10944251u);
}

TEST(Vorbis, WritesItsHeaderAndLengthsByteForByte) {
  const Track track = VorbisTrack();
  const std::uint32_t ident = IdentOf(track);
  const PacketBlock block = Packets(track, {{0, 1024, {0xaa, 0xbb, 0xcc}}, {1024, 1024, {0xde}}});
  // F 0, VDT 0, two packets.
  EXPECT_THAT(testing::Payloads(block),
              ElementsAre(ElementsAre(ident >> 16, ident >> 8 & 0xff, ident & 0xff, 2, 0, 3, 0xaa,
                                      0xbb, 0xcc, 0, 1, 0xde)));
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart | kPacketRandomAccess);  // no marker
}

TEST(Vorbis, GroupsUnitsWhileTheyFitAPacketItsCountAndATenthOfASecond) {
  struct Case {
    const char* what;
    std::uint32_t clock_rate;
    std::int64_t duration;
    std::vector<std::size_t> sizes;
    std::vector<std::size_t> units_per_packet;
  };
  const std::vector<Case> cases = {
      {"85 ms", 48000, 1024, {50, 50, 50, 50, 50, 50}, {4, 2}},
      {"93 ms", 44100, 1024, {50, 50, 50, 50, 50}, {4, 1}},
      {"longer than the bound alone", 8000, 1024, {50, 50}, {1, 1}},
      {"by count", 48000, 128, std::vector<std::size_t>(32, 20), {15, 15, 2}},
      {"by size: exactly full", 48000, 1024, {690, 690, 10}, {2, 1}},
      {"by size: one too many", 48000, 1024, {691, 690, 10}, {1, 2}},
      {"a unit that fills the packet", 48000, 1024, {kMax - 6, kMax - 6}, {1, 1}},
  };
  for (const Case& c : cases) {
    const Track track = VorbisTrack(c.clock_rate);
    const PacketBlock block = Packets(track, Contiguous(c.sizes, c.duration));
    testing::VorbisDepacketizer receiver(IdentOf(track));
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_THAT(receiver.units_per_packet, ElementsAreArray(c.units_per_packet)) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(Vorbis, EndsAGroupWhereTheTimesDoNotFollow) {
  struct Case {
    const char* what;
    Unit second;
    std::size_t packets;
  };
  const Bytes data(10, 2);
  const std::vector<Case> cases = {
      {"it follows", {1024, 128, data}, 1},
      {"a gap of a sample", {1025, 128, data}, 2},
      {"an overlap of a sample", {1023, 128, data}, 2},
      {"back to the start", {0, 128, data}, 2},
  };
  for (const Case& c : cases) {
    const PacketBlock block = Packets(VorbisTrack(), {{0, 1024, data}, c.second});
    EXPECT_EQ(block.packets().size(), c.packets) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(Vorbis, StampsAndSendsAGroupByItsFirstUnit) {
  const PacketBlock block = Packets(VorbisTrack(), Contiguous({50, 50, 50, 50, 50, 50}));
  ASSERT_EQ(block.packets().size(), 2u);
  EXPECT_EQ(block.packets()[0].pts, 0);
  EXPECT_EQ(block.packets()[1].pts, 4096);
  EXPECT_EQ(block.packets()[1].due_us, 85'333u);
}

TEST(Vorbis, CutsALargeUnitIntoEqualFragmentsOfItsOwn) {
  struct Case {
    std::size_t size;
    std::vector<std::size_t> payload_sizes;
    std::vector<int> fragments;  // F
  };
  const std::vector<Case> cases = {
      {kMax - 6, {kMax}, {0}},
      {kMax - 5, {698, 697}, {1, 3}},
      {2 * (kMax - 6), {kMax, kMax}, {1, 3}},
      {2 * (kMax - 6) + 1, {928, 928, 927}, {1, 2, 3}},
      {5000, {1256, 1256, 1256, 1256}, {1, 2, 2, 3}},
  };
  const Track track = VorbisTrack();
  for (const Case& c : cases) {
    // Small units before and behind must keep out of it.
    const PacketBlock block = Packets(track, Contiguous({20, c.size, 20}));
    testing::VorbisDepacketizer receiver(IdentOf(track));
    EXPECT_EQ(Receive(block, &receiver), "") << c.size;
    ASSERT_EQ(receiver.units.size(), 3u) << c.size;
    EXPECT_EQ(receiver.units[1], Bytes(c.size, 2)) << c.size;
    std::vector<std::size_t> sizes;
    std::vector<int> fragments;
    for (const Bytes& payload : testing::Payloads(block)) {
      sizes.push_back(payload.size());
      fragments.push_back(payload[3] >> 6);
    }
    ASSERT_EQ(sizes.size(), c.payload_sizes.size() + 2) << c.size;
    EXPECT_THAT(std::vector<std::size_t>(sizes.begin() + 1, sizes.end() - 1),
                ElementsAreArray(c.payload_sizes))
        << c.size;
    EXPECT_THAT(std::vector<int>(fragments.begin() + 1, fragments.end() - 1),
                ElementsAreArray(c.fragments))
        << c.size;
    for (const PacketEntry& entry : block.packets()) EXPECT_EQ(entry.flags & kPacketMarker, 0);
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.size;
  }
}

TEST(Vorbis, RefusesWhatIsNoAudioOrTooLongToBePutTogether) {
  std::vector<Unit> units =
      Contiguous({10, 10, kVorbisUnitBytesMax + 1, 10, 0, 10, 30, 10, kVorbisUnitBytesMax});
  units[6].data = Header(5, 30);
  std::vector<bool> taken;
  const Track track = VorbisTrack();
  const PacketBlock block = Packets(track, units, kPacket, &taken);
  EXPECT_THAT(taken, ElementsAre(true, true, false, true, false, true, false, true, true));
  testing::VorbisDepacketizer receiver(IdentOf(track));
  EXPECT_EQ(Receive(block, &receiver), "");
  // What surrounds them is sent, and no group reaches over the hole.
  EXPECT_THAT(receiver.units_per_packet, ElementsAre(2, 1, 1, 1));
  EXPECT_EQ(receiver.units.back().size(), kVorbisUnitBytesMax);
  EXPECT_EQ(testing::FindFault(block, kPacket), "");
}

TEST(Vorbis, SendsTheLongestUnitInOnePacketOrMoreAsThePacketSizeHas) {
  const Track track = VorbisTrack();
  for (const std::size_t size : {65517u, 65518u, 65535u}) {
    const PacketBlock block = Packets(track, Contiguous({size}), 65535);
    testing::VorbisDepacketizer receiver(IdentOf(track));
    EXPECT_EQ(Receive(block, &receiver), "") << size;
    EXPECT_EQ(block.packets().size(), size == 65517 ? 1u : 2u) << size;
    EXPECT_EQ(testing::FindFault(block, 65535), "") << size;
  }
}

TEST(Vorbis, HasNothingLeftAfterFlush) {
  const auto packetizer = kVorbisFormat.make_packetizer(VorbisTrack(), kPacket);
  PacketBlockBuilder builder = testing::MakeBuilder();
  packetizer->Flush(builder);
  EXPECT_EQ(builder.packet_count(), 0u);
  const Bytes data(10, 0);
  EXPECT_TRUE(packetizer->Packetize({.duration = 1024, .data = data}, builder));
  EXPECT_EQ(builder.packet_count(), 0u);  // waits for company
  packetizer->Flush(builder);
  EXPECT_EQ(builder.packet_count(), 1u);
  packetizer->Flush(builder);
  EXPECT_EQ(builder.packet_count(), 1u);
}

TEST(Vorbis, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t fragments = 0;
  std::size_t groups = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? kPacket : 128 + random.Below(1300);
    const std::uint32_t rates[] = {8000, 22050, 44100, 48000, 96000};
    const Track track = VorbisTrack(rates[random.Below(5)]);
    std::vector<Unit> units;
    std::vector<Bytes> sent;
    std::int64_t pts = 0;
    for (std::uint64_t i = 1 + random.Below(60); i-- > 0;) {
      const std::size_t size = random.Chance(0.8) ? 1 + random.Below(300) : 1 + random.Below(8000);
      sent.push_back(testing::RandomBytes(size, random));
      sent.back()[0] &= 0xfe;
      const std::int64_t duration = random.Chance(0.5) ? 128 : 1024;
      units.push_back({pts, duration, sent.back()});
      pts += duration + (random.Chance(0.9) ? 0 : static_cast<std::int64_t>(random.Below(100)));
    }
    const PacketBlock block = Packets(track, units, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::VorbisDepacketizer receiver(IdentOf(track));
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.units, sent) << "seed " << seed;
    fragments += receiver.fragments;
    for (const std::size_t count : receiver.units_per_packet) groups += count > 1 ? 1 : 0;
  }
  EXPECT_GT(fragments, 100u);
  EXPECT_GT(groups, 100u);
}

}  // namespace
}  // namespace millrace
