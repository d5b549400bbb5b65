// Who on this shard waits for what: an intrusive hash table of fixed size. Adding, removing and
// serving allocate nothing.
//
// `Waiter` has the members `next_`, `previous_` and `client_`, and names this class a friend.
//
// Shard: the owner's only.
// Invariants
//  1. A waiter is in at most one list: its bucket's, or the list being served.
//  2. Whoever is called back has left every list before, so it may wait again or be destroyed, and
//     so may any other waiter, served or not.
#pragma once

#include <array>
#include <cstddef>

namespace millrace {

template <typename Waiter>
class WaiterTable {
 public:
  void Add(Waiter* waiter, std::size_t hash) {
    PushFront(buckets_[hash % kBuckets], waiter);
    ++size_;
  }

  void Remove(Waiter* waiter, std::size_t hash) {
    if (waiter->previous_ == nullptr) {
      Waiter*& bucket = buckets_[hash % kBuckets];
      (bucket == waiter ? bucket : serving_) = waiter->next_;
    } else {
      waiter->previous_->next_ = waiter->next_;
    }
    if (waiter->next_ != nullptr) waiter->next_->previous_ = waiter->previous_;
    waiter->next_ = waiter->previous_ = nullptr;
    waiter->client_ = nullptr;
    --size_;
  }

  // Calls `deliver(waiter)` for each that waits now and `matches(waiter)`, first come first served.
  // Those that begin to wait meanwhile are left for the next time.
  template <typename Matches, typename Deliver>
  void Serve(std::size_t hash, Matches&& matches, Deliver&& deliver) {
    for (Waiter* waiter = buckets_[hash % kBuckets]; waiter != nullptr;) {
      Waiter* const next = waiter->next_;
      if (matches(*waiter)) Select(waiter, hash);
      waiter = next;
    }
    while (serving_ != nullptr) {
      Waiter* const waiter = serving_;
      Remove(waiter, hash);
      deliver(*waiter);
    }
  }

  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kBuckets = 1024;  // 8 KiB a shard

  static void PushFront(Waiter*& head, Waiter* waiter) {
    waiter->previous_ = nullptr;
    waiter->next_ = head;
    if (head != nullptr) head->previous_ = waiter;
    head = waiter;
  }

  // A bucket has its newest in front; pushing them over one by one turns them round.
  void Select(Waiter* waiter, std::size_t hash) {
    auto* const client = waiter->client_;
    Remove(waiter, hash);
    waiter->client_ = client;
    PushFront(serving_, waiter);
    ++size_;
  }

  std::array<Waiter*, kBuckets> buckets_{};
  Waiter* serving_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace millrace
