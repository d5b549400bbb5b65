// Deadlines that mostly never fire: session time-outs, header time-outs, RTCP intervals.
//
// A ring of slots, each an intrusive list; arming and cancelling are O(1) and allocate nothing. A
// timer further away than one turn of the ring stays in its slot and is looked at once per turn.
//
// Shard: the owner's only.
// Limits: slots are kResolution wide, but deadlines are exact: a timer fires in the first Advance
// at or after its deadline, never in an earlier one. Within one Advance the order is that of the
// slots; inside a slot there is none.
//
// Invariants
//   1. An armed timer lies in the slot of its deadline, or, when that has gone by, in that of the
//      last Advance: Advance looks at that one again, so nothing armed late is overlooked.
//   2. A slot's `earliest` is at or before every deadline in it. It is exact until its timer is
//      cancelled; the next look at the slot makes it exact again.
//   3. Advance first moves everything due to a list of its own and only then calls back. So a
//      callback may arm, cancel or destroy any timer, and what it arms waits for the next Advance:
//      a timer that always re-arms itself for now costs a tick each time and never hangs the shard.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/clock.h"

namespace millrace {

class TimerWheel;

// Embedded in its owner. Destroying an armed timer cancels it.
class Timer {
 public:
  Timer() = default;
  virtual ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return wheel_ != nullptr; }
  // Meaningful while armed.
  Instant deadline() const { return deadline_; }

 private:
  friend class TimerWheel;
  // The timer is no longer armed when this is called and may be armed again or destroyed in it.
  virtual void OnTimer(Instant now) = 0;

  TimerWheel* wheel_ = nullptr;
  Timer* previous_ = nullptr;
  Timer* next_ = nullptr;
  std::uint32_t slot_ = 0;  // index of the list it lies in
  Instant deadline_{};
};

// Calls a member function of its owner: `MemberTimer<Session, &Session::OnTimeout> timeout_{this};`
template <typename Owner, void (Owner::*kMethod)(Instant)>
class MemberTimer final : public Timer {
 public:
  explicit MemberTimer(Owner* owner) : owner_(owner) {}

 private:
  void OnTimer(Instant now) override { (owner_->*kMethod)(now); }
  Owner* const owner_;
};

class TimerWheel {
 public:
  static constexpr Duration kResolution = 8ms;
  static constexpr std::size_t kSlots = 2048;  // one turn: 16 s

  // How late a deadline may be that Loosely gives.
  static constexpr Duration kSlack = 128ms;

  explicit TimerWheel(Instant now);
  ~TimerWheel();  // disarms what is left
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Arms or re-arms. A deadline in the past fires at the next Advance.
  void Arm(Timer* timer, Instant deadline);
  void Cancel(Timer* timer);
  // A deadline at or a little after this one, the same for all that are near each other: for what
  // need not be exact, as time-outs of seconds. Thousands of such timers wake a shard that has
  // nothing else to do eight times a second, and not once for each of them.
  static Instant Loosely(Instant deadline) {
    return Instant((deadline.time_since_epoch() + kSlack - 1ns) / kSlack * kSlack);
  }
  // Fires everything due at `now`; what is armed meanwhile waits for the next call, even when it is
  // already due. A `now` before an earlier one counts as that one. Not to be called by a callback.
  void Advance(Instant now);
  // At or before every armed deadline; kNever when none is armed. Early by whole turns for far
  // timers and by what was cancelled since, so a sleeper that wakes for it may find nothing to do,
  // at most once a turn per slot; an Advance to this instant always fires something or moves it on.
  Instant NextDeadline() const;
  std::size_t size() const { return size_; }

 private:
  struct Slot {
    Timer* head = nullptr;
    Instant earliest = kNever;
  };
  static constexpr std::uint32_t kDue = kSlots;  // the list of invariant 3, after the ring's own
  static_assert(kSlots % 64 == 0 && (kSlots & (kSlots - 1)) == 0, "whole words, masked indices");

  std::array<Slot, kSlots + 1> slots_;
  std::array<std::uint64_t, kSlots / 64> occupied_{};
  Instant advanced_;    // the last `now`
  std::int64_t swept_;  // its slot's number (not index): deadline / kResolution
  std::size_t size_ = 0;

  static std::int64_t NumberOf(Instant t);
  static std::uint32_t IndexOf(std::int64_t number) {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(number) & (kSlots - 1));
  }
  // First occupied slot number in [number, end); `end` when there is none.
  std::int64_t FirstOccupied(std::int64_t number, std::int64_t end) const;
  // Moves what is due out of a slot to the end of the kDue list, after `last`; returns the new
  // last.
  Timer* Collect(std::uint32_t slot, Instant now, Timer* last);
  void Link(Timer* timer, std::uint32_t slot);
  void LinkDue(Timer* timer, Timer* last);
  void Unlink(Timer* timer);
};

}  // namespace millrace
