// A shard's part in live media: its hold of what its viewers watch, the doorbells it gets and
// gives, and who sends this tick.
//
// The way of the data: publishers of this shard write (LiveWriter) and mark themselves dirty; once
// a tick CommitAll shows what they wrote and rings every shard that has readers, once however much
// was written. A doorbell refreshes the LiveView, which makes all viewers ready that waited at its
// tail; FireReady lets them send, so a frame reaches this tick's batch on the publisher's own
// shard, and the next tick's on others.
//
// Shard: home's only.
// Invariants
//  1. A LiveView lives while a session has it attached.
//  2. A LiveSender is in one list at most: waiting at a view's tail, or ready.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/shard.h"
#include "core/timer_wheel.h"
#include "rtp/intrusive_list.h"
#include "rtp/live_presentation.h"
#include "rtp/live_sender.h"
#include "rtp/live_table.h"

namespace millrace {

class LiveHub;
class LiveWriter;

// Whoever watches a LiveView.
class LiveViewUser {
 public:
  virtual ~LiveViewUser() = default;
  // From the mailbox or the publisher's commit: note it, act later.
  virtual void OnPresentationEnded() = 0;

  LiveViewUser* next = nullptr;
  LiveViewUser* previous = nullptr;
};

// What a shard holds of a presentation for all its viewers there.
class LiveView {
 public:
  LiveView(LiveHub* hub, LiveRef live, bool live_edge);

  const LiveRef& live() const { return live_; }
  const LogReader& log(std::size_t stream) const { return *streams_[stream]->log; }
  // Else viewers start at the newest unit there is.
  bool starts_at_access_points() const { return access_points_; }
  // Nothing comes behind the tails of the logs any more.
  bool ended() const { return ended_; }

  void AddWaiting(LiveSender* sender);
  void AddReady(LiveSender* sender);
  // Sees what was committed; whoever waited for it is ready then.
  void Refresh();

 private:
  friend class LiveHub;
  struct Stream {
    std::unique_ptr<LogReader> log;
    IntrusiveList<LiveSender> waiting;
  };

  LiveHub* const hub_;
  const LiveRef live_;
  const bool access_points_;
  bool ended_;  // as it was before the logs were looked at: their tails are the last
  IntrusiveList<LiveViewUser> users_;
  std::vector<std::unique_ptr<Stream>> streams_;
};

// Waits for a path to be published. Destroying it while it waits cancels the wait.
class LiveWaiter {
 public:
  explicit LiveWaiter(LiveHub* hub) : hub_(hub) {}
  virtual ~LiveWaiter();
  LiveWaiter(const LiveWaiter&) = delete;
  LiveWaiter& operator=(const LiveWaiter&) = delete;

  LiveWaiter* next = nullptr;
  LiveWaiter* previous = nullptr;

 private:
  friend class LiveHub;
  // It waits no more, and may be destroyed in this. Null: the time is up.
  virtual void OnLive(LiveRef live) = 0;
  void OnTimer(Instant now);

  LiveHub* const hub_;
  std::string path_;
  std::size_t path_hash_ = 0;
  bool waiting_ = false;
  MemberTimer<LiveWaiter, &LiveWaiter::OnTimer> timer_{this};
};

// Who publishes on a shard.
class PublisherHost {
 public:
  virtual ~PublisherHost() = default;
  // The publisher with that ticket has to go; unknown ones are gone already.
  virtual void OnEvicted(std::uint64_t ticket) = 0;
};

class LiveHub {
 public:
  // `shards`: of the whole process.
  LiveHub(Shard* shard, std::size_t shards, LiveTable* table, Pacer* pacer,
          PublisherHost* publishers)
      : shard_(shard), shards_(shards), table_(table), pacer_(pacer), publishers_(publishers) {}
  ~LiveHub();
  LiveHub(const LiveHub&) = delete;
  LiveHub& operator=(const LiveHub&) = delete;

  LiveTable& table() { return *table_; }
  Shard& shard() { return *shard_; }
  Pacer* pacer() { return pacer_; }

  // --- Viewers.
  LiveView* Attach(const LiveRef& live, LiveViewUser* user);
  void Detach(LiveView* view, LiveViewUser* user);
  // --- Those who ask too early.
  void Wait(LiveWaiter* waiter, std::string_view path, Duration time);
  // `path` has been published: every shard looks whether somebody waits for it.
  void TellWaiters(std::string_view path);

  // --- Publishers.
  void AddDirty(LiveWriter* writer);
  void RemoveDirty(LiveWriter* writer);
  // A publisher is gone: his path ends, or is held for the next one.
  void Release(const PublisherTicket& ticket);
  // Tells a publisher, on whatever shard, that another has taken his path.
  void Evict(const PublisherTicket& ticket);
  // Tells all readers of `live` to look.
  void Ring(LivePresentation& live);

  // --- Once per tick.
  void CommitAll(Instant now);
  // Lets the first `count` of those send that are ready. Who becomes so meanwhile comes after all
  // who are: a round is as many as are ready when it begins.
  void FireReady(std::size_t count, Instant now);
  std::size_t ready_count() const { return ready_.size(); }
  bool dirty() const { return !dirty_.empty(); }

 private:
  friend class LiveView;
  friend class LiveWaiter;
  // A path held for its next publisher.
  struct Held {
    Held(LiveHub* the_hub, const PublisherTicket& by)
        : hub(the_hub), path(by.live->path()), ticket(by.id) {}
    void OnTimer(Instant) { hub->EndHold(this); }

    LiveHub* const hub;
    const std::string path;
    const std::uint64_t ticket;
    MemberTimer<Held, &Held::OnTimer> timer{this};
  };
  void EndHold(Held* held);
  void EndWait(LiveWaiter* waiter, LiveRef live);
  void OnRung(std::uint64_t id);
  void LookAfterWaiters(std::size_t path_hash);
  static LiveHub* HubOf(void* receiver);
  static void OnDoorbell(void* receiver, const Message& message);
  static void OnPublished(void* receiver, const Message& message);
  static void OnEvictMail(void* receiver, const Message& message);

  Shard* const shard_;
  const std::size_t shards_;
  LiveTable* const table_;
  Pacer* const pacer_;
  PublisherHost* const publishers_;
  absl::flat_hash_map<std::uint64_t, std::unique_ptr<LiveView>> views_;  // by presentation id
  IntrusiveList<LiveSender> ready_;
  std::vector<LiveWriter*> dirty_;
  IntrusiveList<LiveWaiter> waiters_;
  std::vector<std::unique_ptr<Held>> held_;
};

// The service of a shard that has a hub: how its mail finds it.
class LiveService : public ShardService {
 public:
  virtual LiveHub& live_hub() = 0;
};

}  // namespace millrace
