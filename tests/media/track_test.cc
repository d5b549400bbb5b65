#include "media/track.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/random.h"
#include "media/picture_order.h"
#include "media/timeline.h"

namespace millrace {
namespace {

Track WithClock(std::uint32_t rate) {
  Track track;
  track.clock_rate = rate;
  return track;
}

TEST(Track, RoundsDurationsToTheNearestTick) {
  const Track track = WithClock(90000);
  EXPECT_EQ(track.ClockFromDuration(1s), 90000);
  EXPECT_EQ(track.ClockFromDuration(5555ns), 0);  // 0.49995 ticks
  EXPECT_EQ(track.ClockFromDuration(5556ns), 1);  // 0.50004
  EXPECT_EQ(track.ClockFromDuration(-5556ns), -1);
  EXPECT_EQ(track.ClockFromDuration(-5555ns), 0);
  EXPECT_EQ(track.DurationFromClock(1), 11111ns);
  EXPECT_EQ(track.DurationFromClock(-1), -11111ns);
  EXPECT_EQ(track.DurationFromClock(2), 22222ns);
  EXPECT_EQ(track.DurationFromClock(5), 55556ns);
}

TEST(Track, ComesBackToEveryTick) {
  SeededRandom random(3);
  for (const std::uint32_t rate : {8000u, 44100u, 48000u, 90000u, 96000u}) {
    const Track track = WithClock(rate);
    for (int i = 0; i < 2000; ++i) {
      const auto ticks = static_cast<std::int64_t>(random.Below(1ull << 42)) - (1ll << 41);
      EXPECT_EQ(track.ClockFromDuration(track.DurationFromClock(ticks)), ticks);
    }
  }
}

TEST(Track, IsExactAfterAHundredYearsAndSaturatesBeyondAll) {
  const Track track = WithClock(44100);
  const auto century = std::chrono::hours(24 * 36525);
  EXPECT_EQ(track.ClockFromDuration(century), 44100ll * 86400 * 36525);
  EXPECT_EQ(track.DurationFromClock(std::numeric_limits<std::int64_t>::max()), Duration::max());
  EXPECT_EQ(track.DurationFromClock(std::numeric_limits<std::int64_t>::min()), Duration::min());
}

TEST(Track, NamesItsCodec) {
  EXPECT_EQ(CodecName(Codec::kH264), "H.264");
  EXPECT_EQ(CodecName(Codec::kH265), "H.265");
  EXPECT_EQ(CodecName(Codec::kAac), "AAC");
  EXPECT_EQ(KindOf(Codec::kAac), MediaKind::kAudio);
  EXPECT_EQ(KindOf(Codec::kH265), MediaKind::kVideo);
}

TEST(Timeline, CountsFromTheOriginWithoutRoundingItFirst) {
  // 30000/1001 frames a second from an origin of 1.4 s in another base.
  Timeline timeline({1001, 30000}, 90000);
  timeline.SetOrigin({126000, {1, 90000}});
  for (std::int64_t frame = 0; frame < 5000; ++frame) {
    EXPECT_EQ(timeline.ToClock(frame), frame * 3003 - 126000);
  }
  Timeline thousandths({1, 1000}, 90000);
  thousandths.SetOrigin({1, {1, 3}});  // a third of a second: 30000 ticks
  EXPECT_EQ(thousandths.ToClock(333), -30);
  EXPECT_EQ(thousandths.ToClock(334), 60);
}

TEST(Timeline, PutsMillisecondsOnTheGridOfFrames) {
  Timeline timeline({1, 1000}, 44100, {1024, 44100, 44100});
  timeline.SetPhase(0);
  for (std::int64_t frame = 0; frame < 20000; ++frame) {
    const std::int64_t milliseconds = (frame * 1024 * 1000 + 22050) / 44100;
    EXPECT_EQ(timeline.ToClockOnGrid(milliseconds), frame * 1024);
  }
  EXPECT_EQ(timeline.LengthToClock(23), 1024);
  EXPECT_EQ(timeline.LengthToClock(40), 1764);
}

TEST(Timeline, LeavesATimeFarFromTheGridAlone) {
  Timeline timeline({1, 1000}, 48000, {1024, 48000, 48000});
  timeline.SetPhase(0);
  EXPECT_EQ(timeline.ToClockOnGrid(10), 480);
  EXPECT_EQ(timeline.ToClockOnGrid(1), 0);
  Timeline exact({1, 48000}, 48000, {1024, 48000, 48000});
  EXPECT_EQ(exact.ToClockOnGrid(1025), 1025);
}

TEST(Timeline, KeepsAGridThatIsNoWholeNumberOfTicks) {
  // MPEG audio: 1152 samples of 44.1 kHz are 2351.02 ticks of 90 kHz.
  Timeline timeline({1, 1000}, 90000, {1152, 44100, 90000});
  timeline.SetPhase(0);
  const auto exact = [](std::int64_t frame) {
    return (frame * 1152 * 90000 * 2 + 44100) / (2 * 44100);
  };
  for (std::int64_t frame = 0; frame < 20000; ++frame) {
    const std::int64_t milliseconds = (frame * 1152 * 1000 + 22050) / 44100;
    EXPECT_EQ(timeline.ToClockOnGrid(milliseconds), exact(frame));
    EXPECT_EQ(timeline.After(exact(frame), timeline.frame_ticks()), exact(frame + 1));
  }
  EXPECT_EQ(timeline.LengthToClock(26), 2351);
  EXPECT_EQ(timeline.After(100, 7), 107);
  // 90 kHz counts neither samples nor frames, so a transport stream's times are moved as well.
  Timeline stream({1, 90000}, 90000, {1152, 44100, 90000});
  stream.SetPhase(0);
  EXPECT_EQ(stream.ToClockOnGrid(exact(1000) + 1), exact(1000));
}

TEST(Timeline, GoesBackToTheContainerRoundingDown) {
  Timeline timeline({1, 90000}, 44100, {1024, 44100, 44100});
  timeline.SetOrigin({126000, {1, 90000}});
  EXPECT_EQ(timeline.FromNpt(0s), 126000);
  EXPECT_EQ(timeline.FromNpt(1s), 216000);
  EXPECT_EQ(timeline.FromNpt(1ns), 126000);
  EXPECT_EQ(timeline.FromNpt(-1ns), 125999);
  EXPECT_EQ(timeline.ToNpt(216000), 1s);
  EXPECT_LE(timeline.FromNpt(Duration::max()), kContainerTicksMax);
}

TEST(Timeline, OrdersTimesOfDifferentBases) {
  EXPECT_TRUE(Before({1, {1, 3}}, {334, {1, 1000}}));
  EXPECT_FALSE(Before({1, {1, 3}}, {333, {1, 1000}}));
  EXPECT_TRUE(Before({-5, {1, 3}}, {0, {1, 1000}}));
  EXPECT_FALSE(Before({3, {1, 3}}, {1000, {1, 1000}}));
}

TEST(Timeline, StaysInBoundsAtTheEndsOfTime) {
  for (const std::int32_t denominator : {1, 90000, std::numeric_limits<std::int32_t>::max()}) {
    Timeline timeline({1, denominator}, 90000);
    timeline.SetOrigin({-kContainerTicksMax, {1, 1}});
    EXPECT_GT(timeline.ToClock(kContainerTicksMax), 0);
    EXPECT_GE(timeline.FromNpt(Duration::min()), -kContainerTicksMax);
  }
}

std::vector<std::int64_t> PtsOf(const std::vector<CodedPicture>& pictures) {
  std::vector<std::int64_t> pts;
  for (const PictureTime& time : TimePictures(pictures)) pts.push_back(time.pts);
  return pts;
}

TEST(TimePictures, RanksOrderCountsWhateverTheirStep) {
  EXPECT_EQ(PtsOf({{0, true}, {8}, {4}, {2}, {6}}), (std::vector<std::int64_t>{0, 8, 4, 2, 6}));
  EXPECT_EQ(PtsOf({{0, true}, {4}, {2}, {1}, {3}}), (std::vector<std::int64_t>{0, 8, 4, 2, 6}));
}

TEST(TimePictures, StartsAgainWithEachSequence) {
  EXPECT_EQ(PtsOf({{0, true}, {4}, {2}, {0, true}, {2}}),
            (std::vector<std::int64_t>{0, 4, 2, 6, 8}));
}

TEST(TimePictures, ShowsLeadingPicturesBeforeTheirKeyPicture) {
  EXPECT_EQ(PtsOf({{0, true}, {2}, {8}, {4}, {6}}), (std::vector<std::int64_t>{0, 2, 8, 4, 6}));
}

TEST(TimePictures, GivesAFieldHalfAFrame) {
  EXPECT_EQ(PtsOf({{0, true, true}, {1, false, true}, {2}}), (std::vector<std::int64_t>{0, 1, 2}));
}

TEST(TimePictures, KeepsTheCodingOrderOfEqualCounts) {
  EXPECT_EQ(PtsOf({{0, true}, {0}, {0}}), (std::vector<std::int64_t>{0, 2, 4}));
  EXPECT_TRUE(TimePictures({}).empty());
}

TEST(TimePictures, DecodesEvenlyAndNeverAfterShowing) {
  SeededRandom random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<CodedPicture> pictures(1 + random.Below(60));
    for (auto& picture : pictures) {
      picture.order_count = static_cast<std::int32_t>(random.Below(64));
      picture.starts_sequence = random.Chance(0.1);
    }
    const std::vector<PictureTime> times = TimePictures(pictures);
    std::vector<bool> shown(pictures.size());
    bool some_equal = false;
    for (std::size_t i = 0; i < times.size(); ++i) {
      EXPECT_LE(times[i].dts, times[i].pts);
      some_equal = some_equal || times[i].dts == times[i].pts;
      if (i > 0) {
        EXPECT_EQ(times[i].dts - times[i - 1].dts, 2);
      }
      shown[static_cast<std::size_t>(times[i].pts / 2)] = true;
    }
    EXPECT_TRUE(some_equal);  // no earlier than needed
    for (const bool one : shown) EXPECT_TRUE(one);
  }
}

}  // namespace
}  // namespace millrace
