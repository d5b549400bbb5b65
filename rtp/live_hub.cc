#include "rtp/live_hub.h"

#include <algorithm>
#include <utility>

#include "rtp/live_writer.h"

namespace millrace {

// --- LiveView

LiveView::LiveView(LiveHub* hub, LiveRef live, bool live_edge)
    : hub_(hub),
      live_(std::move(live)),
      access_points_(!live_edge && live_->has_access_points()),
      ended_(live_->ended()) {
  for (std::size_t i = 0; i < live_->stream_count(); ++i) {
    auto stream = std::make_unique<Stream>();
    stream->log = std::make_unique<LogReader>(&live_->stream(i).log);
    streams_.push_back(std::move(stream));
  }
}

void LiveView::AddWaiting(LiveSender* sender) {
  IntrusiveList<LiveSender>& list = streams_[sender->stream()]->waiting;
  list.PushBack(sender);
  sender->list = &list;
}

void LiveView::AddReady(LiveSender* sender) {
  hub_->ready_.PushBack(sender);
  sender->list = &hub_->ready_;
}

void LiveView::Refresh() {
  const bool ends = live_->ended() && !std::exchange(ended_, true);
  for (const auto& stream : streams_) {
    if (!stream->log->Refresh() && !ended_) continue;
    while (LiveSender* sender = stream->waiting.PopFront()) AddReady(sender);
  }
  if (!ends) return;
  for (LiveViewUser* user = users_.front(); user != nullptr; user = user->next) {
    user->OnPresentationEnded();
  }
}

// --- LiveWaiter

LiveWaiter::~LiveWaiter() {
  if (waiting_) hub_->waiters_.Remove(this);
}

void LiveWaiter::OnTimer(Instant) { hub_->EndWait(this, nullptr); }

// --- LiveHub

LiveHub::~LiveHub() = default;

LiveHub* LiveHub::HubOf(void* receiver) {
  auto* service = static_cast<Shard*>(receiver)->service();
  return service == nullptr ? nullptr : &static_cast<LiveService*>(service)->live_hub();
}

LiveView* LiveHub::Attach(const LiveRef& live, LiveViewUser* user) {
  std::unique_ptr<LiveView>& view = views_[live->id()];
  if (view == nullptr) {
    live->Attach(shard_->index());
    live->AnswerDoorbell(shard_->index());  // one that came after the last viewer had left
    view = std::make_unique<LiveView>(this, live, table_->options().join_live_edge);
  }
  view->users_.PushBack(user);
  return view.get();
}

void LiveHub::Detach(LiveView* view, LiveViewUser* user) {
  view->users_.Remove(user);
  if (!view->users_.empty()) return;
  view->live()->Detach(shard_->index());
  views_.erase(view->live()->id());
}

void LiveHub::OnRung(std::uint64_t id) {
  const auto found = views_.find(id);
  if (found != views_.end()) found->second->Refresh();
}

void LiveHub::Ring(LivePresentation& live) {
  live.RingAll([&](std::size_t shard) {
    if (shard == shard_->index()) {
      live.AnswerDoorbell(shard);
      OnRung(live.id());
    } else {
      shard_->counters().live_doorbells.Add();
      shard_->Post(shard, Message::Make(&OnDoorbell, live.id()));
    }
  });
}

void LiveHub::OnDoorbell(void* receiver, const Message& message) {
  LiveHub* const hub = HubOf(receiver);
  if (hub == nullptr) return;
  const auto id = message.As<std::uint64_t>();
  const auto found = hub->views_.find(id);
  if (found == hub->views_.end()) return;
  found->second->live()->AnswerDoorbell(hub->shard_->index());
  found->second->Refresh();
}

void LiveHub::AddDirty(LiveWriter* writer) { dirty_.push_back(writer); }

void LiveHub::RemoveDirty(LiveWriter* writer) {
  dirty_.erase(std::remove(dirty_.begin(), dirty_.end(), writer), dirty_.end());
}

void LiveHub::Release(const PublisherTicket& ticket) {
  LiveRef ended;
  switch (table_->Release(ticket, &ended)) {
    case LiveTable::Released::kNothing:
      return;
    case LiveTable::Released::kEnded:
      return Ring(*ended);
    case LiveTable::Released::kHeld:
      break;
  }
  held_.push_back(std::make_unique<Held>(this, ticket));
  shard_->timers().Arm(&held_.back()->timer, shard_->now() + table_->options().hold);
}

void LiveHub::EndHold(Held* held) {
  if (const LiveRef ended = table_->Expire(held->path, held->ticket)) Ring(*ended);
  std::erase_if(held_, [held](const auto& h) { return h.get() == held; });
}

void LiveHub::Evict(const PublisherTicket& ticket) {
  shard_->Post(ticket.shard, Message::Make(&OnEvictMail, ticket.id));
}

void LiveHub::OnEvictMail(void* receiver, const Message& message) {
  LiveHub* const hub = HubOf(receiver);
  if (hub != nullptr) hub->publishers_->OnEvicted(message.As<std::uint64_t>());
}

void LiveHub::CommitAll(Instant now) {
  for (LiveWriter* writer : dirty_) writer->Commit(now);
  dirty_.clear();
}

void LiveHub::FireReady(std::size_t count, Instant now) {
  for (; count > 0 && !ready_.empty(); --count) {
    LiveSender* const sender = ready_.PopFront();
    sender->list = nullptr;
    if (!ready_.empty()) __builtin_prefetch(ready_.front()->next);
    sender->Fire(now);
  }
}

// --- Waiting for a publisher

void LiveHub::Wait(LiveWaiter* waiter, std::string_view path, Duration time) {
  waiter->path_ = path;
  waiter->path_hash_ = std::hash<std::string_view>()(path);
  waiter->waiting_ = true;
  waiters_.PushBack(waiter);
  shard_->timers().Arm(&waiter->timer_, shard_->now() + time);
}

void LiveHub::EndWait(LiveWaiter* waiter, LiveRef live) {
  waiters_.Remove(waiter);
  waiter->waiting_ = false;
  shard_->timers().Cancel(&waiter->timer_);
  waiter->OnLive(std::move(live));
}

void LiveHub::LookAfterWaiters(std::size_t path_hash) {
  std::vector<LiveWaiter*> served;
  for (LiveWaiter* waiter = waiters_.front(); waiter != nullptr; waiter = waiter->next) {
    if (waiter->path_hash_ == path_hash) served.push_back(waiter);
  }
  // An answer may end other connections, but not from within: who is served here stays until then.
  for (LiveWaiter* waiter : served) {
    if (LiveRef live = table_->Find(waiter->path_)) EndWait(waiter, std::move(live));
  }
}

void LiveHub::TellWaiters(std::string_view path) {
  const std::size_t hash = std::hash<std::string_view>()(path);
  for (std::size_t shard = 0; shard < shards_; ++shard) {
    shard_->Post(shard, Message::Make(&OnPublished, hash));
  }
}

void LiveHub::OnPublished(void* receiver, const Message& message) {
  if (LiveHub* const hub = HubOf(receiver)) hub->LookAfterWaiters(message.As<std::size_t>());
}

}  // namespace millrace
