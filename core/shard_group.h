// All shards of a process: their threads, and the lanes between them and the loaders.
//
// Threads: Start makes one pinned thread per shard, builds backend and service on it, and lets the
// shards run once all of them stand. Simulation: Build makes the shards on the calling thread,
// which then ticks them itself in any order it likes.
//
// Shard: the owner's thread; PostFromShard and PostFromLoader as documented.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/shard.h"
#include "core/shard_poster.h"

namespace millrace {

class ShardGroup final : public ShardPoster {
 public:
  struct Parts {
    std::function<absl::StatusOr<std::unique_ptr<IoBackend>>(std::size_t shard)> backend;
    std::function<std::unique_ptr<Random>(std::size_t shard)> random;
    // Called on the shard's thread with its backend attached; an error stops the start.
    std::function<absl::StatusOr<std::unique_ptr<ShardService>>(Shard& shard)> service;
  };

  ShardGroup(std::size_t shards, std::size_t loader_lanes, const Clock* clock, Parts parts);
  ~ShardGroup() override;  // Stop

  // One thread per shard, pinned to the processors this process may use, in their order (shards
  // beyond them share). Returns the first error of any shard, with none left running.
  absl::Status Start();
  // Ends every shard with its goodbyes and joins the threads. Idempotent.
  void Stop();

  // Simulation: builds every shard here. Tick them through shard(i), then ShutdownHere.
  absl::Status BuildHere();
  void ShutdownHere();

  std::size_t size() const { return shards_.size(); }
  Shard& shard(std::size_t i) { return *shards_[i]; }
  ShardCountersSnapshot Snapshot() const;

  // From shard `from`'s thread. False: the lane is full.
  bool PostFromShard(std::size_t from, std::size_t to, const Message& message) {
    return shards_[to]->mailbox().Post(from, message);
  }
  void PostFromLoader(std::size_t lane, std::size_t shard, const Message& message) override;

 private:
  void Run(std::size_t index, int processor);
  absl::Status BuildShard(std::size_t index);

  Parts parts_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable all_built_;
  std::size_t built_ = 0;      // guarded by mutex_
  absl::Status start_status_;  // guarded by mutex_
};

// Processors this process may run on, ascending.
std::vector<int> UsableProcessors();

}  // namespace millrace
