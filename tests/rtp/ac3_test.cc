#include "rtp/payload/ac3.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/ac3_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 1400;
constexpr std::size_t kRoom = kPacket - kRtpHeaderBytes - 2;  // 1386
constexpr std::int64_t kDuration = 1536;

// fscod and frmsizecod, and the size that they tell.
struct Kind {
  const char* what;
  std::uint8_t rate_code, size_code;
  std::size_t bytes;
};
constexpr Kind kKinds[] = {
    {"32 kbit/s, 48 kHz", 0, 0, 128},      {"the same", 0, 1, 128},
    {"192 kbit/s, 48 kHz", 0, 20, 768},    {"384 kbit/s, 48 kHz", 0, 28, 1536},
    {"448 kbit/s, 48 kHz", 0, 30, 1792},   {"640 kbit/s, 48 kHz", 0, 37, 2560},
    {"32 kbit/s, 44.1 kHz", 1, 0, 138},    {"the same, longer", 1, 1, 140},
    {"192 kbit/s, 44.1 kHz", 1, 20, 834},  {"the same, longer", 1, 21, 836},
    {"640 kbit/s, 44.1 kHz", 1, 36, 2786}, {"the same, longer", 1, 37, 2788},
    {"32 kbit/s, 32 kHz", 2, 0, 192},      {"640 kbit/s, 32 kHz", 2, 37, 3840},
};

using Frame = testing::SourceUnit;

Bytes MakeFrame(const Kind& kind, std::uint8_t fill = 0x55) {
  Bytes frame(kind.bytes, fill);
  const std::uint8_t header[] = {
      0x0b, 0x77, 1, 2, static_cast<std::uint8_t>(kind.rate_code << 6 | kind.size_code), 8 << 3};
  std::copy(std::begin(header), std::end(header), frame.begin());
  return frame;
}

PacketBlock Packets(const std::vector<Frame>& frames, std::size_t packet_bytes = kPacket,
                    std::size_t* refused = nullptr, std::uint32_t clock_rate = 48000) {
  return testing::PacketizeAll(testing::MakeTrack(Codec::kAc3, 0, clock_rate), packet_bytes, frames,
                               refused);
}

std::vector<Frame> Contiguous(const std::vector<Bytes>& units, std::int64_t duration = kDuration) {
  return testing::Contiguous(units, duration);
}

TEST(Ac3, NamesItsRateAndItsChannelsWhereItKnowsThem) {
  struct Case {
    std::uint32_t clock_rate, channels;
    const char* encoding;
  };
  const std::vector<Case> cases = {{48000, 6, "AC3/48000/6"},
                                   {44100, 2, "AC3/44100/2"},
                                   {32000, 1, "AC3/32000/1"},
                                   {48000, 0, "AC3/48000"},
                                   {48000, 7, "AC3/48000"}};
  for (const Case& c : cases) {
    Track track = testing::MakeTrack(Codec::kAc3, 0, c.clock_rate);
    track.channels = c.channels;
    EXPECT_EQ(kAc3Format.encoding(track), c.encoding);
  }
  EXPECT_EQ(kAc3Format.parameters, nullptr);
  EXPECT_EQ(kAc3Format.static_type, nullptr);
}

TEST(Ac3, CountsWholeFramesInItsHeader) {
  const Bytes first = MakeFrame(kKinds[0], 1), second = MakeFrame(kKinds[0], 2);
  const PacketBlock block = Packets(Contiguous({first, second}));
  Bytes expected = {0, 2};
  expected.insert(expected.end(), first.begin(), first.end());
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_THAT(testing::Payloads(block), ElementsAre(expected));
  EXPECT_EQ(block.packets()[0].flags, kPacketMarker | kPacketUnitStart | kPacketRandomAccess);
}

TEST(Ac3, SharesAPacketOnlyAmongFramesWhoseHeadersTellTheirSize) {
  for (const Kind& kind : kKinds) {
    const Bytes frame = MakeFrame(kind);
    const std::size_t packet_bytes = 14 + 3 * kind.bytes;
    std::size_t refused = 0;
    EXPECT_EQ(Packets(Contiguous({frame, frame, frame}), packet_bytes, &refused).packets().size(),
              1u)
        << kind.what;
    EXPECT_EQ(refused, 0u) << kind.what;
    Bytes wrong = frame;
    wrong.pop_back();
    const PacketBlock block = Packets(Contiguous({frame, wrong, frame}), packet_bytes, &refused);
    EXPECT_EQ(refused, 1u) << kind.what;
    testing::Ac3Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << kind.what;
    EXPECT_THAT(receiver.frames, ElementsAre(frame, wrong, frame)) << kind.what;
    EXPECT_THAT(receiver.frames_per_packet, ElementsAre(1, 1, 1)) << kind.what;
  }
}

TEST(Ac3, GroupsFramesWhileTheyFitAPacketAndATenthOfASecond) {
  struct Case {
    const char* what;
    std::uint32_t clock_rate;
    std::size_t packet_bytes;
    std::vector<std::size_t> frames_per_packet;
  };
  const std::vector<Case> cases = {
      {"by time: 96 ms", 48000, kPacket, {3, 2}},
      {"by time: 70 ms", 44100, kPacket, {2, 2, 1}},
      {"by time: 96 ms of two", 32000, kPacket, {2, 2, 1}},
      {"by size: exactly full", 48000, 14 + 2 * 128, {2, 2, 1}},
      {"by size: a byte short", 48000, 14 + 2 * 128 - 1, {1, 1, 1, 1, 1}},
  };
  for (const Case& c : cases) {
    const std::vector<Bytes> sent(5, MakeFrame(kKinds[0]));
    const PacketBlock block = Packets(Contiguous(sent), c.packet_bytes, nullptr, c.clock_rate);
    testing::Ac3Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_EQ(receiver.frames, sent) << c.what;
    EXPECT_THAT(receiver.frames_per_packet, ElementsAreArray(c.frames_per_packet)) << c.what;
    EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.what;
  }
}

TEST(Ac3, PutsNoMoreFramesInAPacketThanNfCounts) {
  const std::vector<Bytes> sent(300, MakeFrame(kKinds[0]));
  const PacketBlock block = Packets(Contiguous(sent, /*duration=*/1), 65535);
  testing::Ac3Depacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  EXPECT_THAT(receiver.frames_per_packet, ElementsAre(255, 45));
}

TEST(Ac3, EndsAGroupWhereTheTimesDoNotFollow) {
  const Bytes frame = MakeFrame(kKinds[0]);
  for (const std::int64_t pts : {1535, 1537, 0}) {
    EXPECT_EQ(Packets({{0, kDuration, frame}, {pts, kDuration, frame}}).packets().size(), 2u)
        << pts;
  }
  EXPECT_EQ(Packets({{0, 0, frame}, {0, 0, frame}}).packets().size(), 2u);
}

TEST(Ac3, CutsAFrameThatIsLargerThanAPacket) {
  struct Case {
    const char* what;
    Kind kind;
    std::size_t packet_bytes;
    std::uint8_t first_type;
    std::vector<std::size_t> fragments;
  };
  const std::vector<Case> cases = {
      {"five eighths fit", kKinds[3], kPacket, 1, {960, 576}},
      {"five eighths fit", kKinds[4], kPacket, 1, {1120, 672}},
      {"five eighths fit exactly", kKinds[4], 14 + 1120, 1, {1120, 672}},
      {"a byte short of five eighths", kKinds[4], 14 + 1119, 2, {896, 896}},
      {"five eighths of a word, rounded up", kKinds[6], 130, 1, {87, 51}},
      {"a byte short of the frame", kKinds[4], 14 + 1791, 1, {1120, 672}},
      {"two halves", kKinds[5], kPacket, 2, {1280, 1280}},
      {"three fragments", kKinds[13], kPacket, 2, {1280, 1280, 1280}},
      {"four fragments", kKinds[13], 1200, 2, {960, 960, 960, 960}},
      {"an uneven last", kKinds[11], 1000, 2, {930, 930, 928}},
  };
  const Bytes small = MakeFrame(kKinds[12]);
  for (const Case& c : cases) {
    const Bytes frame = MakeFrame(c.kind, 7);
    const PacketBlock block = Packets(Contiguous({frame}), c.packet_bytes);
    const std::vector<Bytes> payloads = testing::Payloads(block);
    std::vector<std::size_t> fragments;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
      EXPECT_EQ(payloads[i][0], i == 0 ? c.first_type : 3) << c.what;
      EXPECT_EQ(payloads[i][1], payloads.size()) << c.what;
      fragments.push_back(payloads[i].size() - 2);
    }
    EXPECT_THAT(fragments, ElementsAreArray(c.fragments)) << c.what;
    EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.what;
  }
  // Small frames before and behind keep out of it.
  const Bytes large = MakeFrame(kKinds[13]);
  testing::Ac3Depacketizer receiver;
  EXPECT_EQ(Receive(Packets(Contiguous({small, large, small})), &receiver), "");
  EXPECT_THAT(receiver.frames, ElementsAre(small, large, small));
}

TEST(Ac3, RefusesWhatIsNoFrame) {
  Bytes enhanced = MakeFrame(kKinds[0]);
  enhanced[5] = 16 << 3;
  Bytes swapped = MakeFrame(kKinds[0]);
  std::swap(swapped[0], swapped[1]);
  struct Case {
    const char* what;
    Bytes data;
  };
  const std::vector<Case> cases = {
      {"empty", {}},
      {"five bytes", {0x0b, 0x77, 0, 0, 0}},
      {"bytes swapped", swapped},
      {"E-AC-3", enhanced},
      {"larger than any", MakeFrame({"", 2, 37, kAc3FrameBytesMax + 1})},
  };
  const Bytes frame = MakeFrame(kKinds[0]);
  for (const Case& c : cases) {
    std::size_t refused = 0;
    const PacketBlock block = Packets(Contiguous({frame, c.data, frame}), kPacket, &refused);
    EXPECT_EQ(refused, 1u) << c.what;
    testing::Ac3Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    // What surrounds it is sent, and no packet reaches over the hole.
    EXPECT_THAT(receiver.frames_per_packet, ElementsAre(1, 1)) << c.what;
  }
}

TEST(Ac3, SendsAFrameWithReservedCodesAlone) {
  const Bytes frame = MakeFrame(kKinds[0]);
  for (const Kind& kind : {Kind{"fscod", 3, 0, 128}, Kind{"frmsizecod", 0, 38, 128}}) {
    std::size_t refused = 0;
    const Bytes odd = MakeFrame(kind);
    const PacketBlock block = Packets(Contiguous({frame, odd, frame}), kPacket, &refused);
    EXPECT_EQ(refused, 1u) << kind.what;
    EXPECT_EQ(block.packets().size(), 3u) << kind.what;
  }
}

TEST(Ac3, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t fragments = 0;
  std::size_t groups = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? kPacket : 128 + random.Below(1300);
    std::vector<Bytes> sent;
    std::vector<Frame> frames;
    std::int64_t pts = 0;
    for (std::uint64_t i = 1 + random.Below(60); i-- > 0;) {
      const Kind& kind = kKinds[random.Below(std::size(kKinds))];
      Bytes frame = testing::RandomBytes(kind.bytes, random);
      const Bytes header = MakeFrame(kind);
      std::copy(header.begin(), header.begin() + 6, frame.begin());
      sent.push_back(frame);
      frames.push_back({pts, kDuration, frame});
      pts += random.Chance(0.9) ? kDuration : static_cast<std::int64_t>(random.Below(5000));
    }
    const PacketBlock block = Packets(frames, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::Ac3Depacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.frames, sent) << "seed " << seed;
    fragments += receiver.fragments;
    for (const std::size_t count : receiver.frames_per_packet) groups += count > 1 ? 1 : 0;
  }
  EXPECT_GT(fragments, 100u);
  EXPECT_GT(groups, 100u);
}

}  // namespace
}  // namespace millrace
