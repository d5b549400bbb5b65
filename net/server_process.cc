#include "net/server_process.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/io/backends.h"
#include "core/limits.h"
#include "core/logging.h"
#include "core/memory.h"
#include "core/shard_group.h"
#include "media/loader.h"
#include "net/rtsp/server.h"
#include "rtp/live_table.h"
#include "rtp/packet_cache.h"
#include "rtp/presentation_store.h"

namespace millrace {
namespace {

constexpr std::size_t kLoaderThreads = 2;
// At least three disks or servers of files may stall at once, and mostly six, before others wait.
constexpr std::size_t kLoaderSpareThreads = 6;
// Of a folder, looked at to say how much is served. A hundred thousand files on a slow disk are not
// waited for.
constexpr std::size_t kEntriesCountedMax = 10'000;
// Fewer connections than this are no server.
constexpr std::size_t kConnectionsMin = 16;

absl::StatusOr<Endpoint> BindEndpoint(const ServerOptions& options) {
  if (!options.bind.empty()) {
    const auto endpoint = Endpoint::Parse(options.bind, options.port);
    if (!endpoint) {
      return absl::InvalidArgumentError(
          absl::StrCat("--bind ", options.bind, " is not an IPv4 or IPv6 address"));
    }
    return *endpoint;
  }
  const int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return *Endpoint::Parse("0.0.0.0", options.port);
  close(probe);
  return *Endpoint::Parse("::", options.port);
}

// Raises the soft limit to the hard one; then as many connections as descriptors allow.
absl::Status FitToDescriptors(std::size_t shards, Limits* limits, VodOptions* vod) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
  }
  const std::size_t base = kDescriptorsBase + kDescriptorsPerShard * shards;
  const std::size_t needed = base + kConnectionsMin * shards;
  if (files.rlim_cur < needed) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("the limit of open files is %d and %d shards need at least %d: raise it "
                        "with ulimit -n (or LimitNOFILE= in a systemd unit)",
                        files.rlim_cur, shards, needed));
  }
  // A quarter of what is left is for media files kept open.
  const std::size_t spare = static_cast<std::size_t>(files.rlim_cur) - base;
  limits->connections = std::clamp(spare * 3 / 4 / shards, kConnectionsMin, limits->connections);
  vod->open_readers_max = std::min(vod->open_readers_max, std::max<std::size_t>(spare / 8, 1));
  return absl::OkStatus();
}

LiveOptions LiveOptionsOf(const ServerOptions& options) {
  LiveOptions live;
  live.SetPublish(options.publish);
  live.takeover = options.takeover;
  live.hold = options.hold;
  live.describe_wait = options.describe_wait;
  live.join_live_edge = options.join_live_edge;
  live.memory_bytes_max = MemoryAvailableToProcess() / 4;
  live.window.time = options.live_window;
  live.window.bytes_max = options.live_window_bytes;
  return live;
}

std::string PublishingText(const LiveOptions& live) {
  if (live.publish == LiveOptions::Publish::kOff) return "publishing is off";
  const std::string where = live.publish == LiveOptions::Publish::kAny
                                ? "everywhere"
                                : absl::StrCat("at /", live.prefix, " and below");
  return absl::StrFormat(
      "publishing %s; of each stream %d s and the newest group of pictures are "
      "kept, at most %d MiB",
      where, live.window.time / Duration(1s), live.window.bytes_max >> 20);
}

std::string RandomCname() {
  SystemRandom random;
  return absl::StrFormat("millrace-%016x", random.Next64());
}

}  // namespace

struct ServerProcess::Parts {
  SystemClock clock;
  SystemRandom store_random, live_random;
  std::unique_ptr<MountedLibrary> library;
  std::unique_ptr<ThreadLoader> loader;
  std::unique_ptr<LiveTable> live;
  std::unique_ptr<ShardGroup> group;
  std::unique_ptr<PresentationStore> store;
  std::unique_ptr<PacketCache> cache;
  rtsp::ServerShared shared;
  VodOptions vod;
  bool running = false;
};

ServerProcess::ServerProcess(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

ServerProcess::~ServerProcess() { Stop(); }

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(const ServerOptions& options) {
  auto parts = std::make_unique<Parts>();
  rtsp::ServerShared& shared = parts->shared;
  auto library = MountedLibrary::Open(options.roots);
  if (!library.ok()) return library.status();
  parts->library = *std::move(library);
  auto bind = BindEndpoint(options);
  if (!bind.ok()) return bind.status();
  auto choice = ChooseBackend(options.backend);
  if (!choice.ok()) return choice.status();

  const std::size_t shards =
      std::min(options.shards != 0 ? options.shards : UsableProcessors().size(), kShardsMax);
  shared.limits.session_timeout = options.session_timeout;
  const absl::Status fits = FitToDescriptors(shards, &shared.limits, &parts->vod);
  if (!fits.ok()) return fits;
  parts->vod.cache_bytes =
      options.cache_bytes != 0 ? options.cache_bytes : MemoryAvailableToProcess() / 4;
  parts->vod.burst_packets = shared.limits.burst_packets;

  const LiveOptions live = LiveOptionsOf(options);
  parts->live = std::make_unique<LiveTable>(live, &parts->live_random);
  parts->loader = std::make_unique<ThreadLoader>(kLoaderThreads, kLoaderSpareThreads);
  BackendOptions backend_options;
  backend_options.sockets_max = static_cast<std::uint32_t>(shared.limits.sockets());
  if (options.zero_copy != "off") {
    backend_options.zero_copy = options.zero_copy == "on" ? ZeroCopy::kOn : ZeroCopy::kAuto;
    if (choice->kind != BackendKind::kUring && options.zero_copy == "on") {
      return absl::InvalidArgumentError(
          "--zero-copy on needs the io_uring backend; leave it out, or use --backend io_uring");
    }
  }
  ShardGroup::Parts group_parts;
  group_parts.backend = [kind = choice->kind, backend_options](std::size_t) {
    return MakeBackend(kind, backend_options);
  };
  group_parts.random = [](std::size_t) { return std::make_unique<SystemRandom>(); };
  group_parts.service = [&shared](Shard& shard) -> absl::StatusOr<std::unique_ptr<ShardService>> {
    auto server = rtsp::Server::Create(shard, &shared);
    if (!server.ok()) return server.status();
    return std::unique_ptr<ShardService>(*std::move(server));
  };
  parts->group = std::make_unique<ShardGroup>(shards, parts->loader->lanes(), &parts->clock,
                                              std::move(group_parts));
  parts->store =
      std::make_unique<PresentationStore>(parts->library.get(), parts->loader.get(),
                                          parts->group.get(), &parts->store_random, parts->vod);
  parts->cache = std::make_unique<PacketCache>(parts->store->readers(), parts->loader.get(),
                                               parts->group.get(), parts->vod);
  shared.group = parts->group.get();
  shared.presentations = parts->store.get();
  shared.cache = parts->cache.get();
  shared.live = parts->live.get();
  for (const ServerOptions::RootWish& root : options.wishes) {
    shared.assets.AddRoot(root.prefix, root.wish);
  }
  for (const rtsp::ChannelSeries& series : options.channels) shared.assets.AddChannels(series);
  shared.bind = *bind;
  shared.cname = RandomCname();

  std::unique_ptr<ServerProcess> process(new ServerProcess(std::move(parts)));
  Parts& p = *process->parts_;
  p.running = true;
  const absl::Status started = p.group->Start();
  if (!started.ok()) return started;

  LogInfo("listening on {}{}", bind->WithPort(shared.port).ToString(),
          bind->family() == AF_INET6 && bind->IsWildcard() ? " (IPv6 and IPv4)" : "");
  LogInfo("{} shards, backend {} ({})", shards,
          choice->kind == BackendKind::kUring ? "io_uring" : "epoll", choice->reason);
  for (std::size_t i = 0; i < p.library->size(); ++i) {
    const Catalog::AssetCount count = p.library->catalog(i).CountAssets(kEntriesCountedMax);
    LogInfo("serving {}: {}{} assets, at /{}", p.library->root(i).folder,
            count.complete ? "" : "more than ", count.assets, p.library->root(i).prefix);
  }
  for (const rtsp::ChannelSeries& series : shared.assets.channels()) {
    LogInfo("{} channels at /{}0{} and on, of /{}", series.count, series.prefix, series.suffix,
            series.file);
  }
  LogInfo("{}", PublishingText(live));
  LogInfo("limits: {} connections and {} sessions per shard, cache {} MiB, session time-out {} s",
          shared.limits.connections, shared.limits.sessions, p.vod.cache_bytes >> 20,
          shared.limits.session_timeout / std::chrono::seconds(1));
  return process;
}

void ServerProcess::Stop() {
  if (!parts_->running) return;
  parts_->running = false;
  parts_->loader->Stop();
  parts_->group->Stop();
  const PacketCacheStats stats = parts_->cache->stats();
  const std::uint64_t asked = stats.hits + stats.misses;
  if (asked > 0) {
    constexpr double kMib = 1 << 20;
    LogInfo(
        "packet cache: {} blocks asked for, {:.1f} % of them there; {} loaded, {} let go for room, "
        "{:.1f} MiB in use, {:.1f} MiB at most",
        asked, 100.0 * static_cast<double>(stats.hits) / static_cast<double>(asked), stats.loads,
        stats.evictions, static_cast<double>(stats.bytes) / kMib,
        static_cast<double>(stats.bytes_most) / kMib);
  }
  parts_->cache.reset();
  parts_->store.reset();
}

std::uint16_t ServerProcess::port() const { return parts_->shared.port; }

ShardCountersSnapshot ServerProcess::Snapshot() const { return parts_->group->Snapshot(); }

}  // namespace millrace
