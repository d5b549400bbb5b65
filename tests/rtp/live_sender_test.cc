#include "rtp/live_sender.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/rtp/live_testing.h"

namespace millrace {
namespace {

using testing::FindSequenceGap;
using testing::IdRange;
using testing::IdsOf;
using testing::LiveObserver;
using testing::LiveShard;
using testing::LiveWorld;
using testing::ReadLivePacket;
using testing::SeenPacket;
using testing::SeenTrain;
using testing::TestDescription;
using testing::TestPublisher;
using testing::TestViewer;

class LiveSenderTest : public ::testing::Test {
 protected:
  void Begin(const LiveOptions& options = {}, const LiveDescription& film = TestDescription(),
             std::size_t shards = 1) {
    world_.emplace(options, shards);
    publisher_.emplace(&*world_, world_->Publish(film));
  }
  ~LiveSenderTest() override {
    viewers_.clear();
    if (publisher_ && publisher_->writer != nullptr) publisher_->Leave();
    publisher_.reset();
    if (world_) {
      EXPECT_EQ(world_->table.chunks()->in_use(), 0u);
    }
  }

  const LiveRef& live() { return publisher_->ticket.live; }
  TestViewer& AddViewer(std::size_t stream = 0, std::size_t shard = 0) {
    viewers_.push_back(std::make_unique<TestViewer>(
        &*world_, live(), static_cast<std::uint16_t>(5000 + viewers_.size()), stream, shard));
    return *viewers_.back();
  }
  TestViewer& Join(std::size_t stream = 0, std::size_t shard = 0) {
    TestViewer& viewer = AddViewer(stream, shard);
    viewer.Play();
    return viewer;
  }
  // One that has met the tail: `frames` have come, and were sent.
  TestViewer& JoinAndMeetTail() {
    publisher_->Film(1);
    TestViewer& viewer = Join();
    world_->Run(20ms);
    viewer.Take();
    return viewer;
  }
  // A small window, which a second of 20 packets a frame passes.
  static LiveOptions SmallWindow() {
    LiveOptions options;
    options.window = {.time = 1s, .bytes_max = 6 * sizeof(LogChunk)};
    return options;
  }

  std::optional<LiveWorld> world_;
  std::optional<TestPublisher> publisher_;
  std::vector<std::unique_ptr<TestViewer>> viewers_;
};

// --- At the tail

TEST_F(LiveSenderTest, AFrameLeavesAsOneTrainAtItsMarkerForEveryViewer) {
  Begin();
  TestViewer& first = JoinAndMeetTail();
  TestViewer& second = Join();
  world_->Run(20ms);
  second.Take();
  publisher_->Frame(false, 5);
  world_->Tick(world_->now());
  for (TestViewer* viewer : {&first, &second}) {
    const std::vector<SeenTrain> trains = viewer->TakeTrains();
    ASSERT_EQ(trains.size(), 1u);
    EXPECT_EQ(trains[0].at, world_->now());
    EXPECT_EQ(IdsOf(trains[0].packets), IdRange(2, 7));
  }
}

TEST_F(LiveSenderTest, AFrameWithoutAMarkerLeavesFourMillisecondsLater) {
  Begin();
  TestViewer& viewer = JoinAndMeetTail();
  publisher_->Frame(false, 3, /*end=*/false);
  world_->Run(3ms);
  EXPECT_TRUE(viewer.Take().empty());
  world_->Run(1ms);
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(2, 5));
}

TEST_F(LiveSenderTest, AFrameOfSeveralBurstsTakesAMillisecondForEach) {
  Begin();
  TestViewer& viewer = JoinAndMeetTail();
  const std::size_t burst = world_->limits.burst_packets;
  publisher_->Frame(false, static_cast<int>(2 * burst + 8));
  world_->Tick(world_->now());
  EXPECT_EQ(viewer.Take().size(), burst);
  world_->Tick(world_->now());  // another tick of the same millisecond
  EXPECT_TRUE(viewer.Take().empty());
  world_->Run(1ms);
  EXPECT_EQ(viewer.Take().size(), burst);
  world_->Run(1ms);
  EXPECT_EQ(viewer.Take().size(), 8u);
}

TEST_F(LiveSenderTest, AHoldKeepsTheMemoryOfASendThatTheKernelStillReads) {
  Begin();
  TestViewer& viewer = JoinAndMeetTail();
  MemoryHold hold = viewer.sender->Hold({});
  viewers_.clear();
  publisher_->Leave();
  publisher_.reset();
  EXPECT_EQ(world_->table.chunks()->in_use(), 1u);
  hold.Reset();
  EXPECT_EQ(world_->table.chunks()->in_use(), 0u);
}

TEST_F(LiveSenderTest, PacketsOfUnequalSizesLeaveInTheSameTick) {
  Begin();
  TestViewer& viewer = JoinAndMeetTail();
  for (const std::size_t bytes : {900, 500, 1000, 1000, 200, 300}) {
    publisher_->Frame(false, 1, bytes == 300, bytes);
  }
  world_->Tick(world_->now());
  const std::vector<SeenTrain> trains = viewer.TakeTrains();
  EXPECT_EQ(trains.size(), 3u);
  std::vector<std::uint32_t> ids;
  for (const SeenTrain& train : trains) {
    for (const SeenPacket& packet : train.packets) ids.push_back(packet.id);
  }
  EXPECT_EQ(ids, IdRange(2, 8));
}

TEST_F(LiveSenderTest, AViewerWhoseNumbersAreUntouchedSendsTheLogsBytesAsTheyLie) {
  Begin();
  TestViewer& viewer = JoinAndMeetTail();
  const LogReader& log = viewer.view->log(0);
  int looked = 0;
  world_->at().io->take = [&](const SendOp& op, std::size_t bytes) {
    const LogChunk* const chunk = log.Find(log.tail() - 1, nullptr);
    EXPECT_EQ(op.iov_count, 1u);
    EXPECT_GE(op.iov[0].iov_base, static_cast<const void*>(chunk->bytes.data()));
    EXPECT_LT(op.iov[0].iov_base, static_cast<const void*>(chunk->bytes.data() + LogChunk::kBytes));
    ++looked;
    return static_cast<std::int32_t>(bytes);
  };
  publisher_->Frame(false, 5);
  world_->Tick(world_->now());
  EXPECT_EQ(looked, 1);
}

TEST_F(LiveSenderTest, WhatThePublisherLostIsMissingForTheViewer) {
  Begin();
  TestViewer& viewer = JoinAndMeetTail();
  publisher_->Frame(false);
  publisher_->sequence += 4;
  publisher_->Frame(false);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = viewer.Take();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(static_cast<std::uint16_t>(seen[1].sequence - seen[0].sequence), 5u);
}

TEST_F(LiveSenderTest, AFullSocketIsTriedAgainEveryMillisecondAndLosesNothing) {
  Begin();
  TestViewer& viewer = JoinAndMeetTail();
  viewer.SetDeaf(true);
  const std::size_t calls = world_->at().io->calls;
  publisher_->Frame(false, 5);
  world_->Run(20ms);
  EXPECT_TRUE(viewer.Take().empty());
  EXPECT_GE(world_->at().io->calls - calls, 19u);
  EXPECT_LE(world_->at().io->calls - calls, 22u);
  viewer.SetDeaf(false);
  world_->Run(1ms);
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(2, 7));
  EXPECT_EQ(viewer.sender->jumps(), 0u);
}

// --- Joining

TEST_F(LiveSenderTest, StartsAtTheNewestAccessPointAndSaysSoBefore) {
  Begin();
  publisher_->Film(20, /*gop=*/8, /*packets=*/3);  // key frames 0, 8, 16
  TestViewer& viewer = Join();
  const std::optional<std::uint32_t> timestamp = viewer.sender->next_timestamp();
  const std::uint16_t sequence = viewer.sender->next_sequence();
  world_->Run(100ms);
  const std::vector<SeenPacket> seen = viewer.Take();
  EXPECT_EQ(IdsOf(seen), IdRange(48, 60));
  ASSERT_TRUE(timestamp);
  EXPECT_EQ(seen[0].timestamp, *timestamp);
  EXPECT_EQ(seen[0].sequence, sequence);
  EXPECT_EQ(seen[0].ssrc, viewer.sender->ssrc());
}

TEST_F(LiveSenderTest, WaitsForAnAccessPointWhenThereIsNone) {
  Begin();
  for (int i = 0; i < 10; ++i) publisher_->Frame(false);
  world_->Run(10ms);
  TestViewer& viewer = Join();
  EXPECT_FALSE(viewer.sender->next_timestamp());
  world_->Run(100ms);
  publisher_->Frame(false);
  world_->Run(100ms);
  EXPECT_TRUE(viewer.Take().empty());
  publisher_->timestamp += 3600;
  publisher_->Frame(true, 2);
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(11, 13));
  EXPECT_EQ(viewer.sender->jumps(), 0u);
}

TEST_F(LiveSenderTest, AfterTenSecondsStartsWithoutAnAccessPoint) {
  Begin();
  const Instant begun = world_->now();
  TestViewer& viewer = Join();
  std::vector<SeenPacket> seen;
  while (seen.empty() && world_->now() - begun < 12s) {
    publisher_->Frame(false, 2);
    publisher_->timestamp += 3600;
    world_->Run(40ms);
    seen = viewer.Take();
  }
  ASSERT_FALSE(seen.empty());
  EXPECT_GE(seen[0].at - begun, 10s);
  EXPECT_LE(seen[0].at - begun, 10s + 80ms);
  EXPECT_EQ(seen[0].id % 2, 0u) << "at a frame's beginning";
}

TEST_F(LiveSenderTest, AudioWhoseVideoNeverCameStartsAtItsNewestPacket) {
  Begin({}, TestDescription(/*audio=*/true));
  TestViewer& viewer = Join(/*stream=*/1);
  publisher_->Audio();
  publisher_->Audio();
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(1, 2));
  publisher_->Audio();
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(2, 3));
}

TEST_F(LiveSenderTest, WaitsForThePublishersFirstPacket) {
  Begin();
  TestViewer& viewer = Join();
  world_->Run(1s);
  EXPECT_EQ(viewer.sender->state(), Sender::State::kPlaying);
  publisher_->Frame(true, 3);
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(0, 3));
}

TEST_F(LiveSenderTest, AtTheLiveEdgeStartsAtTheNewestUnitEvenWithoutAKeyFrame) {
  LiveOptions options;
  options.join_live_edge = true;
  Begin(options);
  publisher_->Film(20, /*gop=*/100, /*packets=*/3);
  TestViewer& viewer = Join();
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(57, 60));
}

TEST_F(LiveSenderTest, AStreamThatIsNotUnderstoodStartsAtItsNewestUnit) {
  Begin({}, TestDescription(false, /*known_video=*/false));
  publisher_->Film(20, /*gop=*/8, /*packets=*/3);
  TestViewer& viewer = Join();
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(57, 60));
}

TEST_F(LiveSenderTest, AStreamBesideVideoStartsWhereItsKeyFrameCame) {
  Begin({}, TestDescription(/*audio=*/true));
  for (int i = 0; i < 50; ++i) {
    publisher_->Audio();
    if (i == 30) publisher_->Frame(true);
    world_->Run(20ms);
  }
  TestViewer& viewer = Join(/*stream=*/1);
  world_->Run(500ms);
  const std::vector<SeenPacket> seen = viewer.Take();
  EXPECT_EQ(IdsOf(seen), IdRange(30, 50));
  EXPECT_EQ(seen[0].ssrc, live()->stream(1).ssrc);
}

TEST_F(LiveSenderTest, TheBacklogLeavesEightTimesAsFastAsItCameAndNeverInMoreThanBursts) {
  Begin();
  publisher_->Film(50, /*gop=*/50, /*packets=*/30);
  std::map<std::uint32_t, Duration> came;  // after the first
  for (std::uint32_t id = 0; id < 1500; ++id) came[id] = id / 30 * Duration(40ms);
  TestViewer& viewer = Join();
  const Instant begun = world_->now();
  std::vector<SeenPacket> all;
  for (int ms = 0; ms < 300; ++ms) {
    world_->Tick(begun + ms * Duration(1ms));
    const std::vector<SeenPacket> seen = viewer.Take();
    ASSERT_LE(seen.size(), world_->limits.burst_packets);
    for (const SeenPacket& packet : seen) {
      const Duration due = came[packet.id] / LiveSender::kCatchUpSpeed;
      const Duration at = world_->now() - begun;
      ASSERT_GE(at, due - world_->limits.train_window) << "packet " << packet.id;
      ASSERT_LE(at, due + 3ms) << "packet " << packet.id;  // a frame takes two bursts
    }
    all.insert(all.end(), seen.begin(), seen.end());
  }
  EXPECT_EQ(IdsOf(all), IdRange(0, 1500));
  EXPECT_EQ(FindSequenceGap(all), "");
  publisher_->Frame(false, 10);  // and then live
  world_->Tick(world_->now());
  EXPECT_EQ(viewer.Take().size(), 10u);
}

TEST_F(LiveSenderTest, TheBurstCapCountsAllTrainsOfAMillisecond) {
  Begin();
  TestViewer& viewer = JoinAndMeetTail();
  for (int i = 0; i < 120; ++i) {  // trains of five: a shorter packet closes each
    publisher_->Frame(false, 1, i == 119, i % 5 == 4 ? 50 : 100);
  }
  const std::size_t burst = world_->limits.burst_packets;
  ASSERT_LT(burst, 120u / 3);
  for (const std::size_t wanted : {burst, burst, burst, 120 - 3 * burst, std::size_t{0}}) {
    world_->Tick(world_->now());
    EXPECT_EQ(viewer.Take().size(), wanted);
    world_->clock.now += 1ms;
  }
}

TEST_F(LiveSenderTest, ABacklogThatGrowsMeanwhileIsCaughtUpWith) {
  Begin();
  publisher_->Film(100, /*gop=*/1000, /*packets=*/4);
  TestViewer& viewer = Join();
  for (int i = 0; i < 25; ++i) {
    publisher_->Frame(false, 4);
    publisher_->timestamp += 3600;
    world_->Run(40ms);
  }
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(0, 500));
  EXPECT_EQ(viewer.sender->Lateness(world_->now()), 0s);
}

// --- Falling out of the window

TEST_F(LiveSenderTest, WhoFallsOutOfTheWindowGoesOnAtTheNewestAccessPoint) {
  Begin(SmallWindow());
  TestViewer& viewer = JoinAndMeetTail();
  TestViewer& other = Join();
  world_->Run(20ms);
  other.Take();
  viewer.SetDeaf(true);
  publisher_->timestamp += 3600;
  publisher_->Film(130, /*gop=*/25, /*packets=*/20);  // 5.2 s; the last key frame is number 125
  EXPECT_EQ(IdsOf(other.Take()), IdRange(2, 2602)) << "the others lose nothing";
  EXPECT_TRUE(viewer.Take().empty());
  viewer.SetDeaf(false);
  world_->Run(200ms);
  const std::vector<SeenPacket> seen = viewer.Take();
  EXPECT_EQ(IdsOf(seen), IdRange(2 + 125 * 20, 2602));
  EXPECT_EQ(FindSequenceGap(seen), "");
  EXPECT_EQ(viewer.observer.jumps, static_cast<int>(viewer.sender->jumps()));
  EXPECT_EQ(world_->counters().live_jumps.Get(), viewer.sender->jumps());
  EXPECT_GE(viewer.sender->jumps(), 1u);
  EXPECT_EQ(other.sender->jumps(), 0u);
}

TEST_F(LiveSenderTest, AJumpIsSeenInTheNumbers) {
  Begin(SmallWindow());
  publisher_->Film(1);
  TestViewer& viewer = Join();
  world_->Run(20ms);
  const SeenPacket last = viewer.Take().back();
  viewer.SetDeaf(true);
  publisher_->timestamp += 3600;
  publisher_->Film(130, /*gop=*/25, /*packets=*/20);
  viewer.SetDeaf(false);
  world_->Run(200ms);
  const SeenPacket next = viewer.Take().front();
  EXPECT_EQ(static_cast<std::uint16_t>(next.sequence - last.sequence), next.id - last.id);
}

TEST_F(LiveSenderTest, WhoFallsOutWhereNoAccessPointIsLeftWaitsForTheNext) {
  Begin(SmallWindow());
  TestViewer& viewer = JoinAndMeetTail();
  viewer.SetDeaf(true);
  for (int i = 0; i < 150; ++i) {  // one endless group
    publisher_->timestamp += 3600;
    publisher_->Frame(false, 40);
    world_->Run(40ms);
  }
  viewer.SetDeaf(false);
  world_->Run(100ms);
  EXPECT_TRUE(viewer.Take().empty());
  EXPECT_EQ(viewer.sender->jumps(), 1u);
  EXPECT_EQ(viewer.sender->state(), Sender::State::kPlaying);
  const std::uint32_t id = publisher_->next_id;
  publisher_->timestamp += 3600;
  publisher_->Frame(true, 3);
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(id, id + 3));
}

// --- Pause

TEST_F(LiveSenderTest, AfterAPauseTheNumbersGoOnAndTheTimestampsAreThePublishers) {
  Begin();
  publisher_->Film(3);
  TestViewer& viewer = Join();
  world_->Run(50ms);
  std::vector<SeenPacket> seen = viewer.Take();
  ASSERT_EQ(IdsOf(seen), IdRange(0, 6));
  viewer.sender->Stop();
  EXPECT_EQ(viewer.sender->state(), Sender::State::kStopped);
  publisher_->Film(10, /*gop=*/4);  // key frames are 0, 4, 8 of these
  EXPECT_TRUE(viewer.Take().empty());
  viewer.Play();
  EXPECT_EQ(viewer.sender->next_sequence(), static_cast<std::uint16_t>(seen.back().sequence + 1));
  world_->Run(50ms);
  publisher_->Film(2, /*gop=*/100);
  const std::vector<SeenPacket> after = viewer.Take();
  EXPECT_EQ(IdsOf(after), IdRange(6 + 16, 30));
  EXPECT_EQ(after[0].timestamp - seen[0].timestamp, 11u * 3600);
  seen.insert(seen.end(), after.begin(), after.end());
  EXPECT_EQ(FindSequenceGap(seen), "");
}

TEST_F(LiveSenderTest, WhoPausedWithinTheGroupOfPicturesGoesOnWhereHeWas) {
  Begin();
  publisher_->Film(3);
  TestViewer& viewer = Join();
  world_->Run(50ms);
  std::vector<SeenPacket> seen = viewer.Take();
  viewer.sender->Stop();
  for (int i = 0; i < 5; ++i) {
    publisher_->Frame(false, 2);
    publisher_->timestamp += 3600;
    world_->Run(40ms);
  }
  viewer.Play();
  world_->Run(100ms);
  const std::vector<SeenPacket> after = viewer.Take();
  EXPECT_EQ(IdsOf(after), IdRange(6, 16));
  seen.insert(seen.end(), after.begin(), after.end());
  EXPECT_EQ(FindSequenceGap(seen), "");
  viewer.sender->Stop();
  viewer.Play();  // at the tail
  world_->Run(20ms);
  publisher_->Frame(false);
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(16, 17));
}

TEST_F(LiveSenderTest, TwoPausesAndWhatThePublisherLoses) {
  Begin();
  publisher_->Film(3);
  TestViewer& viewer = Join();
  std::vector<SeenPacket> seen;
  for (int i = 0; i < 3; ++i) {
    world_->Run(50ms);
    const std::vector<SeenPacket> some = viewer.Take();
    seen.insert(seen.end(), some.begin(), some.end());
    viewer.sender->Stop();
    publisher_->sequence += 100;  // lost while nobody watched
    publisher_->Film(5);
    viewer.Play();
  }
  world_->Run(50ms);
  const std::vector<SeenPacket> some = viewer.Take();
  seen.insert(seen.end(), some.begin(), some.end());
  EXPECT_EQ(seen.size(), 6u + 3 * 10);
  EXPECT_EQ(FindSequenceGap(seen), "");
  publisher_->sequence += 3;  // lost while he watched
  publisher_->Frame(false);
  world_->Tick(world_->now());
  EXPECT_EQ(static_cast<std::uint16_t>(viewer.Take()[0].sequence - seen.back().sequence), 4u);
}

TEST_F(LiveSenderTest, APauseInTheBacklogStopsItAtOnce) {
  Begin();
  publisher_->Film(50, /*gop=*/50, /*packets=*/10);
  TestViewer& viewer = Join();
  world_->Run(30ms);
  EXPECT_FALSE(viewer.Take().empty());
  viewer.sender->Stop();
  world_->Run(500ms);
  EXPECT_TRUE(viewer.Take().empty());
  EXPECT_EQ(world_->at().hub.ready_count(), 0u);
}

TEST_F(LiveSenderTest, ANewSsrcCountsAndNumbersFromTheLogAnew) {
  Begin();
  TestViewer& viewer = JoinAndMeetTail();
  viewer.sender->Stop();
  viewer.sender->ChangeSsrc(0xfeed);
  EXPECT_EQ(viewer.sender->packets_sent(), 0u);
  publisher_->timestamp += 3600;
  publisher_->Frame(true, 2);
  world_->Tick(world_->now());
  viewer.Play();
  world_->Tick(world_->now());
  const std::vector<SeenPacket> seen = viewer.Take();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].ssrc, 0xfeedu);
  EXPECT_EQ(viewer.sender->packets_sent(), 2u);
  EXPECT_EQ(viewer.sender->octets_sent(), 200u);
}

// --- The end

TEST_F(LiveSenderTest, EndsAfterTheLastPacketOnceAndForAll) {
  Begin();
  TestViewer& viewer = JoinAndMeetTail();
  publisher_->Frame(false, 40);  // takes three milliseconds
  publisher_->Leave();
  world_->Tick(world_->now());
  EXPECT_TRUE(viewer.observer.ended.empty());
  world_->Run(10ms);
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(2, 42));
  EXPECT_EQ(viewer.observer.ended, std::vector{Sender::State::kEndOfMedia});
  EXPECT_EQ(viewer.observer.presentations_ended, 1);
  world_->Run(100ms);
  EXPECT_EQ(viewer.observer.ended.size(), 1u);
}

TEST_F(LiveSenderTest, WhoWaitsForAnAccessPointEndsToo) {
  Begin();
  publisher_->Frame(false);
  world_->Tick(world_->now());
  TestViewer& viewer = Join();
  world_->Run(5ms);
  EXPECT_TRUE(viewer.observer.ended.empty());
  publisher_->Leave();
  world_->Tick(world_->now());
  EXPECT_EQ(viewer.observer.ended.size(), 1u);
  EXPECT_TRUE(viewer.Take().empty());
}

TEST_F(LiveSenderTest, DoesNotEndBeforeItsShardHasSeenTheLastPackets) {
  Begin({}, TestDescription(), /*shards=*/2);
  publisher_->Film(1);
  TestViewer& viewer = Join(0, /*shard=*/1);
  world_->Run(20ms);
  viewer.Take();
  publisher_->Frame(false, 3);
  publisher_->Leave();  // committed and ended; the doorbell is on its way
  viewer.sender->Reschedule(world_->now());
  EXPECT_TRUE(viewer.observer.ended.empty());
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(viewer.Take()), IdRange(2, 5));
  EXPECT_EQ(viewer.observer.ended.size(), 1u);
}

TEST_F(LiveSenderTest, WhoIsPausedIsToldOfTheEndToo) {
  Begin({}, TestDescription(), /*shards=*/2);
  publisher_->Film(1);
  TestViewer& here = AddViewer();
  TestViewer& there = Join(0, /*shard=*/1);
  world_->Run(10ms);
  there.sender->Stop();
  EXPECT_EQ(here.observer.presentations_ended + there.observer.presentations_ended, 0);
  publisher_->Leave();
  world_->Run(10ms);
  EXPECT_EQ(here.observer.presentations_ended, 1);
  EXPECT_EQ(there.observer.presentations_ended, 1);
  EXPECT_TRUE(there.observer.ended.empty());
}

TEST_F(LiveSenderTest, AHeldPathEndsNobodyAndTheNextPublisherGoesOn) {
  LiveOptions options;
  options.hold = 10s;
  Begin(options);
  publisher_->Film(3);
  TestViewer& viewer = Join();
  world_->Run(50ms);
  std::vector<SeenPacket> seen = viewer.Take();
  publisher_->Leave();
  world_->Run(2s);
  EXPECT_TRUE(viewer.observer.ended.empty());
  publisher_.emplace(&*world_, world_->Publish(TestDescription()),
                     TestPublisher::Numbering{0x77, 5, 5, 500});
  publisher_->Frame(false);  // no place to start
  publisher_->timestamp += 3600;
  publisher_->Frame(true, 2);
  world_->Tick(world_->now());
  const std::vector<SeenPacket> after = viewer.Take();
  EXPECT_EQ(IdsOf(after), IdRange(501, 503));
  seen.insert(seen.end(), after.begin(), after.end());
  EXPECT_EQ(FindSequenceGap(seen), "");
  EXPECT_EQ(seen.back().ssrc, seen.front().ssrc);
  viewers_.clear();
  publisher_->Leave();
  world_->Run(11s);
  publisher_.reset();
}

// --- Other shards

TEST_F(LiveSenderTest, AnotherShardsViewersGetAFrameWithOneDoorbell) {
  Begin({}, TestDescription(), /*shards=*/3);
  publisher_->Film(1);
  TestViewer& first = Join(0, 1);
  TestViewer& second = Join(0, 1);
  TestViewer& third = Join(0, 2);
  TestViewer& home = Join(0, 0);
  world_->Run(20ms);
  for (const auto& viewer : viewers_) viewer->Take();
  const std::uint64_t before = world_->counters().live_doorbells.Get();
  for (std::uint32_t frame = 0; frame < 3; ++frame) {
    publisher_->Frame(false, 5);
    world_->Tick(world_->now());
    for (TestViewer* viewer : {&first, &second, &third, &home}) {
      const std::vector<SeenTrain> trains = viewer->TakeTrains();
      ASSERT_EQ(trains.size(), 1u);
      EXPECT_EQ(IdsOf(trains[0].packets), IdRange(2 + 5 * frame, 7 + 5 * frame));
    }
  }
  EXPECT_EQ(world_->counters().live_doorbells.Get() - before, 3u * 2);
}

TEST_F(LiveSenderTest, ADoorbellThatFindsNobodyDoesNotSilenceTheNextViewers) {
  Begin({}, TestDescription(), /*shards=*/2);
  publisher_->Film(1);
  Join(0, 1);
  world_->Run(10ms);
  publisher_->Frame(false);
  world_->at(0).hub.CommitAll(world_->now());  // rings
  world_->at(1).trains.clear();
  viewers_.clear();  // the bell is on its way
  world_->Run(10ms);
  TestViewer& next = Join(0, 1);
  world_->Run(10ms);
  EXPECT_EQ(IdsOf(next.Take()), IdRange(0, 3));
  publisher_->Frame(false);
  world_->Tick(world_->now());
  EXPECT_EQ(IdsOf(next.Take()), IdRange(3, 4));
}

TEST_F(LiveSenderTest, AShardWithoutViewersIsNotRung) {
  Begin({}, TestDescription(), /*shards=*/2);
  publisher_->Film(1);
  TestViewer& viewer = Join(0, 1);
  world_->Run(10ms);
  viewer.Take();
  viewers_.clear();
  const std::uint64_t before = world_->counters().live_doorbells.Get();
  publisher_->Film(5);
  EXPECT_EQ(world_->counters().live_doorbells.Get(), before);
  TestViewer& again = Join(0, 1);  // finds what came meanwhile
  world_->Run(100ms);
  EXPECT_EQ(IdsOf(again.Take()), IdRange(2, 12));
}

// --- Over TCP

// The RTP packets of an interleaved stream, which may end within a frame.
std::vector<SeenPacket> Frames(const Bytes& stream) {
  std::vector<SeenPacket> packets;
  for (std::size_t i = 0; i + 4 <= stream.size();) {
    EXPECT_EQ(stream[i], '$');
    EXPECT_EQ(stream[i + 1], 6);
    const std::size_t length = LoadBe16(stream.data() + i + 2);
    if (i + 4 + length > stream.size()) break;
    packets.push_back(ReadLivePacket({stream.data() + i + 4, length}));
    i += 4 + length;
  }
  return packets;
}

TEST_F(LiveSenderTest, OverTcpAPeerThatTakesNothingJumpsAndNeverSeesATornFrame) {
  Begin(SmallWindow());
  publisher_->Film(1);
  LiveShard& home = world_->at();
  InterleavedOutput output(&home.context, home.io, &home.outputs, 9);
  LiveObserver observer;
  LiveView* const view = home.hub.Attach(live(), &observer);
  {
    LiveSender sender(&home.context, view, 0, &observer,
                      std::make_unique<InterleavedTransport>(&output, 6));
    sender.Start(world_->now());
    world_->Run(20ms);
    EXPECT_EQ(IdsOf(Frames(home.streams[9])), IdRange(0, 2));
    // Takes a packet and a half, then nothing for five seconds.
    std::int32_t room = 170;
    home.io->take = [&](const SendOp&, std::size_t bytes) {
      const std::int32_t taken = std::min(room, static_cast<std::int32_t>(bytes));
      room -= taken;
      return taken > 0 ? taken : -EAGAIN;
    };
    publisher_->timestamp += 3600;
    publisher_->Film(130, /*gop=*/25, /*packets=*/20);
    EXPECT_LT(output.pending_bytes(), 116u);
    EXPECT_TRUE(output.stalled_since().has_value());
    room = 1 << 30;
    output.OnWritable();
    world_->Run(200ms);
    const std::vector<SeenPacket> seen = Frames(home.streams[9]);
    std::vector<std::uint32_t> wanted = IdRange(0, 4);  // the torn one is finished
    for (const std::uint32_t id : IdRange(2 + 125 * 20, 2602)) wanted.push_back(id);
    EXPECT_EQ(IdsOf(seen), wanted);
    EXPECT_EQ(observer.jumps, 1);
    publisher_->Leave();
    world_->Run(5ms);
    EXPECT_EQ(observer.ended.size(), 1u);
  }
  home.hub.Detach(view, &observer);
}

}  // namespace
}  // namespace millrace
