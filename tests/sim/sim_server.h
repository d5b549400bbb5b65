// The whole server in the simulation: its real shards, sessions, caches and senders over simulated
// clock, network, loader and media.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "core/limits.h"
#include "core/shard_group.h"
#include "net/rtsp/server.h"
#include "rtp/live_table.h"
#include "rtp/packet_cache.h"
#include "rtp/presentation_store.h"
#include "tests/sim/sim_backend.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/synthetic_library.h"

namespace millrace::sim {

struct SimServerOptions {
  std::size_t shards = 2;
  Limits limits = SmallLimits();
  VodOptions vod;
  LiveOptions live;
  std::vector<rtsp::ChannelSeries> channels;

  // Production's bounds with tables of a test's size.
  static Limits SmallLimits();
};

class SimServer {
 public:
  SimServer(SimWorld* world, const SimServerOptions& options);
  ~SimServer();  // Stop

  SyntheticLibrary& library() { return library_; }
  PacketCache& cache() { return *cache_; }
  PresentationStore& store() { return *store_; }
  LiveTable& live() { return *live_; }
  ShardGroup& group() { return *group_; }
  rtsp::Server& server(std::size_t shard);
  SimBackend& backend(std::size_t shard) { return *backends_[shard]; }
  ShardCountersSnapshot Snapshot() const { return group_->Snapshot(); }
  std::size_t sessions();
  std::size_t connections();

  // As SIGTERM does: goodbyes, then nothing runs any more.
  void Stop();

 private:
  class Adapter;

  SimWorld* const world_;
  SyntheticLibrary library_;
  std::unique_ptr<Random> store_random_, live_random_;
  std::unique_ptr<LiveTable> live_;
  rtsp::ServerShared shared_;
  std::vector<SimBackend*> backends_;
  std::unique_ptr<ShardGroup> group_;
  std::unique_ptr<PresentationStore> store_;
  std::unique_ptr<PacketCache> cache_;
  std::vector<std::unique_ptr<Adapter>> adapters_;
  std::vector<std::unique_ptr<Random>> randoms_;
  bool stopped_ = false;
};

}  // namespace millrace::sim
