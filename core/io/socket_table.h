// The open sockets of a backend: places of fixed number, each with a count of its lives.
//
// A SocketId is the place; what the kernel completes late carries place and generation, and finds
// nothing once the place has changed hands.
//
// Shard: the backend's own. Limits: `capacity`, allocated once.
#pragma once

#include <cstdint>
#include <memory>

#include "core/io/io_backend.h"

namespace millrace {

// Slot has members `int fd = -1`, `std::uint32_t generation = 0` and `SocketId next_free`.
template <typename Slot>
class SocketTable {
 public:
  // Generations are this wide, so that place, generation and kind of operation fit 64 bits. A late
  // completion would have to outlast 16 million lives of one place to be taken for another's.
  static constexpr std::uint32_t kGenerationMask = 0xffffff;

  explicit SocketTable(std::uint32_t capacity)
      : capacity_(capacity), slots_(std::make_unique<Slot[]>(capacity)) {}

  // kNoSocket when full; `fd` stays the caller's then.
  SocketId Take(int fd) {
    SocketId id = free_head_;
    if (id != kNoSocket) {
      free_head_ = slots_[id].next_free;
    } else if (used_ < capacity_) {
      id = static_cast<SocketId>(used_++);
    } else {
      return kNoSocket;
    }
    const std::uint32_t generation = slots_[id].generation;
    slots_[id] = Slot{};
    slots_[id].generation = generation;
    slots_[id].fd = fd;
    return id;
  }

  void Free(SocketId id) {
    Slot& slot = slots_[id];
    slot.fd = -1;
    slot.generation = (slot.generation + 1) & kGenerationMask;
    slot.next_free = free_head_;
    free_head_ = id;
  }

  // Null when there is no open socket of that name.
  Slot* Find(SocketId id) const {
    if (id < 0 || static_cast<std::uint32_t>(id) >= used_ || slots_[id].fd < 0) return nullptr;
    return &slots_[id];
  }
  Slot* Find(SocketId id, std::uint32_t generation) const {
    Slot* slot = Find(id);
    return slot != nullptr && slot->generation == generation ? slot : nullptr;
  }

  // Visits every open socket; `visit(id, slot)` may free it.
  template <typename Visit>
  void ForEach(Visit&& visit) {
    for (std::uint32_t i = 0; i < used_; ++i) {
      if (slots_[i].fd >= 0) visit(static_cast<SocketId>(i), slots_[i]);
    }
  }

 private:
  const std::uint32_t capacity_;
  std::uint32_t used_ = 0;  // places ever taken
  SocketId free_head_ = kNoSocket;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace millrace
