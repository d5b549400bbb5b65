#include "rtp/pacer.h"

#include <algorithm>
#include <bit>

namespace millrace {

PacedTask::~PacedTask() {
  if (pacer_ != nullptr) pacer_->Cancel(this);
}

Pacer::Pacer(Instant now) : swept_(BucketOf(now)) {}

Pacer::~Pacer() {
  for (PacedTask* head : heads_) {
    while (head != nullptr) {
      PacedTask* next = head->next_;
      head->pacer_ = nullptr;
      head = next;
    }
  }
}

void Pacer::Link(PacedTask* task, std::int64_t bucket) {
  PacedTask*& head = HeadOf(bucket);
  task->previous_ = nullptr;
  task->next_ = head;
  if (head != nullptr) head->previous_ = task;
  head = task;
  const std::size_t slot = static_cast<std::size_t>(bucket) % kBuckets;
  occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void Pacer::Unlink(PacedTask* task) {
  if (task->next_ != nullptr) task->next_->previous_ = task->previous_;
  if (task->previous_ != nullptr) {
    task->previous_->next_ = task->next_;
  } else if (firing_ == task) {
    firing_ = task->next_;
  } else {
    const std::size_t slot = static_cast<std::size_t>(BucketOf(task->due_)) % kBuckets;
    heads_[slot] = task->next_;
    if (heads_[slot] == nullptr) occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  }
}

void Pacer::Schedule(PacedTask* task, Instant due) {
  if (task->pacer_ != nullptr) Cancel(task);
  // An overdue task is due in the next bucket; the stored time always names the task's bucket.
  const std::int64_t bucket = std::max(BucketOf(due), swept_ + 1);
  task->due_ = std::max(due, Instant(bucket * kBucket));
  task->pacer_ = this;
  Link(task, bucket);
  ++size_;
}

void Pacer::Cancel(PacedTask* task) {
  if (task->pacer_ != this) return;
  Unlink(task);
  task->pacer_ = nullptr;
  --size_;
}

void Pacer::SweepBucket(std::int64_t bucket, Instant now) {
  const std::size_t slot = static_cast<std::size_t>(bucket) % kBuckets;
  firing_ = heads_[slot];
  heads_[slot] = nullptr;
  occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  while (firing_ != nullptr) {
    PacedTask* task = firing_;
    firing_ = task->next_;
    if (firing_ != nullptr) firing_->previous_ = nullptr;
    if (BucketOf(task->due_) > BucketOf(now)) {
      Link(task, BucketOf(task->due_));  // a later turn of the ring
      continue;
    }
    task->pacer_ = nullptr;
    --size_;
    task->OnDue(now);
  }
}

void Pacer::Sweep(Instant now) {
  const std::int64_t target = BucketOf(now);
  if (target <= swept_) return;
  const std::int64_t first = std::max(swept_ + 1, target - static_cast<std::int64_t>(kBuckets) + 1);
  // What fires may schedule itself again: from here on that means the bucket after `target`.
  swept_ = target;
  if (size_ == 0) return;
  for (std::int64_t bucket = first; bucket <= target; ++bucket) SweepBucket(bucket, now);
}

Instant Pacer::NextDue() const {
  if (size_ == 0) return kNever;
  const std::size_t first = static_cast<std::size_t>(swept_ + 1) % kBuckets;
  constexpr std::size_t kWords = kBuckets / 64;
  for (std::size_t i = 0; i <= kWords; ++i) {
    const std::size_t word = (first / 64 + i) % kWords;
    std::uint64_t bits = occupied_[word];
    if (i == 0) bits &= ~std::uint64_t{0} << (first % 64);
    if (i == kWords) bits &= ~(~std::uint64_t{0} << (first % 64));
    if (bits == 0) continue;
    const std::size_t slot = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
    const std::int64_t ahead = static_cast<std::int64_t>((slot + kBuckets - first) % kBuckets);
    return Instant((swept_ + 1 + ahead) * kBucket);
  }
  return kNever;
}

}  // namespace millrace
