// A thread with its share of the viewers and one epoll set.
//
// Thread: `Run` in one of its own, the rest by whoever owns it.
// Invariant: sockets are opened and closed in `Run`, whose table of descriptors is its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "core/counters.h"
#include "tools/load/viewer.h"

namespace millrace::load {

// When all play, told to the workers once the last viewer has joined. `end` is written last.
//
// Thread: one writer, all workers read.
class Window {
 public:
  void Set(Instant begin, Instant end) {
    begin_.store(begin.time_since_epoch().count(), std::memory_order_relaxed);
    end_.store(end.time_since_epoch().count(), std::memory_order_release);
  }
  // kNever until they are known.
  Instant end() const { return Instant(Duration(end_.load(std::memory_order_acquire))); }
  // After `end` is known.
  Instant begin() const { return Instant(Duration(begin_.load(std::memory_order_relaxed))); }

 private:
  std::atomic<Duration::rep> begin_ = kNever.time_since_epoch().count();
  std::atomic<Duration::rep> end_ = kNever.time_since_epoch().count();
};

class Worker {
 public:
  explicit Worker(const Window& window);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before `Run`; in the order in which they start.
  void AddViewer(const ViewerPlan& plan);
  // Until every viewer is done: starts them, plays until the window's end, ends them.
  void Run(std::optional<int> cpu);

  // For any thread, some milliseconds old.
  std::uint64_t joined() const { return joined_.Get(); }
  std::uint64_t failed() const { return failed_.Get(); }
  std::uint64_t bytes() const { return bytes_.Get(); }  // RTP, from the start
  bool running() const { return running_; }
  // What share of a CPU this thread used in the window; after `Run`.
  double busy_share() const { return busy_share_; }
  // What share of the window it was ready to run and something else had its CPU.
  double waited_share() const { return waited_share_; }
  const Tally& tally() const { return context_.tally; }
  const std::vector<std::unique_ptr<Viewer>>& viewers() const { return viewers_; }

 private:
  void StartDue(Instant now);
  void HandleEvents();
  // Looks after the next few viewers; all of them have had their turn within kSweepEvery.
  void Sweep(Instant now);
  void Look(Viewer& viewer, Instant now);
  void FollowWindow(Instant now);

  const Window& window_;
  WorkerContext context_;
  std::vector<std::unique_ptr<Viewer>> viewers_;
  std::size_t started_ = 0;
  std::size_t next_to_look_after_ = 0;
  std::size_t done_in_a_row_ = 0;
  Instant sweep_at_{};

  std::optional<Duration> cpu_at_begin_;
  Instant cpu_begin_{};
  Duration waited_at_begin_{};
  double busy_share_ = 0;
  double waited_share_ = 0;

  std::atomic<bool> running_ = true;
  Counter joined_;
  Counter failed_;
  Counter bytes_;
};

}  // namespace millrace::load
