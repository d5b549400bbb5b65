#include "rtp/vod_sender.h"

#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <vector>

#include "tests/rtp/sender_testing.h"
#include "tests/rtp/sink_sender.h"

namespace millrace {
namespace {

using namespace millrace::testing;  // NOLINT: the helpers of these tests

// Display order I0 P3 B1 B2 P6 B4 B5 …; shown one frame after its decoding at the earliest.
TestStream VideoWithBFrames(int gops) {
  TestStream stream;
  int decoded = 0;
  const auto add = [&](int shown, bool random_access) {
    stream.units.push_back({.pts = (shown + 1) * 3600,
                            .due = decoded++ * Duration(40ms),
                            .payloads = {100, 100, 60},
                            .random_access = random_access});
  };
  add(0, true);
  for (int gop = 1; gop <= gops; ++gop) {
    add(3 * gop, false);
    add(3 * gop - 2, false);
    add(3 * gop - 1, false);
  }
  return stream;
}

struct OneSender : SenderWorld {
  explicit OneSender(TestStream stream) : SenderWorld({std::move(stream)}) {}
  PlayClock ClockFrom(Duration media, std::optional<Duration> end = std::nullopt) const {
    return {now, media, end};
  }
  void StartAtZero(std::optional<Duration> end = std::nullopt) {
    sender.Start(PointAt(0, 0), ClockFrom(0s, end), 0, now);
  }
  SinkSender sender{&context, film, 0, &observer};
};

TEST(Sender, AFreshViewerFromTheStartGetsEveryPacketUntouched) {
  OneSender w(TestVideo(100, 3));
  w.StartAtZero();
  EXPECT_EQ(w.sender.next_sequence(), 65500);
  EXPECT_EQ(w.sender.TimestampAt(1s), static_cast<std::uint32_t>(0xfffff000 + 90000));
  w.RunUntil(kT0 + 5s);
  EXPECT_EQ(IdsOf(w.sender.seen), w.source.AllIds(0));
  EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
  EXPECT_EQ(w.sender.sink.untouched, 300u);
  EXPECT_EQ(w.sender.seen[0].ssrc, 0xabc00u);
  EXPECT_EQ(w.sender.packets_sent(), 300u);
  EXPECT_EQ(w.sender.octets_sent(), 300u * 100);
  EXPECT_EQ(w.sender.max_shown(), 99 * 40ms);
  EXPECT_EQ(w.observer.ended, std::vector{Sender::State::kEndOfMedia});
  EXPECT_FALSE(w.sender.scheduled());
}

TEST(Sender, SendsNothingEarlierThanTheTrainWindow) {
  OneSender w(TestVideo(50));
  w.StartAtZero();
  w.RunUntil(kT0 + 3s);
  ASSERT_EQ(w.sender.seen.size(), 50u);
  for (int i = 1; i < 50; ++i) {
    EXPECT_GT(w.sender.seen[static_cast<std::size_t>(i)].at,
              kT0 + i * 40ms - w.limits.train_window - 1ms);
    EXPECT_LE(w.sender.seen[static_cast<std::size_t>(i)].at, kT0 + i * 40ms);
  }
}

TEST(Sender, NumbersGoOnOverBlocksWhoseOwnDoNotJoin) {
  TestStream stream = TestVideo(100, 2);
  stream.number_gap = 1000;
  OneSender w(stream);
  w.StartAtZero();
  w.RunUntil(kT0 + 5s);
  EXPECT_EQ(IdsOf(w.sender.seen), w.source.AllIds(0));
  EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
  EXPECT_EQ(w.sender.sink.untouched, 50u);  // the first block
}

TEST(Sender, AFreshViewerInTheMiddleTakesTheNumbersOfTheCache) {
  OneSender w(TestVideo(100));
  StartPoint point = w.PointAt(1, 3);
  point.min_pts = 30 * 3600;  // two packets further on
  w.sender.Start(std::move(point), w.ClockFrom(1120ms), 0, w.now);
  EXPECT_EQ(w.sender.next_sequence(), static_cast<std::uint16_t>(65500 + 30));
  w.RunUntil(kT0 + 5s);
  EXPECT_EQ(w.sender.seen.size(), 70u);
  EXPECT_EQ(w.sender.seen[0].id, 30u);
  EXPECT_EQ(w.sender.sink.untouched, 70u);
}

TEST(Sender, ASeekGoesOnWithTheViewersNumbersAndShiftsHisTimestamps) {
  OneSender w(TestVideo(100));
  w.StartAtZero();
  w.RunUntil(kT0 + 410ms);
  ASSERT_EQ(w.sender.seen.size(), 11u);
  w.sender.Start(w.PointAt(3, 0), w.ClockFrom(3s), 5000, w.now);
  EXPECT_EQ(w.sender.next_sequence(), static_cast<std::uint16_t>(65500 + 11));
  EXPECT_EQ(w.sender.TimestampAt(0s), static_cast<std::uint32_t>(0xfffff000 + 5000));
  w.RunUntil(kT0 + 3s);
  ASSERT_EQ(w.sender.seen.size(), 36u);
  EXPECT_EQ(w.sender.seen[11].id, 75u);
  EXPECT_EQ(w.sender.seen[11].timestamp, static_cast<std::uint32_t>(0xfffff000 + 270000 + 5000));
  EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
}

TEST(Sender, ANewSsrcAfterAGoodbyeCountsAfresh) {
  OneSender w(TestVideo(25));
  w.StartAtZero();
  w.RunUntil(kT0 + 2s);
  ASSERT_EQ(w.sender.state(), Sender::State::kEndOfMedia);
  w.sender.ChangeSsrc(0x777);
  EXPECT_EQ(w.sender.ssrc(), 0x777u);
  EXPECT_EQ(w.sender.packets_sent(), 0u);
  EXPECT_EQ(w.sender.octets_sent(), 0u);
  w.StartAtZero();
  w.RunUntil(kT0 + 4s);
  ASSERT_EQ(w.sender.seen.size(), 50u);
  EXPECT_EQ(w.sender.seen[24].ssrc, 0xabc00u);
  for (std::size_t i = 25; i < 50; ++i) EXPECT_EQ(w.sender.seen[i].ssrc, 0x777u);
  EXPECT_EQ(w.sender.packets_sent(), 25u);
}

TEST(Sender, SendsExactlyThePacketsShownWithinTheRange) {
  for (const Duration end : {1000ms, 1010ms, 1040ms, 1080ms, 1120ms, 1160ms}) {
    for (const int from : {0, 1, 2, 3, 4, 9}) {
      OneSender w(VideoWithBFrames(40));
      StartPoint point = w.PointAt(0, 0);
      point.min_pts = from * 3600;
      w.sender.Start(std::move(point), w.ClockFrom(from * 40ms, end), 0, w.now);
      w.RunUntil(kT0 + 3s);
      const std::int64_t end_pts = end / 1ms * 90;
      EXPECT_EQ(IdsOf(w.sender.seen), w.source.Ids(0,
                                                   [&](const TestUnit& unit) {
                                                     return unit.pts >= from * 3600 &&
                                                            unit.pts < end_pts;
                                                   }))
          << end / 1ms << " " << from;
      EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
      EXPECT_EQ(w.observer.ended, std::vector{Sender::State::kEndOfRange});
    }
  }
}

// What was sent, in the order of its ids, is every packet of the stream once.
void ExpectAllOnce(const OneSender& w) {
  std::vector<std::uint32_t> ids = IdsOf(w.sender.seen);
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, w.source.AllIds(0));
  EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
}

TEST(Sender, ResumingAfterARangeEndGoesOnWithWhatTheEndHeldBack) {
  for (const Duration end : {960ms, 1000ms, 1040ms, 1080ms, 1120ms}) {  // at a block's edge too
    OneSender w(VideoWithBFrames(20));
    w.StartAtZero(end);
    w.RunUntil(kT0 + 2s);
    ASSERT_EQ(w.sender.state(), Sender::State::kEndOfRange);
    const std::size_t before = w.sender.seen.size();
    w.sender.Resume(w.ClockFrom(end), w.now);
    w.RunUntil(kT0 + 6s);
    EXPECT_GT(w.sender.seen.size(), before);
    ExpectAllOnce(w);
    EXPECT_EQ(w.observer.ended.back(), Sender::State::kEndOfMedia);
  }
}

TEST(Sender, AnEndMovedWhilePacketsAreHeldBackLosesNone) {
  for (int pause = 0; pause < 2; ++pause) {
    OneSender w(VideoWithBFrames(20));
    w.StartAtZero(1080ms);  // between a P frame shown at 1120 ms and the B frames sent after it
    w.RunUntil(kT0 + 1010ms);
    ASSERT_EQ(w.sender.state(), Sender::State::kPlaying);
    if (pause == 1) {
      w.sender.Stop();
      w.sender.Resume({w.now, 1010ms, 2s}, w.now);
    } else {
      w.sender.set_end(2s);
    }
    w.RunUntil(kT0 + 3s);
    EXPECT_EQ(w.sender.state(), Sender::State::kEndOfRange);
    w.sender.Resume(w.ClockFrom(2s), w.now);
    w.RunUntil(kT0 + 6s);
    ExpectAllOnce(w);
  }
}

TEST(Sender, MediaThatEndsWithPacketsHeldBackIsARangesEnd) {
  OneSender w(VideoWithBFrames(8));  // 25 units, the last P frame shown at 1000 ms
  w.StartAtZero(990ms);
  w.RunUntil(kT0 + 2s);
  EXPECT_EQ(w.observer.ended, std::vector{Sender::State::kEndOfRange});
  w.sender.Resume(w.ClockFrom(990ms), w.now);
  w.RunUntil(kT0 + 4s);
  ExpectAllOnce(w);
  EXPECT_EQ(w.observer.ended.back(), Sender::State::kEndOfMedia);
}

class SenderSeeds : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SenderSeeds, PausesAndEndsInAnyOrderLoseNoPacketAndRepeatNone) {
  SeededRandom random(GetParam());
  TestStream stream = VideoWithBFrames(25);
  stream.number_gap = GetParam() % 2 == 0 ? 0 : 77;
  OneSender w(stream);
  w.sender.sink.packets_max = static_cast<std::uint32_t>(1 + random.Below(16));
  w.sender.sink.equal_sizes = random.Chance(0.5);
  const auto some_end = [&](Duration media) -> std::optional<Duration> {
    if (random.Chance(0.3)) return std::nullopt;
    return std::max(Duration(0s), media - 100ms + MillisBelow(800, random));
  };
  w.StartAtZero(some_end(0s));
  PlayClock clock = w.ClockFrom(0s);
  for (int step = 0; step < 40; ++step) {
    w.RunUntil(w.now + MillisBelow(200, random));
    if (random.Chance(0.2)) w.Tick(w.now + MillisBelow(300, random));  // many are due at once
    const Duration media = clock.MediaAt(w.now);
    switch (random.Below(3)) {
      case 0:
        w.sender.set_end(some_end(media));
        break;
      default: {
        const bool ended = w.sender.state() != Sender::State::kPlaying;
        if (w.sender.state() == Sender::State::kEndOfMedia) break;
        const Duration position = ended ? media - 300ms : media;
        w.sender.Stop();
        EXPECT_FALSE(w.sender.scheduled());
        w.RunUntil(w.now + MillisBelow(50, random));
        clock = w.ClockFrom(position);
        w.sender.Resume({w.now, position, some_end(position)}, w.now);
      }
    }
  }
  if (w.sender.state() != Sender::State::kEndOfMedia) {
    w.sender.Resume(w.ClockFrom(0s), w.now);
    w.RunUntil(w.now + 10s);
  }
  EXPECT_EQ(w.sender.state(), Sender::State::kEndOfMedia);
  ExpectAllOnce(w);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SenderSeeds, ::testing::Range<std::uint64_t>(0, 60));

TEST(Sender, HoldsNoBlockWhilePaused) {
  OneSender w(TestVideo(100));
  w.StartAtZero();
  w.RunUntil(kT0 + 100ms);
  const BlockRef block = w.Block(0);
  EXPECT_EQ(block->references.load(), 3u);  // the cache, the sender and this
  w.sender.Stop();
  EXPECT_EQ(block->references.load(), 2u);
  EXPECT_FALSE(w.sender.next_due().has_value());
}

TEST(Sender, ABlockThatComesLateIsWaitedForAndCounted) {
  OneSender w(TestVideo(75));
  w.auto_load = false;
  w.sender.Start({BlockRef(), 0, 0}, w.ClockFrom(0s), 0, w.now);
  EXPECT_EQ(w.sender.next_sequence(), 65500);  // RTP-Info says it before the block is here
  w.RunUntil(kT0 + 300ms);
  EXPECT_TRUE(w.sender.seen.empty());
  EXPECT_EQ(w.sender.Lateness(w.now), 0s);  // unknown
  w.Load();
  EXPECT_EQ(w.counters.viewers_late.Get(), 1u);
  w.auto_load = true;
  w.RunUntil(kT0 + 4s);
  EXPECT_EQ(IdsOf(w.sender.seen), w.source.AllIds(0));
  EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
  EXPECT_EQ(w.counters.viewers_late.Get(), 1u);
}

TEST(Sender, ALateBlockIsPatchedToTheNumberThatWasNamed) {
  OneSender w(TestVideo(75));
  w.auto_load = false;
  StartPoint point{BlockRef(), 1, 0};
  w.sender.Start(std::move(point), w.ClockFrom(1s), 0, w.now);
  const std::uint16_t named = w.sender.next_sequence();
  w.Load();
  w.RunUntil(kT0 + 100ms);
  ASSERT_FALSE(w.sender.seen.empty());
  EXPECT_EQ(w.sender.seen[0].sequence, named);
  EXPECT_EQ(w.sender.seen[0].id, 25u);
}

TEST(Sender, TellsOfABlockThatCannotBeReadAndStopsWaitingWhenStopped) {
  OneSender w(TestVideo(75));
  w.source.failing = {1};
  w.StartAtZero();
  w.RunUntil(kT0 + 2s);
  EXPECT_EQ(w.sender.seen.size(), 25u);
  ASSERT_EQ(w.observer.failures.size(), 1u);
  EXPECT_TRUE(absl::IsDataLoss(w.observer.failures[0]));
  EXPECT_TRUE(w.observer.ended.empty());

  OneSender stopped(TestVideo(75));
  stopped.auto_load = false;
  stopped.sender.Start({BlockRef(), 0, 0}, stopped.ClockFrom(0s), 0, stopped.now);
  stopped.sender.Stop();
  stopped.Load();
  stopped.RunUntil(kT0 + 200ms);
  EXPECT_TRUE(stopped.sender.seen.empty());
}

TEST(Sender, AsksForTheNextBlockOncePastTheMiddle) {
  OneSender w(TestVideo(75));  // 25 packets a block, 3 blocks
  w.StartAtZero();
  w.RunUntil(kT0 + 12 * 40ms - 10ms);
  EXPECT_EQ(w.source.loads, std::vector<std::uint32_t>{0});
  w.RunUntil(kT0 + 13 * 40ms + 2ms);
  EXPECT_EQ(w.source.loads, (std::vector<std::uint32_t>{0, 1}));
  w.RunUntil(kT0 + 950ms);
  const PacketCacheStats stats = w.cache.stats();
  EXPECT_EQ(stats.hits, 1u);    // Block(0)
  EXPECT_EQ(stats.misses, 2u);  // and one miss for each block
  w.RunUntil(kT0 + 4s);
  EXPECT_EQ(w.source.loads, (std::vector<std::uint32_t>{0, 1, 2}));  // nothing after the last
  EXPECT_EQ(w.counters.viewers_late.Get(), 0u);
}

TEST(Sender, AsksAgainAfterAPauseBecauseTheNextBlockMayBeGone) {
  OneSender w(TestVideo(75));
  w.StartAtZero();
  w.RunUntil(kT0 + 700ms);
  const std::uint64_t before = w.cache.stats().hits;
  w.sender.Stop();
  w.sender.Resume(w.ClockFrom(700ms), w.now);
  w.RunUntil(w.now + 100ms);
  EXPECT_EQ(w.cache.stats().hits, before + 2);  // its own block and the next
}

TEST(Sender, StepsOverBlocksThatHoldNothingOfItsStream) {
  TestStream sparse;
  for (const int second : {0, 4, 5}) {
    sparse.units.push_back({.pts = second * 90000, .due = second * 1s, .payloads = {50}});
  }
  OneSender w(sparse);
  w.StartAtZero();
  w.RunUntil(kT0 + 7s);
  ASSERT_EQ(IdsOf(w.sender.seen), (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_GT(w.sender.seen[1].at, kT0 + 4s - w.limits.train_window);
  EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
}

TEST(Sender, SaysHowLateItsPacketIs) {
  OneSender w(TestVideo(50));
  w.StartAtZero();
  w.RunUntil(kT0 + 100ms);
  EXPECT_EQ(w.sender.next_due(), 120ms);
  EXPECT_EQ(w.sender.Lateness(kT0 + 100ms), -20ms);
  EXPECT_EQ(w.sender.Lateness(kT0 + 1120ms), 1s);
}

}  // namespace
}  // namespace millrace
