// VOD: packet blocks by (presentation, number), filled by loaders, bounded in bytes.
//
// The way of the data: a viewer's sender asks its shard's BlockClient; a hit is a reference taken
// under the cache's lock (about once a second per viewer, never per packet); a miss starts one
// load, however many viewers on however many shards ask; the loader packetizes, seals, inserts, and
// posts the block to each shard that waits; there every waiter gets its own reference.
//
// A block set is what is cached: the blocks of all streams of a presentation for one stretch of
// time, because one pass of the demuxer yields them all.
//
// Shard: PacketCache is shared and locks; a BlockClient belongs to one shard.
// Invariants
//  1. At most one load of a key runs or waits at a time.
//  2. A block set that anyone but the cache references is never evicted.
//  3. Bytes held stay within the bound plus one block set per loader thread: a load starts only
//  below
//     the bound, and when everything held is in use, further loads wait for room (unless nothing at
//     all is held or running). So a viewer should let go of a block it has sent before it waits for
//     the next.
//  4. A hit allocates nothing; a miss allocates on the loader's thread only.
//  5. Evicted sets are freed by loader threads, outside the lock.
//  6. Loads that wait for room start in the order of their waiting, before any newer one.
//  7. A failed load is told to every shard that waits for it and leaves nothing behind.
//
// Shutdown, in this order: the Loader is stopped (shards still drain their mailboxes, lest a loader
// wait for a full lane for ever); each shard ends its waiters and then its BlockClient, and drains
// its mailbox no more; the PacketCache goes; its BlockSource goes. Loads cancelled by the stopped
// loader tell nobody. Results that were under way to a shard are freed with its client. BlockRefs
// may outlive everything.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/limits.h"
#include "core/shard_poster.h"
#include "media/loader.h"
#include "rtp/intrusive_list.h"
#include "rtp/packet_block.h"
#include "rtp/payload/packetizer.h"
#include "rtp/presentation.h"

namespace millrace {

using PresentationRef = std::shared_ptr<const Presentation>;

// Shards are named in a 64-bit mask.
inline constexpr std::size_t kShardsMax = 64;

struct VodOptions {
  std::uint64_t cache_bytes = 256u << 20;
  std::size_t packet_bytes = kPacketBytesDefault;
  std::size_t burst_packets = Limits().burst_packets;  // see PacketBlockBuilder
  std::size_t open_readers_max = 512;                  // idle files kept open for the next block
};

// Immutable once published. Counted by BlockRef.
struct BlockSet {
  std::vector<PacketBlock> streams;  // one per stream of the presentation, perhaps without packets
  std::uint32_t number = 0;
  bool last = false;  // nothing follows in this presentation
  std::size_t memory_bytes = 0;
  mutable std::atomic<std::uint32_t> references{1};
};

// A reference to a block set; moving it costs nothing, copying it an atomic increment.
class BlockRef {
 public:
  BlockRef() = default;
  // Takes over one reference.
  explicit BlockRef(const BlockSet* adopted) : set_(adopted) {}
  BlockRef(const BlockRef& other) : set_(other.set_) {
    if (set_ != nullptr) set_->references.fetch_add(1, std::memory_order_relaxed);
  }
  BlockRef(BlockRef&& other) noexcept : set_(std::exchange(other.set_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(set_, other.set_);
    return *this;
  }
  ~BlockRef() { Reset(); }

  void Reset() {
    const BlockSet* set = std::exchange(set_, nullptr);
    if (set != nullptr && set->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete set;
  }
  // Gives the reference away, to be adopted again.
  const BlockSet* Detach() { return std::exchange(set_, nullptr); }

  explicit operator bool() const { return set_ != nullptr; }
  const BlockSet* operator->() const { return set_; }
  const BlockSet& operator*() const { return *set_; }

 private:
  const BlockSet* set_ = nullptr;
};

// Embedded in whoever waits for a block. Destroying it while it waits cancels the wait.
class BlockWaiter {
 public:
  BlockWaiter() = default;
  virtual ~BlockWaiter();
  BlockWaiter(const BlockWaiter&) = delete;
  BlockWaiter& operator=(const BlockWaiter&) = delete;

  bool waiting() const { return client_ != nullptr; }

 private:
  friend class BlockClient;
  template <typename>
  friend class WaiterTable;
  // From the shard's mailbox; the waiter waits no more and may ask again or be destroyed in it.
  virtual void OnBlock(BlockRef block) = 0;
  // The file cannot be read any more; the status is for the log. Of a growing presentation,
  // kUnavailable: the block is not all written yet, and may be asked for again.
  virtual void OnBlockFailed(const absl::Status& status) = 0;

  class BlockClient* client_ = nullptr;
  BlockWaiter* next_ = nullptr;
  BlockWaiter* previous_ = nullptr;
  std::uint64_t presentation_ = 0;
  std::uint32_t number_ = 0;
};

// Fills one block set at a time from a file; BlockReaderPool is the real one.
// Thread-safe; blocking; loader threads only, several at once, but never twice for one key.
class BlockSource {
 public:
  virtual ~BlockSource() = default;
  virtual absl::StatusOr<std::unique_ptr<BlockSet>> ReadBlock(const PresentationRef& presentation,
                                                              std::uint32_t number) = 0;
};

struct PacketCacheStats {
  std::uint64_t bytes = 0;       // held now
  std::uint64_t blocks = 0;      // sets held now
  std::uint64_t waiting = 0;     // loads that wait for room now
  std::uint64_t bytes_most = 0;  // held at once since the start, as all below
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t loads = 0;
  std::uint64_t failures = 0;
  std::uint64_t evictions = 0;
  std::uint64_t waits_for_room = 0;
};

class BlockClient;

// Thread-safe.
class PacketCache {
 public:
  // All outlive the cache.
  PacketCache(BlockSource* source, Loader* loader, ShardPoster* poster, const VodOptions& options);
  ~PacketCache();  // after the loader's stop and the last client
  PacketCache(const PacketCache&) = delete;
  PacketCache& operator=(const PacketCache&) = delete;

  // Tries loads again that wait for room. Shards call it a few times a second, because nobody tells
  // the cache when a viewer lets go of a block. One plain load when nothing waits.
  void Pump();

  PacketCacheStats stats() const;

 private:
  friend class BlockClient;
  class Entry;
  struct Delivery;
  struct Tidings;

  struct Key {
    std::uint64_t presentation = 0;
    std::uint32_t number = 0;
    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.presentation, key.number);
    }
  };

  // Shard threads. `shard_bit` is 0 for a prefetch. Sets `*job` to what the caller must submit.
  BlockRef Acquire(const PresentationRef& presentation, std::uint32_t number,
                   std::uint64_t shard_bit, LoadJob** job);
  void Register(std::size_t shard, BlockClient* client);  // null: it is gone

  // Loader threads.
  void Load(Entry* entry, std::size_t lane);
  bool StartLoad(Entry* entry, Entry** older);
  void FinishLoad(Entry* entry, absl::StatusOr<std::unique_ptr<BlockSet>> result, std::size_t lane);
  void Abandon(Entry* entry);

  // With mutex_ held.
  Entry* NewEntry();
  void AddSlab();
  void Forget(Entry* entry);
  void Evict(std::size_t* unseen, std::vector<BlockRef>* victims);
  void Enqueue(Entry* entry);
  Entry* TakeWaiting();
  void PushDeliveries(const Entry& entry, const absl::Status& status, Tidings* tidings);

  BlockSource* const source_;
  Loader* const loader_;
  ShardPoster* const poster_;
  const std::uint64_t bytes_max_;
  std::atomic<std::size_t> waiting_count_{0};  // size of waiting_, for Pump

  // Everything below is guarded by mutex_: std::mutex, because sanitizers see into it wherever
  // Abseil comes prebuilt.
  mutable std::mutex mutex_;
  absl::flat_hash_map<Key, Entry*> entries_;
  IntrusiveList<Entry> held_;     // least recently asked for first
  IntrusiveList<Entry> waiting_;  // for room, by turn
  std::uint64_t last_turn_ = 0;
  IntrusiveList<Entry> free_;
  std::vector<std::unique_ptr<Entry[]>> slabs_;
  std::array<BlockClient*, kShardsMax> clients_{};
  std::size_t submitted_ = 0;  // loads in the loader's hands
  std::size_t running_ = 0;    // of those, the ones reading
  PacketCacheStats stats_;
};

// A shard's counter at the cache.
class BlockClient {
 public:
  BlockClient(PacketCache* cache, std::size_t shard);
  ~BlockClient();  // no waiter may be left

  // The block if it is cached. Else an empty reference: the load is started or joined and `waiter`
  // (when not null; it must not be waiting already) is told. Null just prefetches.
  // `number` < presentation->block_count(). A waiter that joins in the moment in which an earlier
  // load's failure is on its way is told that failure.
  BlockRef Acquire(const PresentationRef& presentation, std::uint32_t number, BlockWaiter* waiter);
  void Prefetch(const PresentationRef& presentation, std::uint32_t number) {
    Acquire(presentation, number, nullptr);
  }
  // No effect on one that does not wait.
  void Cancel(BlockWaiter* waiter);

 private:
  friend class PacketCache;
  struct Impl;
  static void OnMessage(void* receiver, const Message& message);
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
