// A calendar of senders: a ring of 1 ms buckets swept in one loop.
//
// For what always fires. A sender that has sent schedules its next packet; the sweep hands out
// every sender whose bucket has come. Scheduling, cancelling and firing are O(1) and allocate
// nothing.
//
// The pacing contract, for a viewer whose schedule says S(t) bytes are due by t:
//   S(t) <= sent(t) <= S(t + train window) + burst
// The left side holds at every sweep that is not late, and reads S(t - train window) for packets
// that do not fit one train (unequal lengths, no GSO); after a late sweep the sender catches up at
// no more than one burst per millisecond. The train window is a bucket at least.
//
// Shard: the owner's only.
// Limits: a due time further away than the ring (kBuckets ms) is looked at once per turn.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/clock.h"

namespace millrace {

class Pacer;

// Embedded in (a base of) what is paced. Destroying a scheduled one cancels it.
class PacedTask {
 public:
  PacedTask() = default;
  virtual ~PacedTask();
  PacedTask(const PacedTask&) = delete;
  PacedTask& operator=(const PacedTask&) = delete;

  bool scheduled() const { return pacer_ != nullptr; }
  Instant due() const { return due_; }

 private:
  friend class Pacer;
  // No longer scheduled; may schedule itself again (fires in a later millisecond) or others.
  virtual void OnDue(Instant now) = 0;

  Pacer* pacer_ = nullptr;
  PacedTask* previous_ = nullptr;
  PacedTask* next_ = nullptr;
  Instant due_{};
};

class Pacer {
 public:
  static constexpr Duration kBucket = 1ms;
  static constexpr std::size_t kBuckets = 1024;

  explicit Pacer(Instant now);
  ~Pacer();

  // Fires in the sweep of the bucket that holds `due`, at the earliest in the next bucket to be
  // swept. Scheduling again moves it.
  void Schedule(PacedTask* task, Instant due);
  void Cancel(PacedTask* task);
  // Fires all whose bucket lies at or before `now`: never later than due by more than the tick,
  // early by less than a bucket.
  void Sweep(Instant now);
  // Start of the next bucket that holds anything; kNever when none does.
  Instant NextDue() const;
  std::size_t size() const { return size_; }
  // End of the last bucket swept: what is due before it is late.
  Instant swept_until() const { return Instant((swept_ + 1) * kBucket); }

 private:
  static std::int64_t BucketOf(Instant t) { return t.time_since_epoch() / kBucket; }
  PacedTask*& HeadOf(std::int64_t bucket) {
    return heads_[static_cast<std::size_t>(bucket) % kBuckets];
  }
  void Link(PacedTask* task, std::int64_t bucket);
  void Unlink(PacedTask* task);
  void SweepBucket(std::int64_t bucket, Instant now);

  std::array<PacedTask*, kBuckets> heads_{};
  std::array<std::uint64_t, kBuckets / 64> occupied_{};
  std::int64_t swept_;           // all buckets up to this one have fired
  PacedTask* firing_ = nullptr;  // the list being fired, detached from its bucket
  std::size_t size_ = 0;
};

}  // namespace millrace
