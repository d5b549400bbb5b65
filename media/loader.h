// The only threads that may block on a disk. One of the four seams of the simulation.
//
// A job is embedded in (or owned by) whoever submits it; Run is called once on a loader thread and
// posts its own result where it belongs.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace millrace {

class LoadJob {
 public:
  virtual ~LoadJob() = default;
  // `lane` is the loader thread's own number, its producer lane in every shard's mailbox (counted
  // from 0 among loaders). The job may destroy itself.
  virtual void Run(std::size_t lane) = 0;
  // Instead of Run, when the loader stops first.
  virtual void Cancel() = 0;
};

class Loader {
 public:
  virtual ~Loader() = default;
  // Any thread. First in, first out.
  virtual void Submit(LoadJob* job) = 0;
  virtual std::size_t lanes() const = 0;
};

class ThreadLoader final : public Loader {
 public:
  explicit ThreadLoader(std::size_t threads);
  ~ThreadLoader() override;  // Stop
  void Submit(LoadJob* job) override;
  std::size_t lanes() const override { return lanes_; }
  // Waits for the running jobs and cancels the waiting ones; later Submits are cancelled at once.
  void Stop();

 private:
  void Work(std::size_t lane);

  const std::size_t lanes_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<LoadJob*> jobs_;  // guarded by mutex_
  bool stopping_ = false;      // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace millrace
