#include "media/loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <vector>

namespace millrace {
namespace {

class CountingJob : public LoadJob {
 public:
  void Run(std::size_t lane) override {
    lane_ = lane;
    if (order_ != nullptr) number_ = order_->fetch_add(1);
    runs_.fetch_add(1);
    done_.set_value();
  }
  void Cancel() override {
    cancels_.fetch_add(1);
    done_.set_value();
  }
  void Wait() { done_.get_future().wait(); }

  std::atomic<int> runs_{0}, cancels_{0};
  std::size_t lane_ = 99;
  std::atomic<int>* order_ = nullptr;
  int number_ = -1;

 private:
  std::promise<void> done_;
};

// Holds its thread until it is let go.
class BlockingJob : public CountingJob {
 public:
  void Run(std::size_t lane) override {
    started.set_value();
    go.get_future().wait();
    CountingJob::Run(lane);
  }
  std::promise<void> started, go;
};

TEST(ThreadLoader, RunsEveryJobOnceOnALaneOfItsOwn) {
  ThreadLoader loader(3);
  EXPECT_EQ(loader.lanes(), 3u);
  std::vector<CountingJob> jobs(200);
  for (CountingJob& job : jobs) loader.Submit(&job);
  for (CountingJob& job : jobs) job.Wait();
  for (CountingJob& job : jobs) {
    EXPECT_EQ(job.runs_, 1);
    EXPECT_EQ(job.cancels_, 0);
    EXPECT_LT(job.lane_, 3u);
  }
}

TEST(ThreadLoader, IsFirstInFirstOut) {
  ThreadLoader loader(1);
  std::atomic<int> order{0};
  std::vector<CountingJob> jobs(50);
  for (CountingJob& job : jobs) {
    job.order_ = &order;
    loader.Submit(&job);
  }
  for (CountingJob& job : jobs) job.Wait();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(jobs[static_cast<std::size_t>(i)].number_, i);
}

TEST(ThreadLoader, StopLetsTheRunningJobFinishAndCancelsTheWaitingOnes) {
  ThreadLoader loader(1);
  BlockingJob running;
  loader.Submit(&running);
  running.started.get_future().wait();
  std::vector<CountingJob> waiting(5);
  for (CountingJob& job : waiting) loader.Submit(&job);
  std::thread stopper([&] { loader.Stop(); });
  for (CountingJob& job : waiting) job.Wait();  // cancelled while the other still runs
  EXPECT_EQ(running.runs_, 0);
  running.go.set_value();
  stopper.join();
  EXPECT_EQ(running.runs_, 1);
  for (CountingJob& job : waiting) {
    EXPECT_EQ(job.runs_, 0);
    EXPECT_EQ(job.cancels_, 1);
  }
}

TEST(ThreadLoader, CancelsAtOnceWhatComesAfterStop) {
  ThreadLoader loader(2);
  loader.Stop();
  CountingJob late;
  loader.Submit(&late);
  EXPECT_EQ(late.cancels_, 1);
  loader.Stop();  // a second time does nothing
  EXPECT_EQ(late.cancels_, 1);
}

TEST(ThreadLoader, AJobMaySubmitTheNextAndDestroyItself) {
  ThreadLoader loader(2);
  struct Chain : LoadJob {
    void Run(std::size_t) override {
      if (left == 0) {
        finished->set_value();
      } else {
        auto next = std::make_unique<Chain>();
        next->loader = loader;
        next->left = left - 1;
        next->finished = finished;
        loader->Submit(next.release());
      }
      delete this;
    }
    void Cancel() override { delete this; }
    ThreadLoader* loader = nullptr;
    int left = 0;
    std::promise<void>* finished = nullptr;
  };
  std::promise<void> finished;
  auto first = std::make_unique<Chain>();
  first->loader = &loader;
  first->left = 100;
  first->finished = &finished;
  loader.Submit(first.release());
  EXPECT_EQ(finished.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
}

}  // namespace
}  // namespace millrace
