// A bounded queue between exactly two threads, without a lock and without a locked instruction.
//
//   producer: TryPush -> [slot, slot, ...] -> consumer: TryPop
//
// Head and tail count pushes and pops since the start and never wrap in practice (64 bits); their
// low bits name the slot. Each side keeps a copy of the other's index and looks at the real one
// only when the copy says full (or empty), so a busy ring costs about one shared cache line per
// turn of the copy rather than one per message.
//
// Shard: TryPush by one thread, TryPop by one thread; size and empty by either.
// Limits: N elements, a power of two; a full ring refuses.
//
// Invariants
//   1. head <= tail <= head + N.
//   2. Slots [head, tail) belong to the consumer, the others to the producer.
//   3. The producer alone writes tail, after it has filled the slot (release); the consumer alone
//      writes head, after it has taken the slot's value away (release).
//   4. A cached index is never ahead of the real one, so a stale copy only costs a second look.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace millrace {

template <typename T, std::size_t N>
class SpscRing {
  static_assert(N > 0 && std::has_single_bit(N), "the capacity is a power of two");

 public:
  SpscRing() = default;
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  // Producer. False: the ring is full and `value` is untouched.
  template <typename U>
  bool TryPush(U&& value) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ == N) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail - head_seen_ == N) return false;
    }
    slots_[tail & kMask] = std::forward<U>(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // Consumer. False: the ring is empty and `*value` is untouched.
  bool TryPop(T* value) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_seen_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head == tail_seen_) return false;
    }
    *value = std::move(slots_[head & kMask]);
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  // Exact for the side that asks as far as its own end goes: the producer sees at least what is in
  // the ring, the consumer at most.
  std::size_t size() const {
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    return static_cast<std::size_t>(tail_.load(std::memory_order_acquire) - head);
  }
  bool empty() const { return size() == 0; }
  static constexpr std::size_t capacity() { return N; }

 private:
  static constexpr std::uint64_t kMask = N - 1;

  // Written by the producer.
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  std::uint64_t head_seen_ = 0;
  // Written by the consumer.
  alignas(64) std::atomic<std::uint64_t> head_{0};
  std::uint64_t tail_seen_ = 0;
  // Handed to and fro.
  alignas(64) std::array<T, N> slots_{};
};

}  // namespace millrace
