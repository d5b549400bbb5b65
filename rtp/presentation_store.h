// Presentations by path: opened once by a loader, shared while anyone uses them, noticed when the
// file changes.
//
// The way of a path: a shard's client asks; what was looked at lately is answered at once; else one
// job compares the file's identity with the known one, opens it if it is new or changed, and hands
// the presentation to every shard that asked. The demuxer that told the tracks goes on to read the
// first blocks. A changed file makes a new presentation; the old one lives as long as sessions hold
// it. One that only grows does not, until it is whole.
//
// Shard: PresentationStore is shared and locks; a PresentationClient belongs to one shard.
// Limits: kPresentationsMax kept; the least recently used one that nobody holds goes first.
// Failures are not kept, so that asking for 10 000 random paths costs no memory. Shutdown: as
// PacketCache says; the store, being its block source, goes after it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/random.h"
#include "core/shard_poster.h"
#include "media/demuxer.h"
#include "media/loader.h"
#include "rtp/block_reader_pool.h"
#include "rtp/intrusive_list.h"
#include "rtp/packet_cache.h"

namespace millrace {

// Embedded in whoever waits for a presentation. Destroying it while it waits cancels the wait.
class PresentationWaiter {
 public:
  PresentationWaiter() = default;
  virtual ~PresentationWaiter();
  PresentationWaiter(const PresentationWaiter&) = delete;
  PresentationWaiter& operator=(const PresentationWaiter&) = delete;

  bool waiting() const { return client_ != nullptr; }

 private:
  friend class PresentationClient;
  template <typename>
  friend class WaiterTable;
  // From the shard's mailbox. The status codes are those of Library::Open.
  virtual void OnPresentation(absl::StatusOr<PresentationRef> presentation) = 0;

  class PresentationClient* client_ = nullptr;
  PresentationWaiter* next_ = nullptr;
  PresentationWaiter* previous_ = nullptr;
  std::string path_;
};

inline constexpr std::size_t kPresentationsMax = 4096;

struct PresentationStoreStats {
  std::uint64_t presentations = 0;  // open now
  std::uint64_t entries = 0;        // those, and paths being looked for, now
  std::uint64_t looks = 0;          // jobs, since the start
  std::uint64_t opens = 0;          // of those, the ones that opened a file
  std::uint64_t failures = 0;
};

class PresentationClient;

// Thread-safe.
class PresentationStore {
 public:
  // All outlive the store. `random` is used under the store's lock only, by any loader thread.
  PresentationStore(Library* library, Loader* loader, ShardPoster* poster, Random* random,
                    const VodOptions& options);
  ~PresentationStore();  // after the loader's stop, the last client and the cache
  PresentationStore(const PresentationStore&) = delete;
  PresentationStore& operator=(const PresentationStore&) = delete;

  // What a PacketCache of these presentations reads from.
  BlockReaderPool* readers() { return &readers_; }

  PresentationStoreStats stats() const;

 private:
  friend class PresentationClient;
  class Entry;
  struct Delivery;

  // Shard threads. Sets `*job` to what the caller must submit.
  PresentationRef Open(std::string_view path, Instant now, std::uint64_t shard_bit, LoadJob** job);
  void Register(std::size_t shard, PresentationClient* client);  // null: it is gone

  // Loader threads.
  absl::StatusOr<PresentationRef> Look(Entry* entry);
  absl::StatusOr<PresentationRef> OpenFile(const std::string& path, const AssetIdentity& identity);
  void Finish(Entry* entry, absl::StatusOr<PresentationRef> result, std::size_t lane);
  void Abandon(Entry* entry);

  // With mutex_ held.
  std::unique_ptr<Entry> Remove(Entry* entry);
  Entry* LeastUseful();
  std::vector<PresentationClient*> PushDeliveries(const Entry& entry,
                                                  const absl::StatusOr<PresentationRef>& result);

  Loader* const loader_;
  ShardPoster* const poster_;
  BlockReaderPool readers_;

  mutable std::mutex mutex_;  // guards everything below
  Random* const random_;
  std::uint64_t last_id_ = 0;
  absl::flat_hash_map<std::string, std::unique_ptr<Entry>> entries_;  // by path
  IntrusiveList<Entry> open_;  // those with a presentation, least recently asked for first
  std::array<PresentationClient*, kShardsMax> clients_{};
  std::size_t submitted_ = 0;  // jobs in the loader's hands
  PresentationStoreStats stats_;
};

class PresentationClient {
 public:
  PresentationClient(PresentationStore* store, std::size_t shard);
  ~PresentationClient();  // no waiter may be left

  // The presentation if it is open and its file was looked at less than kFreshFor ago. Else null,
  // and `waiter` is told once a loader has looked (and opened it, if it is new or changed). One
  // load per path at a time, however many ask on however many shards.
  PresentationRef Open(std::string_view path, Instant now, PresentationWaiter* waiter);
  // No effect on one that does not wait.
  void Cancel(PresentationWaiter* waiter);

  static constexpr Duration kFreshFor = 1s;

 private:
  friend class PresentationStore;
  struct Impl;
  static void OnMessage(void* receiver, const Message& message);
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
