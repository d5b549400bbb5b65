// A whole server: catalog, loaders, caches, shards, wired in the order that lets them stop cleanly.
//
// Start-up order: catalog, loaders, store, cache, shards; stop order: loaders (no more news),
// shards (their goodbyes), cache, store, catalog.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/counters.h"
#include "media/mounted_library.h"
#include "net/rtsp/asset_rules.h"

namespace millrace {

struct ServerOptions {
  // How a folder's assets are played when a URL does not say.
  struct RootWish {
    std::string prefix;
    rtsp::AssetWish wish;
  };

  std::vector<ServedRoot> roots = {{"", "."}};
  std::vector<RootWish> wishes;
  std::vector<rtsp::ChannelSeries> channels;
  std::string bind;               // an IP address; empty: every address, IPv6 and IPv4
  std::uint16_t port = 8554;      // 0: any free one
  std::size_t shards = 0;         // 0: one per usable processor
  std::string backend = "auto";   // "auto", "io_uring" or "epoll"
  std::string zero_copy = "off";  // UDP trains over io_uring: "auto", "on" or "off"
  std::uint64_t cache_bytes = 0;  // 0: a quarter of memory
  Duration session_timeout = 60s;

  // Live. Paths that may be published to: "off", "any", or a path that begins with '/' and has no
  // '/' at its end, for itself and what is below it.
  std::string publish = "/live";
  bool takeover = false;                       // a second publisher replaces the first
  Duration hold = 0s;                          // readers wait so long for a lost publisher; 0: none
  Duration describe_wait = 0s;                 // DESCRIBE waits so long for a publisher
  bool join_live_edge = false;                 // else a reader starts at the newest key frame
  Duration live_window = 5s;                   // kept of each published stream, and
  std::uint64_t live_window_bytes = 32 << 20;  // no more than so much of it
};

class ServerProcess {
 public:
  // Logs what it serves and with what. An error is one line that says what, where and what to do.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(const ServerOptions& options);
  ~ServerProcess();  // Stop

  // Says BYE to every viewer, ends all sessions, joins all threads. Idempotent.
  void Stop();

  std::uint16_t port() const;
  ShardCountersSnapshot Snapshot() const;

 private:
  struct Parts;
  explicit ServerProcess(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace millrace
