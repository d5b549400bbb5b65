#include "rtp/payload/aac_latm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/media/latm_testing.h"
#include "tests/rtp/aac_latm_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using testing::AacConfig;
using ::testing::ElementsAre;
using testing::LatmKind;
using testing::MakeLatm;
using ::testing::StartsWith;

constexpr std::size_t kPacket = 1400;
constexpr std::size_t kRoom = kPacket - kRtpHeaderBytes;
constexpr std::int64_t kDuration = 1024;

Track MakeLatmTrack(const AacConfig& config = {}, std::uint32_t clock_rate = 44100,
                    std::uint32_t channels = 2) {
  Track track = testing::MakeTrack(Codec::kAacLatm, 0, clock_rate);
  track.channels = channels;
  track.config = testing::ConfigBytes(config);
  return track;
}

PacketBlock Packets(const std::vector<Bytes>& elements, std::size_t packet_bytes = kPacket,
                    std::size_t* refused = nullptr, const Track& track = MakeLatmTrack()) {
  const auto packetizer = kAacLatmFormat.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::int64_t pts = 0;
  for (const Bytes& element : elements) {
    const bool taken = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = kDuration, .random_access = true, .data = element},
        builder);
    if (!taken && refused != nullptr) ++*refused;
    pts += kDuration;
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

std::string Receive(const PacketBlock& block, testing::AacLatmDepacketizer* receiver) {
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const auto view = PacketView::Parse(block.packet(i));
    if (!view) return "malformed";
    std::string fault = receiver->Add(view->payload, view->marker, view->timestamp);
    if (!fault.empty()) return fault;
  }
  return receiver->open() ? "the last frame was not finished" : "";
}

TEST(AacLatm, DescribesItself) {
  const Track track = MakeLatmTrack();
  EXPECT_EQ(kAacLatmFormat.encoding(track), "MP4A-LATM/44100/2");
  // 0 1 000000 0000 000, LC 44.1 kHz stereo in 16 bits, 000 11111111 0 0.
  EXPECT_EQ(kAacLatmFormat.parameters(track), "profile-level-id=41;cpresent=0;config=400024203FC0");
  EXPECT_EQ(kAacLatmFormat.static_type, nullptr);
  EXPECT_EQ(kAacLatmFormat.encoding(MakeLatmTrack({}, 48000, 0)), "MP4A-LATM/48000/1");
  // Nothing of a configuration that it cannot write.
  EXPECT_EQ(kAacLatmFormat.parameters(MakeLatmTrack({.channels = 0})),
            "profile-level-id=1;cpresent=0;config=");
}

TEST(AacLatm, WritesAConfigurationOfEveryKind) {
  const std::vector<AacConfig> configs = {
      {},
      {.channels = 1, .short_frames = true},
      {.rate_index = 15, .rate = 44000},
      {.rate_index = 6, .sbr_type = 5},
      {.rate_index = 6, .channels = 1, .sbr_type = 29},
      {.type = 4, .channels = 6},
  };
  for (const AacConfig& config : configs) {
    const std::string parameters = kAacLatmFormat.parameters(MakeLatmTrack(config));
    const std::string hex = parameters.substr(parameters.find("config=") + 7);
    Bytes bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      bytes.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    testing::AacLatmDepacketizer receiver;
    EXPECT_EQ(receiver.SetConfig(bytes), "") << hex;
    EXPECT_EQ(receiver.config, testing::ConfigBytes(config)) << hex;
  }
}

TEST(AacLatm, PutsAFrameBehindItsLength) {
  const PacketBlock block =
      Packets({MakeLatm({}, Bytes(3, 7)), MakeLatm({.as_before = true}, Bytes(255, 8))});
  Bytes second(257, 8);
  second[0] = 255;
  second[1] = 0;
  EXPECT_THAT(testing::Payloads(block), ElementsAre(Bytes{3, 7, 7, 7}, second));
  for (const PacketEntry& entry : block.packets()) {
    EXPECT_EQ(entry.flags, kPacketMarker | kPacketUnitStart | kPacketRandomAccess);
  }
  EXPECT_EQ(testing::FindFault(block, kPacket), "");
}

TEST(AacLatm, LeavesOutAllButTheFrame) {
  const Bytes frame(600, 9);
  for (const LatmKind& kind :
       {LatmKind{}, LatmKind{.as_before = true}, LatmKind{.other_data = true},
        LatmKind{.version_1 = true, .fill_bits = 5, .other_data = true, .checksum = true}}) {
    testing::AacLatmDepacketizer receiver;
    EXPECT_EQ(Receive(Packets({MakeLatm(kind, frame)}), &receiver), "");
    EXPECT_THAT(receiver.frames, ElementsAre(frame));
  }
}

TEST(AacLatm, CutsAnElementThatIsLargerThanAPacket) {
  struct Case {
    std::size_t frame_bytes, packet_bytes;
    std::vector<std::size_t> payloads;
  };
  const std::vector<Case> cases = {
      {kRoom - 6, kPacket, {kRoom}},
      {kRoom - 5, kPacket, {695, 694}},
      {2 * kRoom - 11, kPacket, {kRoom, kRoom}},
      {2 * kRoom - 10, kPacket, {926, 926, 925}},
      {200, 128, {101, 100}},
  };
  for (const Case& c : cases) {
    const Bytes frame(c.frame_bytes, 3);
    const PacketBlock block = Packets({MakeLatm({}, frame)}, c.packet_bytes);
    std::vector<std::size_t> payloads;
    for (const Bytes& payload : testing::Payloads(block)) payloads.push_back(payload.size());
    EXPECT_EQ(payloads, c.payloads) << c.frame_bytes;
    testing::AacLatmDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.frame_bytes;
    EXPECT_THAT(receiver.frames, ElementsAre(frame)) << c.frame_bytes;
    EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.frame_bytes;
  }
}

TEST(AacLatm, RefusesWhatAReceiverCouldNotUse) {
  struct Case {
    const char* what;
    Bytes data;
  };
  const std::vector<Case> cases = {
      {"empty", {}},
      {"no frame", MakeLatm({}, {})},
      {"another configuration", MakeLatm({.config = {.channels = 1}}, Bytes(100, 1))},
      {"two frames", MakeLatm({.more_frames = 1}, Bytes(100, 1))},
      {"larger than any", MakeLatm({}, Bytes(8192, 1))},
  };
  const Bytes frame(50, 4);
  for (const Case& c : cases) {
    std::size_t refused = 0;
    const PacketBlock block =
        Packets({MakeLatm({}, frame), c.data, MakeLatm({}, frame)}, kPacket, &refused);
    EXPECT_EQ(refused, 1u) << c.what;
    testing::AacLatmDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_THAT(receiver.frames, ElementsAre(frame, frame)) << c.what;
  }
  testing::AacLatmDepacketizer receiver;
  EXPECT_EQ(Receive(Packets({MakeLatm({}, Bytes(8191, 1))}), &receiver), "");
  EXPECT_EQ(receiver.frames.size(), 1u);
}

TEST(AacLatm, SendsNothingThatIsAsBeforeUnderAnotherConfiguration) {
  const Bytes frame(50, 4), foreign(60, 5);
  const LatmKind other = {.config = {.channels = 1}}, as_before = {.as_before = true};
  std::size_t refused = 0;
  const PacketBlock block =
      Packets({MakeLatm(as_before, frame), MakeLatm(other, foreign), MakeLatm(as_before, foreign),
               MakeLatm(as_before, foreign), MakeLatm({}, frame), MakeLatm(as_before, frame)},
              kPacket, &refused);
  EXPECT_EQ(refused, 3u);
  testing::AacLatmDepacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  EXPECT_THAT(receiver.frames, ElementsAre(frame, frame, frame));
}

TEST(AacLatm, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t cut = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? kPacket : 128 + random.Below(1300);
    std::vector<Bytes> sent, elements;
    for (std::uint64_t i = 1 + random.Below(40); i-- > 0;) {
      sent.push_back(testing::RandomBytes(1 + random.Below(3000), random));
      elements.push_back(MakeLatm({.as_before = random.Chance(0.5),
                                   .version_1 = random.Chance(0.5),
                                   .fill_bits = static_cast<std::uint32_t>(random.Below(30)),
                                   .other_data = random.Chance(0.3),
                                   .checksum = random.Chance(0.3)},
                                  sent.back()));
    }
    const PacketBlock block = Packets(elements, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::AacLatmDepacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.frames, sent) << "seed " << seed;
    for (const std::size_t count : receiver.packets_per_frame) cut += count > 1 ? 1 : 0;
  }
  EXPECT_GT(cut, 100u);
}

}  // namespace
}  // namespace millrace
