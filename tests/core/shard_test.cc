#include "core/shard.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/shard_group.h"
#include "tests/core/null_backend.h"

namespace millrace {
namespace {

constexpr Instant kStart{Duration(1000s)};

class HandClock final : public Clock {
 public:
  Instant Now() const override {
    ++reads;
    return now;
  }
  WallTime Wall() const override { return WallTime(now.time_since_epoch()); }
  Instant now = kStart;
  mutable int reads = 0;
};

class ScriptedBackend final : public NullBackend {
 public:
  void Poll(Instant now, Instant deadline) override {
    polls.emplace_back(now, deadline);
    if (on_poll) on_poll();
  }
  void Wake() override { ++wakes; }

  std::vector<std::pair<Instant, Instant>> polls;
  std::function<void()> on_poll;
  int wakes = 0;
};

class ScriptedService final : public ShardService {
 public:
  explicit ScriptedService(std::vector<std::string>* log) : log_(log) {}
  ~ScriptedService() override { log_->push_back("gone"); }
  void OnTick(Instant now) override {
    log_->push_back("service");
    if (on_tick) on_tick(now);
  }
  Instant NextDeadline() const override { return deadline; }
  void OnStop(Instant) override { log_->push_back("stop"); }

  std::function<void(Instant)> on_tick;
  Instant deadline = kNever;
  std::vector<std::uint64_t> letters;  // what mail brought, in order

 private:
  std::vector<std::string>* const log_;
};

class LogTimer final : public Timer {
 public:
  explicit LogTimer(std::vector<std::string>* log) : log_(log) {}
  void OnTimer(Instant) override { log_->push_back("timer"); }

 private:
  std::vector<std::string>* const log_;
};

void OnLetter(void* receiver, const Message& message) {
  auto* service = static_cast<ScriptedService*>(static_cast<Shard*>(receiver)->service());
  service->letters.push_back(message.As<std::uint64_t>());
}
Message Letter(std::uint64_t number) { return Message::Make(&OnLetter, number); }

// Shards that the test ticks, in any order.
class ShardTest : public testing::Test {
 protected:
  explicit ShardTest(std::size_t shards = 3) : group_(shards, 1, &clock_, MakeParts()) {
    backends_.resize(shards);
    services_.resize(shards);
    EXPECT_TRUE(group_.BuildHere().ok());
  }
  ~ShardTest() override { group_.ShutdownHere(); }

  ShardGroup::Parts MakeParts() {
    return {
        .backend = [this](std::size_t i) -> absl::StatusOr<std::unique_ptr<IoBackend>> {
          auto made = std::make_unique<ScriptedBackend>();
          backends_[i] = made.get();
          return made;
        },
        .random = [](std::size_t i) { return std::make_unique<SeededRandom>(i); },
        .service = [this](Shard& shard) -> absl::StatusOr<std::unique_ptr<ShardService>> {
          auto made = std::make_unique<ScriptedService>(&log_);
          services_[shard.index()] = made.get();
          return made;
        },
    };
  }
  Shard& shard(std::size_t i) { return group_.shard(i); }

  std::vector<std::string> log_;
  std::vector<ScriptedBackend*> backends_;
  std::vector<ScriptedService*> services_;
  HandClock clock_;
  ShardGroup group_;
};

void LogMail(void* receiver, const Message& message) {
  EXPECT_NE(receiver, nullptr);
  message.As<std::vector<std::string>*>()->push_back("mail");
}

TEST_F(ShardTest, ATickPollsThenReadsMailThenFiresTimersThenRunsTheService) {
  LogTimer timer(&log_);
  shard(0).timers().Arm(&timer, kStart);
  backends_[0]->on_poll = [this] { log_.push_back("poll"); };
  shard(0).Post(0, Message::Make(&LogMail, &log_));
  shard(0).Tick();
  EXPECT_EQ(log_, (std::vector<std::string>{"poll", "mail", "timer", "service"}));
}

TEST_F(ShardTest, ASignOfLifeInTheMailSavesATimerThatIsDue) {
  struct Rearm {
    LogTimer* timer;
    Instant deadline;
  };
  LogTimer timer(&log_);
  shard(0).timers().Arm(&timer, kStart);
  const Rearm rearm{&timer, kStart + 5s};
  shard(0).Post(0, Message::Make(
                       [](void* receiver, const Message& message) {
                         const auto r = message.As<Rearm>();
                         static_cast<Shard*>(receiver)->timers().Arm(r.timer, r.deadline);
                       },
                       rearm));
  shard(0).Tick();
  EXPECT_EQ(log_, std::vector<std::string>{"service"});
}

TEST_F(ShardTest, TheTimeOfATickIsReadOnceAfterTheSleep) {
  std::vector<Instant> seen;
  backends_[0]->on_poll = [&] {
    clock_.now += 7ms;  // the sleep
    seen.push_back(shard(0).now());
    clock_.now += 1ms;  // work, which does not move the tick's time
    seen.push_back(shard(0).now());
  };
  services_[0]->on_tick = [&](Instant now) { seen.push_back(now); };
  shard(0).Tick();
  EXPECT_EQ(seen, std::vector<Instant>(3, kStart + 7ms));
  const int before = clock_.reads;
  shard(0).Tick();
  EXPECT_LE(clock_.reads - before,
            2);  // before the sleep, so that it is not too long, and after it
}

TEST_F(ShardTest, SleepsUntilTheEarliestDeadlineOfTimersAndService) {
  shard(0).Tick();
  EXPECT_EQ(backends_[0]->polls.back().second, kNever);
  services_[0]->deadline = kStart + 30ms;
  shard(0).Tick();
  EXPECT_EQ(backends_[0]->polls.back().second, kStart + 30ms);
  LogTimer timer(&log_);
  shard(0).timers().Arm(&timer, kStart + 16ms);
  shard(0).Tick();
  EXPECT_LE(backends_[0]->polls.back().second, kStart + 16ms);
  services_[0]->deadline = kStart + 1ms;
  shard(0).Tick();
  EXPECT_EQ(backends_[0]->polls.back(), std::make_pair(kStart, kStart + 1ms));
}

TEST_F(ShardTest, TheTimeATickTakesIsNotAddedToTheNextSleep) {
  services_[0]->on_tick = [&](Instant) { clock_.now += 3ms; };
  services_[0]->deadline = kStart + 5ms;
  shard(0).Tick();
  shard(0).Tick();
  const auto [now, deadline] = backends_[0]->polls.back();
  EXPECT_EQ(deadline - now, 2ms);
  services_[0]->deadline = kStart + 4ms;  // gone by when the second tick has ended
  shard(0).Tick();
  EXPECT_LE(backends_[0]->polls.back().second, backends_[0]->polls.back().first);
}

TEST_F(ShardTest, DoesNotSleepOverMailThatIsThere) {
  services_[0]->deadline = kStart + 1h;
  group_.PostFromShard(1, 0, Letter(1));
  shard(0).Tick();
  EXPECT_LE(backends_[0]->polls.back().second, backends_[0]->polls.back().first);
  EXPECT_EQ(services_[0]->letters, std::vector<std::uint64_t>{1});
  shard(0).Tick();
  EXPECT_EQ(backends_[0]->polls.back().second, kStart + 1h);
}

TEST_F(ShardTest, IsWokenByMailOnlyWhileItSleeps) {
  shard(1).Post(0, Letter(1));
  EXPECT_EQ(backends_[0]->wakes, 0);  // not yet asleep: it will look
  shard(0).Tick();
  backends_[0]->on_poll = [this] { shard(1).Post(0, Letter(2)); };
  shard(0).Tick();
  EXPECT_EQ(backends_[0]->wakes, 1);
  EXPECT_EQ(services_[0]->letters, (std::vector<std::uint64_t>{1, 2}));
}

TEST_F(ShardTest, MailToItselfWaitsForTheNextTick) {
  int posts = 0;
  services_[0]->on_tick = [&](Instant) {
    shard(0).Post(0, Letter(static_cast<unsigned>(posts++)));
  };
  shard(0).Tick();
  EXPECT_TRUE(services_[0]->letters.empty());
  shard(0).Tick();
  EXPECT_EQ(services_[0]->letters, std::vector<std::uint64_t>{0});
}

TEST_F(ShardTest, AFullLaneDelaysMailButKeepsAllOfItInOrder) {
  constexpr std::uint64_t kLetters = 5 * Mailbox::kLaneCapacity + 13;
  std::uint64_t next = 0;
  while (next < kLetters / 2) shard(0).Post(1, Letter(next++));
  shard(1).Tick();  // there is room in the lane now, yet what was refused goes first
  while (next < kLetters) shard(0).Post(1, Letter(next++));
  for (int i = 0; i < 20; ++i) {
    shard(0).Tick();
    shard(1).Tick();
  }
  ASSERT_EQ(services_[1]->letters.size(), kLetters);
  for (std::uint64_t i = 0; i < kLetters; ++i) ASSERT_EQ(services_[1]->letters[i], i);
}

TEST_F(ShardTest, AFullLaneHoldsUpNoMailForOthers) {
  for (std::uint64_t i = 0; i < Mailbox::kLaneCapacity + 5; ++i) shard(0).Post(1, Letter(i));
  for (std::uint64_t i = 0; i < Mailbox::kLaneCapacity + 5; ++i) shard(0).Post(2, Letter(i));
  for (int i = 0; i < 3; ++i) {  // shard 1 is busy with something long
    shard(2).Tick();
    shard(0).Tick();
  }
  shard(2).Tick();
  EXPECT_EQ(services_[2]->letters.size(), Mailbox::kLaneCapacity + 5);
  EXPECT_TRUE(services_[1]->letters.empty());
}

TEST_F(ShardTest, RefusedMailIsOfferedSoonAndPostponesNoOtherDeadline) {
  for (std::uint64_t i = 0; i <= Mailbox::kLaneCapacity; ++i) shard(0).Post(1, Letter(i));
  services_[0]->deadline = kStart + 1h;
  EXPECT_EQ(shard(0).NextDeadline(), kStart + 1ms);
  services_[0]->deadline = kStart + 200us;
  EXPECT_EQ(shard(0).NextDeadline(), kStart + 200us);
  services_[0]->deadline = kStart;
  shard(0).Tick();
  EXPECT_EQ(backends_[0]->polls.back().second, kStart);
}

TEST_F(ShardTest, ShutdownSaysGoodbyeOnceAndFreesTheService) {
  shard(0).Shutdown();
  EXPECT_EQ(log_, (std::vector<std::string>{"stop", "gone"}));
  EXPECT_EQ(shard(0).service(), nullptr);
  shard(0).Shutdown();
  EXPECT_EQ(log_.size(), 2u);
  shard(1).Post(0, Letter(1));  // to one that has ended: nobody reads it, nothing breaks
  shard(0).Wake();
  EXPECT_GE(backends_[0]->wakes, 1);
}

TEST_F(ShardTest, TheGroupsSnapshotAddsUpItsShards) {
  shard(0).counters().requests.Add(3);
  shard(2).counters().requests.Add(4);
  EXPECT_EQ(group_.Snapshot().requests, 7u);
}

TEST(Shard, CanBeWokenBeforeItHasABackend) {
  HandClock clock;
  Shard lone(0, 1, &clock, std::make_unique<SeededRandom>(1));
  lone.Wake();
  lone.Shutdown();
  EXPECT_EQ(lone.service(), nullptr);
}

}  // namespace
}  // namespace millrace
