#include "core/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace millrace {

Timer::~Timer() {
  if (wheel_ != nullptr) wheel_->Cancel(this);
}

TimerWheel::TimerWheel(Instant now) : advanced_(now), swept_(NumberOf(now)) {}

TimerWheel::~TimerWheel() {
  for (Slot& slot : slots_) {
    while (slot.head != nullptr) Cancel(slot.head);
  }
}

void TimerWheel::Arm(Timer* timer, Instant deadline) {
  if (timer->wheel_ != nullptr) timer->wheel_->Cancel(timer);
  timer->wheel_ = this;
  timer->deadline_ = deadline;
  ++size_;
  Link(timer, IndexOf(std::max(NumberOf(deadline), swept_)));
}

void TimerWheel::Cancel(Timer* timer) {
  if (timer->wheel_ == nullptr) return;
  assert(timer->wheel_ == this);
  Unlink(timer);
  timer->wheel_ = nullptr;
  --size_;
}

void TimerWheel::Advance(Instant now) {
  assert(slots_[kDue].head == nullptr);  // not from a callback
  advanced_ = std::max(advanced_, now);
  const std::int64_t target = NumberOf(advanced_);
  // After a turn or more every slot is looked at once: the numbers beyond are the same slots again.
  const std::int64_t end = std::min(target, swept_ + static_cast<std::int64_t>(kSlots) - 1) + 1;
  Timer* last = nullptr;
  for (std::int64_t n = FirstOccupied(swept_, end); n < end; n = FirstOccupied(n + 1, end)) {
    last = Collect(IndexOf(n), advanced_, last);
  }
  swept_ = target;
  // From the head each time: a callback may take any timer out of the list.
  const Instant fired_at = advanced_;
  while (Timer* timer = slots_[kDue].head) {
    Cancel(timer);
    timer->OnTimer(fired_at);  // may destroy the timer
  }
}

Instant TimerWheel::NextDeadline() const {
  if (size_ == 0) return kNever;
  if (slots_[kDue].head != nullptr) return advanced_;  // asked by a callback, with more to come
  const std::int64_t number = FirstOccupied(swept_, swept_ + static_cast<std::int64_t>(kSlots));
  // Every other slot's timers lie at or after the end of this one; its own may be turns away.
  const Instant end_of_slot{(number + 1) * kResolution};
  return std::min(slots_[IndexOf(number)].earliest, end_of_slot);
}

std::int64_t TimerWheel::NumberOf(Instant t) {
  const std::int64_t count = t.time_since_epoch().count();
  const std::int64_t quotient = count / kResolution.count();
  return count % kResolution.count() < 0 ? quotient - 1 : quotient;
}

std::int64_t TimerWheel::FirstOccupied(std::int64_t number, std::int64_t end) const {
  while (number < end) {
    const std::uint32_t index = IndexOf(number);
    const std::uint64_t word = occupied_[index / 64] >> (index % 64);
    if (word != 0) return std::min(number + std::countr_zero(word), end);
    number += 64 - index % 64;
  }
  return end;
}

Timer* TimerWheel::Collect(std::uint32_t slot, Instant now, Timer* last) {
  if (slots_[slot].earliest > now) return last;
  Instant earliest = kNever;
  Timer* next = nullptr;
  for (Timer* timer = slots_[slot].head; timer != nullptr; timer = next) {
    next = timer->next_;
    if (timer->deadline_ <= now) {
      Unlink(timer);
      LinkDue(timer, last);
      last = timer;
    } else {
      earliest = std::min(earliest, timer->deadline_);
    }
  }
  slots_[slot].earliest = earliest;
  return last;
}

void TimerWheel::Link(Timer* timer, std::uint32_t slot) {
  Slot& s = slots_[slot];
  timer->slot_ = slot;
  timer->previous_ = nullptr;
  timer->next_ = s.head;
  if (s.head != nullptr) s.head->previous_ = timer;
  s.head = timer;
  s.earliest = std::min(s.earliest, timer->deadline_);
  occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void TimerWheel::LinkDue(Timer* timer, Timer* last) {
  timer->slot_ = kDue;
  timer->previous_ = last;
  timer->next_ = nullptr;
  (last != nullptr ? last->next_ : slots_[kDue].head) = timer;
}

void TimerWheel::Unlink(Timer* timer) {
  Slot& s = slots_[timer->slot_];
  if (timer->next_ != nullptr) timer->next_->previous_ = timer->previous_;
  if (timer->previous_ != nullptr) {
    timer->previous_->next_ = timer->next_;
    return;
  }
  s.head = timer->next_;
  if (s.head != nullptr) return;
  s.earliest = kNever;
  const std::uint32_t slot = timer->slot_;
  if (slot != kDue) occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
}

}  // namespace millrace
