// Files that are watched while they are written: viewers get all that is there and, as it comes,
// all that follows, each from where he began, until the writing ends.
//
// A failing seed replays alone: MILLRACE_SEED=17 scenario_test --gtest_filter='Growing*'.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/scenario/seeds.h"
#include "tests/sim/sim_server.h"

namespace millrace::sim {
namespace {

constexpr Duration kWhole = Duration::max();

SyntheticAsset DrawAsset(Random& random) {
  SyntheticAsset asset;
  asset.duration = 10s + std::chrono::milliseconds(random.Below(8000));
  asset.content = random.Next64();
  asset.video->gop = static_cast<std::uint32_t>(5 + random.Below(40));
  asset.video->b_frames = static_cast<std::uint32_t>(random.Below(3));
  asset.video->bit_rate = 300'000;
  return asset;
}

void StartPlaying(SimWorld& world, SimClient& client, Lower lower, const std::string& range) {
  client.Connect();
  ASSERT_EQ(world.Await(client, client.Describe("a.ts")), 200);
  EXPECT_NE(client.responses().back().body.find("a=range:npt=0-\r\n"), std::string::npos);
  for (std::size_t t = 0; t < client.tracks().size(); ++t) {
    ASSERT_EQ(world.Await(client, client.Setup(t, lower)), 200);
  }
  ASSERT_EQ(world.Await(client, client.Play(range)), 200);
}

bool HasEnded(const SimClient& client) {
  return std::ranges::all_of(client.tracks(), [](const ClientTrack& t) { return t.bye; });
}

std::uint32_t Packets(const SimClient& client) {
  std::uint32_t sum = 0;
  for (const ClientTrack& track : client.tracks()) sum += track.packets;
  return sum;
}

double StartOf(const SimClient& client) {
  const std::string range = client.responses().back().Header("Range");
  EXPECT_TRUE(range.starts_with("npt=") && range.ends_with("-")) << range;
  return std::stod(range.substr(4));
}

TEST(GrowingScenario, WhoeverJoinsGetsAllFromWhereHeBegan) {
  for (const std::uint64_t seed : Seeds(kSeeds)) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimWorld world(seed, NetworkProfile::Calm(), LoaderProfile{}, ScheduleProfile{});
    Random& random = world.random();
    SimServerOptions options;
    options.shards = 1 + random.Below(4);
    SimServer server(&world, options);
    const SyntheticAsset asset = DrawAsset(random);
    const SyntheticMedia& media = server.library().Add("a.ts", asset);
    Duration shown = 200ms + std::chrono::milliseconds(random.Below(5000));
    server.library().ShowUntil("a.ts", shown);
    std::vector<SimClient*> viewers;
    while (shown < asset.duration && !HasFailure()) {
      if (viewers.size() < 5 && random.Chance(0.3)) {
        SimClient& client = world.AddClient();
        client.CheckAgainst(&media);
        viewers.push_back(&client);
        const bool from_edge = random.Chance(0.5);
        StartPlaying(world, client, random.Chance(0.5) ? Lower::kTcp : Lower::kUdp,
                     from_edge ? "npt=now-" : "npt=0-");
        if (HasFatalFailure()) break;
        // At most a group of pictures, and what its viewers have not been shown of, before the end.
        const double behind = ToSeconds(shown) - StartOf(client);
        const double gop = asset.video->gop / 25.0;
        if (from_edge) {
          EXPECT_LT(behind, gop + 3) << "of " << ToSeconds(shown) << " s";
        }
      }
      const Duration step = std::chrono::milliseconds(100 + random.Below(1400));
      ASSERT_TRUE(world.RunFor(step)) << world.failure();
      // In pieces as they come, but as fast as it is played.
      if (random.Chance(0.8)) {
        shown += step + std::chrono::milliseconds(random.Below(500));
        server.library().ShowUntil("a.ts", shown < asset.duration ? shown : kWhole);
      }
    }
    const auto over = [&] {
      return std::ranges::all_of(viewers, [](auto* v) { return HasEnded(*v); });
    };
    EXPECT_TRUE(world.RunUntil(over, 60s)) << "a viewer is left waiting " << world.failure();
    for (SimClient* const viewer : viewers) {
      viewer->ExpectToTheEnd();
      EXPECT_EQ(viewer->Verdict(), "");
    }
    if (HasFailure()) break;
  }
}

TEST(GrowingScenario, WhoWaitsAtTheEndIsSentWhatIsNewWithinASecond) {
  for (const std::uint64_t seed : Seeds(kSeeds / 10)) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimWorld world(seed, NetworkProfile::Calm(), LoaderProfile{}, ScheduleProfile{});
    SimServer server(&world, {});
    SyntheticAsset asset = DrawAsset(world.random());
    const SyntheticMedia& media = server.library().Add("a.ts", asset);
    server.library().ShowUntil("a.ts", 2s);
    SimClient& from_start = world.AddClient();
    SimClient& from_end = world.AddClient();
    for (SimClient* client : {&from_start, &from_end}) client->CheckAgainst(&media);
    StartPlaying(world, from_start, Lower::kUdp, "npt=0-");
    StartPlaying(world, from_end, Lower::kTcp, "npt=now-");
    if (HasFatalFailure()) break;
    ASSERT_TRUE(world.RunFor(8s));
    for (Duration shown = 3s; shown < asset.duration; shown += 1s) {
      ASSERT_TRUE(world.RunFor(1s));
      const std::uint32_t before[] = {Packets(from_start), Packets(from_end)};
      ASSERT_TRUE(world.RunFor(1s));
      EXPECT_EQ(Packets(from_start), before[0]) << "at " << ToSeconds(shown);
      EXPECT_EQ(Packets(from_end), before[1]);
      server.library().ShowUntil("a.ts", shown);
      ASSERT_TRUE(world.RunFor(1s));
      EXPECT_GT(Packets(from_start), before[0]) << "at " << ToSeconds(shown);
      EXPECT_GT(Packets(from_end), before[1]);
    }
    EXPECT_FALSE(HasEnded(from_start) || HasEnded(from_end));
    server.library().ShowUntil("a.ts", kWhole);
    const auto over = [&] { return HasEnded(from_start) && HasEnded(from_end); };
    EXPECT_TRUE(world.RunUntil(over, 30s));
    for (SimClient* client : {&from_start, &from_end}) {
      client->ExpectToTheEnd();
      EXPECT_EQ(client->Verdict(), "");
    }
    if (HasFailure()) break;
  }
}

// Who takes what there is at his own speed is not late where nothing is.
TEST(GrowingScenario, WhoIsAheadOfTheWriterWaitsForHim) {
  SimWorld world(1, NetworkProfile::Calm(), LoaderProfile{}, ScheduleProfile{});
  SimServer server(&world, {});
  SyntheticAsset asset;
  asset.duration = 20s;
  server.library().Add("a.ts", asset);
  server.library().ShowUntil("a.ts", 5s);
  SimClient& viewer = world.AddClient();
  viewer.Connect();
  ASSERT_EQ(world.Await(viewer, viewer.Describe("a.ts")), 200);
  for (std::size_t t = 0; t < viewer.tracks().size(); ++t) {
    ASSERT_EQ(world.Await(viewer, viewer.Setup(t, Lower::kTcp)), 200);
  }
  ASSERT_EQ(world.Await(viewer, viewer.Play("npt=0-", std::nullopt, "Rate-Control: no\r\n")), 200);
  for (Duration shown = 6s; shown < 18s; shown += 1s) {
    ASSERT_TRUE(world.RunFor(10s));
    EXPECT_TRUE(viewer.connected());
    const std::uint32_t before = Packets(viewer);
    server.library().ShowUntil("a.ts", shown);
    ASSERT_TRUE(world.RunFor(1s));
    EXPECT_GT(Packets(viewer), before) << "at " << ToSeconds(shown);
  }
  server.library().ShowUntil("a.ts", kWhole);
  EXPECT_TRUE(world.RunUntil([&] { return HasEnded(viewer); }, 30s));
}

// A writer who has paused for so long that his file passed for whole goes on after all.
TEST(GrowingScenario, GrowsOnForWhoeverComesLater) {
  SimWorld world(1, NetworkProfile::Calm(), LoaderProfile{}, ScheduleProfile{});
  SimServer server(&world, {});
  SyntheticAsset asset;
  asset.duration = 20s;
  const SyntheticMedia& media = server.library().Add("a.ts", asset);
  server.library().ShowUntil("a.ts", 3s);
  SimClient& first = world.AddClient();
  first.CheckAgainst(&media);
  StartPlaying(world, first, Lower::kUdp, "npt=0-");
  if (HasFatalFailure()) return;
  ASSERT_TRUE(world.RunFor(5s));
  server.library().ShowUntil("a.ts", 5s, /*settled=*/true);
  EXPECT_TRUE(world.RunUntil([&] { return HasEnded(first); }, 10s));
  EXPECT_EQ(first.Verdict(), "");
  server.library().ShowUntil("a.ts", 9s);
  SimClient& second = world.AddClient();
  second.CheckAgainst(&media);
  StartPlaying(world, second, Lower::kTcp, "npt=now-");
  if (HasFatalFailure()) return;
  EXPECT_GT(StartOf(second), 5);
  ASSERT_TRUE(world.RunFor(3s));
  EXPECT_FALSE(HasEnded(second));
  server.library().ShowUntil("a.ts", kWhole);
  EXPECT_TRUE(world.RunUntil([&] { return HasEnded(second); }, 30s));
  second.ExpectToTheEnd();
  EXPECT_EQ(second.Verdict(), "");
}

// Paused, sought, and gone on with while it grows; whole, it is described as any other.
TEST(GrowingScenario, IsOneAssetWhileItGrowsAndAnotherOnceItIsWhole) {
  SimWorld world(1, NetworkProfile::Calm(), LoaderProfile{}, ScheduleProfile{});
  SimServer server(&world, {});
  SyntheticAsset asset;
  asset.duration = 20s;
  const SyntheticMedia& media = server.library().Add("a.ts", asset);
  server.library().ShowUntil("a.ts", 5s);
  SimClient& viewer = world.AddClient();
  viewer.CheckAgainst(&media);
  StartPlaying(world, viewer, Lower::kTcp, "npt=0-");
  ASSERT_TRUE(world.RunFor(2s));
  EXPECT_EQ(world.Await(viewer, viewer.Pause()), 200);
  server.library().ShowUntil("a.ts", 12s);
  EXPECT_EQ(world.Await(viewer, viewer.Play()), 200);
  ASSERT_TRUE(world.RunFor(6s));
  EXPECT_EQ(world.Await(viewer, viewer.Play("npt=3-")), 200);
  EXPECT_DOUBLE_EQ(StartOf(viewer), 3);
  // What is not there yet begins where the file ends.
  EXPECT_EQ(world.Await(viewer, viewer.Play("npt=100-")), 200);
  EXPECT_LE(StartOf(viewer), 12);
  EXPECT_GE(StartOf(viewer), 7);
  server.library().ShowUntil("a.ts", kWhole);
  EXPECT_TRUE(world.RunUntil([&] { return HasEnded(viewer); }, 30s));
  EXPECT_EQ(viewer.Verdict(), "");
  ASSERT_TRUE(world.RunFor(2s));
  SimClient& later = world.AddClient();
  later.Connect();
  EXPECT_EQ(world.Await(later, later.Describe("a.ts")), 200);
  EXPECT_NE(later.responses().back().body.find("a=range:npt=0-20"), std::string::npos)
      << later.responses().back().body;
}

}  // namespace
}  // namespace millrace::sim
