#include "rtp/presentation_store.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "core/logging.h"
#include "media/asset_name.h"
#include "rtp/loader_inbox.h"
#include "rtp/waiter_table.h"

namespace millrace {
namespace {

// Debian's Abseil keeps its own string_view.
absl::string_view AbslView(std::string_view s) { return {s.data(), s.size()}; }

std::size_t WaiterHash(std::string_view path) {
  return absl::Hash<absl::string_view>()(AbslView(path));
}

// Asking for what does not exist, may not be read, or has only begun to be written is the client's
// affair; a passing want of descriptors would fill the log.
bool WorthLogging(const absl::Status& status) {
  return !absl::IsNotFound(status) && !absl::IsPermissionDenied(status) &&
         !absl::IsResourceExhausted(status) && !absl::IsUnavailable(status);
}

}  // namespace

// A path that is open, being looked at, or both.
class PresentationStore::Entry final : public LoadJob {
 public:
  // The store has destroyed this entry, or submitted it anew, when Finish returns.
  void Run(std::size_t lane) override { store->Finish(this, store->Look(this), lane); }
  void Cancel() override { store->Abandon(this); }
  std::uint64_t file() const override { return FileNumber(path); }

  Entry* next = nullptr;  // in open_
  Entry* previous = nullptr;
  PresentationStore* store = nullptr;
  std::string path;
  PresentationRef presentation;  // null: not open yet; changed by the running job only
  Instant verified_at{};         // its file was looked at no earlier
  Instant asked_at{};            // when the running job was submitted
  bool looking = false;
  std::uint64_t waiting_shards = 0;
};

// A job's result on its way to one shard.
struct PresentationStore::Delivery {
  Delivery* next = nullptr;
  std::string path;
  absl::StatusOr<PresentationRef> presentation;
};

struct PresentationClient::Impl {
  Impl(PresentationStore* the_store, std::size_t the_shard) : store(the_store), shard(the_shard) {}

  PresentationStore* const store;
  const std::size_t shard;
  WaiterTable<PresentationWaiter> waiters;
  LoaderInbox<PresentationStore::Delivery> inbox;
};

PresentationWaiter::~PresentationWaiter() {
  if (client_ != nullptr) client_->Cancel(this);
}

PresentationClient::PresentationClient(PresentationStore* store, std::size_t shard)
    : impl_(std::make_unique<Impl>(store, shard)) {
  store->Register(shard, this);
}

PresentationClient::~PresentationClient() {
  if (impl_->waiters.size() != 0) std::abort();  // its destructor would come back here
  impl_->store->Register(impl_->shard, nullptr);
}

PresentationRef PresentationClient::Open(std::string_view path, Instant now,
                                         PresentationWaiter* waiter) {
  if (waiter->waiting()) std::abort();
  LoadJob* job = nullptr;
  PresentationRef open = impl_->store->Open(path, now, std::uint64_t{1} << impl_->shard, &job);
  if (open != nullptr) return open;
  waiter->client_ = this;
  waiter->path_ = path;
  impl_->waiters.Add(waiter, WaiterHash(path));
  if (job != nullptr) impl_->store->loader_->Submit(job);
  return nullptr;
}

void PresentationClient::Cancel(PresentationWaiter* waiter) {
  if (!waiter->waiting()) return;
  impl_->waiters.Remove(waiter, WaiterHash(waiter->path_));
}

void PresentationClient::OnMessage(void* /*receiver*/, const Message& message) {
  Impl& impl = *message.As<PresentationClient*>()->impl_;
  impl.inbox.Drain([&impl](const PresentationStore::Delivery& delivery) {
    impl.waiters.Serve(
        WaiterHash(delivery.path),
        [&delivery](const PresentationWaiter& waiter) { return waiter.path_ == delivery.path; },
        [&delivery](PresentationWaiter& waiter) { waiter.OnPresentation(delivery.presentation); });
  });
}

PresentationStore::PresentationStore(Library* library, Loader* loader, ShardPoster* poster,
                                     Random* random, const VodOptions& options)
    : loader_(loader), poster_(poster), readers_(library, options), random_(random) {}

PresentationStore::~PresentationStore() {
  const std::lock_guard lock(mutex_);
  // A client would call, or a job would run, in freed memory.
  if (submitted_ != 0) std::abort();
  if (std::any_of(clients_.begin(), clients_.end(), [](auto* c) { return c != nullptr; })) {
    std::abort();
  }
}

void PresentationStore::Register(std::size_t shard, PresentationClient* client) {
  if (shard >= kShardsMax) std::abort();
  const std::lock_guard lock(mutex_);
  if (client != nullptr && clients_[shard] != nullptr) std::abort();  // one per shard
  clients_[shard] = client;
}

PresentationRef PresentationStore::Open(std::string_view path, Instant now, std::uint64_t shard_bit,
                                        LoadJob** job) {
  const std::lock_guard lock(mutex_);
  Entry* entry;
  if (const auto found = entries_.find(AbslView(path)); found != entries_.end()) {
    entry = found->second.get();
    if (entry->presentation != nullptr) {
      open_.MoveToBack(entry);
      if (now - entry->verified_at < PresentationClient::kFreshFor) return entry->presentation;
    }
  } else {
    auto made = std::make_unique<Entry>();
    entry = made.get();
    entry->store = this;
    entry->path = path;
    entries_.emplace(entry->path, std::move(made));
  }
  entry->waiting_shards |= shard_bit;
  if (!entry->looking) {
    entry->looking = true;
    entry->asked_at = now;
    ++submitted_;
    *job = entry;
  }
  return nullptr;
}

absl::StatusOr<PresentationRef> PresentationStore::Look(Entry* entry) {
  absl::StatusOr<AssetIdentity> identity = readers_.Identify(entry->path);
  if (!identity.ok()) return identity.status();
  // Identity is older than content: should the file change in between, the next look notices.
  if (const PresentationRef& known = entry->presentation; known != nullptr) {
    const bool same = known->identity == *identity;
    if (!known->growing() && same) return known;
    const bool may_grow =
        known->growing() && !known->growing_end->over() && readers_.WrittenLately(*identity);
    if (may_grow && same) return known;
    // Else it is another, whatever its name.
    if (may_grow && identity->HasGrownFrom(known->identity) && readers_.FindEnd(known).ok()) {
      return known;
    }
  }
  return OpenFile(entry->path, *identity);
}

absl::StatusOr<PresentationRef> PresentationStore::OpenFile(const std::string& path,
                                                            const AssetIdentity& identity) {
  absl::StatusOr<std::unique_ptr<Demuxer>> demuxer = readers_.OpenDemuxer(path);
  if (!demuxer.ok()) return demuxer.status();
  PresentationRef presentation;
  {
    const std::lock_guard lock(mutex_);
    ++stats_.opens;
    presentation = std::make_shared<const Presentation>(
        MakePresentation(path, identity, ++last_id_, (*demuxer)->info(), *random_));
  }
  for (const std::string& line : (*demuxer)->info().left_out) {
    LogWarn("{}: {}", presentation->file(), line);
  }
  readers_.Donate(presentation, *std::move(demuxer));
  return presentation;
}

void PresentationStore::Finish(Entry* entry, absl::StatusOr<PresentationRef> result,
                               std::size_t lane) {
  if (!result.ok() && WorthLogging(result.status())) {
    LogWarn("{}: {}", SplitAssetName(entry->path).path, std::string(result.status().message()));
  }
  // Freed outside the lock.
  PresentationRef replaced;
  std::vector<std::unique_ptr<Entry>> removed;
  std::vector<PresentationClient*> told;
  {
    const std::lock_guard lock(mutex_);
    --submitted_;
    ++stats_.looks;
    told = PushDeliveries(*entry, result);
    entry->waiting_shards = 0;
    entry->looking = false;
    if (result.ok()) {
      if (entry->presentation == nullptr) open_.PushBack(entry);
      replaced = std::exchange(entry->presentation, *result);
      entry->verified_at = entry->asked_at;
    } else {
      ++stats_.failures;
      // Want of descriptors says nothing about the file; what is known of it stays.
      const bool keep =
          entry->presentation != nullptr && absl::IsResourceExhausted(result.status());
      if (!keep) removed.push_back(Remove(entry));
    }
    while (open_.size() > kPresentationsMax) {
      Entry* const victim = LeastUseful();
      if (victim == nullptr) break;
      removed.push_back(Remove(victim));
    }
  }
  for (PresentationClient* client : told) {
    poster_->PostFromLoader(lane, client->impl_->shard,
                            Message::Make(&PresentationClient::OnMessage, client));
  }
  const bool opened_anew = replaced != nullptr && replaced != *result;
  replaced.reset();
  if (!removed.empty() || opened_anew) {
    const bool had_files = opened_anew || std::any_of(removed.begin(), removed.end(), [](auto& e) {
                             return e->presentation != nullptr;
                           });
    removed.clear();
    if (had_files) readers_.ForgetUnused();
  }
}

// The loader stops: whoever waits is told nothing.
void PresentationStore::Abandon(Entry* entry) {
  std::unique_ptr<Entry> removed;
  const std::lock_guard lock(mutex_);
  --submitted_;
  entry->looking = false;
  entry->waiting_shards = 0;
  if (entry->presentation == nullptr) removed = Remove(entry);
}

PresentationStoreStats PresentationStore::stats() const {
  const std::lock_guard lock(mutex_);
  PresentationStoreStats stats = stats_;
  stats.presentations = open_.size();
  stats.entries = entries_.size();
  return stats;
}

// Out of every list and map, to be destroyed outside the lock.
std::unique_ptr<PresentationStore::Entry> PresentationStore::Remove(Entry* entry) {
  if (entry->presentation != nullptr) open_.Remove(entry);
  const auto it = entries_.find(entry->path);
  std::unique_ptr<Entry> owned = std::move(it->second);
  entries_.erase(it);
  return owned;
}

// Of those no job is looking at: the least recently asked for that nobody holds, or if all are held
// (their holders lose nothing), of all. A holder may let go at any time; only this store gives new
// references out, under its lock.
PresentationStore::Entry* PresentationStore::LeastUseful() {
  Entry* oldest = nullptr;
  for (Entry* entry = open_.front(); entry != nullptr; entry = entry->next) {
    if (entry->looking) continue;
    if (entry->presentation.use_count() == 1) return entry;
    if (oldest == nullptr) oldest = entry;
  }
  return oldest;
}

// Under the lock, where a client cannot end. Returns whom to tell once it is released.
std::vector<PresentationClient*> PresentationStore::PushDeliveries(
    const Entry& entry, const absl::StatusOr<PresentationRef>& result) {
  std::vector<PresentationClient*> told;
  for (std::uint64_t left = entry.waiting_shards; left != 0; left &= left - 1) {
    PresentationClient* const client = clients_[static_cast<std::size_t>(std::countr_zero(left))];
    if (client == nullptr) continue;
    auto delivery = std::make_unique<Delivery>();
    delivery->path = entry.path;
    // A status of its own: a shared one would be counted down by two threads.
    if (result.ok()) {
      delivery->presentation = *result;
    } else {
      delivery->presentation = absl::Status(result.status().code(), result.status().message());
    }
    if (client->impl_->inbox.Push(std::move(delivery))) told.push_back(client);
  }
  return told;
}

}  // namespace millrace
