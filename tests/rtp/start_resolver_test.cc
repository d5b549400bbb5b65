#include "rtp/start_resolver.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "tests/rtp/sender_testing.h"

namespace millrace {
namespace {

using namespace millrace::testing;  // NOLINT: the helpers of these tests

class ResolverWorld : public SenderWorld, public StartResolver::Observer {
 public:
  explicit ResolverWorld(std::vector<TestStream> streams) : SenderWorld(std::move(streams)) {}

  // Lets blocks come one by one until it is done.
  absl::Status Resolve(Duration time, std::vector<std::size_t> streams = {0}) {
    if (!resolver->Begin(film, std::move(streams), time)) {
      Load();
      if (statuses.empty()) return absl::UnavailableError("never resolved");
      const absl::Status status = statuses.back();
      statuses.clear();
      if (!status.ok()) return status;
    }
    points = resolver->TakePoints();
    return absl::OkStatus();
  }
  // Of the packet a stream starts with, counting what min_pts leaves out.
  const PacketEntry& First(std::size_t point) const {
    const StartPoint& p = points[point];
    std::size_t i = p.index;
    while (Packets(p)[i].pts < p.min_pts) ++i;
    return Packets(p)[i];
  }
  std::span<const PacketEntry> Packets(const StartPoint& p, std::size_t stream = 0) const {
    return p.block->streams[stream].packets();
  }

  std::unique_ptr<StartResolver> resolver = std::make_unique<StartResolver>(&blocks, this);
  std::vector<absl::Status> statuses;
  std::vector<StartPoint> points;
  std::function<void()> then;

 private:
  void OnStartResolved(const absl::Status& status) override {
    statuses.push_back(status);
    if (then) then();
  }
};

void SetTable(ResolverWorld& w) {
  auto with_table = std::make_shared<Presentation>(*w.film);
  for (const TestUnit& unit : w.source.units(0)) {
    if (unit.random_access) {
      with_table->random_access.push_back(with_table->streams[0].track.DurationFromClock(unit.pts));
    }
  }
  w.film = with_table;
}

TEST(StartResolver, FindsTheLastRandomAccessPointAtOrBeforeTheTimeWithAndWithoutATable) {
  for (const bool table : {false, true}) {
    for (const int gop : {1, 7, 25, 60, 125}) {
      ResolverWorld w({TestVideo(300, 2, gop)});
      if (table) SetTable(w);
      for (const Duration time :
           {0ms, 1ms, 39ms, 40ms, 999ms, 1000ms, 2399ms, 2400ms, 5000ms, 7777ms, 11999ms}) {
        ASSERT_TRUE(w.Resolve(time).ok());
        const int frame = static_cast<int>(time / 40ms) / gop * gop;
        EXPECT_EQ(w.resolver->range_start(), frame * 40ms) << gop << " " << time / 1ms;
        ASSERT_EQ(w.points.size(), 1u);
        EXPECT_EQ(w.First(0).pts, frame * 3600);
        EXPECT_TRUE(w.First(0).flags & kPacketRandomAccess);
        EXPECT_EQ(w.points[0].number, static_cast<std::uint32_t>(frame / 25));
        EXPECT_EQ(w.points[0].block->number, w.points[0].number);
        w.points.clear();
      }
    }
  }
}

TEST(StartResolver, WithATableLoadsNoBlockItDoesNotNeed) {
  ResolverWorld w({TestVideo(300, 1, 125)});
  SetTable(w);
  ASSERT_TRUE(w.Resolve(9900ms).ok());
  EXPECT_EQ(w.resolver->range_start(), 5s);
  EXPECT_EQ(w.source.loads, std::vector<std::uint32_t>{5});
}

TEST(StartResolver, WithoutATableLoadsBackwards) {
  ResolverWorld w({TestVideo(300, 1, 125)});
  ASSERT_TRUE(w.Resolve(7900ms).ok());
  EXPECT_EQ(w.resolver->range_start(), 5s);
  EXPECT_EQ(w.source.loads, (std::vector<std::uint32_t>{7, 6, 5}));
}

TEST(StartResolver, BeforeTheFirstRandomAccessPointStartsAtTheBeginning) {
  for (const bool table : {false, true}) {
    TestStream stream = TestVideo(100, 1, 25);
    stream.units[0].random_access = false;
    ResolverWorld w({stream, TestAudio(60)});
    if (table) SetTable(w);
    ASSERT_TRUE(w.Resolve(900ms, {0, 1}).ok());
    EXPECT_EQ(w.resolver->range_start(), 0s);
    for (const StartPoint& point : w.points) {
      EXPECT_EQ(point.number, 0u);
      EXPECT_EQ(point.index, 0u);
      EXPECT_LT(point.min_pts, 0);
    }
  }
}

TEST(StartResolver, MediaWithoutAnyRandomAccessPointStartAtTheBeginning) {
  TestStream stream = TestVideo(100);
  for (TestUnit& unit : stream.units) unit.random_access = false;
  ResolverWorld w({stream});
  ASSERT_TRUE(w.Resolve(3s).ok());
  EXPECT_EQ(w.resolver->range_start(), 0s);
  EXPECT_EQ(w.points[0].number, 0u);
}

TEST(StartResolver, ATimeBeyondTheEndTakesTheLastRandomAccessPoint) {
  for (const bool table : {false, true}) {
    ResolverWorld w({TestVideo(110, 1, 25), TestAudio(60)});
    if (table) SetTable(w);
    ASSERT_TRUE(w.Resolve(1h, {0, 1}).ok());
    EXPECT_EQ(w.resolver->range_start(), 4s);
    EXPECT_EQ(w.points[0].number, 4u);
    // The sound ended before: its point lies behind its last packet, and the sender ends at once.
    const StartPoint& audio = w.points[1];
    ASSERT_TRUE(audio.block);
    EXPECT_TRUE(audio.block->last);
    EXPECT_EQ(audio.index, w.Packets(audio, 1).size());
  }
}

TEST(StartResolver, ANegativeTimeIsTheBeginning) {
  ResolverWorld w({TestVideo(50)});
  ASSERT_TRUE(w.Resolve(-5s).ok());
  EXPECT_EQ(w.resolver->range_start(), 0s);
  EXPECT_EQ(w.source.loads, std::vector<std::uint32_t>{0});
}

TEST(StartResolver, OtherStreamsStartWithTheirFirstPacketNotBeforeTheLeads) {
  ResolverWorld w({TestVideo(200, 1, 37), TestAudio(125)});
  int in_the_next_block = 0;  // as the one after 2960 ms is
  for (Duration time = 0ms; time < 8s; time += 171ms) {
    ASSERT_TRUE(w.Resolve(time, {1, 0}).ok());  // the lead need not come first
    const Duration start = w.resolver->range_start();
    const std::int64_t from = w.film->streams[1].track.ClockFromDuration(start);
    StartPoint audio = w.points[0];
    if (!audio.block) {
      ++in_the_next_block;
      audio.block = w.Block(audio.number);
    }
    std::uint32_t i = audio.index;
    const auto packets = w.Packets(audio, 1);
    while (packets[i].pts < audio.min_pts) ++i;
    EXPECT_GE(packets[i].pts, from);
    EXPECT_LT(packets[i].pts - 3072, from);
    EXPECT_EQ(audio.min_pts, from);
    EXPECT_EQ(w.points[1].min_pts, w.film->streams[0].track.ClockFromDuration(start));
  }
  EXPECT_GT(in_the_next_block, 0);
}

TEST(StartResolver, AViewerOfTheSoundAloneStartsAtTheSoundsOwnPackets) {
  ResolverWorld w({TestVideo(200, 1, 125), TestAudio(125)});
  SetTable(w);
  ASSERT_TRUE(w.Resolve(3100ms, {1}).ok());
  EXPECT_EQ(w.resolver->range_start(), 3072ms);  // not the video's 0 s
  EXPECT_EQ(w.Packets(w.points[0], 1)[w.points[0].index].pts, 48 * 3072);

  ResolverWorld audio({TestAudio(125)});
  ASSERT_TRUE(audio.Resolve(3100ms, {0}).ok());
  EXPECT_EQ(audio.resolver->range_start(), 3072ms);
}

// Decoding order I0 P1 P2, then from an open GOP's I5 on: I5 with B3 B4 that are shown before it.
TEST(StartResolver, LeadingPicturesOfAnOpenGopAreLeftOut) {
  TestStream stream;
  const int shown[] = {0, 1, 2, 5, 3, 4, 6, 7, 10, 8, 9, 11};
  for (int i = 0; i < 12; ++i) {
    stream.units.push_back({.pts = (shown[i] + 2) * 18000,
                            .due = i * Duration(200ms),
                            .payloads = {100, 50},
                            .random_access = shown[i] % 5 == 0});
  }
  for (const bool table : {false, true}) {
    ResolverWorld w({stream});
    if (table) SetTable(w);
    ASSERT_TRUE(w.Resolve(1500ms).ok());  // I5 is shown at 1400 ms and decoded at 600 ms
    EXPECT_EQ(w.resolver->range_start(), 1400ms);
    EXPECT_EQ(w.points[0].min_pts, 7 * 18000);
    EXPECT_EQ(w.points[0].number, 0u);
    EXPECT_EQ(w.First(0).pts, 7 * 18000);
    EXPECT_EQ(w.points[0].index, 6u);
  }
}

TEST(StartResolver, TellsNothingFromWithinBegin) {
  ResolverWorld w({TestVideo(100)});
  w.Block(1);
  EXPECT_TRUE(w.resolver->Begin(w.film, {0}, 1500ms));  // everything is here
  EXPECT_TRUE(w.statuses.empty());
  EXPECT_FALSE(w.resolver->pending());
  EXPECT_EQ(w.resolver->range_start(), 1s);
  EXPECT_FALSE(w.resolver->Begin(w.film, {0}, 3s));
  EXPECT_TRUE(w.resolver->pending());
  EXPECT_TRUE(w.statuses.empty());
  w.Load();
  EXPECT_EQ(w.statuses, std::vector{absl::OkStatus()});
}

TEST(StartResolver, AFailureIsToldAndNothingIsKept) {
  ResolverWorld w({TestVideo(300, 1, 125)});
  w.source.failing = {6};
  EXPECT_TRUE(absl::IsDataLoss(w.Resolve(7900ms)));
  EXPECT_FALSE(w.resolver->pending());
  EXPECT_TRUE(w.resolver->TakePoints().empty());
  EXPECT_EQ(w.Block(7)->references.load(), 2u);
  EXPECT_TRUE(w.Resolve(2s).ok());  // and it can be used again
}

TEST(StartResolver, AbandoningForgetsAndLetsGo) {
  ResolverWorld w({TestVideo(300, 1, 60), TestAudio(180)});
  EXPECT_FALSE(w.resolver->Begin(w.film, {0, 1}, 7s));
  w.resolver->Abandon();
  EXPECT_FALSE(w.resolver->pending());
  w.Load();
  EXPECT_TRUE(w.statuses.empty());
  EXPECT_EQ(w.Block(7)->references.load(), 2u);
  w.resolver->Abandon();  // twice is once
}

TEST(StartResolver, BeginningAgainReplacesWhatWasUnderWay) {
  ResolverWorld w({TestVideo(300, 1, 25)});
  EXPECT_FALSE(w.resolver->Begin(w.film, {0}, 9s));
  EXPECT_FALSE(w.resolver->Begin(w.film, {0}, 2s));
  w.Load();
  EXPECT_EQ(w.statuses.size(), 1u);
  EXPECT_EQ(w.resolver->range_start(), 2s);
  EXPECT_EQ(w.resolver->TakePoints().at(0).number, 2u);
}

// The cue before may lie far back, and no cue needs another.
TEST(StartResolver, StartsTextAloneAtTheTimeItself) {
  TestStream text;
  text.track.codec = Codec::kT140;
  text.track.clock_rate = 1000;
  text.units.push_back({.pts = 100, .due = 100ms, .payloads = {20}, .random_access = true});
  text.units.push_back({.pts = 8900, .due = 8900ms, .payloads = {20}, .random_access = true});
  ResolverWorld w({TestVideo(300, 1, 25), text});
  ASSERT_TRUE(w.Resolve(8500ms, {1}).ok());
  EXPECT_EQ(w.resolver->range_start(), 8500ms);
  ASSERT_EQ(w.points.size(), 1u);
  EXPECT_EQ(w.points[0].number, 8u);
  EXPECT_EQ(w.Packets(w.points[0], 1)[w.points[0].index].pts, 8900);
  // Beside others it does not lead, wherever it stands.
  ASSERT_TRUE(w.Resolve(8500ms, {1, 0}).ok());
  EXPECT_EQ(w.resolver->range_start(), 8s);
}

TEST(StartResolver, TheObserverMayDestroyItWhenItIsTold) {
  for (const bool fails : {false, true}) {
    ResolverWorld w({TestVideo(300, 1, 125)});
    if (fails) w.source.failing = {5};
    w.then = [&w] { w.resolver.reset(); };
    EXPECT_FALSE(w.resolver->Begin(w.film, {0}, 7s));
    w.Load();
    ASSERT_EQ(w.statuses.size(), 1u);
    EXPECT_EQ(w.statuses[0].ok(), !fails);
  }
}

TEST(StartResolver, DestroyedWhileItWaitsItIsToldNothing) {
  ResolverWorld w({TestVideo(300, 1, 125)});
  EXPECT_FALSE(w.resolver->Begin(w.film, {0}, 7s));
  w.resolver.reset();
  w.Load();
  EXPECT_TRUE(w.statuses.empty());
}

}  // namespace
}  // namespace millrace
