#include "rtp/payload/theora.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/media/xiph_testing.h"
#include "tests/rtp/packet_testing.h"
#include "tests/rtp/theora_depacketizer.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::LaceXiphHeaders;

constexpr std::size_t kPacket = 200;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes - 6;  // 182, of a frame or a fragment

Bytes Header(std::uint8_t type, std::size_t size) {
  Bytes packet = {type, 't', 'h', 'e', 'o', 'r', 'a'};
  packet.resize(size, 0x5a);
  return packet;
}

// 22 by 18 blocks of 16: 352 by 288. `format`: PF of Theora I section 6.2.
Bytes Identification(int format = 0, int blocks = 22) {
  Bytes packet = Header(0x80, 42);
  packet[10] = static_cast<std::uint8_t>(blocks >> 8);
  packet[11] = static_cast<std::uint8_t>(blocks);
  packet[12] = 0;
  packet[13] = 18;
  packet[41] = static_cast<std::uint8_t>(0xc0 | format << 3);
  return packet;
}

Track TheoraTrack(const Bytes& config) {
  Track track = testing::MakeTrack(Codec::kTheora);
  track.config = config;
  return track;
}

Track TheoraTrack() {
  return TheoraTrack(LaceXiphHeaders(Identification(), Header(0x81, 300), Header(0x82, 3000)));
}

std::uint32_t IdentOf(const Track& track) {
  testing::TheoraDescription description;
  EXPECT_EQ(description.Read(kTheoraFormat.parameters(track)), "");
  return description.ident;
}

// One access unit after the other, 3000 ticks each; `sound`: of the last.
PacketBlock Packets(const Track& track, const std::vector<Bytes>& frames,
                    std::size_t packet_bytes = kPacket, bool* sound = nullptr) {
  const auto packetizer = kTheoraFormat.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::int64_t pts = 0;
  for (const Bytes& frame : frames) {
    const bool result = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = 3000, .random_access = pts == 0, .data = frame},
        builder);
    if (sound != nullptr) *sound = result;
    pts += 3000;
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

TEST(TheoraDescription, TellsWhatTheHeadersTell) {
  struct Case {
    int format, blocks;
    const char* sampling;
    const char* width;
  };
  const Case cases[] = {{0, 22, "YCbCr-4:2:0", "352"},
                        {2, 1, "YCbCr-4:2:2", "16"},
                        {3, 65535, "YCbCr-4:4:4", "1048560"}};
  for (const Case& c : cases) {
    const Bytes identification = Identification(c.format, c.blocks);
    const Bytes setup = Header(0x82, 3000);
    const Track track = TheoraTrack(LaceXiphHeaders(identification, Header(0x81, 90), setup));
    EXPECT_EQ(kTheoraFormat.encoding(track), "theora/90000");
    testing::TheoraDescription description;
    EXPECT_EQ(description.Read(kTheoraFormat.parameters(track)), "") << c.format;
    EXPECT_EQ(description.sampling, c.sampling);
    EXPECT_EQ(description.width, c.width);
    EXPECT_EQ(description.height, "288");
    EXPECT_EQ(description.identification, identification);
    EXPECT_EQ(description.setup, setup);
  }
  EXPECT_EQ(kTheoraFormat.static_type, nullptr);
  EXPECT_EQ(&PayloadFormatOf(Codec::kTheora), &kTheoraFormat);
}

TEST(TheoraDescription, IsEmptyForDamagedHeaders) {
  const Bytes setup = Header(0x82, 100);
  Bytes short_identification = Identification();
  short_identification.pop_back();
  struct Case {
    const char* what;
    Bytes config;
  };
  const Case cases[] = {
      {"nothing", {}},
      {"an identification header without its last byte",
       LaceXiphHeaders(short_identification, {}, setup)},
      {"the reserved sampling", LaceXiphHeaders(Identification(1), {}, setup)},
      {"no width", LaceXiphHeaders(Identification(0, 0), {}, setup)},
      {"no setup header", LaceXiphHeaders(Identification(), {}, {})},
      {"Vorbis", LaceXiphHeaders({1, 'v', 'o', 'r', 'b', 'i', 's'}, {}, setup)},
      {"more than 16 bits tell", LaceXiphHeaders(Identification(), {}, Header(0x82, 65536))},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(kTheoraFormat.parameters(TheoraTrack(c.config)), "") << c.what;
    // Packets can be made all the same.
    EXPECT_EQ(Packets(TheoraTrack(c.config), {Bytes(10, 0)}).packets().size(), 1u) << c.what;
  }
}

TEST(Theora, WritesItsHeaderAndLengthByteForByte) {
  const Track track = TheoraTrack();
  const std::uint32_t ident = IdentOf(track);
  const PacketBlock block = Packets(track, {{0x3a, 0xbb, 0xcc}});
  EXPECT_THAT(testing::Payloads(block),
              ElementsAre(ElementsAre(ident >> 16, ident >> 8 & 0xff, ident & 0xff, 1, 0, 3, 0x3a,
                                      0xbb, 0xcc)));
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart | kPacketRandomAccess);  // no marker
}

TEST(Theora, CutsAFrameThatFitsNoPacketIntoEqualFragments) {
  struct Case {
    std::size_t size;
    std::vector<std::size_t> payload_sizes;
    std::vector<int> fragments;  // F
  };
  const std::vector<Case> cases = {
      {1, {7}, {0}},
      {kMax, {kMax + 6}, {0}},
      {kMax + 1, {98, 97}, {1, 3}},
      {2 * kMax, {kMax + 6, kMax + 6}, {1, 3}},
      {2 * kMax + 1, {128, 128, 127}, {1, 2, 3}},
  };
  const Track track = TheoraTrack();
  for (const Case& c : cases) {
    const PacketBlock block = Packets(track, {Bytes(c.size, 0x40)});
    std::vector<std::size_t> sizes;
    std::vector<int> fragments;
    for (const Bytes& payload : testing::Payloads(block)) {
      sizes.push_back(payload.size());
      fragments.push_back(payload[3] >> 6);
    }
    EXPECT_THAT(sizes, ElementsAreArray(c.payload_sizes)) << c.size;
    EXPECT_THAT(fragments, ElementsAreArray(c.fragments)) << c.size;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.size;
    testing::TheoraDepacketizer receiver(IdentOf(track));
    EXPECT_EQ(Receive(block, &receiver), "") << c.size;
    EXPECT_THAT(receiver.frames, ElementsAre(Bytes(c.size, 0x40))) << c.size;
  }
}

TEST(Theora, RefusesWhatIsNotAFrame) {
  struct Case {
    const char* what;
    Bytes frame;
    bool sound;
  };
  const std::vector<Case> cases = {
      {"a frame that repeats the last", {}, false},
      {"the smallest frame", {0x7f}, true},
      {"an identification header", Identification(), false},
      {"a setup header", Header(0x82, 500), false},
  };
  const Track track = TheoraTrack();
  for (const Case& c : cases) {
    bool sound = !c.sound;
    // What surrounds it is sent.
    const PacketBlock block =
        Packets(track, {Bytes(30, 0), c.frame, Bytes(40, 0), c.frame}, kPacket, &sound);
    EXPECT_EQ(sound, c.sound) << c.what;
    testing::TheoraDepacketizer receiver(IdentOf(track));
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_EQ(receiver.frames.size(), c.sound ? 4u : 2u) << c.what;
  }
}

TEST(Theora, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t fragments = 0;
  const Track track = TheoraTrack();
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? 1400 : 128 + random.Below(1300);
    std::vector<Bytes> frames;
    for (std::uint64_t i = 1 + random.Below(12); i-- > 0;) {
      const std::size_t size =
          random.Chance(0.5) ? 1 + random.Below(300) : 1 + random.Below(90'000);
      frames.push_back(testing::RandomBytes(size, random));
      frames.back()[0] &= 0x7f;
    }
    const PacketBlock block = Packets(track, frames, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::TheoraDepacketizer receiver(IdentOf(track));
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.frames, frames) << "seed " << seed;
    fragments += receiver.fragments;
  }
  EXPECT_GT(fragments, 5000u);
}

}  // namespace
}  // namespace millrace
