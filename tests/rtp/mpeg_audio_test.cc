#include "rtp/payload/mpeg_audio.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/mpeg_audio_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 1400;
constexpr std::size_t kRoom = kPacket - kRtpHeaderBytes - 4;  // 1384

// Second and third byte of a frame's header, and the size that they tell.
struct Kind {
  const char* what;
  std::uint8_t second, third;
  std::size_t bytes;
};
constexpr Kind kKinds[] = {
    {"MPEG-1 layer III, 128 kbit/s, 44.1 kHz", 0xfb, 0x90, 417},
    {"the same with padding", 0xfb, 0x92, 418},
    {"MPEG-1 layer III, 320 kbit/s, 48 kHz", 0xfb, 0xe4, 960},
    {"MPEG-1 layer II, 384 kbit/s, 32 kHz", 0xfd, 0xe8, 1728},
    {"MPEG-1 layer II, 192 kbit/s, 48 kHz", 0xfd, 0xa4, 576},
    {"MPEG-1 layer I, 448 kbit/s, 32 kHz", 0xff, 0xe8, 672},
    {"the same with padding, a slot of four", 0xff, 0xea, 676},
    {"MPEG-2 layer III, 64 kbit/s, 22.05 kHz", 0xf3, 0x80, 208},
    {"MPEG-2 layer II, 160 kbit/s, 24 kHz", 0xf5, 0xe4, 960},
    {"MPEG-2 layer I, 256 kbit/s, 16 kHz", 0xf7, 0xe8, 768},
    {"MPEG-2.5 layer III, 8 kbit/s, 8 kHz", 0xe3, 0x18, 72},
};
constexpr Kind kSmall = kKinds[0];
constexpr Kind kLarge = kKinds[3];
constexpr std::int64_t kDuration = 2351;  // 1152 samples at 44.1 kHz, rounded

using Frame = testing::SourceUnit;

Bytes MakeFrame(const Kind& kind, std::uint8_t fill = 0x55) {
  Bytes frame(kind.bytes, fill);
  frame[0] = 0xff;
  frame[1] = kind.second;
  frame[2] = kind.third;
  frame[3] = 0xc4;
  return frame;
}

PacketBlock Packets(const std::vector<Frame>& frames, std::size_t packet_bytes = kPacket,
                    std::size_t* refused = nullptr) {
  return testing::PacketizeAll(testing::MakeTrack(Codec::kMpegAudio, 0), packet_bytes, frames,
                               refused);
}

std::vector<Frame> Contiguous(const std::vector<Bytes>& units, std::int64_t duration = kDuration) {
  return testing::Contiguous(units, duration);
}

std::string Receive(const PacketBlock& block, testing::MpegAudioDepacketizer* receiver) {
  std::string fault = testing::Receive(block, receiver);
  if (!fault.empty()) return fault;
  receiver->Finish();
  return receiver->unsure == 0 ? "" : "sizes do not add up";
}

TEST(MpegAudio, HasTheStaticPayloadTypeAndAClockOf90KhzAtAnySampleRate) {
  Track track = testing::MakeTrack(Codec::kMpegAudio, 0);
  track.sample_rate = 22050;
  track.channels = 2;
  EXPECT_EQ(kMpegAudioFormat.encoding(track), "MPA/90000");
  EXPECT_EQ(kMpegAudioFormat.parameters, nullptr);
  ASSERT_NE(kMpegAudioFormat.static_type, nullptr);
  EXPECT_EQ(kMpegAudioFormat.static_type(track), 14);
}

TEST(MpegAudio, PutsFourZerosBeforeWholeFramesAndSetsNoMarker) {
  const Kind kind = kKinds[10];
  const Bytes first = MakeFrame(kind, 1), second = MakeFrame(kind, 2);
  const PacketBlock block = Packets({{0, 900, first}, {900, 900, second}});
  Bytes expected = {0, 0, 0, 0};
  expected.insert(expected.end(), first.begin(), first.end());
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_THAT(testing::Payloads(block), ElementsAre(expected));
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart | kPacketRandomAccess);
}

TEST(MpegAudio, SharesAPacketOnlyAmongFramesWhoseHeadersTellTheirSize) {
  for (const Kind& kind : kKinds) {
    if (2 * kind.bytes > kRoom) continue;
    const Bytes frame = MakeFrame(kind);
    std::size_t refused = 0;
    EXPECT_EQ(Packets(Contiguous({frame, frame}), kPacket, &refused).packets().size(), 1u)
        << kind.what;
    EXPECT_EQ(refused, 0u) << kind.what;
    for (const int change : {-1, 1}) {
      Bytes wrong = frame;
      wrong.resize(frame.size() + static_cast<std::size_t>(change), 0x55);
      const PacketBlock block = Packets(Contiguous({frame, wrong, frame}), kPacket, &refused);
      EXPECT_THAT(testing::PacketLengths(block),
                  ElementsAre(16 + frame.size(), 16 + wrong.size(), 16 + frame.size()))
          << kind.what;
      EXPECT_EQ(refused, 1u) << kind.what;
      refused = 0;
    }
  }
}

TEST(MpegAudio, SendsFramesOfUntoldSizeAlone) {
  struct Case {
    const char* what;
    std::uint8_t third;
  };
  const std::vector<Case> cases = {
      {"free format", 0x00}, {"forbidden bit rate", 0xf0}, {"reserved sample rate", 0x9c}};
  for (const Case& c : cases) {
    const Bytes frame = MakeFrame({c.what, 0xfb, c.third, 100});
    std::size_t refused = 0;
    testing::MpegAudioDepacketizer receiver;
    EXPECT_EQ(Receive(Packets(Contiguous({frame, frame, frame}), kPacket, &refused), &receiver), "")
        << c.what;
    EXPECT_THAT(receiver.frames, ElementsAre(frame, frame, frame)) << c.what;
    EXPECT_EQ(refused, 0u) << c.what;
  }
}

TEST(MpegAudio, GroupsFramesWhileTheyFitAPacketAndATenthOfASecond) {
  struct Case {
    const char* what;
    std::size_t packet_bytes;
    std::int64_t duration;
    std::size_t frames;
    std::vector<std::size_t> frames_per_packet;
  };
  const std::size_t two = 12 + 4 + 2 * kSmall.bytes;
  const std::vector<Case> cases = {
      {"by size", kPacket, kDuration, 7, {3, 3, 1}},
      {"exactly full", two, kDuration, 4, {2, 2}},
      {"a byte short", two - 1, kDuration, 3, {1, 1, 1}},
      {"by time: 78 ms", 3000, kDuration, 5, {3, 2}},
      {"by time: exactly 100 ms", 3000, 4500, 5, {2, 2, 1}},
      {"longer than the bound alone", 3000, 9001, 2, {1, 1}},
      {"of unknown duration", 3000, 0, 2, {1, 1}},
  };
  for (const Case& c : cases) {
    const std::vector<Bytes> sent(c.frames, MakeFrame(kSmall));
    const PacketBlock block = Packets(Contiguous(sent, c.duration), c.packet_bytes);
    testing::MpegAudioDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_EQ(receiver.frames, sent) << c.what;
    EXPECT_THAT(receiver.frames_per_packet, ElementsAreArray(c.frames_per_packet)) << c.what;
    EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.what;
  }
}

TEST(MpegAudio, AllowsAMillisecondBetweenTheFramesOfAPacket) {
  struct Case {
    std::int64_t off;
    std::size_t packets;
  };
  const std::vector<Case> cases = {{0, 1}, {90, 1}, {-90, 1}, {91, 2}, {-91, 2}, {-kDuration, 2}};
  for (const Case& c : cases) {
    const Bytes frame = MakeFrame(kSmall);
    const PacketBlock block =
        Packets({{0, kDuration, frame}, {kDuration + c.off, kDuration, frame}});
    EXPECT_EQ(block.packets().size(), c.packets) << c.off;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.off;
  }
}

TEST(MpegAudio, CutsALargeFrameIntoEqualFragmentsThatTellTheirOffset) {
  const Bytes small = MakeFrame(kSmall), large = MakeFrame(kLarge, 7);
  const PacketBlock block = Packets(Contiguous({small, large, small}));
  const std::vector<Bytes> payloads = testing::Payloads(block);
  ASSERT_EQ(payloads.size(), 4u);
  EXPECT_THAT(testing::PacketLengths(block), ElementsAre(16 + 417, 16 + 864, 16 + 864, 16 + 417));
  EXPECT_THAT(Bytes(payloads[1].begin(), payloads[1].begin() + 4), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(Bytes(payloads[2].begin(), payloads[2].begin() + 4), ElementsAre(0, 0, 3, 0x60));
  testing::MpegAudioDepacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  EXPECT_THAT(receiver.frames, ElementsAre(small, large, small));
  EXPECT_EQ(testing::FindFault(block, kPacket), "");
}

TEST(MpegAudio, CutsAtTheSizeOfAPacket) {
  struct Case {
    std::size_t bytes;
    std::vector<std::size_t> lengths;
  };
  const std::vector<Case> cases = {
      {kRoom, {kPacket}},
      {kRoom + 1, {16 + 693, 16 + 692}},
      {2 * kRoom, {kPacket, kPacket}},
      {2 * kRoom + 1, {16 + 923, 16 + 923, 16 + 923}},
  };
  for (const Case& c : cases) {
    const Bytes frame = MakeFrame({"free format", 0xfb, 0, c.bytes});
    const PacketBlock block = Packets({{0, kDuration, frame}});
    EXPECT_THAT(testing::PacketLengths(block), ElementsAreArray(c.lengths)) << c.bytes;
    testing::MpegAudioDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.bytes;
    EXPECT_THAT(receiver.frames, ElementsAre(frame)) << c.bytes;
  }
}

TEST(MpegAudio, RefusesWhatIsNoFrame) {
  struct Case {
    const char* what;
    Bytes data;
  };
  const std::vector<Case> cases = {
      {"empty", {}},
      {"three bytes", {0xff, 0xfb, 0x90}},
      {"no sync word", {0xfe, 0xfb, 0x90, 0xc4, 0}},
      {"ten bits of a sync word", {0xff, 0xdb, 0x90, 0xc4, 0}},
      {"reserved version", {0xff, 0xeb, 0x90, 0xc4, 0}},
      {"reserved layer, as ADTS has it", {0xff, 0xf9, 0x90, 0xc4, 0}},
      {"beyond Frag_offset", MakeFrame({"", 0xfb, 0, kMpegAudioFrameBytesMax + 1})},
  };
  const Bytes frame = MakeFrame(kSmall);
  for (const Case& c : cases) {
    std::size_t refused = 0;
    const PacketBlock block = Packets(Contiguous({frame, c.data, frame}), kPacket, &refused);
    EXPECT_EQ(refused, 1u) << c.what;
    testing::MpegAudioDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    // What surrounds it is sent, and no packet reaches over the hole.
    EXPECT_THAT(receiver.frames_per_packet, ElementsAre(1, 1)) << c.what;
  }
}

TEST(MpegAudio, StampsAndSendsAGroupByItsFirstFrame) {
  const PacketBlock block = Packets(Contiguous(std::vector<Bytes>(4, MakeFrame(kSmall))));
  ASSERT_EQ(block.packets().size(), 2u);
  EXPECT_EQ(block.packets()[0].pts, 0);
  EXPECT_EQ(block.packets()[1].pts, 3 * kDuration);
  EXPECT_EQ(block.packets()[1].due_us, 78'366u);
}

TEST(MpegAudio, ComesOutOfAnIndependentReceiverAsItWentIn) {
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
      std::copy(header.begin(), header.begin() + 4, frame.begin());
      sent.push_back(frame);
      frames.push_back({pts, 1080, frame});
      pts += random.Chance(0.9) ? 1080 : 1080 + static_cast<std::int64_t>(random.Below(1000));
    }
    const PacketBlock block = Packets(frames, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::MpegAudioDepacketizer receiver;
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
