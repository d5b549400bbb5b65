// What loader threads have finished for one shard, until the shard's mailbox brings it there.
//
// The message in the mailbox only says "look into your inbox"; the results stay here, so a shard
// that ends without draining its mailbox leaks nothing: the inbox frees what it still holds.
//
// Shard: Push by any thread, Drain and destruction by the owning shard (see PacketCache on the
// order at shutdown).
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace millrace {

// `Item` has a public member `Item* next` for the inbox's use.
template <typename Item>
class LoaderInbox {
 public:
  LoaderInbox() = default;
  LoaderInbox(const LoaderInbox&) = delete;
  LoaderInbox& operator=(const LoaderInbox&) = delete;
  ~LoaderInbox() {
    Drain([](Item&) {});
  }

  // True: nothing lay here, so nobody has yet told the shard to look; the caller must. One message
  // is then enough for everything pushed until the shard looks.
  bool Push(std::unique_ptr<Item> item) {
    Item* const raw = item.release();
    Item* newest = newest_.load(std::memory_order_relaxed);
    do {
      raw->next = newest;
    } while (!newest_.compare_exchange_weak(newest, raw, std::memory_order_release,
                                            std::memory_order_relaxed));
    return newest == nullptr;
  }

  // Visits everything that lies here, in the order of its coming.
  template <typename Visit>
  void Drain(Visit&& visit) {
    Item* newest = newest_.exchange(nullptr, std::memory_order_acquire);
    Item* oldest = nullptr;
    while (newest != nullptr) {
      Item* const before = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = before;
    }
    while (oldest != nullptr) {
      const std::unique_ptr<Item> item(oldest);
      oldest = item->next;
      visit(*item);
    }
  }

 private:
  std::atomic<Item*> newest_{nullptr};
};

}  // namespace millrace
