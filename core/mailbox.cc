#include "core/mailbox.h"

#include <cassert>

namespace millrace {
namespace {

// Orders this thread's store before its following load, which release and acquire do not.
// Data only ever travels through a lane's release and acquire, so the thread sanitizer, which does
// not model fences, loses nothing here; gcc warns about it all the same.
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
inline void StoreLoadFence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace

Mailbox::Mailbox(std::size_t lanes, void* receiver) : receiver_(receiver) {
  lanes_.reserve(lanes);
  for (std::size_t i = 0; i < lanes; ++i) lanes_.push_back(std::make_unique<Lane>());
}

void Mailbox::set_waker(Waker* waker) { waker_ = waker; }

bool Mailbox::Post(std::size_t lane, const Message& message) {
  assert(lane < lanes_.size());
  if (!lanes_[lane]->TryPush(message)) return false;
  StoreLoadFence();  // [1]
  if (asleep_.load(
          std::memory_order_relaxed) &&  // shared read: stays cached while the owner is awake
      asleep_.exchange(false, std::memory_order_acq_rel)) {  // [3]
    if (waker_ != nullptr) waker_->Wake();
  }
  return true;
}

std::size_t Mailbox::Drain() {
  std::size_t ran = 0;
  Message message;
  for (const auto& lane : lanes_) {
    // Counted first: what a handler posts to its own shard waits for the next tick [5].
    const std::size_t waiting = lane->size();
    for (std::size_t i = 0; i < waiting && lane->TryPop(&message); ++i) {
      message.handler(receiver_, message);
      ++ran;
    }
  }
  return ran;
}

bool Mailbox::BeginSleep() {
  asleep_.store(true, std::memory_order_relaxed);
  StoreLoadFence();  // [2]
  for (const auto& lane : lanes_) {
    if (!lane->empty()) {
      asleep_.store(false,
                    std::memory_order_relaxed);  // spares the next producer a needless wake-up
      return false;
    }
  }
  return true;
}

void Mailbox::EndSleep() { asleep_.store(false, std::memory_order_relaxed); }

}  // namespace millrace
