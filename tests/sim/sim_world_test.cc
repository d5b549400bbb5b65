#include "tests/sim/sim_world.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/sim_backend.h"

namespace millrace::sim {
namespace {

// Ticks at a fixed pace.
class Ticker final : public SimShard {
 public:
  Ticker(Instant first, Duration pace) : next_(first), pace_(pace) {}
  void Tick(Instant now) override {
    EXPECT_GE(now, next_);
    lateness_max = std::max(lateness_max, now - next_);
    next_ = now + pace_;
  }
  Instant NextWake() override { return next_; }
  Duration lateness_max{};

 private:
  Instant next_;
  const Duration pace_;
};

// Answers every byte of every connection with itself.
class EchoShard final : public SimShard, private AcceptHandler {
 public:
  explicit EchoShard(SimWorld* world) : backend_(&world->network(), &world->random()) {
    backend_.Accept(*backend_.ListenTcp(*Endpoint::Parse("::", 8554)), this);
  }
  void Tick(Instant now) override {
    backend_.Poll(now, kNever);
    for (auto& peer : peers_) {
      if (peer->out.empty()) continue;
      iovec iov{peer->out.data(), peer->out.size()};
      SendOp op;
      op.socket = peer->socket;
      op.iov = &iov;
      op.iov_count = 1;
      backend_.Send({&op, 1});
      if (op.result > 0) peer->out.erase(0, static_cast<std::size_t>(op.result));
      if (!peer->out.empty() && op.result != -EPIPE) backend_.WatchWritable(peer->socket);
    }
  }
  Instant NextWake() override { return backend_.wake_at(); }

 private:
  struct Peer final : StreamHandler {
    void OnReceived(std::span<const char> bytes) override {
      out.append(bytes.data(), bytes.size());
    }
    void OnReceiveEnd(int) override {}
    void OnWritable() override {}
    SocketId socket = kNoSocket;
    std::string out;
  };
  void OnAccepted(int descriptor) override {
    auto& peer = peers_.emplace_back(std::make_unique<Peer>());
    peer->socket = backend_.Adopt(descriptor);
    backend_.StartReceive(peer->socket, peer.get());
  }
  void OnAcceptStopped(int) override {}

  SimBackend backend_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

// An echo server and players that send it responses, which come back as if it had answered.
std::uint64_t RunEcho(std::uint64_t seed, std::size_t* echoed) {
  SimWorld world(seed);
  EchoShard shard(&world);
  world.AddShard(&shard);
  for (int i = 0; i < 5; ++i) {
    SimClient& client = world.AddClient(i % 2 == 1);
    client.Connect();
    for (int k = 0; k < 20; ++k) {
      client.Then([&client, k] {
        client.SendRaw("RTSP/1.0 200 OK\r\nCSeq: " + std::to_string(k + 1) +
                       "\r\nContent-Length: 600\r\n\r\n" + std::string(600, 'b'));
      });
      client.ThenWait(3ms);
    }
  }
  const bool done = world.RunUntil(
      [&] {
        std::size_t n = 0;
        for (std::size_t i = 0; i < 5; ++i) n += world.client(i).responses().size();
        return n == 100;
      },
      60s);
  EXPECT_TRUE(done) << world.failure();
  *echoed = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(world.client(i).Verdict(), "");
    *echoed += world.client(i).responses().size();
  }
  EXPECT_TRUE(world.RunFor(1s));
  const std::uint64_t digest = world.digest();
  world.RemoveShard(&shard);
  return digest;
}

TEST(SimWorld, ReplaysExactlyFromItsSeed) {
  std::vector<std::uint64_t> digests;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::size_t first = 0, second = 0;
    digests.push_back(RunEcho(seed, &first));
    EXPECT_EQ(RunEcho(seed, &second), digests.back());
    EXPECT_EQ(first, 100u);
    EXPECT_EQ(second, 100u);
  }
  std::sort(digests.begin(), digests.end());
  EXPECT_EQ(std::adjacent_find(digests.begin(), digests.end()), digests.end());
}

TEST(SimWorld, TicksAShardSoonAfterItsWakeTimeButNeverBefore) {
  ScheduleProfile schedule;
  schedule.late_chance = 0.05;
  SimWorld world(1, NetworkProfile::Calm(), {}, schedule);
  Ticker a(world.now() + 10ms, 10ms), b(world.now() + 1ms, 7ms);
  world.AddShard(&a);
  world.AddShard(&b);
  EXPECT_TRUE(world.RunFor(2s));
  EXPECT_EQ(world.now(), SimClock::kStart + 2s);
  EXPECT_NEAR(static_cast<double>(world.ticks(0)), 195, 10);
  EXPECT_GT(a.lateness_max, schedule.delay_max) << "sometimes kept from running";
  EXPECT_LE(a.lateness_max, schedule.late_max + 1us);
}

TEST(SimWorld, LetsTimePassForAShardThatNeverRests) {
  SimWorld world(1, NetworkProfile::Calm(), {}, {});
  Ticker restless(Instant{}, 0ns);
  world.AddShard(&restless);
  EXPECT_TRUE(world.RunFor(10ms));
  EXPECT_GT(world.ticks(0), 100u);
  world.set_steps_max(1000);
  EXPECT_FALSE(world.RunFor(10s));
  EXPECT_NE(world.failure().find("livelock"), std::string::npos);
}

TEST(SimWorld, AnIdleShardSleeps) {
  SimWorld world(1);
  EchoShard shard(&world);
  world.AddShard(&shard);
  EXPECT_TRUE(world.RunFor(1h));
  EXPECT_LE(world.ticks(0), 2u);
  world.RemoveShard(&shard);
}

TEST(SimWorld, SaysWhenTheLimitCameFirst) {
  SimWorld world(1);
  EXPECT_FALSE(world.RunUntil([] { return false; }, 5s));
  EXPECT_EQ(world.now(), SimClock::kStart + 5s);
  EXPECT_NE(world.failure(), "");
  EXPECT_TRUE(world.RunUntil([] { return true; }, 5s));
  EXPECT_EQ(world.failure(), "");
}

}  // namespace
}  // namespace millrace::sim
