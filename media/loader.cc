#include "media/loader.h"

#include <utility>

namespace millrace {

ThreadLoader::ThreadLoader(std::size_t threads) : lanes_(threads == 0 ? 1 : threads) {
  threads_.reserve(lanes_);
  for (std::size_t lane = 0; lane < lanes_; ++lane) {
    threads_.emplace_back([this, lane] { Work(lane); });
  }
}

ThreadLoader::~ThreadLoader() { Stop(); }

void ThreadLoader::Submit(LoadJob* job) {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      jobs_.push_back(job);
      wake_.notify_one();
      return;
    }
  }
  job->Cancel();
}

void ThreadLoader::Stop() {
  std::deque<LoadJob*> waiting;
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting.swap(jobs_);
    threads.swap(threads_);
  }
  wake_.notify_all();
  // Outside the lock: a cancelled job may submit again, and is then cancelled again.
  for (LoadJob* job : waiting) job->Cancel();
  for (std::thread& thread : threads) thread.join();
}

void ThreadLoader::Work(std::size_t lane) {
  for (;;) {
    LoadJob* job = nullptr;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;  // Stop took the waiting jobs
      job = jobs_.front();
      jobs_.pop_front();
    }
    job->Run(lane);
  }
}

}  // namespace millrace
