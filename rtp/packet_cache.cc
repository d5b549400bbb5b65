#include "rtp/packet_cache.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <optional>

#include "rtp/loader_inbox.h"
#include "rtp/waiter_table.h"

namespace millrace {
namespace {

// Entries are made in slabs, by loader threads and ahead of need, so that a miss finds one.
constexpr std::size_t kSlabEntries = 256;
constexpr std::size_t kFreeEntriesLow = 128;
// Entries looked at while the lock is held once; shards wait for it meanwhile.
constexpr std::size_t kLookedAtPerHold = 256;
// The map is laid out for sets of this size, which is 0.5 Mbit/s; smaller ones make it grow now and
// then.
constexpr std::uint64_t kSetBytesSmall = 64 << 10;

std::size_t EntriesExpected(std::uint64_t cache_bytes) {
  return std::clamp<std::uint64_t>(cache_bytes / kSetBytesSmall, 1024, 1 << 20);
}

// Consecutive blocks of one presentation lie in consecutive buckets.
std::size_t WaiterHash(std::uint64_t presentation, std::uint32_t number) {
  return static_cast<std::size_t>((presentation * 0x9e3779b97f4a7c15u >> 32) + number);
}

}  // namespace

// One key: on its way (a job in the loader's hands, or waiting for room) or held (`block` set).
class PacketCache::Entry final : public LoadJob {
 public:
  void Run(std::size_t lane) override { cache->Load(this, lane); }
  void Cancel() override { cache->Abandon(this); }
  std::uint64_t file() const override { return FileNumber(presentation->path); }

  Entry* next = nullptr;  // in held_, waiting_ or free_
  Entry* previous = nullptr;
  PacketCache* cache = nullptr;
  Key key;
  BlockRef block;
  PresentationRef presentation;  // while on its way
  std::uint64_t waiting_shards = 0;
  std::uint64_t turn = 0;  // its place among those that wait for room; 0 while it never did
};

// A load's result on its way to one shard.
struct PacketCache::Delivery {
  Delivery* next = nullptr;
  Key key;
  BlockRef block;  // empty: the load failed
  absl::Status status;
};

// Which clients must be woken once the lock is released.
struct PacketCache::Tidings {
  std::array<BlockClient*, kShardsMax> clients;
  std::size_t count = 0;
};

struct BlockClient::Impl {
  Impl(PacketCache* the_cache, std::size_t the_shard) : cache(the_cache), shard(the_shard) {}

  PacketCache* const cache;
  const std::size_t shard;
  WaiterTable<BlockWaiter> waiters;
  LoaderInbox<PacketCache::Delivery> inbox;
};

BlockWaiter::~BlockWaiter() {
  if (client_ != nullptr) client_->Cancel(this);
}

BlockClient::BlockClient(PacketCache* cache, std::size_t shard)
    : impl_(std::make_unique<Impl>(cache, shard)) {
  cache->Register(shard, this);
}

BlockClient::~BlockClient() {
  if (impl_->waiters.size() != 0) std::abort();  // its destructor would come back here
  impl_->cache->Register(impl_->shard, nullptr);
}

BlockRef BlockClient::Acquire(const PresentationRef& presentation, std::uint32_t number,
                              BlockWaiter* waiter) {
  if (waiter != nullptr && waiter->waiting()) std::abort();
  LoadJob* job = nullptr;
  const std::uint64_t shard_bit = waiter == nullptr ? 0 : std::uint64_t{1} << impl_->shard;
  BlockRef block = impl_->cache->Acquire(presentation, number, shard_bit, &job);
  if (block) return block;
  if (waiter != nullptr) {
    waiter->client_ = this;
    waiter->presentation_ = presentation->id;
    waiter->number_ = number;
    impl_->waiters.Add(waiter, WaiterHash(presentation->id, number));
  }
  if (job != nullptr) impl_->cache->loader_->Submit(job);
  return block;
}

void BlockClient::Cancel(BlockWaiter* waiter) {
  if (!waiter->waiting()) return;
  impl_->waiters.Remove(waiter, WaiterHash(waiter->presentation_, waiter->number_));
}

void BlockClient::OnMessage(void* /*receiver*/, const Message& message) {
  Impl& impl = *message.As<BlockClient*>()->impl_;
  impl.inbox.Drain([&impl](const PacketCache::Delivery& delivery) {
    const PacketCache::Key key = delivery.key;
    impl.waiters.Serve(
        WaiterHash(key.presentation, key.number),
        [key](const BlockWaiter& waiter) {
          return waiter.presentation_ == key.presentation && waiter.number_ == key.number;
        },
        [&delivery](BlockWaiter& waiter) {
          if (delivery.block) {
            waiter.OnBlock(delivery.block);
          } else {
            waiter.OnBlockFailed(delivery.status);
          }
        });
  });
}

PacketCache::PacketCache(BlockSource* source, Loader* loader, ShardPoster* poster,
                         const VodOptions& options)
    : source_(source), loader_(loader), poster_(poster), bytes_max_(options.cache_bytes) {
  entries_.reserve(EntriesExpected(bytes_max_));
  AddSlab();
}

PacketCache::~PacketCache() {
  const std::lock_guard lock(mutex_);
  // A client would call, or a job would run, in freed memory.
  if (submitted_ != 0) std::abort();
  if (std::any_of(clients_.begin(), clients_.end(), [](auto* c) { return c != nullptr; })) {
    std::abort();
  }
}

void PacketCache::Register(std::size_t shard, BlockClient* client) {
  if (shard >= kShardsMax) std::abort();
  const std::lock_guard lock(mutex_);
  if (client != nullptr && clients_[shard] != nullptr) std::abort();  // one counter per shard
  clients_[shard] = client;
}

BlockRef PacketCache::Acquire(const PresentationRef& presentation, std::uint32_t number,
                              std::uint64_t shard_bit, LoadJob** job) {
  const std::lock_guard lock(mutex_);
  const auto [it, is_new] = entries_.try_emplace(Key{presentation->id, number}, nullptr);
  if (!is_new && it->second->block) {
    Entry* const entry = it->second;
    ++stats_.hits;
    held_.MoveToBack(entry);
    return entry->block;
  }
  ++stats_.misses;
  if (is_new) {
    Entry* const entry = NewEntry();
    entry->key = it->first;
    entry->presentation = presentation;
    it->second = entry;
    ++submitted_;
    *job = entry;
  }
  it->second->waiting_shards |= shard_bit;
  return {};
}

void PacketCache::Load(Entry* entry, std::size_t lane) {
  Entry* older = nullptr;
  if (StartLoad(entry, &older)) {
    FinishLoad(entry, source_->ReadBlock(entry->presentation, entry->key.number), lane);
  } else if (older != nullptr) {
    loader_->Submit(older);
  }
}

// Makes room to read `entry`. False: there is none, or it is the turn of one that waited before it,
// to be submitted. Not read here instead: the loader knows which file a job reads.
bool PacketCache::StartLoad(Entry* entry, Entry** older) {
  std::vector<BlockRef> victims;
  std::optional<std::size_t> unseen;
  for (;;) {
    victims.clear();  // here, where the lock is free
    const std::lock_guard lock(mutex_);
    if (!unseen.has_value()) {
      unseen = held_.size();
      if (free_.size() < kFreeEntriesLow) AddSlab();
      const bool waited = entry->turn != 0;
      if (!waiting_.empty() && (!waited || waiting_.front()->turn < entry->turn)) {  // invariant 6
        Enqueue(entry);
        --submitted_;
        *older = TakeWaiting();
        return false;
      }
    }
    Evict(&*unseen, &victims);
    const bool idle = held_.empty() && running_ == 0;
    if (stats_.bytes < bytes_max_ || idle) {
      ++running_;
      ++stats_.loads;
      return true;
    }
    if (*unseen == 0) {
      Enqueue(entry);
      --submitted_;
      ++stats_.waits_for_room;
      waiting_count_.store(waiting_.size(), std::memory_order_relaxed);
      return false;
    }
  }
}

void PacketCache::FinishLoad(Entry* entry, absl::StatusOr<std::unique_ptr<BlockSet>> result,
                             std::size_t lane) {
  Tidings tidings;
  std::vector<BlockRef> victims;
  PresentationRef
      presentation;  // perhaps the last reference; freed outside the lock, as victims are
  Entry* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    --running_;
    --submitted_;
    presentation = std::move(entry->presentation);
    if (result.ok()) {
      stats_.bytes += (*result)->memory_bytes;
      stats_.bytes_most = std::max(stats_.bytes_most, stats_.bytes);
      entry->block = BlockRef(result->release());
      held_.PushBack(entry);
    } else {
      ++stats_.failures;
    }
    PushDeliveries(*entry, result.status(), &tidings);
    entry->waiting_shards = 0;
    if (!result.ok()) Forget(entry);
    std::size_t unseen = kLookedAtPerHold;
    Evict(&unseen, &victims);
    next = TakeWaiting();
  }
  for (std::size_t i = 0; i < tidings.count; ++i) {
    BlockClient* const client = tidings.clients[i];
    poster_->PostFromLoader(lane, client->impl_->shard,
                            Message::Make(&BlockClient::OnMessage, client));
  }
  if (next != nullptr) loader_->Submit(next);
}

// The loader stops: whoever waits is told nothing.
void PacketCache::Abandon(Entry* entry) {
  PresentationRef presentation;
  const std::lock_guard lock(mutex_);
  presentation = std::move(entry->presentation);
  --submitted_;
  Forget(entry);
}

void PacketCache::Pump() {
  if (waiting_count_.load(std::memory_order_relaxed) == 0) return;
  for (std::size_t i = 0; i < loader_->lanes(); ++i) {
    Entry* entry;
    {
      const std::lock_guard lock(mutex_);
      entry = TakeWaiting();
    }
    if (entry == nullptr) return;
    loader_->Submit(entry);
  }
}

PacketCacheStats PacketCache::stats() const {
  const std::lock_guard lock(mutex_);
  PacketCacheStats stats = stats_;
  stats.blocks = held_.size();
  stats.waiting = waiting_.size();
  return stats;
}

PacketCache::Entry* PacketCache::NewEntry() {
  if (free_.empty()) AddSlab();
  return free_.PopFront();
}

void PacketCache::AddSlab() {
  slabs_.push_back(std::make_unique<Entry[]>(kSlabEntries));
  for (std::size_t i = 0; i < kSlabEntries; ++i) {
    slabs_.back()[i].cache = this;
    free_.PushBack(&slabs_.back()[i]);
  }
}

// `entry` is in no list; its block and presentation have been taken away.
void PacketCache::Forget(Entry* entry) {
  entries_.erase(entry->key);
  entry->waiting_shards = 0;
  entry->turn = 0;
  free_.PushFront(entry);
}

// Takes out the least recently asked for sets that nobody else references until the bytes held are
// below the bound, or `*unseen` entries or as many as one hold of the lock allows have been looked
// at. One in use counts as asked for now, so that the next look begins elsewhere.
void PacketCache::Evict(std::size_t* unseen, std::vector<BlockRef>* victims) {
  std::size_t look = std::min({*unseen, held_.size(), kLookedAtPerHold});
  if (look == 0) *unseen = 0;
  for (; look > 0 && stats_.bytes >= bytes_max_; --look) {
    --*unseen;
    Entry* const entry = held_.front();
    // Another reference can only come from this cache, under this lock, or from one still held.
    if (entry->block->references.load(std::memory_order_acquire) > 1) {
      held_.MoveToBack(entry);
      continue;
    }
    held_.Remove(entry);
    stats_.bytes -= entry->block->memory_bytes;
    ++stats_.evictions;
    victims->push_back(std::move(entry->block));
    Forget(entry);
  }
}

// Into waiting_, in order of turn. Only as many as there are loader threads can be out of their
// place, so the walk is short.
void PacketCache::Enqueue(Entry* entry) {
  if (entry->turn == 0) {
    entry->turn = ++last_turn_;
    waiting_.PushBack(entry);
    return;
  }
  Entry* place = waiting_.front();
  while (place != nullptr && place->turn < entry->turn) place = place->next;
  waiting_.InsertBefore(place, entry);
}

// The one whose turn it is to try again, to be submitted; null when none waits.
PacketCache::Entry* PacketCache::TakeWaiting() {
  Entry* const entry = waiting_.PopFront();
  if (entry != nullptr) ++submitted_;
  waiting_count_.store(waiting_.size(), std::memory_order_relaxed);
  return entry;
}

// Under the lock, where a client cannot end; the messages follow outside, where a full lane may be
// waited for.
void PacketCache::PushDeliveries(const Entry& entry, const absl::Status& status, Tidings* tidings) {
  for (std::uint64_t left = entry.waiting_shards; left != 0; left &= left - 1) {
    BlockClient* const client = clients_[static_cast<std::size_t>(std::countr_zero(left))];
    if (client == nullptr) continue;
    auto delivery = std::make_unique<Delivery>();
    delivery->key = entry.key;
    delivery->block = entry.block;
    // A copy of its own: a shared one would be counted down by two threads.
    delivery->status = absl::Status(status.code(), status.message());
    if (client->impl_->inbox.Push(std::move(delivery))) tidings->clients[tidings->count++] = client;
  }
}

}  // namespace millrace
