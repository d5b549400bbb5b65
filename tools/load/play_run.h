// One run of `play`: who views what, the threads that do it, and the window that is measured.
//
// The viewers start one after the other; once each of them has its first packet or has failed, the
// window begins (after the time to settle) and ends after --for; then all of them leave.
//
// Thread: the caller's, which looks at the clock and the server while the workers work.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "tools/load/host_stats.h"
#include "tools/load/play_options.h"
#include "tools/load/train_log.h"
#include "tools/load/worker.h"

namespace millrace::load {

// What the run's own measurements say; the rest is in the workers.
struct RunFigures {
  double window_seconds = 0;
  double joins_per_second = 0;
  double client_cpu_seconds = 0;    // in the window
  double busiest_thread_share = 0;  // of a CPU, in the window; threads on one CPU count together
  double waited_share = 0;          // the worst thread's: ready to run while something else ran
  std::optional<ProcessStats> server_before;  // the first viewer
  std::optional<ProcessStats> server_first;   // at the window's begin
  std::optional<ProcessStats> server_last;    // and end
};

class PlayRun {
 public:
  explicit PlayRun(const PlayOptions& options);

  // To be called once.
  RunFigures Play();

  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
  const TrainLog& trains() const { return trains_; }

 private:
  ViewerPlan PlanOf(std::uint64_t i) const;
  std::optional<ProcessStats> LookAtServer() const;
  // Waits for the last viewer; false when nobody has joined.
  bool AwaitJoined(RunFigures& figures);
  void AwaitUntil(Instant deadline);
  void ShowProgress(Instant now);
  double BusiestShare() const;
  bool AnyRunning() const;
  std::uint64_t Joined() const;
  std::uint64_t Failed() const;

  const PlayOptions& options_;
  SystemClock clock_;
  Window window_;
  TrainLog trains_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::size_t> target_of_;  // by viewer
  Instant start_{};
  Duration ramp_{};
  Instant progress_at_{};
  std::uint64_t bytes_shown_ = 0;
  Instant shown_at_{};
};

}  // namespace millrace::load
