#include "core/timer_wheel.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "core/random.h"

namespace millrace {
namespace {

constexpr Instant kStart{1000h};  // a machine that has been up for a while
constexpr Duration kTurn = TimerWheel::kResolution * TimerWheel::kSlots;

// Notes when it fired and runs what the test wants done there.
class TestTimer final : public Timer {
 public:
  std::vector<Instant> fired;
  std::function<void(Instant)> then;

 private:
  void OnTimer(Instant now) override {
    fired.push_back(now);
    if (then) then(now);
  }
};

TEST(TimerWheel, FiresAtTheDeadlineAndNotANanosecondBefore) {
  TimerWheel wheel(kStart);
  TestTimer timer;
  wheel.Arm(&timer, kStart + 20ms);
  EXPECT_TRUE(timer.armed());
  EXPECT_EQ(timer.deadline(), kStart + 20ms);
  wheel.Advance(kStart + 20ms - 1ns);
  EXPECT_TRUE(timer.fired.empty());
  wheel.Advance(kStart + 20ms);
  EXPECT_EQ(timer.fired, std::vector<Instant>{kStart + 20ms});
  EXPECT_FALSE(timer.armed());
  wheel.Advance(kStart + 20ms + kTurn * 3);
  EXPECT_EQ(timer.fired.size(), 1u);
  EXPECT_EQ(wheel.size(), 0u);
}

TEST(TimerWheel, FiresADeadlineInThePastAtTheNextAdvance) {
  TimerWheel wheel(kStart);
  wheel.Advance(kStart + 5s);
  TestTimer timer;
  wheel.Arm(&timer, kStart - 1h);
  EXPECT_LE(wheel.NextDeadline(), kStart + 5s);
  wheel.Advance(kStart + 5s);  // the very same instant will do
  EXPECT_EQ(timer.fired.size(), 1u);
}

TEST(TimerWheel, FiresADeadlineArmedLateInTheSlotOfTheLastAdvance) {
  TimerWheel wheel(kStart);
  const Instant slot = kStart + 80ms;
  wheel.Advance(slot + 1ms);
  TestTimer timer;
  wheel.Arm(&timer, slot + 3ms);
  wheel.Advance(slot + 2ms);
  EXPECT_TRUE(timer.fired.empty());
  wheel.Advance(slot + 3ms);
  EXPECT_EQ(timer.fired.size(), 1u);
}

TEST(TimerWheel, KeepsATimerManyTurnsAwayUntilItsOwnTurn) {
  TimerWheel wheel(kStart);
  TestTimer timer;
  const Instant deadline = kStart + kTurn * 5 + 3ms;
  wheel.Arm(&timer, deadline);
  for (Instant now = kStart; now < deadline; now += 7ms) wheel.Advance(now);
  EXPECT_TRUE(timer.fired.empty());
  wheel.Advance(deadline);
  EXPECT_EQ(timer.fired, std::vector<Instant>{deadline});
}

TEST(TimerWheel, FiresEverythingAfterAPauseOfManyTurns) {
  TimerWheel wheel(kStart);
  std::vector<std::unique_ptr<TestTimer>> timers;
  for (int i = 0; i < 5000; ++i) {
    timers.push_back(std::make_unique<TestTimer>());
    wheel.Arm(timers.back().get(), kStart + i * 13ms);
  }
  const Instant end = kStart + kTurn * 10;
  TestTimer later;
  wheel.Arm(&later, end + 1ns);
  wheel.Advance(end);
  for (const auto& timer : timers) EXPECT_EQ(timer->fired.size(), 1u);
  EXPECT_TRUE(later.fired.empty());
  EXPECT_EQ(wheel.size(), 1u);
}

TEST(TimerWheel, FiresEarlierSlotsFirst) {
  TimerWheel wheel(kStart);
  std::vector<int> order;
  std::vector<std::unique_ptr<TestTimer>> timers;
  for (const int ms : {500, 20, 90, 10'000, 300}) {
    timers.push_back(std::make_unique<TestTimer>());
    timers.back()->then = [&order, ms](Instant) { order.push_back(ms); };
    wheel.Arm(timers.back().get(), kStart + ms * 1ms);
  }
  wheel.Advance(kStart + 15s);
  EXPECT_EQ(order, (std::vector<int>{20, 90, 300, 500, 10'000}));
}

TEST(TimerWheel, RearmingMovesTheDeadlineBothWays) {
  TimerWheel wheel(kStart);
  TestTimer timer;
  wheel.Arm(&timer, kStart + 1s);
  wheel.Arm(&timer, kStart + 3s);
  EXPECT_EQ(wheel.size(), 1u);
  wheel.Advance(kStart + 2s);
  EXPECT_TRUE(timer.fired.empty());
  wheel.Arm(&timer, kStart + 2s + 10ms);
  wheel.Advance(kStart + 2s + 10ms);
  EXPECT_EQ(timer.fired.size(), 1u);
  wheel.Advance(kStart + 4s);
  EXPECT_EQ(timer.fired.size(), 1u);
}

TEST(TimerWheel, CancelledTimersStaySilentAndCancellingTwiceIsHarmless) {
  TimerWheel wheel(kStart);
  TestTimer a, b;
  wheel.Arm(&a, kStart + 16ms);
  wheel.Arm(&b, kStart + 16ms);
  wheel.Cancel(&a);
  wheel.Cancel(&a);
  EXPECT_FALSE(a.armed());
  wheel.Advance(kStart + 1s);
  EXPECT_TRUE(a.fired.empty());
  EXPECT_EQ(b.fired.size(), 1u);
}

TEST(TimerWheel, DestroyingAnArmedTimerCancelsIt) {
  TimerWheel wheel(kStart);
  auto timer = std::make_unique<TestTimer>();
  wheel.Arm(timer.get(), kStart + 16ms);
  timer.reset();
  EXPECT_EQ(wheel.size(), 0u);
  EXPECT_EQ(wheel.NextDeadline(), kNever);
  wheel.Advance(kStart + 1s);
}

TEST(TimerWheel, DestroyingTheWheelDisarmsItsTimers) {
  TestTimer near, far;
  {
    TimerWheel wheel(kStart);
    wheel.Arm(&near, kStart + 16ms);
    wheel.Arm(&far, kNever);
  }
  EXPECT_FALSE(near.armed());
  EXPECT_FALSE(far.armed());
}

TEST(TimerWheel, ATimerMayRearmItselfInItsCallback) {
  TimerWheel wheel(kStart);
  TestTimer timer;
  timer.then = [&](Instant now) { wheel.Arm(&timer, now + 250ms); };
  wheel.Arm(&timer, kStart);
  for (Instant now = kStart; now <= kStart + 10s; now += 1ms) wheel.Advance(now);
  EXPECT_EQ(timer.fired.size(), 41u);
  for (std::size_t i = 0; i < timer.fired.size(); ++i) {
    EXPECT_EQ(timer.fired[i], kStart + i * 250ms);
  }
}

TEST(TimerWheel, ATimerThatAlwaysRearmsForNowFiresOncePerAdvance) {
  TimerWheel wheel(kStart);
  TestTimer timer;
  timer.then = [&](Instant now) { wheel.Arm(&timer, now); };
  wheel.Arm(&timer, kStart);
  wheel.Advance(kStart);
  EXPECT_EQ(timer.fired.size(), 1u);
  EXPECT_LE(wheel.NextDeadline(), kStart);  // so nobody sleeps over it
  wheel.Advance(kStart);
  EXPECT_EQ(timer.fired.size(), 2u);
}

TEST(TimerWheel, ATimerMayBeDestroyedInItsCallback) {
  TimerWheel wheel(kStart);
  auto timer = std::make_unique<TestTimer>();
  int calls = 0;
  timer->then = [&](Instant) {
    ++calls;
    auto keep = std::move(timer->then);  // the callable outlives the timer it belongs to
    timer.reset();
  };
  wheel.Arm(timer.get(), kStart + 1ms);
  wheel.Advance(kStart + 1s);
  wheel.Advance(kStart + 2s);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(timer, nullptr);
}

TEST(TimerWheel, ACallbackMayCancelDestroyOrPutOffOthersThatAreDueWithIt) {
  TimerWheel wheel(kStart);
  TestTimer first, cancelled, put_off;
  auto destroyed = std::make_unique<TestTimer>();
  // `first` lies in an earlier slot, so its callback runs before the others'.
  wheel.Arm(&first, kStart + 8ms);
  wheel.Arm(&cancelled, kStart + 100ms);
  wheel.Arm(destroyed.get(), kStart + 100ms);
  wheel.Arm(&put_off, kStart + 100ms);
  first.then = [&](Instant now) {
    wheel.Cancel(&cancelled);
    destroyed.reset();
    wheel.Arm(&put_off, now + 1s);
  };
  wheel.Advance(kStart + 200ms);
  EXPECT_EQ(first.fired.size(), 1u);
  EXPECT_TRUE(cancelled.fired.empty());
  EXPECT_TRUE(put_off.fired.empty());
  wheel.Advance(kStart + 1200ms);
  EXPECT_TRUE(cancelled.fired.empty());
  EXPECT_EQ(put_off.fired.size(), 1u);
}

TEST(TimerWheel, TimeThatStandsStillOrGoesBackFiresNothingTwice) {
  TimerWheel wheel(kStart);
  TestTimer timer;
  wheel.Arm(&timer, kStart + 10ms);
  wheel.Advance(kStart + 10ms);
  wheel.Advance(kStart + 10ms);
  wheel.Advance(kStart - 1h);
  EXPECT_EQ(timer.fired.size(), 1u);
  wheel.Arm(&timer, kStart + 20ms);
  wheel.Advance(kStart + 20ms);
  EXPECT_EQ(timer.fired.size(), 2u);
}

TEST(TimerWheel, WorksBeforeTheZeroOfTime) {
  const Instant start{-10s};
  TimerWheel wheel(start);
  TestTimer timer;
  wheel.Arm(&timer, start + 5s + 1ns);
  wheel.Advance(start + 5s);
  EXPECT_TRUE(timer.fired.empty());
  wheel.Advance(start + 5s + 1ns);
  EXPECT_EQ(timer.fired.size(), 1u);
}

TEST(TimerWheel, NextDeadlineIsExactWithinATurnAndNeverWhenNothingIsArmed) {
  TimerWheel wheel(kStart);
  EXPECT_EQ(wheel.NextDeadline(), kNever);
  TestTimer a, b;
  wheel.Arm(&a, kStart + 500ms + 3ns);
  EXPECT_EQ(wheel.NextDeadline(), kStart + 500ms + 3ns);
  wheel.Arm(&b, kStart + 90ms);
  EXPECT_EQ(wheel.NextDeadline(), kStart + 90ms);
  wheel.Cancel(&b);
  EXPECT_EQ(wheel.NextDeadline(), kStart + 500ms + 3ns);
}

TEST(TimerWheel, ASleeperOverAFarTimerWakesAtMostOnceATurn) {
  TimerWheel wheel(kStart);
  TestTimer timer;
  const Instant deadline = kStart + kTurn * 20 + 5ms;
  wheel.Arm(&timer, deadline);
  int wakes = 0;
  while (timer.fired.empty() && wakes < 1000) {
    const Instant next = wheel.NextDeadline();
    ASSERT_LE(next, deadline);
    wheel.Advance(next);
    ++wakes;
  }
  EXPECT_EQ(timer.fired, std::vector<Instant>{deadline});
  EXPECT_LE(wakes, 22);
}

class Owner {
 public:
  void OnTimeout(Instant now) { timed_out_at_ = now; }
  MemberTimer<Owner, &Owner::OnTimeout>& timer() { return timer_; }
  Instant timed_out_at() const { return timed_out_at_; }

 private:
  MemberTimer<Owner, &Owner::OnTimeout> timer_{this};
  Instant timed_out_at_{};
};

TEST(TimerWheel, LooseDeadlinesAreNeverEarlyAndFewAmongMany) {
  std::set<Instant> deadlines;
  for (int i = 0; i < 5000; ++i) {
    const Instant exact = Instant(7s) + i * 1ms;
    const Instant loose = TimerWheel::Loosely(exact);
    EXPECT_GE(loose, exact);
    EXPECT_LT(loose - exact, TimerWheel::kSlack);
    EXPECT_EQ(loose, TimerWheel::Loosely(loose));
    deadlines.insert(loose);
  }
  EXPECT_LE(deadlines.size(), 5s / TimerWheel::kSlack + 2u);
}

TEST(MemberTimer, CallsItsOwner) {
  TimerWheel wheel(kStart);
  Owner owner;
  wheel.Arm(&owner.timer(), kStart + 1s);
  wheel.Advance(kStart + 2s);
  EXPECT_EQ(owner.timed_out_at(), kStart + 2s);
}

// --- Against a model: a multimap from deadline to timer, which is plainly right.

class Fuzzed;

class Model {
 public:
  Model(std::uint64_t seed, Instant start) : random_(seed), wheel_(start), now_(start) {}

  void Run(int steps);

 private:
  friend class Fuzzed;
  void OnFired(Fuzzed* timer);
  void ArmSomewhere(std::size_t i);
  void Disarm(std::size_t i);
  void Destroy(std::size_t i);
  void Step();
  void AdvanceTo(Instant now);
  Duration SomeDelay();

  static constexpr std::size_t kTimers = 60;
  SeededRandom random_;
  TimerWheel wheel_;
  Instant now_;
  std::vector<std::unique_ptr<Fuzzed>> timers_{kTimers};
  std::multimap<Instant, std::size_t> armed_;
  std::multimap<Instant, std::size_t> due_;  // those of armed_ that this Advance must fire
  std::size_t fired_ = 0;
};

class Fuzzed final : public Timer {
 public:
  Fuzzed(Model* model, std::size_t index) : model_(model), index_(index) {}
  std::size_t index() const { return index_; }

 private:
  void OnTimer(Instant now) override {
    EXPECT_FALSE(armed());
    EXPECT_EQ(now, model_->now_);
    model_->OnFired(this);
  }
  Model* const model_;
  const std::size_t index_;
};

void Forget(std::multimap<Instant, std::size_t>& from, std::size_t i) {
  std::erase_if(from, [i](const auto& entry) { return entry.second == i; });
}

Duration Model::SomeDelay() {
  switch (random_.Below(5)) {
    case 0:
      return Duration(random_.Below(20'000'000));  // this slot and the next ones
    case 1:
      return random_.Below(2000) * 8ms;  // on the slots' edges
    case 2:
      return Duration(random_.Below(60'000'000'000));  // some turns
    case 3:
      return kTurn * random_.Below(4) + Duration(random_.Below(3)) - 1ns;  // the ring's seam
    default:
      return -Duration(random_.Below(100'000'000));  // gone by
  }
}

void Model::Disarm(std::size_t i) {
  Forget(armed_, i);
  Forget(due_, i);
}

void Model::ArmSomewhere(std::size_t i) {
  if (timers_[i] == nullptr) timers_[i] = std::make_unique<Fuzzed>(this, i);
  const Instant deadline = now_ + SomeDelay();
  Disarm(i);
  armed_.emplace(deadline, i);
  wheel_.Arm(timers_[i].get(), deadline);
}

void Model::Destroy(std::size_t i) {
  Disarm(i);
  timers_[i].reset();
}

void Model::OnFired(Fuzzed* timer) {
  const std::size_t self = timer->index();
  const std::size_t before = due_.size();
  Disarm(self);
  EXPECT_EQ(due_.size() + 1, before) << "fired without being due";
  ++fired_;
  const std::size_t other = random_.Below(kTimers);
  switch (random_.Below(6)) {
    case 0:
      ArmSomewhere(self);
      break;
    case 1:
      Destroy(self);
      break;
    case 2:
      ArmSomewhere(other);
      break;
    case 3:
      if (other != self) Destroy(other);
      break;
    default:
      break;
  }
}

void Model::AdvanceTo(Instant now) {
  now_ = now;
  due_.clear();
  due_.insert(armed_.begin(), armed_.upper_bound(now));
  wheel_.Advance(now);
  EXPECT_TRUE(due_.empty()) << due_.size() << " did not fire";
  due_.clear();
}

void Model::Step() {
  const std::size_t i = random_.Below(kTimers);
  switch (random_.Below(8)) {
    case 0:
    case 1:
    case 2:
      ArmSomewhere(i);
      break;
    case 3:
      if (timers_[i] != nullptr) {
        Disarm(i);
        wheel_.Cancel(timers_[i].get());
      }
      break;
    case 4:
      Destroy(i);
      break;
    case 5:
      AdvanceTo(now_ + Duration(random_.Below(10'000'000)));
      break;
    case 6:
      if (random_.Chance(0.05)) AdvanceTo(now_ + Duration(random_.Below(100'000'000'000)));
      break;
    default: {
      const Instant next = wheel_.NextDeadline();
      if (next != kNever && next > now_) AdvanceTo(next);
    }
  }
  ASSERT_EQ(wheel_.size(), armed_.size());
  if (armed_.empty()) {
    ASSERT_EQ(wheel_.NextDeadline(), kNever);
    return;
  }
  ASSERT_LE(wheel_.NextDeadline(), armed_.begin()->first);
}

void Model::Run(int steps) {
  for (int i = 0; i < steps; ++i) {
    Step();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(fired_, static_cast<std::size_t>(steps) / 20);
  // Nothing armed from here on: a sleeper that goes from deadline to deadline gets to the end.
  for (int wakes = 0; !armed_.empty(); ++wakes) {
    ASSERT_LT(wakes, 100'000) << "NextDeadline makes no progress";
    AdvanceTo(std::max(now_, wheel_.NextDeadline()));
  }
  EXPECT_EQ(wheel_.size(), 0u);
}

TEST(TimerWheel, AgreesWithAMultimapOverLongTimesForEverySeed) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    // Every other run crosses the zero of time.
    Model model(seed, seed % 2 == 0 ? kStart : Instant{-30s});
    model.Run(3000);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace millrace
