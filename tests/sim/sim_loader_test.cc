#include "tests/sim/sim_loader.h"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "tests/sim/sim_clock.h"

namespace millrace::sim {
namespace {

struct Job final : LoadJob {
  void Run(std::size_t lane) override {
    EXPECT_EQ(lane, 0u);
    ++runs;
    if (then) then();
  }
  void Cancel() override { ++cancels; }
  int runs = 0, cancels = 0;
  std::function<void()> then;
};

TEST(SimLoader, RunsJobsInOrderEachAfterItsDelay) {
  SimClock clock;
  SeededRandom random(3);
  LoaderProfile profile;
  profile.long_chance = 0;
  SimLoader loader(&random, &clock, profile);
  EXPECT_EQ(loader.next_due(), kNever);
  std::vector<int> order;
  std::vector<Job> jobs(20);
  for (int i = 0; i < 20; ++i) {
    jobs[static_cast<std::size_t>(i)].then = [&order, i] { order.push_back(i); };
    loader.Submit(&jobs[static_cast<std::size_t>(i)]);
  }
  loader.Step(clock.Now());
  EXPECT_TRUE(order.empty()) << "nothing is there at once";
  while (loader.next_due() != kNever) {
    const Duration wait = loader.next_due() - clock.Now();
    EXPECT_GE(wait, profile.delay_min);
    EXPECT_LE(wait, profile.delay_max);
    clock.MoveTo(loader.next_due());
    loader.Step(clock.Now());
  }
  ASSERT_EQ(order.size(), 20u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(SimLoader, IsSometimesSlow) {
  SimClock clock;
  SeededRandom random(3);
  SimLoader loader(&random, &clock, LoaderProfile{});
  Duration longest{}, shortest = 1h;
  for (int i = 0; i < 500; ++i) {
    Job job;
    loader.Submit(&job);
    const Duration wait = loader.next_due() - clock.Now();
    longest = std::max(longest, wait);
    shortest = std::min(shortest, wait);
    clock.MoveTo(loader.next_due());
    loader.Step(clock.Now());
    ASSERT_EQ(job.runs, 1);
  }
  EXPECT_GT(longest, 20ms);
  EXPECT_LT(shortest, 1ms);
}

TEST(SimLoader, AJobMaySubmitAnotherWhichRunsLater) {
  SimClock clock;
  SeededRandom random(3);
  SimLoader loader(&random, &clock, LoaderProfile{});
  Job first, second;
  first.then = [&] { loader.Submit(&second); };
  loader.Submit(&first);
  clock.MoveTo(loader.next_due());
  loader.Step(clock.Now());
  EXPECT_EQ(first.runs, 1);
  EXPECT_EQ(second.runs, 0);
  clock.MoveTo(loader.next_due());
  loader.Step(clock.Now());
  EXPECT_EQ(second.runs, 1);
}

TEST(SimLoader, CancelsWhatWaitsWhenItStops) {
  SimClock clock;
  SeededRandom random(3);
  Job waiting, late;
  SimLoader loader(&random, &clock, LoaderProfile{});
  loader.Submit(&waiting);
  loader.Stop();
  loader.Submit(&late);
  EXPECT_EQ(waiting.cancels, 1);
  EXPECT_EQ(late.cancels, 1);
  loader.Step(clock.Now() + 1h);
  EXPECT_EQ(waiting.runs + late.runs, 0);
}

}  // namespace
}  // namespace millrace::sim
