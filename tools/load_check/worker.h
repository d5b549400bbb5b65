// A thread with its share of the viewers and one epoll set.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "core/counters.h"
#include "tools/load_check/viewer.h"

namespace millrace::load_check {

class Worker {
 public:
  Worker();
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before `Run`.
  void AddViewer(const Target& target, ViewerRole role, Instant start_at);
  // Until every viewer is done: starts them, plays until `finish_at`, ends them.
  void Run(Instant finish_at);

  // RTP bytes received so far, a tenth of a second old at most; any thread.
  const Counter& media_bytes() const { return media_bytes_; }
  // After `Run`.
  const std::vector<std::unique_ptr<Viewer>>& viewers() const { return viewers_; }
  const LiveDelays& delays(LowerTransport transport) const {
    return delays_[transport == LowerTransport::kUdp ? 0 : 1];
  }

 private:
  void StartDue(Instant now);
  void HandleEvents();
  // Keep-alives and the like; false when nobody is left.
  bool Sweep(Instant now, Instant finish_at);

  SystemClock clock_;
  int epoll_fd_;
  std::vector<std::unique_ptr<Viewer>> viewers_;
  std::vector<Instant> start_at_;  // of the viewer at the same place; ascending
  std::size_t started_ = 0;
  Scratch scratch_;
  std::array<LiveDelays, 2> delays_;  // UDP, TCP
  Counter media_bytes_;
};

}  // namespace millrace::load_check
