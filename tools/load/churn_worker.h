// A thread with its share of the churners and one epoll set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "core/counters.h"
#include "tools/load/churn_command.h"
#include "tools/load/churner.h"

namespace millrace::load {

class ChurnWorker {
 public:
  // The `index`-th of `count`, with its share of the connections, the rate and the sessions.
  ChurnWorker(const ChurnOptions& options, std::size_t index, std::size_t count);
  ~ChurnWorker();
  ChurnWorker(const ChurnWorker&) = delete;
  ChurnWorker& operator=(const ChurnWorker&) = delete;

  // Until the time or the sessions are over and the last session has ended.
  void Run(std::optional<int> cpu);

  // For any thread, some milliseconds old.
  std::uint64_t sessions() const { return sessions_.Get(); }
  // After `Run`.
  const ChurnContext& context() const { return context_; }
  double busy_share() const { return busy_share_; }
  // From the first session's start to the last one's end.
  double seconds() const { return seconds_; }

 private:
  // Starts what may start; false when nothing more will.
  bool StartDue(Instant now);
  void HandleEvents(Instant now);

  ChurnContext context_;
  std::vector<std::unique_ptr<Churner>> churners_;
  std::vector<std::uint32_t> idle_;
  std::uint64_t left_;    // sessions to start
  std::uint64_t number_;  // of the next, and the step to the one after
  const std::uint64_t numbers_;
  const Duration run_for_;
  const Duration every_;  // between two starts; 0: as fast as it goes
  Instant start_at_{};    // of the next
  Instant stop_at_ = kNever;
  Instant look_at_{};
  double busy_share_ = 0;
  double seconds_ = 0;
  Counter sessions_;
};

}  // namespace millrace::load
