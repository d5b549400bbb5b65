// What a sender does on a clock that is not of normal speed, and on one that turns.
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "tests/rtp/sender_testing.h"
#include "tests/rtp/sink_sender.h"

namespace millrace {
namespace {

using namespace millrace::testing;  // NOLINT: the helpers of these tests

constexpr std::uint32_t kFirstTimestamp = 0xfffff000;

struct OneSender : SenderWorld {
  explicit OneSender(TestStream stream) : SenderWorld({std::move(stream)}) {}

  void Start(std::uint32_t block, std::uint32_t packet, Duration media, double scale,
             double speed = 1, std::optional<Duration> end = std::nullopt) {
    PlayClock clock;
    clock.epoch = now;
    clock.start = media;
    clock.end = end;
    clock.scale = scale;
    clock.speed = speed;
    sender.Start(PointAt(block, packet), clock, 0, now);
  }
  // Ticks of each packet's timestamp after npt 0's.
  std::vector<std::int32_t> Ticks() const {
    std::vector<std::int32_t> ticks;
    for (const SeenPacket& packet : sender.seen) {
      ticks.push_back(static_cast<std::int32_t>(packet.timestamp - kFirstTimestamp));
    }
    return ticks;
  }

  SinkSender sender{&context, film, 0, &observer};
};

TEST(ScaledSender, FasterThanNormalSendsKeyFramesAloneInTheTimeTheyAreShown) {
  OneSender w(TestVideo(250, 3));  // 10 s, a key frame each second, of three packets
  w.Start(0, 0, 0s, 4);
  w.RunUntil(kT0 + 4s);
  ASSERT_EQ(w.sender.seen.size(), 30u);
  for (std::size_t i = 0; i < 30; ++i) {
    const SeenPacket& packet = w.sender.seen[i];
    const auto key = static_cast<std::int32_t>(i / 3);
    EXPECT_EQ(packet.id, static_cast<std::uint32_t>(key) * 75 + i % 3);
    EXPECT_EQ(w.Ticks()[i], key * 22500);
    EXPECT_GT(packet.at, kT0 + key * 250ms - w.limits.train_window - 1ms);
    EXPECT_LE(packet.at, kT0 + key * 250ms + 1ms);
  }
  EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
  EXPECT_EQ(w.observer.ended, std::vector{Sender::State::kEndOfMedia});
  EXPECT_EQ(w.sender.max_shown(), 9 * 250ms);
}

TEST(ScaledSender, KeyFramesAreATenthOfASecondApartAtLeast) {
  OneSender w(TestVideo(1500, 1, 5));  // 60 s, five key frames a second
  w.Start(0, 0, 0s, 64);
  w.RunUntil(kT0 + 2s);
  ASSERT_GE(w.sender.seen.size(), 9u);
  EXPECT_LE(w.sender.seen.size(), 10u);
  for (std::size_t i = 1; i < w.sender.seen.size(); ++i) {
    EXPECT_GE(w.Ticks()[i] - w.Ticks()[i - 1], 9000);
    EXPECT_LE(w.Ticks()[i] - w.Ticks()[i - 1], 9000 + 18000 / 64 + 1);
  }
}

TEST(ScaledSender, BackwardsShowsEarlierKeyFramesLaterAndStopsAtTheStart) {
  OneSender w(TestVideo(250, 2));
  w.Start(9, 0, 9s, -2);
  EXPECT_EQ(w.sender.TimestampAt(9s), kFirstTimestamp + 9 * 90000);
  EXPECT_EQ(w.sender.TimestampAt(7s), kFirstTimestamp + 10 * 90000);
  w.RunUntil(kT0 + 6s);
  ASSERT_EQ(w.sender.seen.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(w.sender.seen[i].id, (9 - i / 2) * 50 + i % 2);
    EXPECT_EQ(w.Ticks()[i], 9 * 90000 + static_cast<std::int32_t>(i / 2) * 45000);
  }
  EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
  EXPECT_EQ(w.observer.ended, std::vector{Sender::State::kEndOfRange});
}

TEST(ScaledSender, BackwardsStopsAtTheEndOfTheRange) {
  OneSender w(TestVideo(250));
  w.Start(9, 0, 9s, -2, 1, 4s);
  w.RunUntil(kT0 + 6s);
  EXPECT_EQ(w.sender.seen.size(), 6u);  // 9 s to 4 s
  EXPECT_EQ(w.observer.ended, std::vector{Sender::State::kEndOfRange});
}

TEST(ScaledSender, SlowerThanNormalSendsEverythingStretched) {
  OneSender w(TestVideo(50, 2));
  w.Start(0, 0, 0s, 0.5);
  w.RunUntil(kT0 + 5s);
  EXPECT_EQ(IdsOf(w.sender.seen), w.source.AllIds(0));
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(w.Ticks()[i], static_cast<std::int32_t>(i / 2) * 7200);
    EXPECT_GT(w.sender.seen[i].at, kT0 + (i / 2) * 80ms - w.limits.train_window - 1ms);
  }
  EXPECT_EQ(w.observer.ended, std::vector{Sender::State::kEndOfMedia});
}

TEST(ScaledSender, SpeedChangesWhenAndNotWhat) {
  OneSender w(TestVideo(100));
  w.Start(0, 0, 0s, 1, 2);
  w.RunUntil(kT0 + 3s);
  EXPECT_EQ(IdsOf(w.sender.seen), w.source.AllIds(0));
  EXPECT_EQ(w.sender.sink.untouched, 100u);
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_GT(w.sender.seen[i].at, kT0 + i * 20ms - w.limits.train_window - 1ms);
    EXPECT_LE(w.sender.seen[i].at, kT0 + i * 20ms + 1ms);
  }
}

// Whatever the media's key frames are like, a fast clock sends whole ones, each once, in the
// clock's order, and comes to an end.
TEST(ScaledSender, AnyScaleOverAnyKeyFramesForEverySeed) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    TestStream stream;
    const int frames = 20 + static_cast<int>(random.Below(400));
    std::vector<std::uint32_t> key_ids;  // first packets of key frames
    std::vector<std::size_t> key_packets;
    std::vector<std::int64_t> key_pts;
    std::uint32_t id = 0;
    for (int i = 0; i < frames; ++i) {
      const bool key = random.Chance(0.1);
      const std::size_t packets = 1 + random.Below(4);
      if (key) {
        key_ids.push_back(id);
        key_packets.push_back(packets);
        key_pts.push_back(i * 3600);
      }
      stream.units.push_back({.pts = i * 3600,
                              .due = i * Duration(40ms),
                              .payloads = std::vector<std::size_t>(packets, 50),
                              .random_access = key});
      id += static_cast<std::uint32_t>(packets);
    }
    const bool backwards = random.Chance(0.5);
    const double scale = (backwards ? -1 : 1) * (1.25 + static_cast<double>(random.Below(62)));
    OneSender w(stream);
    const Duration from = backwards ? std::chrono::milliseconds(40 * frames) : Duration(0s);
    w.Start(backwards ? w.film->block_count() - 1 : 0, 0, from, scale);
    w.RunUntil(kT0 + 20s);
    ASSERT_EQ(w.observer.ended.size(), 1u);
    EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
    std::size_t at = 0;
    std::optional<std::int64_t> before;
    while (at < w.sender.seen.size()) {
      const auto key = std::ranges::find(key_ids, w.sender.seen[at].id);
      ASSERT_NE(key, key_ids.end()) << "packet " << at << " begins no key frame";
      const auto k = static_cast<std::size_t>(key - key_ids.begin());
      for (std::size_t i = 0; i < key_packets[k]; ++i, ++at) {
        ASSERT_LT(at, w.sender.seen.size());
        EXPECT_EQ(w.sender.seen[at].id, key_ids[k] + i);
      }
      if (before) {
        EXPECT_GE(std::abs(static_cast<double>(key_pts[k] - *before)), 9000 * std::abs(scale) - 1);
        EXPECT_EQ(key_pts[k] < *before, backwards);
      }
      before = key_pts[k];
    }
    EXPECT_EQ(before.has_value(), !key_ids.empty());
    if (HasFailure()) break;
  }
}

TestStream SparseStream() {
  TestStream stream;
  for (const int second : {0, 60}) {
    stream.units.push_back({.pts = second * 90000, .due = second * 1s, .payloads = {50}});
  }
  return stream;
}

TEST(SparseSender, RunsNoFurtherAheadThanItTakesToLoad) {
  OneSender w(SparseStream());
  w.Start(0, 0, 0s, 1);
  w.RunUntil(kT0 + 10s);
  EXPECT_LE(w.source.loads.size(), 14u);
  EXPECT_EQ(w.sender.state(), Sender::State::kPlaying);
  w.RunUntil(kT0 + 61s);
  ASSERT_EQ(w.sender.seen.size(), 2u);
  EXPECT_GT(w.sender.seen[1].at, kT0 + 60s - w.limits.train_window - 1ms);
  EXPECT_LE(w.sender.seen[1].at, kT0 + 60s + 1ms);
}

TEST(SparseSender, EndsWithTheRangeAndGoesOnBehindIt) {
  OneSender w(SparseStream());
  w.Start(0, 0, 0s, 1, 1, 10s);
  w.RunUntil(kT0 + 10s);
  EXPECT_EQ(w.observer.ended, std::vector{Sender::State::kEndOfRange});
  EXPECT_LE(w.source.loads.size(), 11u);
  PlayClock clock;
  clock.epoch = w.now;
  clock.start = 10s;
  w.sender.Resume(clock, w.now);
  w.RunUntil(w.now + 51s);
  EXPECT_EQ(IdsOf(w.sender.seen), (std::vector<std::uint32_t>{0, 1}));
}

// Audio and video of unequal length: every turn begins for both at the same time, to the tick,
// after a thousand turns as after one.
TEST(TurningSender, TracksOfUnequalLengthStayInSyncOverAThousandTurns) {
  SenderWorld w({TestVideo(25), TestAudio(18)});  // 1 s, and 1.152 s
  SinkSender video{&w.context, w.film, 0, &w.observer};
  SinkSender audio{&w.context, w.film, 1, &w.observer};
  PlayClock clock;
  clock.epoch = w.now;
  clock.turn = 1153ms;
  video.Start(w.PointAt(0, 0), clock, 0, w.now);
  audio.Start(w.PointAt(0, 0), clock, 0, w.now);
  w.RunUntil(kT0 + 1001 * clock.turn - 20ms);
  EXPECT_TRUE(w.observer.ended.empty());
  EXPECT_EQ(FindSequenceGap(video.seen), "");
  EXPECT_EQ(FindSequenceGap(audio.seen), "");
  ASSERT_GE(video.seen.size(), 1001u * 25);
  ASSERT_GE(audio.seen.size(), 1001u * 18);
  for (std::uint32_t turn = 0; turn <= 1000; ++turn) {
    const SeenPacket& picture = video.seen[turn * 25];
    const SeenPacket& sound = audio.seen[turn * 18];
    ASSERT_EQ(picture.id, 0u);
    ASSERT_EQ(sound.id, 0u);
    const Duration shift = turn * clock.turn;
    EXPECT_EQ(picture.timestamp - kFirstTimestamp,
              static_cast<std::uint32_t>(video.rtp_stream().track.ClockFromDuration(shift)));
    EXPECT_EQ(sound.timestamp - (kFirstTimestamp + 1),
              static_cast<std::uint32_t>(audio.rtp_stream().track.ClockFromDuration(shift)));
    EXPECT_GT(picture.at, kT0 + shift - w.limits.train_window - 1ms);
    EXPECT_LE(picture.at, kT0 + shift + 1ms);
    EXPECT_LE(sound.at, kT0 + shift + 1ms);
    if (HasFailure()) break;
  }
  EXPECT_EQ(video.TimestampAt(1000 * clock.turn + 40ms), video.seen[25001].timestamp);
  EXPECT_EQ(video.max_shown(), 1001 * clock.turn);  // it waits for the next turn
}

TEST(TurningSender, GoesOnAfterAPauseInALaterTurn) {
  OneSender w(TestVideo(25));
  PlayClock clock;
  clock.epoch = w.now;
  clock.turn = 1s;
  w.sender.Start(w.PointAt(0, 0), clock, 0, w.now);
  w.RunUntil(kT0 + 2500ms);
  w.sender.Stop();
  const std::size_t before = w.sender.seen.size();
  w.RunUntil(kT0 + 9s);
  EXPECT_EQ(w.sender.seen.size(), before);
  clock.epoch = w.now;
  clock.start = 2500ms;
  w.sender.Resume(clock, w.now);
  w.RunUntil(w.now + 1s);
  EXPECT_EQ(FindSequenceGap(w.sender.seen), "");
  for (std::size_t i = 0; i < w.sender.seen.size(); ++i) {
    EXPECT_EQ(w.sender.seen[i].id, i % 25);
    EXPECT_EQ(w.Ticks()[i], static_cast<std::int32_t>(i) * 3600);
  }
  EXPECT_GE(w.sender.seen.size(), before + 24);
}

TEST(TurningSender, AStreamWithoutPacketsEndsInsteadOfTurningForEver) {
  SenderWorld w({TestVideo(25), TestStream{}});
  SinkSender empty{&w.context, w.film, 1, &w.observer};
  PlayClock clock;
  clock.epoch = w.now;
  clock.turn = 1s;
  empty.Start(w.PointAt(0, 0), clock, 0, w.now);
  w.RunUntil(kT0 + 3s);
  EXPECT_EQ(w.observer.ended, std::vector{Sender::State::kEndOfMedia});
}

}  // namespace
}  // namespace millrace
