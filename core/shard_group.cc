#include "core/shard_group.h"

#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <string>
#include <utility>

namespace millrace {

std::vector<int> UsableProcessors() {
  std::vector<int> processors;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) processors.push_back(i);
    }
  }
  if (processors.empty()) processors.push_back(0);
  return processors;
}

ShardGroup::ShardGroup(std::size_t shards, std::size_t loader_lanes, const Clock* clock,
                       Parts parts)
    : parts_(std::move(parts)) {
  for (std::size_t i = 0; i < shards; ++i) {
    shards_.push_back(std::make_unique<Shard>(i, shards + loader_lanes, clock, parts_.random(i)));
    shards_.back()->set_group(this);
  }
}

ShardGroup::~ShardGroup() { Stop(); }

absl::Status ShardGroup::BuildShard(std::size_t index) {
  Shard& shard = *shards_[index];
  auto backend = parts_.backend(index);
  if (!backend.ok()) return backend.status();
  shard.AttachBackend(*std::move(backend));
  auto service = parts_.service(shard);
  if (!service.ok()) return service.status();
  shard.AttachService(*std::move(service));
  return absl::OkStatus();
}

absl::Status ShardGroup::Start() {
  stopping_ = false;
  built_ = 0;
  start_status_ = absl::OkStatus();
  const std::vector<int> processors = UsableProcessors();
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    threads_.emplace_back([this, i, cpu = processors[i % processors.size()]] { Run(i, cpu); });
  }
  absl::Status status;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    all_built_.wait(lock, [this] { return built_ == shards_.size(); });
    status = start_status_;
  }
  if (!status.ok()) Stop();
  return status;
}

void ShardGroup::Run(std::size_t index, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
  pthread_setname_np(pthread_self(), ("shard-" + std::to_string(index)).c_str());
  const absl::Status status = BuildShard(index);
  {
    // Nobody posts before everybody can be woken.
    std::unique_lock<std::mutex> lock(mutex_);
    start_status_.Update(status);
    if (++built_ == shards_.size()) all_built_.notify_all();
    all_built_.wait(lock, [this] { return built_ == shards_.size(); });
    if (!start_status_.ok()) stopping_.store(true, std::memory_order_release);
  }
  while (!stopping_.load(std::memory_order_acquire)) shards_[index]->Tick();
  shards_[index]->Shutdown();
}

void ShardGroup::Stop() {
  stopping_.store(true, std::memory_order_release);
  if (threads_.empty()) return;
  for (auto& shard : shards_) shard->Wake();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

absl::Status ShardGroup::BuildHere() {
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const absl::Status status = BuildShard(i);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void ShardGroup::ShutdownHere() {
  for (auto& shard : shards_) shard->Shutdown();
}

ShardCountersSnapshot ShardGroup::Snapshot() const {
  ShardCountersSnapshot sum;
  for (const auto& shard : shards_) sum.Add(shard->counters());
  return sum;
}

void ShardGroup::PostFromLoader(std::size_t lane, std::size_t shard, const Message& message) {
  while (!shards_[shard]->mailbox().Post(shards_.size() + lane, message)) {
    // Only a shard that has stopped never drains: what is posted then has no reader.
    if (stopping_.load(std::memory_order_acquire)) return;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

}  // namespace millrace
