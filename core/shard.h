// One core's reactor: a backend, a timer wheel, a mailbox and the service that uses them.
//
// A tick, in this order and for these reasons:
//   1. Poll      completions first: they carry what clients asked and free what sends held
//   2. mail      what other shards and loaders handed over, some of it caused by 1 elsewhere
//   3. timers    after 1 and 2, so that a sign of life just read saves its session
//   4. service   pacing and sending, last: everything that became due above leaves in one batch
//   5. overflow  messages a full lane refused are offered again
// Then it sleeps until the earliest deadline of 3 and 4, a completion, or a wake-up.
//
// Shard: all of it is the home thread's, except Stop and Wake, and the counters, which anyone
// reads.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "core/counters.h"
#include "core/io/io_backend.h"
#include "core/mailbox.h"
#include "core/random.h"
#include "core/timer_wheel.h"

namespace millrace {

class Shard;
class ShardGroup;

// What runs on a shard: the RTSP server of net/.
class ShardService {
 public:
  virtual ~ShardService() = default;
  // Step 4 of the tick.
  virtual void OnTick(Instant now) = 0;
  // When OnTick has something to do next; kNever when nothing is scheduled.
  virtual Instant NextDeadline() const = 0;
  // The last call: say goodbye to every peer and let go of sockets and waiters.
  virtual void OnStop(Instant now) = 0;
};

class Shard final : public Waker {
 public:
  // `producers` lanes can post to this shard: every shard of the group, then every loader.
  Shard(std::size_t index, std::size_t producers, const Clock* clock,
        std::unique_ptr<Random> random);
  ~Shard() override;

  // On the home thread, before the first tick.
  void AttachBackend(std::unique_ptr<IoBackend> backend);
  void AttachService(std::unique_ptr<ShardService> service);
  // How Post finds the others; set by the group.
  void set_group(ShardGroup* group) { group_ = group; }

  void Tick();
  // When the next tick has work, as far as is known now.
  Instant NextDeadline() const;
  // Says goodbye and frees the service; on the home thread. The backend stays, so that other
  // threads may still wake a shard that has ended.
  void Shutdown();

  // The time of this tick: read from the clock once, when it is first needed after the sleep. (Once
  // more before a sleep that a deadline ends.)
  Instant now() const;
  // Of the same moment.
  WallTime wall() const {
    now();
    return wall_;
  }

  std::size_t index() const { return index_; }
  IoBackend& io() { return *backend_; }
  TimerWheel& timers() { return timers_; }
  Random& random() { return *random_; }
  ShardCounters& counters() { return counters_; }
  const ShardCounters& counters() const { return counters_; }
  ShardService* service() { return service_.get(); }
  Mailbox& mailbox() { return mailbox_; }

  // To another shard of the group (or this one); never lost and in order per receiver.
  void Post(std::size_t to, const Message& message);

  void Wake() override;

 private:
  void RetryRefused();

  const std::size_t index_;
  const Clock* const clock_;
  std::unique_ptr<Random> random_;
  ShardGroup* group_ = nullptr;
  std::unique_ptr<IoBackend> backend_;
  TimerWheel timers_;
  Mailbox mailbox_;
  std::unique_ptr<ShardService> service_;
  ShardCounters counters_;
  std::vector<std::deque<Message>> refused_;  // by a full lane, by receiver
  std::size_t refused_count_ = 0;
  mutable Instant now_;
  mutable WallTime wall_;
  mutable bool now_is_current_ = false;
};

}  // namespace millrace
