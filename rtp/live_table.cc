#include "rtp/live_table.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace millrace {

void LiveOptions::SetPublish(std::string_view text) {
  prefix.clear();
  publish = text == "off" ? Publish::kOff : text == "any" ? Publish::kAny : Publish::kPrefix;
  if (publish != Publish::kPrefix) return;
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  prefix = text;
  if (prefix.empty()) publish = Publish::kAny;  // "/"
}

namespace {

bool IsPlain(std::string_view path) {
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (segment.empty() || segment == "." || segment == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
  return false;  // nothing, or nothing behind a slash
}

}  // namespace

bool LiveTable::MayPublish(std::string_view path) const {
  if (options_.publish == LiveOptions::Publish::kOff || !IsPlain(path)) return false;
  if (options_.publish == LiveOptions::Publish::kAny) return true;
  if (!path.starts_with(options_.prefix)) return false;
  path.remove_prefix(options_.prefix.size());
  return path.empty() || path.front() == '/';
}

absl::StatusOr<PublisherTicket> LiveTable::Announce(std::string_view path,
                                                    LiveDescription description,
                                                    std::size_t shard) {
  const std::string name(path);
  PublisherTicket ticket;
  ticket.announced = std::make_shared<const LiveDescription>(std::move(description));
  ticket.shard = static_cast<std::uint32_t>(shard);
  // What is watched is compared, and what is new is made, without the lock.
  const LiveRef watched = Find(path);
  // A stream begins with one chunk and keeps two at the least.
  if (chunks_.in_use() + 2 * ticket.announced->streams.size() > chunks_.chunks_max()) {
    return absl::ResourceExhaustedError("the memory for live streams is in use");
  }
  LiveRef made;
  if (watched == nullptr || !Compatible(watched->description(), *ticket.announced)) {
    std::uint64_t seed = 0, id = 0;
    {
      const std::lock_guard lock(mutex_);
      if (entries_.size() >= options_.paths_max && !entries_.contains(name)) {
        return absl::ResourceExhaustedError("too many paths are published");
      }
      seed = random_->Next64();
      id = ++last_id_;
    }
    SeededRandom random(seed);
    made = std::make_shared<LivePresentation>(id, name, *ticket.announced, &chunks_,
                                              options_.window, random);
  }
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[name];
  const bool busy = entry.owner != 0 || entry.next_owner != 0;
  if ((busy && !options_.takeover) || entry.live != watched) {
    if (!busy && entry.live == nullptr) entries_.erase(name);
    return absl::AlreadyExistsError(absl::StrCat("'", name, "' has a publisher"));
  }
  ticket.id = ++last_id_;
  ticket.live = made != nullptr ? std::move(made) : watched;
  entry.next = ticket.live;
  entry.next_owner = ticket.id;  // with takeover, whoever announced and did not record has to yield
  entry.next_shard = ticket.shard;
  return ticket;
}

bool LiveTable::Publish(const PublisherTicket& ticket, PublisherTicket* evicted, LiveRef* ended) {
  *evicted = {};
  ended->reset();
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(ticket.live->path());
  if (found == entries_.end() || found->second.next_owner != ticket.id) return false;
  Entry& entry = found->second;
  if (entry.live != nullptr && entry.live != ticket.live) {
    entry.live->End();
    *ended = entry.live;
  }
  if (entry.owner != 0) {
    evicted->live = entry.live;
    evicted->id = entry.owner;
    evicted->shard = entry.owner_shard;
  }
  ticket.live->SetAnnounced(ticket.announced);
  entry.live = std::move(entry.next);
  entry.owner = std::exchange(entry.next_owner, 0);
  entry.owner_shard = entry.next_shard;
  entry.released = 0;
  return true;
}

LiveTable::Released LiveTable::Release(const PublisherTicket& ticket, LiveRef* ended) {
  ended->reset();
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(ticket.live->path());
  if (found == entries_.end()) return Released::kNothing;
  Entry& entry = found->second;
  if (entry.next_owner == ticket.id) {
    entry.next.reset();
    entry.next_owner = 0;
    if (entry.owner != 0 || entry.released != 0) return Released::kNothing;
    // What was kept for him, or for one whom he made yield; readers may watch it.
    *ended = std::move(entry.live);
    entries_.erase(found);
    if (*ended == nullptr) return Released::kNothing;
    (*ended)->End();
    return Released::kEnded;
  }
  if (entry.owner != ticket.id) return Released::kNothing;
  entry.owner = 0;
  if (options_.hold > 0s) {
    entry.released = ticket.id;
    return Released::kHeld;
  }
  if (entry.next == entry.live) return Released::kNothing;  // whoever announced goes on with it
  entry.live->End();
  *ended = std::move(entry.live);
  if (entry.next_owner == 0) entries_.erase(found);
  return Released::kEnded;
}

LiveRef LiveTable::Expire(const std::string& path, std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(path);
  if (found == entries_.end() || found->second.released != ticket) return nullptr;
  Entry& entry = found->second;
  entry.released = 0;
  if (entry.next == entry.live) return nullptr;  // whoever announced goes on with it
  entry.live->End();
  LiveRef ended = std::exchange(entry.live, nullptr);
  if (entry.next_owner == 0) entries_.erase(found);
  return ended;
}

LiveRef LiveTable::Find(std::string_view path) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(absl::string_view(path.data(), path.size()));
  return found == entries_.end() ? nullptr : found->second.live;
}

LiveStats LiveTable::stats() const {
  const std::lock_guard lock(mutex_);
  return {entries_.size()};
}

}  // namespace millrace
