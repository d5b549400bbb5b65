// What reaches a shard from elsewhere: one bounded lane per producer (another shard or a loader
// thread), drained once per tick. A producer wakes the shard only when it sleeps.
//
// Shard: Post by one thread per lane, Drain by the owning shard.
// Limits: kLaneCapacity messages per lane; a full lane makes Post return false and the producer
// keeps the message (shards retry next tick, loaders wait).
//
// Invariants
//   1. Post makes the message visible, then looks at asleep_, with a full fence between.
//   2. BeginSleep sets asleep_, then looks at every lane, with a full fence between.
//      Of the two fences one comes first. If Post's does, BeginSleep sees the message and refuses
//      to sleep; if BeginSleep's does, Post sees the flag and wakes. Without a fence on both sides
//      each could read before its own store is seen, and the message would lie there until the next
//      deadline: release and acquire do not order a store before a later load.
//   3. Whoever turns asleep_ from true to false wakes: one wake-up per sleep, however many post.
//   4. A wake-up may come when the owner is already up again. So a Waker is sticky: Wake between
//      BeginSleep and the sleep itself ends that sleep at once, and one too many only costs a tick.
//   5. A lane keeps its order; between lanes there is none. Drain runs what lay there when it came
//      to the lane, so a handler that posts to its own shard cannot keep it in Drain.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/spsc_ring.h"

namespace millrace {

// One cache line: who handles it and its arguments, copied as bytes.
struct Message {
  static constexpr std::size_t kPayloadMax = 56;
  using Handler = void (*)(void* receiver, const Message& message);

  Handler handler = nullptr;
  alignas(8) std::array<std::byte, kPayloadMax> payload;

  template <typename T>
  static Message Make(Handler handler, const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kPayloadMax);
    Message m;
    m.handler = handler;
    std::memcpy(m.payload.data(), &value, sizeof(T));
    return m;
  }
  template <typename T>
  T As() const {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kPayloadMax);
    T value;
    std::memcpy(&value, payload.data(), sizeof(T));
    return value;
  }
};
static_assert(sizeof(Message) == 64);

// How a mailbox ends its owner's sleep. Any thread. Must be remembered until the next sleep
// (Mailbox invariant 4).
class Waker {
 public:
  virtual ~Waker() = default;
  virtual void Wake() = 0;
};

class Mailbox {
 public:
  static constexpr std::size_t kLaneCapacity = 1024;

  // `receiver` is handed to every message's handler.
  Mailbox(std::size_t lanes, void* receiver);
  // Before the first Post: the backend that sleeps on the owner's behalf.
  void set_waker(Waker* waker);

  // Producer side: at most one thread per lane. False: the lane is full, nothing was taken.
  bool Post(std::size_t lane, const Message& message);

  // Owner side. Runs every message's handler, lane by lane, at most one lane's capacity each;
  // returns how many ran.
  std::size_t Drain();
  // The owner is about to sleep. False: something came meanwhile, do not sleep. After the sleep (or
  // a refusal) call EndSleep.
  bool BeginSleep();
  void EndSleep();

 private:
  using Lane = SpscRing<Message, kLaneCapacity>;
  std::vector<std::unique_ptr<Lane>> lanes_;
  void* const receiver_;
  Waker* waker_ = nullptr;
  alignas(64) std::atomic<bool> asleep_{false};
};

}  // namespace millrace
