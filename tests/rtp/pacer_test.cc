#include "rtp/pacer.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "core/random.h"

namespace millrace {
namespace {

constexpr Instant kStart{Duration(1000s)};

class Task final : public PacedTask {
 public:
  std::function<void(Instant)> then;
  std::vector<Instant> fired;

 private:
  void OnDue(Instant now) override {
    EXPECT_FALSE(scheduled());
    fired.push_back(now);
    if (then) then(now);
  }
};

std::int64_t BucketOf(Instant t) { return t.time_since_epoch() / 1ms; }

TEST(Pacer, FiresInTheBucketOfTheDueTimeAndOnlyOnce) {
  Pacer pacer(kStart);
  Task task;
  pacer.Schedule(&task, kStart + 5500us);
  EXPECT_TRUE(task.scheduled());
  EXPECT_EQ(pacer.NextDue(), kStart + 5ms);
  pacer.Sweep(kStart + 4999us);
  EXPECT_TRUE(task.fired.empty());
  pacer.Sweep(kStart + 5ms);
  EXPECT_EQ(task.fired, std::vector<Instant>{kStart + 5ms});
  EXPECT_FALSE(task.scheduled());
  EXPECT_EQ(pacer.size(), 0u);
  EXPECT_EQ(pacer.NextDue(), kNever);
  pacer.Sweep(kStart + 3000ms);
  EXPECT_EQ(task.fired.size(), 1u);
}

TEST(Pacer, TakesADueTimeInThePastAsTheNextBucket) {
  Pacer pacer(kStart);
  pacer.Sweep(kStart + 10ms);
  Task past, ancient, current;
  pacer.Schedule(&past, kStart + 3ms);
  pacer.Schedule(&ancient, Instant{});
  pacer.Schedule(&current, kStart + 10ms + 900us);  // its bucket has been swept
  EXPECT_EQ(pacer.swept_until(), kStart + 11ms);
  EXPECT_EQ(pacer.NextDue(), kStart + 11ms);
  pacer.Sweep(kStart + 10ms + 999us);
  EXPECT_TRUE(past.fired.empty());
  pacer.Sweep(kStart + 11ms);
  EXPECT_EQ(past.fired.size(), 1u);
  EXPECT_EQ(ancient.fired.size(), 1u);
  EXPECT_EQ(current.fired.size(), 1u);
}

TEST(Pacer, SchedulingAgainMovesATask) {
  Pacer pacer(kStart);
  Task task;
  pacer.Schedule(&task, kStart + 5ms);
  pacer.Schedule(&task, kStart + 9ms);
  EXPECT_EQ(pacer.size(), 1u);
  EXPECT_EQ(pacer.NextDue(), kStart + 9ms);
  pacer.Schedule(&task, kStart + 2ms);
  EXPECT_EQ(pacer.NextDue(), kStart + 2ms);
  pacer.Sweep(kStart + 20ms);
  EXPECT_EQ(task.fired.size(), 1u);
}

TEST(Pacer, ATaskThatReschedulesItselfForNowFiresInTheNextMillisecond) {
  Pacer pacer(kStart);
  Task task;
  task.then = [&](Instant now) { pacer.Schedule(&task, now); };
  pacer.Schedule(&task, kStart);
  for (int i = 1; i <= 5; ++i) {
    pacer.Sweep(kStart + i * 1ms);
    EXPECT_EQ(task.fired.size(), static_cast<std::size_t>(i));
  }
  pacer.Sweep(kStart + 100ms);  // a gap is one firing, not a hundred
  EXPECT_EQ(task.fired.size(), 6u);
  pacer.Sweep(kStart + 5000ms);  // longer than the ring
  EXPECT_EQ(task.fired.size(), 7u);
}

TEST(Pacer, WaitsForTurnsOfTheRingWhenTheDueTimeIsFarAway) {
  Pacer pacer(kStart);
  Task near, far;
  pacer.Schedule(&far, kStart + 3 * 1024ms + 7ms);
  pacer.Schedule(&near, kStart + 7ms);
  Instant now = kStart;
  for (int i = 0; i < 3 * 1024 + 6; ++i) pacer.Sweep(now += 1ms);
  EXPECT_EQ(near.fired.size(), 1u);
  EXPECT_TRUE(far.fired.empty());
  pacer.Sweep(now += 1ms);
  EXPECT_EQ(far.fired.size(), 1u);
}

TEST(Pacer, ADueTimeThatNeverComesCanBeCancelled) {
  Pacer pacer(kStart);
  Task task;
  pacer.Schedule(&task, kNever);
  pacer.Sweep(kStart + 1h);
  EXPECT_TRUE(task.fired.empty());
  EXPECT_EQ(pacer.size(), 1u);
  pacer.Cancel(&task);
  EXPECT_EQ(pacer.NextDue(), kNever);
  pacer.Cancel(&task);  // no effect
  EXPECT_EQ(pacer.size(), 0u);
}

TEST(Pacer, CallbacksMayCancelMoveAndDestroyOthersOfTheSameBucket) {
  // The order in a bucket is not promised, so each of the three does it to the other two.
  for (int verb = 0; verb < 3; ++verb) {
    Pacer pacer(kStart);
    std::vector<std::unique_ptr<Task>> tasks(3);
    int fired = 0;
    for (auto& task : tasks) {
      task = std::make_unique<Task>();
      task->then = [&, self = task.get()](Instant) {
        ++fired;
        for (auto& other : tasks) {
          if (other.get() == self || other == nullptr) continue;
          if (verb == 0) pacer.Cancel(other.get());
          if (verb == 1) pacer.Schedule(other.get(), kStart + 50ms);
          if (verb == 2) other.reset();
        }
      };
      pacer.Schedule(task.get(), kStart + 3ms);
    }
    pacer.Sweep(kStart + 3ms);
    EXPECT_EQ(fired, 1) << verb;
    EXPECT_EQ(pacer.size(), verb == 1 ? 2u : 0u);
    EXPECT_EQ(pacer.NextDue(), verb == 1 ? kStart + 50ms : kNever);
    pacer.Sweep(kStart + 60ms);
    EXPECT_EQ(fired, verb == 1 ? 2 : 1);  // the first to fire then moved the last once more
  }
}

TEST(Pacer, ACallbackMayCancelWhatALaterBucketOfTheSameSweepHolds) {
  Pacer pacer(kStart);
  Task first, second;
  first.then = [&](Instant) { pacer.Cancel(&second); };
  pacer.Schedule(&first, kStart + 3ms);
  pacer.Schedule(&second, kStart + 8ms);
  pacer.Sweep(kStart + 20ms);
  EXPECT_EQ(first.fired.size(), 1u);
  EXPECT_TRUE(second.fired.empty());
  EXPECT_EQ(pacer.size(), 0u);
}

TEST(Pacer, EndsBeforeItsTasks) {
  Task task;
  {
    Pacer pacer(kStart);
    pacer.Schedule(&task, kStart + 3ms);
  }
  EXPECT_FALSE(task.scheduled());
}

// The seeded comparison: a multimap from bucket to task, with the rules of the header.
class PacerModel : public testing::TestWithParam<std::uint64_t> {
 protected:
  static constexpr std::size_t kTasks = 60;

  void SetUp() override {
    for (std::size_t i = 0; i < kTasks; ++i) {
      tasks_[i].then = [this, i](Instant now) { OnFired(i, now); };
    }
  }

  void Schedule(std::size_t i, Instant due) {
    pacer_.Schedule(&tasks_[i], due);
    Forget(i);
    model_.emplace(std::max(BucketOf(due), swept_ + 1), i);
  }
  void Cancel(std::size_t i) {
    pacer_.Cancel(&tasks_[i]);
    Forget(i);
  }
  void Forget(std::size_t i) {
    for (auto it = model_.begin(); it != model_.end(); ++it) {
      if (it->second != i) continue;
      model_.erase(it);
      return;
    }
  }

  void OnFired(std::size_t i, Instant now) {
    const auto it = std::find_if(model_.begin(), model_.end(),
                                 [i](const auto& entry) { return entry.second == i; });
    ASSERT_NE(it, model_.end()) << "fired without being scheduled";
    EXPECT_LE(it->first, BucketOf(now)) << "fired early";
    model_.erase(it);
    Meddle(now);
  }
  Instant SomeDue(Instant now) {
    switch (random_.Below(6)) {
      case 0:
        return now - Duration(random_.Below(5'000'000'000));  // past
      case 1:
        return now + Duration(random_.Below(10'000'000'000));  // beyond the ring
      case 2:
        return now;
      case 3:  // about a turn away, where slots meet
        return now + 1022ms + Duration(random_.Below(5'000'000));
      default:
        return now + Duration(random_.Below(60'000'000));
    }
  }
  void Meddle(Instant now) {
    const std::size_t other = random_.Below(kTasks);
    switch (random_.Below(4)) {
      case 0:
        return Cancel(other);
      case 1:
      case 2:
        return Schedule(other, SomeDue(now));
      default:
        return;
    }
  }
  void CheckNextDue() {
    if (model_.empty()) {
      EXPECT_EQ(pacer_.NextDue(), kNever);
      return;
    }
    EXPECT_LE(pacer_.NextDue(), Instant(model_.begin()->first * 1ms));
    EXPECT_GE(pacer_.NextDue(), Instant((swept_ + 1) * 1ms)) << "a sleep would not pass";
  }

  SeededRandom random_{GetParam()};
  Pacer pacer_{kStart};
  std::int64_t swept_ = BucketOf(kStart);
  std::array<Task, kTasks> tasks_;
  std::multimap<std::int64_t, std::size_t> model_;
};

TEST_P(PacerModel, FiresWhatAMultimapWould) {
  Instant now = kStart;
  for (int step = 0; step < 3000; ++step) {
    for (std::uint64_t i = random_.Below(4); i > 0; --i) Meddle(now);
    CheckNextDue();
    switch (random_.Below(8)) {
      case 0:
        now += Duration(random_.Below(4'000'000'000));  // turns of the ring
        break;
      case 1:
        now = std::max(now, std::min(pacer_.NextDue(), now + 20s));
        break;
      default:
        now += Duration(random_.Below(3'000'000));
    }
    swept_ = std::max(swept_, BucketOf(now));
    // Entries that callbacks add during the sweep lie beyond it, by the rules.
    pacer_.Sweep(now);
    EXPECT_TRUE(model_.empty() || model_.begin()->first > swept_) << "not fired at step " << step;
    EXPECT_EQ(pacer_.size(), model_.size());
    if (HasFailure()) return;
  }
}

TEST_P(PacerModel, SweepingAtNextDueAlwaysGetsThere) {
  for (std::size_t i = 0; i < kTasks; ++i) {
    tasks_[i].then = nullptr;
    pacer_.Schedule(&tasks_[i], kStart + Duration(random_.Below(30'000'000'000)));
  }
  std::size_t sweeps = 0;
  while (pacer_.NextDue() != kNever) {
    const Instant next = pacer_.NextDue();
    pacer_.Sweep(next);
    ASSERT_GT(pacer_.swept_until(), next);
    ASSERT_LE(++sweeps, kTasks * 31);  // each at most once a turn
  }
  for (const Task& task : tasks_) {
    ASSERT_EQ(task.fired.size(), 1u);
    EXPECT_EQ(BucketOf(task.fired[0]), BucketOf(task.due()));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, PacerModel, testing::Range<std::uint64_t>(0, 12));

}  // namespace
}  // namespace millrace
