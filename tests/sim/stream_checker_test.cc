#include "tests/sim/stream_checker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/random.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/test_sender.h"

namespace millrace::sim {
namespace {

constexpr Instant kAsked = SimClock::kStart + 1s;

SyntheticAsset Asset() {
  SyntheticAsset asset;
  asset.duration = 4s;
  asset.video->b_frames = 2;
  asset.video->slices = 2;
  return asset;
}

// One stream, sent well, then spoilt by `spoil`.
class StreamCheckerTest : public ::testing::Test {
 protected:
  StreamCheckerTest() : media_(Asset()) {}

  CheckerOptions OptionsFor(std::size_t track) const {
    CheckerOptions options;
    options.media = &media_;
    options.track = track;
    options.payload_type = static_cast<std::uint8_t>(96 + track);
    return options;
  }
  Segment SegmentFor(const TestSender& sender, Duration start) const {
    Segment segment;
    segment.start = start;
    segment.first_sequence = sender.sequence;
    const std::int64_t rate = sender.track == 0 ? 90000 : 48000;
    segment.rtptime =
        sender.base + static_cast<std::uint32_t>(start.count() * rate / 1'000'000'000);
    segment.asked = kAsked;
    return segment;
  }
  using Spoil = std::function<void(std::vector<RtpPacket>&)>;
  CheckReport Whole(std::size_t track, const Spoil& spoil, bool loss_allowed = false) {
    TestSender sender;
    sender.media = &media_;
    sender.track = track;
    CheckerOptions options = OptionsFor(track);
    options.loss_allowed = loss_allowed;
    StreamChecker checker(options);
    Segment segment = SegmentFor(sender, 0s);
    segment.to_the_end = true;
    checker.AddSegment(segment);
    auto packets = sender.Send(0, media_.unit_count(track), kAsked, 0s);
    if (spoil) spoil(packets);
    for (const RtpPacket& p : packets) checker.OnPacket(p.arrival, p.bytes);
    return checker.Verify();
  }
  // Some packet in the middle of everything that `fits`.
  static std::vector<RtpPacket>::iterator Middle(std::vector<RtpPacket>& packets) {
    return packets.begin() + static_cast<std::ptrdiff_t>(packets.size() / 2);
  }

  const SyntheticMedia media_;
};

TEST_F(StreamCheckerTest, FindsNothingWrongWithAGoodStream) {
  for (const std::size_t track : {0u, 1u}) {
    const CheckReport report = Whole(track, nullptr);
    EXPECT_TRUE(report.ok()) << report.Text();
    EXPECT_EQ(report.units_checked, media_.unit_count(track));
    EXPECT_EQ(report.packets_missing + report.units_missing + report.packets_repeated, 0u);
  }
}

TEST_F(StreamCheckerTest, DetectsEveryWayToSpoilOnePacket) {
  const std::pair<const char*, Spoil> kWays[] = {
      {"lost", [](auto& p) { p.erase(Middle(p)); }},
      {"lost at the end", [](auto& p) { p.pop_back(); }},
      {"lost at the start", [](auto& p) { p.erase(p.begin()); }},
      {"repeated", [](auto& p) { p.insert(Middle(p), *Middle(p)); }},
      {"swapped", [](auto& p) { std::swap(Middle(p)->bytes, (Middle(p) + 1)->bytes); }},
      {"altered", [](auto& p) { Middle(p)->bytes.back() ^= 1; }},
      {"cut short", [](auto& p) { Middle(p)->bytes.pop_back(); }},
      {"version", [](auto& p) { Middle(p)->bytes[0] = 0x40; }},
      {"padding", [](auto& p) { Middle(p)->bytes[0] |= 0x20; }},
      {"payload type", [](auto& p) { Middle(p)->bytes[1] ^= 2; }},
      {"marker", [](auto& p) { Middle(p)->bytes[1] ^= 0x80; }},
      {"timestamp", [](auto& p) { Middle(p)->bytes[7] ^= 1; }},
      {"ssrc", [](auto& p) { Middle(p)->bytes[11] ^= 1; }},
      {"too long", [](auto& p) { Middle(p)->bytes.resize(1401, 1); }},
      {"early", [](auto& p) { Middle(p)->arrival -= 50ms; }},
  };
  for (const auto& [name, spoil] : kWays) {
    for (const std::size_t track : {0u, 1u}) {
      EXPECT_FALSE(Whole(track, spoil).ok()) << name << ", track " << track;
    }
  }
}

TEST_F(StreamCheckerTest, DetectsAUnitLeftOutOrRepeatedUnderGoodSequenceNumbers) {
  TestSender sender;
  sender.media = &media_;
  for (const bool repeat : {false, true}) {
    StreamChecker checker(OptionsFor(0));
    checker.AddSegment(SegmentFor(sender, 0s));
    for (const auto& p : sender.Send(0, 40, kAsked, 0s)) checker.OnPacket(p.arrival, p.bytes);
    for (const auto& p : sender.Send(repeat ? 39 : 41, 60, kAsked, 0s)) {
      checker.OnPacket(p.arrival, p.bytes);
    }
    const CheckReport report = checker.Verify();
    EXPECT_FALSE(report.ok()) << repeat;
    EXPECT_EQ(report.units_missing, repeat ? 0u : 1u);
  }
}

TEST_F(StreamCheckerTest, DetectsABurstBeyondTheCap) {
  SyntheticAsset asset = Asset();
  asset.video->bit_rate = 8'000'000;  // key frames of a hundred packets
  const SyntheticMedia media(asset);
  for (const bool at_once : {false, true}) {
    TestSender sender;
    sender.media = &media;
    CheckerOptions options = OptionsFor(0);
    options.media = &media;
    StreamChecker checker(options);
    checker.AddSegment(SegmentFor(sender, 0s));
    for (const auto& p : sender.Send(0, 25, kAsked, 0s)) {
      const Instant unit_due = kAsked + media.TimeOf(0, -3600);
      const bool key = p.timestamp() == sender.base;
      checker.OnPacket(at_once && key ? unit_due : p.arrival, p.bytes);
    }
    EXPECT_EQ(checker.Verify().ok(), !at_once) << checker.Verify().Text();
  }
}

TEST_F(StreamCheckerTest, CountsLossWhereItIsAllowedButNeverForgivesAlteration) {
  SeededRandom random(4);
  const auto lose = [&random](std::vector<RtpPacket>& packets) {
    std::vector<RtpPacket> left;
    for (const auto& p : packets) {
      if (&p == &packets.front() || !random.Chance(0.05)) left.push_back(p);
      if (random.Chance(0.02)) left.push_back(left.back());
    }
    for (std::size_t i = 8; i < left.size(); i += 20) std::swap(left[i - 1], left[i]);
    packets = left;
  };
  for (const std::size_t track : {0u, 1u}) {
    const CheckReport report = Whole(track, lose, true);
    EXPECT_TRUE(report.ok()) << report.Text();
    EXPECT_GT(report.packets_missing, 0u);
    EXPECT_GT(report.packets_disordered, 0u);
    EXPECT_GT(report.units_missing, 0u);
    EXPECT_EQ(report.units_missing + report.units_checked, media_.unit_count(track));
    EXPECT_FALSE(Whole(
                     track, [](auto& p) { Middle(p)->bytes.back() ^= 1; }, true)
                     .ok());
    EXPECT_FALSE(Whole(
                     track, [](auto& p) { Middle(p)->arrival -= 50ms; }, true)
                     .ok());
  }
}

TEST_F(StreamCheckerTest, FollowsAPauseWithinAUnitAndASeek) {
  TestSender sender;
  sender.media = &media_;
  StreamChecker checker(OptionsFor(0));
  checker.AddSegment(SegmentFor(sender, 0s));
  auto packets = sender.Send(0, 30, kAsked, 0s);
  // Paused one packet before the end of unit 29, resumed ten seconds later.
  const std::size_t cut = packets.size() - 1;
  for (std::size_t i = 0; i < cut; ++i) checker.OnPacket(packets[i].arrival, packets[i].bytes);
  Segment resume = SegmentFor(sender, 1100ms);
  resume.from = Segment::From::kContinue;
  resume.first_sequence = packets[cut].sequence();
  resume.asked = kAsked + 10s;
  checker.AddSegment(resume);
  checker.OnPacket(kAsked + 11s, packets[cut].bytes);
  for (const auto& p : sender.Send(30, 40, kAsked + 11s, 1s)) checker.OnPacket(p.arrival, p.bytes);
  // A seek to 3.2 s starts at the key frame at 3 s; timestamps go on where they were.
  sender.base -= 90000;
  Segment seek = SegmentFor(sender, 3s);
  seek.asked = kAsked + 20s;
  seek.to_the_end = true;
  checker.AddSegment(seek);
  for (const auto& p : sender.Send(75, 100, kAsked + 20s, 3s)) checker.OnPacket(p.arrival, p.bytes);
  const CheckReport report = checker.Verify();
  EXPECT_TRUE(report.ok()) << report.Text();
  EXPECT_EQ(report.units_checked, 65u);
}

TEST_F(StreamCheckerTest, DetectsASeekThatLandsElsewhereOrBreaksTheNumbering) {
  const auto seek = [this](std::size_t first, std::uint32_t base_step, std::uint16_t skip,
                           std::uint32_t rtptime_off) {
    TestSender sender;
    sender.media = &media_;
    StreamChecker checker(OptionsFor(0));
    checker.AddSegment(SegmentFor(sender, 0s));
    for (const auto& p : sender.Send(0, 25, kAsked, 0s)) checker.OnPacket(p.arrival, p.bytes);
    sender.base += base_step;
    sender.sequence = static_cast<std::uint16_t>(sender.sequence + skip);
    Segment segment = SegmentFor(sender, 3s);
    segment.asked = kAsked + 5s;
    *segment.rtptime += rtptime_off;
    checker.AddSegment(segment);
    for (const auto& p : sender.Send(first, 100, kAsked + 5s, 3s)) {
      checker.OnPacket(p.arrival, p.bytes);
    }
    return checker.Verify();
  };
  const std::uint32_t on = static_cast<std::uint32_t>(-180000);
  EXPECT_TRUE(seek(75, on, 0, 0).ok()) << seek(75, on, 0, 0).Text();
  EXPECT_FALSE(seek(76, on, 0, 0).ok()) << "not at a key frame";
  EXPECT_FALSE(seek(50, on, 0, 0).ok()) << "a key frame too early";
  EXPECT_FALSE(seek(75, static_cast<std::uint32_t>(-300000), 0, 0).ok()) << "timestamps go back";
  EXPECT_FALSE(seek(75, 13 * 3600 * 90000u, 0, 0).ok()) << "timestamps leap";
  EXPECT_FALSE(seek(75, on, 3, 0).ok()) << "sequence numbers leap";
  EXPECT_FALSE(seek(75, on, 0, 4000).ok()) << "rtptime is another packet's";
}

TEST_F(StreamCheckerTest, HoldsARangeToItsEnd) {
  const auto range = [this](std::size_t end_unit) {
    TestSender sender;
    sender.media = &media_;
    sender.track = 1;
    StreamChecker checker(OptionsFor(1));
    Segment segment = SegmentFor(sender, 0s);
    segment.end = 1s;  // between frames 46 and 47
    segment.to_the_end = true;
    checker.AddSegment(segment);
    sender.frames_per_packet = 1;
    for (const auto& p : sender.Send(0, end_unit, kAsked, 0s)) checker.OnPacket(p.arrival, p.bytes);
    return checker.Verify();
  };
  EXPECT_TRUE(range(47).ok()) << range(47).Text();
  EXPECT_FALSE(range(46).ok());
  EXPECT_FALSE(range(48).ok());
}

TEST_F(StreamCheckerTest, MissesAWholeSegmentThatNeverCame) {
  StreamChecker checker(OptionsFor(0));
  TestSender sender;
  sender.media = &media_;
  Segment segment = SegmentFor(sender, 0s);
  segment.to_the_end = true;
  checker.AddSegment(segment);
  const CheckReport report = checker.Verify();
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.units_missing, media_.unit_count(0));
}

TEST(RtpReader, NamesWhatIsWrongWithAPayload) {
  const auto h264 = [](std::vector<Bytes> payloads) {
    H264Assembler assembler;
    std::optional<std::string> fault;
    for (const Bytes& p : payloads) {
      if (!fault) fault = assembler.Add(p);
    }
    return fault.value_or("");
  };
  EXPECT_EQ(h264({{0x65, 1}, {0x7c, 0x85, 1}, {0x7c, 0x05, 2}, {0x7c, 0x45, 3}}), "");
  EXPECT_NE(h264({{0x7c, 0xc5, 1}}), "") << "S and E";
  EXPECT_NE(h264({{0x7c, 0xa5, 1}}), "") << "R";
  EXPECT_NE(h264({{0x7c, 0x05, 1}}), "") << "no start";
  EXPECT_NE(h264({{0x7c, 0x85, 1}, {0x65, 1}}), "") << "left unfinished";
  EXPECT_NE(h264({{0x7c, 0x85, 1}, {0x5c, 0x45, 1}}), "") << "NRI changes";
  EXPECT_NE(h264({{0x78, 0, 3, 0x65, 1}}), "") << "STAP-A too short";
  EXPECT_NE(h264({{0x18, 0, 2, 0x65, 1}}), "") << "STAP-A with too small an NRI";
  EXPECT_NE(h264({{0x79, 0, 0, 0, 1, 0x65}}), "") << "STAP-B";

  const auto aac = [](std::vector<Bytes> payloads, std::size_t frames_expected) {
    AacAssembler assembler;
    std::vector<Bytes> frames;
    for (const Bytes& p : payloads) {
      if (const auto fault = assembler.Add(p, &frames)) return *fault;
    }
    EXPECT_EQ(frames.size(), frames_expected);
    return std::string();
  };
  EXPECT_EQ(aac({{0, 32, 0, 16, 0, 8, 1, 2, 3}}, 2), "");
  EXPECT_EQ(aac({{0, 16, 0, 32, 1, 2}, {0, 16, 0, 32, 3, 4}}, 1), "") << "two fragments";
  EXPECT_NE(aac({{0, 32, 0, 16, 0, 8, 1, 2, 3, 4}}, 0), "") << "too long";
  EXPECT_NE(aac({{0, 16, 0, 17, 1, 2}}, 0), "") << "index";
  EXPECT_NE(aac({{0, 2, 0, 16, 1, 2}}, 0), "") << "bits";
  EXPECT_NE(aac({{0, 16, 0, 32, 1, 2}, {0, 16, 0, 40, 3, 4}}, 0), "") << "sizes differ";
}

}  // namespace
}  // namespace millrace::sim
