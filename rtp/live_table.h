// Which paths are published, by whom, and what becomes of a path when its publisher goes.
//
// The way of a path: Announce reserves it for a publisher; Publish, when he records, shows it to
// readers; Release, when he goes, ends it or holds it for the next one. With `takeover` a second
// publisher may announce a busy path; when he records, the first is told to go.
//
// Shard: shared, locks; asked per request, never per packet. What it wants of a shard it posts
// there through that shard's LiveHub. Invariants
//  1. A path has at most one owner; a reserved path is seen by no reader.
//  2. Whoever announced releases, whatever became of him since: a stale Release does nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/random.h"
#include "rtp/live_presentation.h"

namespace millrace {

struct LiveOptions {
  enum class Publish : std::uint8_t { kOff, kAny, kPrefix };
  Publish publish = Publish::kPrefix;
  std::string prefix = "live";  // of decoded paths, no slash around: "live" and "live/…"
  bool takeover = false;
  Duration hold = 0s;  // a path without its publisher; 0: ends at once
  Duration describe_wait = 0s;
  bool join_live_edge = false;
  LogWindow window;
  std::size_t paths_max = 4096;
  // For the logs of all publishers together; beyond, each keeps the least it can.
  std::uint64_t memory_bytes_max = std::uint64_t{1} << 30;

  // From "off", "any" or "/PREFIX" as the command line has it.
  void SetPublish(std::string_view text);
};

// A reservation of a path: who may publish there.
struct PublisherTicket {
  LiveRef live;
  std::shared_ptr<const LiveDescription> announced;  // his own
  std::uint64_t id = 0;                              // 0: none
  std::uint32_t shard = 0;
};

struct LiveStats {
  std::size_t paths = 0;  // reserved, published or held
};

class LiveTable {
 public:
  // `random` is used under the table's lock only.
  LiveTable(const LiveOptions& options, Random* random)
      : options_(options),
        chunks_(static_cast<std::size_t>(options.memory_bytes_max / sizeof(LogChunk))),
        random_(random) {}

  const LiveOptions& options() const { return options_; }
  // By the rules, and only where a path is what it looks like: without empty, "." and ".."
  // segments.
  bool MayPublish(std::string_view path) const;

  // Reserves `path` for a publisher on `shard`. kAlreadyExists: the path has a publisher. The
  // ticket names what readers already watch when the description fits them, else something new.
  absl::StatusOr<PublisherTicket> Announce(std::string_view path, LiveDescription description,
                                           std::size_t shard);
  // Readers see it now. `evicted`: the publisher who has to go (id 0: nobody). `ended`: what
  // readers watched and the new description does not fit (null: nothing); the caller rings them.
  // False: the ticket is worth nothing any more.
  bool Publish(const PublisherTicket& ticket, PublisherTicket* evicted, LiveRef* ended);
  // The publisher is gone. What the caller has to do:
  enum class Released : std::uint8_t {
    kNothing,  // it was not his any more, or nobody saw it
    kEnded,    // ring the readers of `ended`
    kHeld,     // call Expire after options().hold
  };
  Released Release(const PublisherTicket& ticket, LiveRef* ended);
  // The publisher of that ticket did not come back: what has ended now, to ring its readers; null
  // when the path has another or is gone.
  LiveRef Expire(const std::string& path, std::uint64_t ticket);

  // What readers get; null when nobody publishes there.
  LiveRef Find(std::string_view path) const;
  LiveStats stats() const;

  LogChunkPool* chunks() { return &chunks_; }

 private:
  struct Entry {
    LiveRef live;             // null while the first publisher has only announced
    std::uint64_t owner = 0;  // ticket id; 0: held
    std::uint32_t owner_shard = 0;
    std::uint64_t released = 0;  // the ticket whose hold runs
    // Announced, not yet recording. Whoever announced what is `live` keeps it alive by that.
    LiveRef next;
    std::uint64_t next_owner = 0;
    std::uint32_t next_shard = 0;
  };

  const LiveOptions options_;
  LogChunkPool chunks_;  // outlives every presentation of the table
  mutable std::mutex mutex_;
  Random* const random_;
  std::uint64_t last_id_ = 0;
  absl::flat_hash_map<std::string, Entry> entries_;
};

}  // namespace millrace
