#include "tests/sim/sim_server.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace millrace::sim {

class SimServer::Adapter final : public SimShard {
 public:
  Adapter(Shard* shard, SimBackend* backend) : shard_(shard), backend_(backend) {}

  void Tick(Instant) override { shard_->Tick(); }
  Instant NextWake() override {
    if (!shard_->mailbox().BeginSleep() || backend_->runnable()) return Instant{};
    return shard_->NextDeadline();
  }

 private:
  Shard* const shard_;
  SimBackend* const backend_;
};

Limits SimServerOptions::SmallLimits() {
  Limits limits;
  limits.connections = 256;
  limits.sessions = 512;
  return limits;
}

SimServer::SimServer(SimWorld* world, const SimServerOptions& options)
    : world_(world), store_random_(world->ForkRandom()), live_random_(world->ForkRandom()) {
  live_ = std::make_unique<LiveTable>(options.live, live_random_.get());
  backends_.resize(options.shards);
  ShardGroup::Parts parts;
  parts.backend = [this](std::size_t i) -> absl::StatusOr<std::unique_ptr<IoBackend>> {
    randoms_.push_back(world_->ForkRandom());
    auto backend = std::make_unique<SimBackend>(&world_->network(), randoms_.back().get());
    backends_[i] = backend.get();
    return std::unique_ptr<IoBackend>(std::move(backend));
  };
  parts.random = [this](std::size_t) { return world_->ForkRandom(); };
  parts.service = [this](Shard& shard) -> absl::StatusOr<std::unique_ptr<ShardService>> {
    auto server = rtsp::Server::Create(shard, &shared_);
    if (!server.ok()) return server.status();
    return std::unique_ptr<ShardService>(*std::move(server));
  };
  group_ = std::make_unique<ShardGroup>(options.shards, world->loader().lanes(), &world->clock(),
                                        std::move(parts));
  store_ = std::make_unique<PresentationStore>(&library_, &world->loader(), group_.get(),
                                               store_random_.get(), options.vod);
  cache_ =
      std::make_unique<PacketCache>(store_->readers(), &world->loader(), group_.get(), options.vod);
  shared_.limits = options.limits;
  shared_.group = group_.get();
  shared_.presentations = store_.get();
  shared_.cache = cache_.get();
  shared_.live = live_.get();
  for (const rtsp::ChannelSeries& series : options.channels) shared_.assets.AddChannels(series);
  shared_.bind = *Endpoint::Parse("::", 8554);
  shared_.cname = "simulated";
  const absl::Status built = group_->BuildHere();
  if (!built.ok()) {
    std::fprintf(stderr, "%s\n", std::string(built.message()).c_str());
    std::abort();
  }
  for (std::size_t i = 0; i < options.shards; ++i) {
    adapters_.push_back(std::make_unique<Adapter>(&group_->shard(i), backends_[i]));
    world_->AddShard(adapters_.back().get());
  }
}

SimServer::~SimServer() {
  Stop();
  cache_.reset();
  store_.reset();
  group_.reset();
}

rtsp::Server& SimServer::server(std::size_t shard) {
  return *static_cast<rtsp::Server*>(group_->shard(shard).service());
}

std::size_t SimServer::sessions() {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < group_->size(); ++i) sum += server(i).session_count();
  return sum;
}

std::size_t SimServer::connections() {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < group_->size(); ++i) sum += server(i).connection_count();
  return sum;
}

void SimServer::Stop() {
  if (stopped_) return;
  stopped_ = true;
  for (auto& adapter : adapters_) world_->RemoveShard(adapter.get());
  world_->loader().Stop();
  group_->ShutdownHere();
}

}  // namespace millrace::sim
