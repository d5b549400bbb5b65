#include "media/loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "media/asset_name.h"

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

  std::uint64_t file() const override { return file_; }

  std::uint64_t file_ = 0;
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

// With nothing allowed to take any time, a job that runs when the next is looked for has stalled.
constexpr Duration kAtOnce = 0s;

void Start(ThreadLoader& loader, BlockingJob& job, std::uint64_t file) {
  job.file_ = file;
  loader.Submit(&job);
  job.started.get_future().wait();
}

TEST(ThreadLoader, AStalledJobHoldsUpNoOtherFile) {
  ThreadLoader loader(1, 2, kAtOnce);
  EXPECT_EQ(loader.lanes(), 3u);
  BlockingJob stalled;
  Start(loader, stalled, 1);
  std::vector<CountingJob> jobs(100);
  for (CountingJob& job : jobs) {
    job.file_ = 2;
    loader.Submit(&job);
    job.Wait();
    EXPECT_NE(job.lane_, 0u);
    EXPECT_LT(job.lane_, 3u);
  }
  EXPECT_EQ(stalled.runs_, 0);
  stalled.go.set_value();
  stalled.Wait();
}

TEST(ThreadLoader, JobsOfAStalledFileWaitForItInTheirOrder) {
  ThreadLoader loader(1, 3, kAtOnce);
  std::atomic<int> order{0};
  BlockingJob stalled;
  Start(loader, stalled, 1);
  std::vector<CountingJob> same(20), other(20);
  for (std::size_t i = 0; i < same.size(); ++i) {
    same[i].file_ = 1;
    same[i].order_ = &order;
    other[i].file_ = 2;
    loader.Submit(&same[i]);
    loader.Submit(&other[i]);
  }
  for (CountingJob& job : other) job.Wait();
  for (CountingJob& job : same) EXPECT_EQ(job.runs_, 0);
  stalled.go.set_value();
  for (CountingJob& job : same) job.Wait();
  stalled.Wait();
}

TEST(ThreadLoader, SeveralFilesMayStallAtOnce) {
  ThreadLoader loader(1, 3, kAtOnce);
  std::vector<BlockingJob> stalled(4);
  for (std::size_t i = 0; i < 3; ++i) Start(loader, stalled[i], i + 1);
  CountingJob other, later;
  other.file_ = later.file_ = 9;
  loader.Submit(&other);
  other.Wait();
  Start(loader, stalled[3], 4);  // on the last thread
  loader.Submit(&later);
  stalled[1].go.set_value();
  later.Wait();
  for (const std::size_t i : {0u, 2u, 3u}) stalled[i].go.set_value();
  for (BlockingJob& job : stalled) job.Wait();
}

TEST(ThreadLoader, AFileThatStallsAgainAndAgainIsHeldBackEachTime) {
  ThreadLoader loader(2, 2, kAtOnce);
  for (int round = 0; round < 50; ++round) {
    BlockingJob stalled;
    CountingJob same, other;
    Start(loader, stalled, 1);
    same.file_ = 1;
    other.file_ = 2;
    loader.Submit(&same);
    loader.Submit(&other);
    other.Wait();
    EXPECT_EQ(same.runs_, 0);
    stalled.go.set_value();
    same.Wait();
    stalled.Wait();
  }
}

TEST(ThreadLoader, SpareThreadsRunNothingWhileNothingIsStalled) {
  ThreadLoader loader(2, 4, 1h);
  BlockingJob one, two;
  Start(loader, one, 1);
  Start(loader, two, 1);  // two of a file may run at a time
  std::vector<CountingJob> waiting(5);
  for (CountingJob& job : waiting) loader.Submit(&job);
  one.go.set_value();
  for (CountingJob& job : waiting) {
    job.Wait();
    EXPECT_LT(job.lane_, 2u);
  }
  EXPECT_EQ(two.runs_, 0);
  two.go.set_value();
  one.Wait();
  two.Wait();
}

TEST(ThreadLoader, NoticesByItselfThatAJobHasStalled) {
  ThreadLoader loader(2, 1, 20ms);
  BlockingJob one, two;
  Start(loader, one, 1);
  Start(loader, two, 1);
  CountingJob other;
  loader.Submit(&other);
  other.Wait();  // nobody ends a job, nobody submits another
  EXPECT_EQ(other.lane_, 2u);
  one.go.set_value();
  two.go.set_value();
  one.Wait();
  two.Wait();
}

TEST(ThreadLoader, StopCancelsWhatWaitsForAStalledFile) {
  ThreadLoader loader(1, 1, kAtOnce);
  BlockingJob stalled;
  Start(loader, stalled, 1);
  CountingJob same, other;
  same.file_ = 1;
  other.file_ = 2;
  loader.Submit(&same);
  loader.Submit(&other);
  other.Wait();
  std::thread stopper([&] { loader.Stop(); });
  same.Wait();
  EXPECT_EQ(same.cancels_, 1);
  stalled.go.set_value();
  stopper.join();
  EXPECT_EQ(stalled.runs_, 1);
}

TEST(FileNumber, IsTheSameForEveryViewOfAFile) {
  const std::string path = "sub/a.ts";
  EXPECT_EQ(FileNumber(path), FileNumber(AssetName(path, AssetView::kTransport)));
  EXPECT_NE(FileNumber(path), FileNumber("sub/b.ts"));
  EXPECT_NE(FileNumber(""), 0u);
}

}  // namespace
}  // namespace millrace
