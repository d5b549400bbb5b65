// A whole scenario on one thread: clock, network, loader, shards and players, moved from event to
// event by one seed.
//
//   SimWorld world(seed);
//   world.AddShard(&adapter);
//   SimClient& player = world.AddClient();
//   player.Connect();
//   const int cseq = player.Describe("a.mp4");
//   ASSERT_TRUE(world.RunUntil([&] { return player.StatusOf(cseq) != 0; }, 5s)) << world.failure();
//
// A step: the clock moves to the earliest thing due; the network delivers, the loader finishes
// jobs, players act, and the shards whose time has come tick, in a drawn order. A shard never ticks
// at the very moment it could: each time a scheduling delay is drawn, mostly microseconds and now
// and then milliseconds, so that time passes even for a shard that asks to run at once for ever.
//
// Limits: steps_max steps per Run; a world that needs more has a livelock and says so in failure().
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_loader.h"
#include "tests/sim/sim_network.h"

namespace millrace::sim {

// A shard as the scheduler sees it.
class SimShard {
 public:
  virtual ~SimShard() = default;
  virtual void Tick(Instant now) = 0;
  // When it wants to run; at or before now: at once; kNever: when something wakes it. Asked before
  // every step, so it may be where the shard's mailbox is told that its owner sleeps.
  virtual Instant NextWake() = 0;
};

struct ScheduleProfile {
  Duration delay_max = 50us;  // between what a shard waits for and its tick
  double late_chance = 0.01;  // it was kept from running for longer
  Duration late_max = 5ms;

  static ScheduleProfile Drawn(Random& random);
};

class SimWorld {
 public:
  // All faults drawn from the seed.
  explicit SimWorld(std::uint64_t seed);
  SimWorld(std::uint64_t seed, const NetworkProfile& network, const LoaderProfile& loader,
           const ScheduleProfile& schedule);
  ~SimWorld();

  SimClock& clock() { return clock_; }
  SeededRandom& random() { return random_; }
  SimNetwork& network() { return network_; }
  SimLoader& loader() { return loader_; }
  // A generator of its own for a shard, drawn from the seed.
  std::unique_ptr<Random> ForkRandom() { return std::make_unique<SeededRandom>(random_.Next64()); }

  // Not owned; leaves before it dies.
  void AddShard(SimShard* shard) { shards_.push_back({shard}); }
  void RemoveShard(SimShard* shard);
  // On a host of its own, 10.0.0.N and 2001:db8:1::N; speaks IPv6 when asked. Owned by the world.
  SimClient& AddClient(bool ipv6 = false, std::uint16_t server_port = 8554);
  SimClient& client(std::size_t i) { return *clients_[i]; }
  std::size_t client_count() const { return clients_.size(); }

  // Runs until `done` (looked at after every step), at most `limit` of simulated time. False: the
  // limit or steps_max came first, or nothing is left to happen and `done` does not hold.
  bool RunUntil(const std::function<bool()>& done, Duration limit);
  // Exactly that much simulated time. False only for a livelock.
  bool RunFor(Duration time);
  // Until `client` has an answer to `cseq`; its status, 0 when none came.
  int Await(SimClient& client, int cseq, Duration limit = 30s);

  Instant now() const { return clock_.Now(); }
  // Of all that happened so far: two runs with one value are the same run.
  std::uint64_t digest() const;
  // Why the last Run returned false.
  const std::string& failure() const { return failure_; }
  std::uint64_t steps() const { return steps_; }
  std::uint64_t ticks(std::size_t shard) const { return shards_[shard].ticks; }
  void set_steps_max(std::uint64_t steps) { steps_max_ = steps; }

 private:
  struct Entry {
    SimShard* shard;
    bool ready = false;  // wants to run, since
    Instant ready_since{};
    Duration delay = 1us;  // of its next tick
    Instant planned = kNever;
    std::uint64_t ticks = 0;
  };
  enum class Stepped : std::uint8_t { kYes, kNothingDue, kLivelock };

  // One step, not beyond `limit`.
  Stepped Step(Instant limit, std::uint64_t* budget);
  void Plan(Entry& entry);
  Duration DrawDelay();

  SimClock clock_;
  SeededRandom random_;
  SimNetwork network_;
  SimLoader loader_;
  ScheduleProfile schedule_;
  std::vector<Entry> shards_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::vector<std::size_t> order_;
  std::uint64_t steps_ = 0;
  std::uint64_t steps_max_ = 20'000'000;
  std::string failure_;
  Digest digest_;
};

}  // namespace millrace::sim
