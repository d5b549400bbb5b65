// The only threads that may block on a disk. One of the four seams of the simulation.
//
// A job is embedded in (or owned by) whoever submits it; Run is called once on a loader thread and
// posts its own result where it belongs.
//
// A disk that does not answer must not hold up what lies on others. So a job that has run for
// `stalled_after` is reckoned stalled, and
//  1. it is not counted among the jobs that run at a time: another may run beside it, on a spare
//     thread, as long as there are any;
//  2. other jobs of its file wait until it is over, so that one file never holds more than
//     `threads` of them, however many ask for it.
// Spare threads sleep while nothing is stalled.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/clock.h"

namespace millrace {

class LoadJob {
 public:
  virtual ~LoadJob() = default;
  // `lane` is the loader thread's own number, its producer lane in every shard's mailbox (counted
  // from 0 among loaders). The job may destroy itself.
  virtual void Run(std::size_t lane) = 0;
  // Instead of Run, when the loader stops first.
  virtual void Cancel() = 0;
  // Which file Run reads, as FileNumber has it; 0: none. Asked for once, by Submit.
  virtual std::uint64_t file() const { return 0; }
};

// The same for every view of a file, and seldom for two files. Never 0.
std::uint64_t FileNumber(std::string_view asset_name);

class Loader {
 public:
  virtual ~Loader() = default;
  // Any thread. First in, first out.
  virtual void Submit(LoadJob* job) = 0;
  virtual std::size_t lanes() const = 0;
};

class ThreadLoader final : public Loader {
 public:
  static constexpr Duration kStalledAfter = 100ms;

  // `threads` jobs run at a time, beside up to `spare` stalled ones.
  explicit ThreadLoader(std::size_t threads, std::size_t spare = 0,
                        Duration stalled_after = kStalledAfter);
  ~ThreadLoader() override;  // Stop
  // Any thread. First in, first out, but for those of a stalled file.
  void Submit(LoadJob* job) override;
  std::size_t lanes() const override { return lanes_; }
  // Waits for the running jobs and cancels the waiting ones; later Submits are cancelled at once.
  void Stop();

 private:
  using Time = std::chrono::steady_clock::time_point;

  struct Waiting {
    LoadJob* job = nullptr;
    std::uint64_t file = 0;
  };
  enum class Doing : std::uint8_t { kNothing, kRunning, kStalled };
  struct Lane {
    Doing doing = Doing::kNothing;
    std::uint64_t file = 0;
    Time since;
  };
  struct StalledFile {
    std::size_t running = 0;
    std::deque<Waiting> waiting;
  };

  void Work(std::size_t lane);

  // With mutex_ held.
  bool WaitForJob(std::unique_lock<std::mutex>& lock, std::size_t lane, Waiting* next);
  bool Take(Waiting* next);
  void MarkStalled(Time now);
  void Finish(Lane& lane);
  void CallAThread();
  Time NextStall(Time now) const;

  const std::size_t threads_max_;
  const std::size_t lanes_;
  const Duration stalled_after_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable wake_, wake_spare_, wake_watching_;
  std::deque<Waiting> jobs_;
  absl::flat_hash_map<std::uint64_t, StalledFile> stalled_;
  std::vector<Lane> running_;  // by lane
  std::size_t not_stalled_ = 0;
  std::size_t begun_ = 0;
  std::size_t idle_ = 0;   // threads that wait at wake_, which are no spare ones
  bool watching_ = false;  // a thread sleeps until the next stall only, at wake_watching_
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace millrace
