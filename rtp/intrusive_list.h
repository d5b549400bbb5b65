// A doubly linked list through the elements' own public members `next` and `previous`; an element
// is in one such list at a time.
//
// Shard: whoever guards the elements.
#pragma once

#include <cstddef>

namespace millrace {

template <typename T>
class IntrusiveList {
 public:
  T* front() const { return front_; }
  bool empty() const { return front_ == nullptr; }
  std::size_t size() const { return size_; }

  void PushBack(T* item) {
    item->next = nullptr;
    item->previous = back_;
    (back_ != nullptr ? back_->next : front_) = item;
    back_ = item;
    ++size_;
  }

  void PushFront(T* item) {
    item->previous = nullptr;
    item->next = front_;
    (front_ != nullptr ? front_->previous : back_) = item;
    front_ = item;
    ++size_;
  }

  // `place` null: at the end.
  void InsertBefore(T* place, T* item) {
    if (place == nullptr) return PushBack(item);
    if (place == front_) return PushFront(item);
    item->next = place;
    item->previous = place->previous;
    place->previous->next = item;
    place->previous = item;
    ++size_;
  }

  void Remove(T* item) {
    (item->previous != nullptr ? item->previous->next : front_) = item->next;
    (item->next != nullptr ? item->next->previous : back_) = item->previous;
    item->next = item->previous = nullptr;
    --size_;
  }

  // Null when empty.
  T* PopFront() {
    T* const item = front_;
    if (item != nullptr) Remove(item);
    return item;
  }

  void MoveToBack(T* item) {
    if (item == back_) return;
    Remove(item);
    PushBack(item);
  }

 private:
  T* front_ = nullptr;
  T* back_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace millrace
