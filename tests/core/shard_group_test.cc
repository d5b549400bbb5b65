#include "core/shard_group.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/io/backends.h"

namespace millrace {
namespace {

constexpr std::size_t kShards = 3;
constexpr std::size_t kLanes = 2;

// Bounds a wait; never decides a result that was to come.
bool WaitFor(const std::function<bool()>& done) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (!done()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// What the services of a test share. Written by shard threads, each at its own index.
struct Log {
  std::array<std::atomic<int>, kShards> built{}, ticks{}, stopped{}, gone{};
  std::array<std::atomic<std::uint64_t>, kShards> received{}, out_of_order{};
  std::array<std::thread::id, kShards> thread;
  std::array<int, kShards> processors{};  // it may run on

  void Clear() {
    for (std::size_t i = 0; i < kShards; ++i) {
      built[i] = ticks[i] = stopped[i] = gone[i] = 0;
      received[i] = out_of_order[i] = 0;
    }
  }
};

struct Letter {
  std::uint32_t from;  // shard, or kShards + loader lane
  std::uint64_t number;
};

// Sends `letters_each` to every other shard, `per_tick` of them a tick, and counts what it gets.
class PostingService final : public ShardService {
 public:
  PostingService(Shard& shard, Log* log, std::uint64_t letters_each, std::uint64_t per_tick)
      : shard_(shard), log_(log), letters_each_(letters_each), per_tick_(per_tick) {
    ++log_->built[shard.index()];
    log_->thread[shard.index()] = std::this_thread::get_id();
    cpu_set_t set;
    pthread_getaffinity_np(pthread_self(), sizeof(set), &set);
    log_->processors[shard.index()] = CPU_COUNT(&set);
  }
  ~PostingService() override { ++log_->gone[shard_.index()]; }

  static Message MakeLetter(std::size_t from, std::uint64_t number) {
    return Message::Make(&OnLetter, Letter{static_cast<std::uint32_t>(from), number});
  }

 private:
  static void OnLetter(void* receiver, const Message& message) {
    auto* shard = static_cast<Shard*>(receiver);
    auto* self = static_cast<PostingService*>(shard->service());
    const auto letter = message.As<Letter>();
    std::uint64_t& expected = self->expected_[letter.from];
    if (letter.number != expected++) ++self->log_->out_of_order[shard->index()];
    ++self->log_->received[shard->index()];
  }

  void OnTick(Instant) override {
    ++log_->ticks[shard_.index()];
    for (std::uint64_t i = 0; i < per_tick_ && sent_ < letters_each_; ++i, ++sent_) {
      for (std::size_t to = 0; to < kShards; ++to) {
        if (to != shard_.index()) shard_.Post(to, MakeLetter(shard_.index(), sent_));
      }
    }
  }
  Instant NextDeadline() const override { return sent_ < letters_each_ ? shard_.now() : kNever; }
  void OnStop(Instant) override { ++log_->stopped[shard_.index()]; }

  Shard& shard_;
  Log* const log_;
  const std::uint64_t letters_each_, per_tick_;
  std::uint64_t sent_ = 0;
  std::array<std::uint64_t, kShards + kLanes> expected_{};
};

class ShardGroupTest : public testing::TestWithParam<BackendKind> {
 protected:
  void SetUp() override {
    if (GetParam() == BackendKind::kUring && !ChooseBackend("io_uring").ok()) {
      GTEST_SKIP() << "no io_uring here";
    }
  }
  ShardGroup::Parts Parts() {
    return {
        .backend = [this](std::size_t i) -> absl::StatusOr<std::unique_ptr<IoBackend>> {
          if (backend_fails == i) return absl::ResourceExhaustedError("no ring");
          return MakeBackend(GetParam(), {.sockets_max = 16});
        },
        .random = [](std::size_t i) { return std::make_unique<SeededRandom>(i); },
        .service = [this](Shard& shard) -> absl::StatusOr<std::unique_ptr<ShardService>> {
          if (service_fails == shard.index()) return absl::AlreadyExistsError("port in use");
          return std::make_unique<PostingService>(shard, &log, letters_each, per_tick);
        },
    };
  }
  void Start() {
    group = std::make_unique<ShardGroup>(kShards, kLanes, &clock, Parts());
    ASSERT_TRUE(group->Start().ok());
  }
  std::uint64_t Received() const {
    std::uint64_t sum = 0;
    for (const auto& received : log.received) sum += received;
    return sum;
  }
  void ExpectAllEndedInOrder() const {
    for (std::size_t i = 0; i < kShards; ++i) {
      EXPECT_EQ(log.stopped[i], 1);
      EXPECT_EQ(log.gone[i], 1);
      EXPECT_EQ(log.out_of_order[i], 0u);
    }
  }

  SystemClock clock;
  Log log;
  std::uint64_t letters_each = 0, per_tick = 0;
  std::optional<std::size_t> backend_fails, service_fails;
  std::unique_ptr<ShardGroup> group;
};

INSTANTIATE_TEST_SUITE_P(Backends, ShardGroupTest,
                         testing::Values(BackendKind::kEpoll, BackendKind::kUring),
                         [](const auto& kind) {
                           return kind.param == BackendKind::kEpoll ? "Epoll" : "Uring";
                         });

TEST_P(ShardGroupTest, RunsEachShardOnAPinnedThreadOfItsOwn) {
  Start();
  ASSERT_TRUE(WaitFor([&] {
    return std::all_of(log.ticks.begin(), log.ticks.end(), [](const auto& t) { return t > 0; }) ||
           (group->shard(0).Wake(), group->shard(1).Wake(), group->shard(2).Wake(), false);
  }));
  group->Stop();
  group->Stop();  // idempotent
  for (std::size_t i = 0; i < kShards; ++i) {
    EXPECT_EQ(log.built[i], 1);
    EXPECT_NE(log.thread[i], std::this_thread::get_id());
    EXPECT_NE(log.thread[i], log.thread[(i + 1) % kShards]);
    EXPECT_EQ(log.processors[i], 1);
  }
  ExpectAllEndedInOrder();
}

TEST_P(ShardGroupTest, AnErrorOfAnyShardStopsTheStartAndLeavesNoneRunning) {
  for (std::size_t failing = 0; failing < kShards; ++failing) {
    for (const bool backend : {false, true}) {
      log.Clear();
      backend_fails = backend ? std::optional(failing) : std::nullopt;
      service_fails = backend ? std::nullopt : std::optional(failing);
      group = std::make_unique<ShardGroup>(kShards, kLanes, &clock, Parts());
      const absl::Status status = group->Start();
      EXPECT_EQ(status.message(), backend ? "no ring" : "port in use");
      for (std::size_t i = 0; i < kShards; ++i) {
        EXPECT_EQ(log.built[i], i == failing ? 0 : 1);
        EXPECT_EQ(log.gone[i], log.built[i]);
        EXPECT_EQ(log.ticks[i], 0);  // none ran before all stood
      }
      group->Stop();
      group->PostFromLoader(0, failing, PostingService::MakeLetter(kShards, 0));
      group.reset();
    }
  }
}

TEST_P(ShardGroupTest, BuiltHereItReportsTheErrorToo) {
  service_fails = 1;
  group = std::make_unique<ShardGroup>(kShards, kLanes, &clock, Parts());
  EXPECT_TRUE(absl::IsAlreadyExists(group->BuildHere()));
  group->ShutdownHere();
  EXPECT_EQ(log.gone[0], 1);
  EXPECT_EQ(log.built[2], 0);
}

TEST_P(ShardGroupTest, MailBetweenAllShardsKeepsItsOrderAndNoneIsLostThoughLanesAreFull) {
  letters_each = 30 * Mailbox::kLaneCapacity;
  per_tick = 3 * Mailbox::kLaneCapacity;  // fills the lanes for sure
  Start();
  const std::uint64_t all = letters_each * kShards * (kShards - 1);
  EXPECT_TRUE(WaitFor([&] { return Received() == all; })) << Received() << " of " << all;
  group->Stop();
  EXPECT_EQ(Received(), all);
  ExpectAllEndedInOrder();
}

TEST_P(ShardGroupTest, MailThatTricklesWakesSleepingShards) {
  letters_each = 3000;
  per_tick = 1;
  Start();
  EXPECT_TRUE(WaitFor([&] { return Received() == 3000u * kShards * (kShards - 1); }));
  group->Stop();
  ExpectAllEndedInOrder();
}

TEST_P(ShardGroupTest, LoadersPostIntoFullLanesWithoutLoss) {
  letters_each = 2000;
  per_tick = 500;
  Start();
  constexpr std::uint64_t kEach = 10 * Mailbox::kLaneCapacity;
  std::vector<std::thread> loaders;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    loaders.emplace_back([this, lane] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        for (std::size_t to = 0; to < kShards; ++to) {
          group->PostFromLoader(lane, to, PostingService::MakeLetter(kShards + lane, i));
        }
      }
    });
  }
  for (std::thread& loader : loaders) loader.join();
  const std::uint64_t all = 2000u * kShards * (kShards - 1) + kEach * kLanes * kShards;
  EXPECT_TRUE(WaitFor([&] { return Received() == all; }));
  group->Stop();
  ExpectAllEndedInOrder();
}

TEST_P(ShardGroupTest, StopsWhileTrafficFlows) {
  for (int round = 0; round < 5; ++round) {
    log.Clear();
    letters_each = UINT64_MAX;
    per_tick = round % 2 == 0 ? 10 : 2 * Mailbox::kLaneCapacity;
    Start();
    std::atomic<bool> done{false};
    std::thread loader([&] {
      for (std::uint64_t i = 0; !done; ++i) {
        group->PostFromLoader(0, i % kShards, PostingService::MakeLetter(kShards, i / kShards));
      }
    });
    EXPECT_TRUE(WaitFor([&] { return Received() > 3000; }));
    group->Stop();
    done = true;
    loader.join();  // a full lane of a stopped shard holds up nobody
    ExpectAllEndedInOrder();
  }
}

TEST(UsableProcessors, AreAscendingAndSomeOfThisMachines) {
  const std::vector<int> processors = UsableProcessors();
  ASSERT_FALSE(processors.empty());
  EXPECT_TRUE(std::is_sorted(processors.begin(), processors.end()));
  EXPECT_GE(processors.front(), 0);
  EXPECT_LT(processors.back(), CPU_SETSIZE);
}

}  // namespace
}  // namespace millrace
