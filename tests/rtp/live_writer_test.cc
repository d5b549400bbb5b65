#include "rtp/live_writer.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rtp/rtcp.h"
#include "tests/rtp/live_testing.h"

namespace millrace {
namespace {

using testing::FindSequenceGap;
using testing::IdRange;
using testing::IdsOf;
using testing::LivePayload;
using testing::LiveWorld;
using testing::ReadLivePacket;
using testing::SeenPacket;
using testing::TestDescription;
using testing::TestPublisher;

// What any reader could see of a stream now.
std::vector<SeenPacket> ReadLog(const LiveRef& live, std::size_t stream = 0) {
  const LogReader reader(&live->stream(stream).log);
  std::vector<SeenPacket> packets;
  for (std::uint64_t p = reader.first(); p < reader.tail(); ++p) {
    const LogChunk* const chunk = reader.Find(p, nullptr);
    const std::size_t i = p - chunk->first;
    const PacketEntry& entry = chunk->packets[i];
    packets.push_back(
        ReadLivePacket({chunk->bytes.data() + entry.offset, entry.length}, chunk->TimeOf(i)));
    EXPECT_EQ(packets.back().timestamp, static_cast<std::uint32_t>(entry.pts));
  }
  return packets;
}

std::vector<std::uint16_t> FlagsOf(const LiveRef& live, std::size_t stream = 0) {
  const LogReader reader(&live->stream(stream).log);
  std::vector<std::uint16_t> flags;
  for (std::uint64_t p = reader.first(); p < reader.tail(); ++p) {
    const LogChunk* const chunk = reader.Find(p, nullptr);
    flags.push_back(chunk->packets[p - chunk->first].flags);
  }
  return flags;
}

std::uint64_t AccessOf(const LiveRef& live, std::size_t stream = 0) {
  return LogReader(&live->stream(stream).log).access();
}

class LiveWriterTest : public ::testing::Test {
 protected:
  void Begin(const LiveDescription& description = TestDescription(),
             const LiveOptions& options = {}) {
    world_.emplace(options);
    publisher_.emplace(&*world_, world_->Publish(description));
    live_ = publisher_->ticket.live;
  }
  ~LiveWriterTest() override {
    publisher_.reset();
    next_.reset();
    live_.reset();
  }

  // The path is held, and somebody else comes to it `later`.
  TestPublisher& Return(Duration later, std::uint32_t first_id) {
    publisher_->Leave();
    world_->Run(later);
    next_.emplace(&*world_, world_->Publish(live_->description()),
                  TestPublisher::Numbering{0x9999, 7, 1'000'000, first_id});
    EXPECT_EQ(next_->ticket.live, live_);
    return *next_;
  }
  static LiveOptions Hold() {
    LiveOptions options;
    options.hold = 60s;
    return options;
  }

  std::optional<LiveWorld> world_;
  std::optional<TestPublisher> publisher_, next_;
  LiveRef live_;
};

// --- Frames

TEST_F(LiveWriterTest, AFrameIsShownAtItsMarkerWithTheSameTick) {
  Begin();
  publisher_->Frame(true, 4);
  EXPECT_TRUE(ReadLog(live_).empty()) << "not before the tick";
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(ReadLog(live_)), IdRange(0, 4));
  EXPECT_EQ(FlagsOf(live_), (std::vector<std::uint16_t>{kPacketUnitStart, 0, 0, kPacketMarker}));
}

TEST_F(LiveWriterTest, AFrameThatIsStillComingIsShownFourMillisecondsAfterItsFirstPacket) {
  Begin();
  publisher_->Frame(true, 3, /*end=*/false);
  world_->Tick(world_->now());
  world_->Run(3ms);
  EXPECT_TRUE(ReadLog(live_).empty());
  world_->Run(1ms);
  EXPECT_EQ(IdsOf(ReadLog(live_)), IdRange(0, 3));
  publisher_->Frame(true, 2, /*end=*/false);  // its rest is late too
  world_->Tick(world_->now());
  world_->Run(3ms);
  EXPECT_EQ(ReadLog(live_).size(), 3u);
  world_->Run(1ms);
  EXPECT_EQ(ReadLog(live_).size(), 5u);
}

TEST_F(LiveWriterTest, AFrameWithoutAMarkerEndsWhereTheNextTimestampBegins) {
  Begin();
  publisher_->Frame(true, 3, /*end=*/false);
  publisher_->timestamp += 3600;
  publisher_->Frame(false, 1, /*end=*/false);
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(ReadLog(live_)), IdRange(0, 3));
  EXPECT_EQ(FlagsOf(live_), (std::vector<std::uint16_t>{kPacketUnitStart, 0, 0}));
}

TEST_F(LiveWriterTest, PacketsOfOtherMediaAreWholeByThemselves) {
  Begin(TestDescription(/*audio=*/true));
  publisher_->Audio();
  publisher_->Audio();
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(ReadLog(live_, 1)), IdRange(0, 2));
  EXPECT_EQ(FlagsOf(live_, 1), (std::vector<std::uint16_t>{kPacketUnitStart, kPacketUnitStart}));
}

TEST_F(LiveWriterTest, WhoLeavesInTheMidstOfAFrameLeavesItsPacketsBehind) {
  Begin(TestDescription(), Hold());
  publisher_->Frame(true, 3, /*end=*/false);
  publisher_->Leave();
  EXPECT_EQ(IdsOf(ReadLog(live_)), IdRange(0, 3));
  EXPECT_EQ(AccessOf(live_), PacketLog::kNone) << "nobody joins at the frames of one who is gone";
}

// --- Numbers

TEST_F(LiveWriterTest, ItsPacketsGetThePresentationsNumbersAndKeepTheirGaps) {
  Begin();
  std::vector<std::uint16_t> steps;
  std::uint16_t last = publisher_->sequence;
  for (int i = 0; i < 20; ++i) {
    publisher_->sequence += static_cast<std::uint16_t>(i % 4);  // lost on his way
    steps.push_back(static_cast<std::uint16_t>(publisher_->sequence - last));
    last = publisher_->sequence;
    publisher_->Frame(i == 0);
    publisher_->timestamp += 3600;
    world_->Run(40ms);
  }
  const std::vector<SeenPacket> seen = ReadLog(live_);
  ASSERT_EQ(seen.size(), 20u);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].ssrc, live_->stream(0).ssrc);
    if (i == 0) continue;
    EXPECT_EQ(static_cast<std::uint16_t>(seen[i].sequence - seen[i - 1].sequence), steps[i]);
    EXPECT_EQ(seen[i].timestamp - seen[i - 1].timestamp, 3600u);
  }
}

TEST_F(LiveWriterTest, ATimestampThatStepsBackKeepsItsDistance) {
  Begin();
  publisher_->Frame(true);
  publisher_->timestamp += 10800;
  publisher_->Frame(false);
  publisher_->timestamp -= 7200;  // a B picture
  publisher_->Frame(false);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = ReadLog(live_);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[1].timestamp - seen[0].timestamp, 10800u);
  EXPECT_EQ(seen[2].timestamp - seen[0].timestamp, 3600u);
}

// --- Oversize packets

TEST_F(LiveWriterTest, APacketThatIsTooLargeIsSplitAndTheNumbersGoOn) {
  Begin();
  publisher_->Frame(true, 1);
  publisher_->timestamp += 3600;
  publisher_->Frame(false, 2, true, 5000);
  publisher_->timestamp += 3600;
  publisher_->Frame(false, 1);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = ReadLog(live_);
  ASSERT_EQ(seen.size(), 10u);  // 1 + 2 * 4 + 1
  EXPECT_EQ(FindSequenceGap(seen), "");
  std::size_t bytes = 0;
  for (std::size_t i = 1; i <= 8; ++i) {
    EXPECT_LE(seen[i].bytes, kLivePacketBytesMax);
    EXPECT_EQ(seen[i].timestamp, seen[0].timestamp + 3600);
    EXPECT_EQ(seen[i].ssrc, live_->stream(0).ssrc);
    bytes += seen[i].bytes - kRtpHeaderBytes - 2;
  }
  EXPECT_EQ(bytes, 2u * 4999);
  const std::vector<std::uint16_t> flags = FlagsOf(live_);
  EXPECT_EQ(flags[1], kPacketUnitStart);
  EXPECT_EQ(flags[5], 0u) << "the second packet of the same picture";
  EXPECT_EQ(flags[7], 0u);
  EXPECT_EQ(flags[8], kPacketMarker);
}

TEST_F(LiveWriterTest, AGapBehindASplitPacketStaysAsLargeAsItWas) {
  Begin();
  publisher_->Frame(true, 1, true, 3000);
  publisher_->sequence += 2;
  publisher_->timestamp += 3600;
  publisher_->Frame(false);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = ReadLog(live_);
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(static_cast<std::uint16_t>(seen[3].sequence - seen[2].sequence), 3u);
}

TEST_F(LiveWriterTest, WhatCannotBeSplitPassesAsItIs) {
  Begin(TestDescription(false, /*known_video=*/false));
  publisher_->Frame(true, 1, true, 60'000);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = ReadLog(live_);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].bytes, 60'000 + kRtpHeaderBytes);
}

// --- Access points

TEST_F(LiveWriterTest, TheNewestKeyFrameIsTheAccessPoint) {
  Begin();
  publisher_->Film(10, /*gop=*/4, /*packets=*/3);
  EXPECT_EQ(AccessOf(live_), 24u);  // frame 8
}

TEST_F(LiveWriterTest, WithoutAKeyFrameThereIsNoAccessPoint) {
  Begin();
  for (int i = 0; i < 5; ++i) publisher_->Frame(false);
  world_->Tick(world_->now());
  EXPECT_EQ(AccessOf(live_), PacketLog::kNone);
}

TEST_F(LiveWriterTest, AKeyFramesLaterSlicesDoNotMoveItsAccessPoint) {
  Begin();
  publisher_->Frame(false);
  publisher_->timestamp += 3600;
  publisher_->Send(LivePayload(1, false, 50), false);  // what precedes the first IDR slice
  publisher_->Send(LivePayload(2, true, 50), false);
  publisher_->Send(LivePayload(3, true, 50), true);
  world_->Tick(world_->now());
  EXPECT_EQ(AccessOf(live_), 1u) << "the whole unit's first packet";
}

TEST_F(LiveWriterTest, OtherStreamsStartAtTheLastPacketBeforeTheKeyFrame) {
  Begin(TestDescription(/*audio=*/true));
  for (int i = 0; i < 3; ++i) publisher_->Audio();
  publisher_->Frame(true);
  for (int i = 0; i < 4; ++i) publisher_->Audio();
  world_->Tick(world_->now());
  EXPECT_EQ(AccessOf(live_, 0), 0u);
  EXPECT_EQ(AccessOf(live_, 1), 2u);
}

TEST_F(LiveWriterTest, AStreamThatBeginsAfterTheKeyFrameStartsAtItsFirstPacket) {
  Begin(TestDescription(/*audio=*/true));
  publisher_->Frame(true);
  world_->Tick(world_->now());
  EXPECT_EQ(AccessOf(live_, 1), PacketLog::kNone);
  for (int i = 0; i < 3; ++i) publisher_->Audio();
  world_->Tick(world_->now());
  EXPECT_EQ(AccessOf(live_, 1), 0u);
}

TEST_F(LiveWriterTest, ParameterSetsOfTheStreamAreKeptOncePerChange) {
  Begin();
  const Bytes sps = {0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8};
  const Bytes pps = {0x68, 0xce, 0x3c, 0x80};
  const std::uint64_t before = live_->described().version;
  for (int i = 0; i < 3; ++i) {
    publisher_->Send(sps, false);
    publisher_->Send(pps, false);
    publisher_->Frame(true);
    const LivePresentation::Described described = live_->described();
    ASSERT_EQ(described.sets.size(), 1u);
    EXPECT_EQ(described.sets[0].sps, std::vector<Bytes>{sps});
    EXPECT_EQ(described.sets[0].pps, std::vector<Bytes>{pps});
    EXPECT_EQ(described.version, before + 2);
  }
}

// --- The next publisher

TEST_F(LiveWriterTest, TheNextPublisherGoesOnWhereTheFirstStopped) {
  Begin(TestDescription(), Hold());
  publisher_->Film(25);
  const SeenPacket last = ReadLog(live_).back();
  TestPublisher& next = Return(3s, 1000);
  next.Frame(true, 2);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = ReadLog(live_);
  ASSERT_EQ(seen.size(), 52u);
  EXPECT_EQ(FindSequenceGap(seen), "");
  EXPECT_EQ(seen[50].id, 1000u);
  EXPECT_EQ(seen[50].ssrc, last.ssrc);
  EXPECT_EQ(seen[50].timestamp - last.timestamp,
            static_cast<std::uint32_t>(90 * ((world_->now() - last.at) / 1ms)));
  EXPECT_EQ(seen[51].timestamp, seen[50].timestamp);
  EXPECT_EQ(AccessOf(live_), 50u);
}

TEST_F(LiveWriterTest, TheNextPublisherStartsAtAKeyFrame) {
  Begin(TestDescription(), Hold());
  publisher_->Film(5);
  TestPublisher& next = Return(1s, 1000);
  for (int i = 0; i < 3; ++i) {
    next.Frame(false, 2);
    next.timestamp += 3600;
    world_->Run(40ms);
  }
  EXPECT_EQ(ReadLog(live_).size(), 10u);
  EXPECT_EQ(world_->counters().live_packets_dropped.Get(), 6u);
  next.Frame(true, 2);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = ReadLog(live_);
  ASSERT_EQ(seen.size(), 12u);
  EXPECT_EQ(seen[10].id, 1006u);
  EXPECT_EQ(FindSequenceGap(seen), "") << "what was dropped before it is no loss of readers";
}

TEST_F(LiveWriterTest, WhatPrecedesTheKeyFramesFirstSliceIsPartOfIt) {
  Begin(TestDescription(), Hold());
  publisher_->Film(5);
  TestPublisher& next = Return(1s, 1000);
  next.Frame(false, 2, /*end=*/false);
  next.timestamp += 3600;
  next.Send(LivePayload(2000, false, 50), false);
  next.Send(LivePayload(2001, false, 50), false);
  next.Send(LivePayload(2002, true, 50), false);
  next.Send(LivePayload(2003, true, 50), true);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = ReadLog(live_);
  ASSERT_EQ(seen.size(), 14u);
  for (std::uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(seen[10 + i].id, 2000 + i);
    EXPECT_EQ(seen[10 + i].timestamp, seen[10].timestamp);
  }
  EXPECT_EQ(FindSequenceGap(seen), "");
  EXPECT_EQ(AccessOf(live_), 10u);
}

TEST_F(LiveWriterTest, TheNextPublisherWithoutKeyFramesIsTakenAfterTenSeconds) {
  Begin(TestDescription(), Hold());
  publisher_->Film(2);
  TestPublisher& next = Return(1s, 1000);
  const Instant begun = world_->now();
  while (ReadLog(live_).size() == 4) {
    ASSERT_LT(world_->now() - begun, 11s);
    next.Frame(false);
    next.timestamp += 3600;
    world_->Run(40ms);
  }
  EXPECT_GE(ReadLog(live_)[4].at - begun, 10s);
}

TEST_F(LiveWriterTest, TwoUnitsNeverShareATimestampAcrossPublishers) {
  Begin(TestDescription(), Hold());
  publisher_->Frame(true);
  world_->Tick(world_->now());
  TestPublisher& next = Return(0s, 1000);
  next.Frame(true);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = ReadLog(live_);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].timestamp - seen[0].timestamp, 1u);
  EXPECT_EQ(FlagsOf(live_)[1], kPacketUnitStart | kPacketMarker);
}

TEST_F(LiveWriterTest, NumbersGoOnBehindASplitPacketToo) {
  Begin(TestDescription(), Hold());
  publisher_->Frame(true, 1, true, 5000);
  world_->Tick(world_->now());
  TestPublisher& next = Return(10ms, 1000);
  next.Frame(true);
  world_->Tick(world_->now());
  EXPECT_EQ(ReadLog(live_).size(), 5u);
  EXPECT_EQ(FindSequenceGap(ReadLog(live_)), "");
}

TEST_F(LiveWriterTest, UntilTheFirstHasLetGoTheSecondsPacketsAreDropped) {
  LiveOptions options;
  options.takeover = true;
  Begin(TestDescription(), options);
  publisher_->Frame(true);
  world_->Tick(world_->now());
  next_.emplace(&*world_, world_->Publish(TestDescription()),
                TestPublisher::Numbering{0x9999, 7, 1'000'000, 1000});
  next_->Frame(true);
  world_->Tick(world_->now());
  EXPECT_EQ(world_->at().evicted, std::vector<std::uint64_t>{publisher_->ticket.id});
  EXPECT_EQ(ReadLog(live_).size(), 1u);
  EXPECT_EQ(world_->counters().live_packets_dropped.Get(), 1u);
  publisher_->Leave();
  next_->timestamp += 3600;
  next_->Frame(true);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = ReadLog(live_);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].id, 1001u);
  EXPECT_EQ(FindSequenceGap(seen), "");
  EXPECT_FALSE(live_->ended());
}

// --- The clock

rtcp::SenderInfo Report(const TestPublisher& publisher, std::uint64_t ntp, std::uint32_t rtp) {
  rtcp::SenderInfo info;
  info.ssrc = publisher.ssrc;
  info.ntp = ntp;
  info.rtp_timestamp = rtp;
  return info;
}

TEST_F(LiveWriterTest, WithoutASenderReportTheArrivalOfTheFirstPacketIsTheClock) {
  Begin();
  EXPECT_EQ(live_->stream(0).clock.Read().valid, 0u);
  publisher_->Frame(true);
  world_->Tick(world_->now());
  const ClockMapping clock = live_->stream(0).clock.Read();
  EXPECT_EQ(clock.valid, 1u);
  EXPECT_EQ(clock.at, world_->now());
  EXPECT_EQ(clock.ntp, rtcp::NtpFromWall(world_->clock.Wall()));
  EXPECT_EQ(clock.rtp_timestamp, ReadLog(live_)[0].timestamp);
}

TEST_F(LiveWriterTest, ASenderReportMapsOurTimestampsToThePublishersClock) {
  Begin();
  publisher_->Film(3);
  const Instant at = world_->now();
  publisher_->writer->OnSenderReport(
      0, Report(*publisher_, 0x1122334455667788, publisher_->timestamp + 450), at);
  const ClockMapping clock = live_->stream(0).clock.Read();
  EXPECT_EQ(clock.ntp, 0x1122334455667788u);
  EXPECT_EQ(clock.at, at);
  // The next frame's timestamp is 450 before the report's.
  publisher_->Frame(false);
  world_->Tick(world_->now());
  EXPECT_EQ(clock.rtp_timestamp - ReadLog(live_).back().timestamp, 450u);
}

TEST_F(LiveWriterTest, ASenderReportBeforeTheFirstPacketCountsWhenThatComes) {
  Begin();
  const Instant at = world_->now();
  publisher_->writer->OnSenderReport(0, Report(*publisher_, 42, publisher_->timestamp - 900), at);
  EXPECT_EQ(live_->stream(0).clock.Read().valid, 0u) << "ours are not known yet";
  world_->Run(20ms);
  publisher_->Frame(true);
  world_->Tick(world_->now());
  const ClockMapping clock = live_->stream(0).clock.Read();
  EXPECT_EQ(clock.ntp, 42u);
  EXPECT_EQ(clock.at, at);
  EXPECT_EQ(ReadLog(live_)[0].timestamp - clock.rtp_timestamp, 900u);
}

TEST_F(LiveWriterTest, AnEarlySenderReportOfAnotherSourceIsForgotten) {
  Begin();
  rtcp::SenderInfo info = Report(*publisher_, 42, 43);
  info.ssrc ^= 1;
  publisher_->writer->OnSenderReport(0, info, world_->now());
  publisher_->Frame(true);
  EXPECT_EQ(live_->stream(0).clock.Read().ntp, rtcp::NtpFromWall(world_->clock.Wall()));
}

TEST_F(LiveWriterTest, TheNextPublishersReportsMapTheSameTimestamps) {
  Begin(TestDescription(), Hold());
  publisher_->Film(3);
  TestPublisher& next = Return(1s, 1000);
  next.writer->OnSenderReport(0, Report(next, 77, next.timestamp + 90), world_->now());
  next.Frame(true);
  world_->Tick(world_->now());
  const ClockMapping clock = live_->stream(0).clock.Read();
  EXPECT_EQ(clock.ntp, 77u);
  EXPECT_EQ(clock.rtp_timestamp - ReadLog(live_).back().timestamp, 90u);
}

// --- Nothing is left

TEST_F(LiveWriterTest, AWriterThatGoesBeforeItsTickIsNotAskedToCommit) {
  Begin(TestDescription(), Hold());
  publisher_->Frame(true, 2, /*end=*/false);  // in the pacer
  publisher_->Frame(true);                    // and in the hub's list
  EXPECT_TRUE(world_->at().hub.dirty());
  publisher_->Leave();
  EXPECT_FALSE(world_->at().hub.dirty());
  world_->Run(10ms);
  EXPECT_EQ(ReadLog(live_).size(), 3u);
}

TEST_F(LiveWriterTest, WhatWasHeldForNobodyEndsAndGivesItsMemoryBack) {
  LiveOptions options;
  options.hold = 5s;
  Begin(TestDescription(/*audio=*/true), options);
  publisher_->Film(50);
  publisher_->Leave();
  world_->Run(4900ms);
  EXPECT_FALSE(live_->ended());
  world_->Run(200ms);
  EXPECT_TRUE(live_->ended());
  EXPECT_EQ(world_->table.stats().paths, 0u);
  publisher_.reset();
  live_.reset();
  EXPECT_EQ(world_->table.chunks()->in_use(), 0u);
}

}  // namespace
}  // namespace millrace
