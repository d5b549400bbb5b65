#include "rtp/payload/eac3.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/eac3_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 1400;
constexpr std::int64_t kDuration = 1536;

enum Type : std::uint8_t { kIndependent = 0, kDependent = 1 };

// At 48 kHz; `blocks` as numblkscod: 0 to 3 for 1, 2, 3 and 6.
Bytes MakeFrame(std::size_t bytes, Type type = kIndependent, std::uint8_t substream = 0,
                std::uint8_t blocks = 3, std::uint8_t fill = 0x55) {
  Bytes frame(bytes, fill);
  const std::size_t size = bytes / 2 - 1;
  const std::uint8_t header[] = {0x0b,
                                 0x77,
                                 static_cast<std::uint8_t>(type << 6 | substream << 3 | size >> 8),
                                 static_cast<std::uint8_t>(size),
                                 static_cast<std::uint8_t>(blocks << 4 | 7 << 1 | 1),
                                 16 << 3};
  std::copy(std::begin(header), std::end(header), frame.begin());
  return frame;
}

Bytes MakeAc3Frame() {
  Bytes frame(768, 0x33);
  const std::uint8_t header[] = {0x0b, 0x77, 1, 2, 20, 8 << 3, 0x40};
  std::copy(std::begin(header), std::end(header), frame.begin());
  return frame;
}

Bytes Join(const std::vector<Bytes>& parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

using Unit = testing::SourceUnit;

std::vector<Unit> Contiguous(const std::vector<Bytes>& units, std::int64_t duration = kDuration) {
  return testing::Contiguous(units, duration);
}

PacketBlock Packets(const std::vector<Unit>& units, std::size_t packet_bytes = kPacket,
                    std::size_t* refused = nullptr) {
  return testing::PacketizeAll(testing::MakeTrack(Codec::kEac3, 0, 48000), packet_bytes, units,
                               refused);
}

std::vector<Bytes> FramesOf(const PacketBlock& block) {
  testing::Eac3Depacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  std::vector<Bytes> frames;
  for (auto& frame : receiver.frames) frames.push_back(std::move(frame.bytes));
  return frames;
}

TEST(Eac3, NamesItsRateAndItsChannelsWhereItKnowsThem) {
  Track track = testing::MakeTrack(Codec::kEac3, 0, 48000);
  track.channels = 6;
  EXPECT_EQ(kEac3Format.encoding(track), "eac3/48000/6");
  track.channels = 0;
  track.clock_rate = 44100;
  EXPECT_EQ(kEac3Format.encoding(track), "eac3/44100");
  EXPECT_EQ(kEac3Format.static_type, nullptr);
}

TEST(Eac3, CountsWholeFramesInItsHeader) {
  const Bytes first = MakeFrame(400, kIndependent, 0, 3, 1);
  const Bytes second = MakeFrame(500, kIndependent, 0, 3, 2);
  const PacketBlock block = Packets(Contiguous({first, second}));
  EXPECT_THAT(testing::Payloads(block), ElementsAre(Join({{0, 2}, first, second})));
  EXPECT_EQ(block.packets()[0].flags, kPacketMarker | kPacketUnitStart | kPacketRandomAccess);
}

TEST(Eac3, KeepsTheSubstreamsOfAUnitTogether) {
  struct Case {
    const char* what;
    std::vector<Bytes> frames;
  };
  const std::vector<Case> cases = {
      {"7.1", {MakeFrame(300), MakeFrame(200, kDependent)}},
      {"over an AC-3 core", {MakeAc3Frame(), MakeFrame(200, kDependent)}},
      {"two programs",
       {MakeFrame(300), MakeFrame(100, kDependent), MakeFrame(200, kIndependent, 1)}},
      {"a frame set of three",
       {MakeFrame(90, kIndependent, 0, 1), MakeFrame(92, kIndependent, 0, 1),
        MakeFrame(94, kIndependent, 0, 1)}},
  };
  for (const Case& c : cases) {
    std::size_t refused = 0;
    const PacketBlock block = Packets(Contiguous({Join(c.frames)}), kPacket, &refused);
    EXPECT_EQ(refused, 0u) << c.what;
    testing::Eac3Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_THAT(receiver.frames_per_packet, ElementsAre(c.frames.size())) << c.what;
    EXPECT_EQ(FramesOf(block), c.frames) << c.what;
  }
}

TEST(Eac3, GroupsFrameSetsWhileTheyFitAPacketAndATenthOfASecond) {
  struct Case {
    const char* what;
    Bytes unit;
    std::int64_t duration;
    std::size_t packet_bytes;
    std::vector<std::size_t> frames_per_packet;
  };
  const std::vector<Case> cases = {
      {"by time: 96 ms", MakeFrame(128), kDuration, kPacket, {3, 2}},
      {"by size: exactly full", MakeFrame(300), kDuration, 14 + 600, {2, 2, 1}},
      {"by size: a byte short", MakeFrame(300), kDuration, 14 + 599, {1, 1, 1, 1, 1}},
      {"parts of a frame set", MakeFrame(60, kIndependent, 0, 1), 512, kPacket, {1, 1, 1, 1, 1}},
      {"single blocks", MakeFrame(60, kIndependent, 0, 0), 256, kPacket, {1, 1, 1, 1, 1}},
      {"two substreams",
       Join({MakeFrame(128), MakeFrame(64, kDependent)}),
       kDuration,
       kPacket,
       {6, 4}},
  };
  for (const Case& c : cases) {
    const std::vector<Bytes> sent(5, c.unit);
    const PacketBlock block = Packets(Contiguous(sent, c.duration), c.packet_bytes);
    testing::Eac3Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_THAT(receiver.frames_per_packet, ElementsAreArray(c.frames_per_packet)) << c.what;
    EXPECT_EQ(Join(FramesOf(block)), Join(sent)) << c.what;
    EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.what;
  }
}

TEST(Eac3, EndsAGroupWhereTheTimesDoNotFollow) {
  const Bytes frame = MakeFrame(100);
  for (const std::int64_t pts : {1535, 1537, 0}) {
    EXPECT_EQ(Packets({{0, kDuration, frame}, {pts, kDuration, frame}}).packets().size(), 2u)
        << pts;
  }
}

TEST(Eac3, SendsALargeUnitFrameByFrameUnderOneTimestamp) {
  const std::vector<Bytes> frames = {MakeFrame(1000), MakeFrame(300, kDependent, 0),
                                     MakeFrame(3000, kIndependent, 1),
                                     MakeFrame(100, kDependent, 0)};
  const PacketBlock block = Packets({{77, kDuration, Join(frames)}});
  testing::Eac3Depacketizer receiver;
  ASSERT_EQ(Receive(block, &receiver), "");
  EXPECT_THAT(receiver.frames_per_packet, ElementsAre(2, 1));
  EXPECT_EQ(receiver.fragments, 3u);
  EXPECT_EQ(FramesOf(block), frames);
  std::vector<int> starts;
  for (const PacketEntry& entry : block.packets()) {
    EXPECT_EQ(entry.pts, 77);
    starts.push_back((entry.flags & kPacketRandomAccess) != 0);
  }
  EXPECT_THAT(starts, ElementsAre(1, 0, 0, 0, 0));
  EXPECT_EQ(testing::FindFault(block, kPacket), "");
}

TEST(Eac3, CutsAFrameIntoEqualFragments) {
  const Bytes frame = MakeFrame(4096, kIndependent, 0, 3, 9);
  const PacketBlock block = Packets(Contiguous({MakeFrame(100), frame, MakeFrame(102)}));
  EXPECT_THAT(testing::PacketLengths(block), ElementsAre(114, 1380, 1380, 1378, 116));
  EXPECT_EQ(FramesOf(block)[1], frame);
}

TEST(Eac3, SendsWhatIsWholeOfAMalformedUnit) {
  const Bytes good = MakeFrame(100), further = MakeFrame(60, kDependent);
  Bytes cut = further;
  cut.pop_back();
  Bytes no_sync = further;
  no_sync[0] = 0;
  Bytes reserved_type = further;
  reserved_type[2] |= 0xc0;
  Bytes reserved_rate = good;
  reserved_rate[4] |= 0xc0;
  Bytes newer = good;
  newer[5] = 17 << 3;
  struct Case {
    const char* what;
    Bytes unit;
    std::vector<Bytes> sent;
  };
  const std::vector<Case> cases = {
      {"empty", {}, {}},
      {"five bytes", {0x0b, 0x77, 0, 0, 0}, {}},
      {"cut off", Join({good, cut}), {good}},
      {"nothing but cut off", cut, {}},
      {"no sync word", Join({good, no_sync}), {good}},
      {"a byte behind it", Join({good, {0}}), {good}},
      {"a reserved type", Join({good, reserved_type}), {good}},
      {"a half rate", reserved_rate, {}},
      {"a newer syntax", newer, {}},
      {"larger than any", Bytes(kEac3UnitBytesMax + 1), {}},
  };
  for (const Case& c : cases) {
    std::size_t refused = 0;
    const PacketBlock block = Packets(Contiguous({good, c.unit, good}), kPacket, &refused);
    EXPECT_EQ(refused, 1u) << c.what;
    std::vector<Bytes> expected = {good};
    expected.insert(expected.end(), c.sent.begin(), c.sent.end());
    expected.push_back(good);
    EXPECT_EQ(FramesOf(block), expected) << c.what;
  }
}

TEST(Eac3, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t fragments = 0, groups = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? kPacket : 128 + random.Below(1300);
    std::vector<testing::Eac3Depacketizer::Frame> sent;
    std::vector<Unit> units;
    std::int64_t pts = 0;
    for (std::uint64_t i = 1 + random.Below(40); i-- > 0;) {
      std::vector<Bytes> frames;
      const auto blocks = static_cast<std::uint8_t>(random.Chance(0.7) ? 3 : random.Below(4));
      const std::size_t most = random.Chance(0.8) ? 300 : 2000;
      for (std::uint64_t n = 1 + random.Below(4); n-- > 0;) {
        const Type type = frames.empty() || random.Chance(0.3) ? kIndependent : kDependent;
        const auto substream = static_cast<std::uint8_t>(frames.empty() ? 0 : 1 + random.Below(7));
        Bytes frame = testing::RandomBytes(8 + 2 * random.Below(most), random);
        const Bytes header = MakeFrame(frame.size(), type, substream, blocks);
        std::copy(header.begin(), header.begin() + 6, frame.begin());
        frames.push_back(frame);
        sent.push_back({0, frame});
      }
      units.push_back({pts, kDuration, Join(frames)});
      pts += random.Chance(0.9) ? kDuration : static_cast<std::int64_t>(random.Below(5000));
    }
    std::size_t refused = 0;
    const PacketBlock block = Packets(units, packet_bytes, &refused);
    ASSERT_EQ(refused, 0u);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::Eac3Depacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    for (auto& frame : receiver.frames) frame.timestamp = 0;
    ASSERT_EQ(receiver.frames, sent) << "seed " << seed;
    fragments += receiver.fragments;
    for (const std::size_t count : receiver.frames_per_packet) groups += count > 1 ? 1 : 0;
  }
  EXPECT_GT(fragments, 100u);
  EXPECT_GT(groups, 100u);
}

}  // namespace
}  // namespace millrace
