#include "media/loader.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "media/asset_name.h"

namespace millrace {

std::uint64_t FileNumber(std::string_view asset_name) {
  return std::hash<std::string_view>()(SplitAssetName(asset_name).path) | 1;
}

ThreadLoader::ThreadLoader(std::size_t threads, std::size_t spare, Duration stalled_after)
    : threads_max_(threads == 0 ? 1 : threads),
      lanes_(threads_max_ + spare),
      stalled_after_(stalled_after),
      running_(lanes_) {
  threads_.reserve(lanes_);
  for (std::size_t lane = 0; lane < lanes_; ++lane) {
    threads_.emplace_back([this, lane] { Work(lane); });
  }
  // Every thread waits where it is looked for before there is anything to do.
  std::unique_lock lock(mutex_);
  wake_watching_.wait(lock, [this] { return begun_ == lanes_; });
}

ThreadLoader::~ThreadLoader() { Stop(); }

void ThreadLoader::Submit(LoadJob* job) {
  const std::uint64_t file = job->file();
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      jobs_.push_back({job, file});
      CallAThread();
      return;
    }
  }
  job->Cancel();
}

void ThreadLoader::Stop() {
  std::deque<Waiting> waiting;
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting.swap(jobs_);
    for (auto& [file, stalled] : stalled_) {
      waiting.insert(waiting.end(), stalled.waiting.begin(), stalled.waiting.end());
      stalled.waiting.clear();
    }
    threads.swap(threads_);
  }
  wake_.notify_all();
  wake_spare_.notify_all();
  wake_watching_.notify_all();
  // Outside the lock: a cancelled job may submit again, and is then cancelled again.
  for (const Waiting& one : waiting) one.job->Cancel();
  for (std::thread& thread : threads) thread.join();
}

void ThreadLoader::Work(std::size_t lane) {
  std::unique_lock lock(mutex_);
  if (++begun_ == lanes_) wake_watching_.notify_all();
  Waiting next;
  while (WaitForJob(lock, lane, &next)) {
    running_[lane] = {Doing::kRunning, next.file, std::chrono::steady_clock::now()};
    ++not_stalled_;
    if (!jobs_.empty()) CallAThread();
    lock.unlock();
    next.job->Run(lane);
    lock.lock();
    Finish(running_[lane]);
  }
}

// False: the loader stops.
bool ThreadLoader::WaitForJob(std::unique_lock<std::mutex>& lock, std::size_t lane, Waiting* next) {
  const bool spare = lane >= threads_max_;
  for (;;) {
    if (stopping_) return false;  // Stop took the waiting jobs
    const Time now = std::chrono::steady_clock::now();
    MarkStalled(now);
    if (not_stalled_ < threads_max_ && Take(next)) return true;
    if (!jobs_.empty() && !watching_) {
      watching_ = true;
      wake_watching_.wait_until(lock, NextStall(now));
      watching_ = false;
    } else if (spare) {
      wake_spare_.wait(lock);
    } else {
      ++idle_;
      wake_.wait(lock);
      --idle_;
    }
  }
}

// The first job of a file that is not stalled.
bool ThreadLoader::Take(Waiting* next) {
  while (!jobs_.empty()) {
    *next = jobs_.front();
    jobs_.pop_front();
    const auto stalled = stalled_.find(next->file);
    if (stalled == stalled_.end()) return true;
    stalled->second.waiting.push_back(*next);
  }
  return false;
}

void ThreadLoader::MarkStalled(Time now) {
  for (Lane& lane : running_) {
    if (lane.doing != Doing::kRunning || now - lane.since < stalled_after_) continue;
    lane.doing = Doing::kStalled;
    --not_stalled_;
    if (lane.file != 0) ++stalled_[lane.file].running;
  }
}

// What waited for a stalled job goes on before what came later.
void ThreadLoader::Finish(Lane& lane) {
  if (std::exchange(lane.doing, Doing::kNothing) == Doing::kRunning) {
    --not_stalled_;
    return;
  }
  const auto stalled = stalled_.find(lane.file);
  if (stalled == stalled_.end() || --stalled->second.running > 0) return;
  const std::deque<Waiting>& waiting = stalled->second.waiting;
  jobs_.insert(jobs_.begin(), waiting.begin(), waiting.end());
  stalled_.erase(stalled);
}

// For a job that waits: to run it, or else to watch those that run. A thread that ends a job looks
// for the next by itself.
void ThreadLoader::CallAThread() {
  const bool room = not_stalled_ < threads_max_;
  if (room && idle_ > 0) {
    wake_.notify_one();
  } else if (watching_) {
    if (room) wake_watching_.notify_one();
  } else if (idle_ > 0) {
    wake_.notify_one();
  } else {
    wake_spare_.notify_one();
  }
}

// No job stalls before, of those that run and those that may begin to.
ThreadLoader::Time ThreadLoader::NextStall(Time now) const {
  Time first = now + stalled_after_;
  for (const Lane& lane : running_) {
    if (lane.doing == Doing::kRunning) first = std::min(first, lane.since + stalled_after_);
  }
  return first;
}

}  // namespace millrace
