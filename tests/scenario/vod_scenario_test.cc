// Whole servers with viewers who do what viewers do, each drawn from a seed: every frame that
// arrives is the asset's, in order and in time, whatever network, disk and scheduler do.
//
// A failing seed replays alone: MILLRACE_SEED=17 scenario_test --gtest_filter='Vod*'.
#include <gtest/gtest.h>

#include <string>

#include "tests/scenario/seeds.h"
#include "tests/sim/sim_server.h"

namespace millrace::sim {
namespace {

SyntheticAsset DrawAsset(Random& random) {
  SyntheticAsset asset;
  asset.duration = 30s + std::chrono::milliseconds(random.Below(6000));
  asset.content = random.Next64();
  asset.indexed = random.Chance(0.5);
  if (random.Chance(0.15)) asset.audio.reset();
  return asset;
}

std::string Npt(Random& random, Duration duration) {
  const auto ms = random.Below(static_cast<std::uint64_t>(duration / 1ms));
  return "npt=" + std::to_string(ms / 1000) + "." + std::to_string(1000 + ms % 1000).substr(1) +
         "-";
}

// One after the other: the second names the session that the first was given.
void SetUpTracks(SimClient& client, Lower lower) {
  for (std::size_t t = 0; t < 2; ++t) {
    client.Then([&client, lower, t] {
      if (t < client.tracks().size()) client.Setup(t, lower);
    });
  }
}

// One viewer's life: joins, plays, seeks and pauses a few times, and leaves in some way.
void DrawLife(SimWorld& world, SimClient& client, const std::string& path,
              const SyntheticMedia& media) {
  Random& random = world.random();
  const Lower lower = random.Chance(0.5) ? Lower::kTcp : Lower::kUdp;
  // Nobody gets to the end here: over UDP the goodbye may be lost, and what follows it has another
  // SSRC. The end is looked at below, on a network that loses nothing.
  const Duration duration = media.asset().duration / 3;
  client.CheckAgainst(&media);
  client.options().report_interval = 2s;
  client.options().loss_allowed = lower == Lower::kUdp;
  client.Then([&client] { client.Connect(); });
  client.ThenWait(std::chrono::milliseconds(random.Below(1500)));
  std::string url = path;
  url.replace(url.find(' '), 1, "%20");
  client.Then([&client, url] { client.Describe(url); });
  SetUpTracks(client, lower);
  const std::string first = random.Chance(0.5) ? "npt=0-" : Npt(random, duration);
  client.Then([&client, first] { client.Play(first); });
  for (std::uint64_t i = random.Below(4); i > 0; --i) {
    client.ThenWait(std::chrono::milliseconds(random.Below(2000)));
    const std::uint64_t what = random.Below(4);
    if (what == 0) {
      const std::string range = Npt(random, duration);
      client.Then([&client, range] { client.Play(range); });
    } else if (what == 1) {
      client.Then([&client] { client.Pause(); });
      client.ThenWait(std::chrono::milliseconds(random.Below(1000)));
      client.Then([&client] { client.Play(); });
    } else if (what == 2) {
      client.Then([&client] { client.GetParameter(); });
    } else if (lower == Lower::kTcp) {
      client.Then([&client] { client.StallReading(true); });
      client.ThenWait(std::chrono::milliseconds(random.Below(3000)));
      client.Then([&client] { client.StallReading(false); });
    }
  }
  client.ThenWait(std::chrono::milliseconds(random.Below(6000)));
  const std::uint64_t leaving = random.Below(3);
  if (leaving == 0) {
    client.Then([&client] { client.Teardown(); });
    client.ThenWait(200ms);
  }
  client.Then([&client, leaving] {
    client.options().report_interval = 0s;  // his player is gone, so nothing keeps the session
    leaving == 1 ? client.Reset() : client.Close();
  });
}

struct Outcome {
  std::uint64_t digest = 0;
  std::uint64_t packets = 0;
  std::uint64_t loads = 0;
};

Outcome LiveThrough(std::uint64_t seed) {
  SimWorld world(seed);
  Random& random = world.random();
  SimServerOptions options;
  options.shards = 1 + random.Below(4);
  if (random.Chance(0.3)) options.vod.cache_bytes = 2 << 20;
  SimServer server(&world, options);
  std::vector<std::string> paths;
  for (std::uint64_t i = 0; i < 1 + random.Below(2); ++i) {
    paths.push_back("clip " + std::to_string(i) + ".mp4");  // asked for as clip%20N.mp4
    server.library().Add(paths.back(), DrawAsset(random));
  }
  const std::size_t viewers = 2 + random.Below(5);
  for (std::size_t i = 0; i < viewers; ++i) {
    const std::string& path = paths[random.Below(paths.size())];
    SimClient& client = world.AddClient(random.Chance(0.3));
    DrawLife(world, client, path, *server.library().Find(path));
  }
  const bool done = world.RunUntil(
      [&] {
        for (std::size_t i = 0; i < viewers; ++i) {
          if (!world.client(i).script_done()) return false;
        }
        return true;
      },
      120s);
  EXPECT_TRUE(done) << world.failure();
  // Sessions that lost their connection, and connections that lost their peer, are gone soon.
  EXPECT_TRUE(
      world.RunUntil([&] { return server.sessions() == 0 && server.connections() == 0; }, 90s))
      << server.sessions() << " sessions and " << server.connections() << " connections are left";
  for (std::size_t i = 0; i < viewers; ++i) {
    EXPECT_EQ(world.client(i).Verdict(), "") << "viewer " << i;
  }
  const ShardCountersSnapshot counters = server.Snapshot();
  EXPECT_EQ(counters.connections_accepted, counters.connections_closed);
  EXPECT_EQ(counters.sessions_created, counters.sessions_ended);
  EXPECT_EQ(counters.parse_errors, 0u);
  return {world.digest(), counters.udp_packets_sent + counters.tcp_packets_sent,
          server.cache().stats().loads};
}

TEST(VodScenario, EveryViewerGetsHisFramesWhateverHappens) {
  std::uint64_t packets = 0, loads = 0;
  for (const std::uint64_t seed : Seeds(kSeeds)) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Outcome outcome = LiveThrough(seed);
    packets += outcome.packets;
    loads += outcome.loads;
    if (HasFailure()) break;
  }
  EXPECT_GT(packets, 100u);
  EXPECT_GT(loads, 0u);
}

TEST(VodScenario, ASeedReplaysExactly) {
  for (const std::uint64_t seed : Seeds(kSeeds / 20)) {
    EXPECT_EQ(LiveThrough(seed).digest, LiveThrough(seed).digest) << "seed " << seed;
  }
}

// On a network that loses nothing, a clip watched from start to end arrives whole, and every viewer
// of one file shares the blocks of one pass over it.
TEST(VodScenario, ACalmNetworkDeliversAllOfItToAllOfThem) {
  for (const std::uint64_t seed : Seeds(kSeeds / 10)) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimWorld world(seed, NetworkProfile::Calm(), LoaderProfile{}, ScheduleProfile{});
    SimServerOptions options;
    options.shards = 1 + world.random().Below(4);
    SimServer server(&world, options);
    SyntheticAsset asset = DrawAsset(world.random());
    asset.duration /= 8;
    const SyntheticMedia& media = server.library().Add("a.mp4", asset);
    for (int i = 0; i < 6; ++i) {
      SimClient& client = world.AddClient();
      client.CheckAgainst(&media);
      const Lower lower = i % 2 == 0 ? Lower::kUdp : Lower::kTcp;
      client.Then([&client] { client.Connect(); });
      client.Then([&client] { client.Describe("a.mp4"); });
      SetUpTracks(client, lower);
      client.Then([&client] { client.Play("npt=0-"); });
      client.ThenUntil([&client] {
        for (const ClientTrack& track : client.tracks()) {
          if (!track.bye) return false;
        }
        return !client.tracks().empty();
      });
      client.Then([&client] { client.ExpectToTheEnd(); });
    }
    EXPECT_TRUE(world.RunUntil(
        [&] {
          for (int i = 0; i < 6; ++i) {
            if (!world.client(static_cast<std::size_t>(i)).script_done()) return false;
          }
          return true;
        },
        60s))
        << world.failure();
    for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(world.client(i).Verdict(), "") << "viewer " << i;
    EXPECT_LE(server.cache().stats().loads,
              static_cast<std::uint64_t>(asset.duration / kBlockDuration) + 2);
    EXPECT_EQ(server.Snapshot().udp_send_errors, 0u);
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace millrace::sim
