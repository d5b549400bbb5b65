// Access units between the container and the caller, in the file's order, waiting for their times.
//
// The data's way: Push as they are read, Pop as soon as Ready. A unit without dts is held until the
// units that may be shown before it are there; its dts is then the earliest presentation time still
// to come in its track. That rises steadily, is never after the unit's own pts, and depends on no
// unit before it, so it is the same after every seek.
//
// Shard: none; one thread.
// Limits: waits for kReorderMax units of the track, among kLookAheadMax of all tracks, or until
// kQueueBytesMax are held.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

#include "media/access_unit.h"

namespace millrace {

// Pictures that may precede another in coding order and follow it on the screen (ISO 14496-10 annex
// A: max_num_reorder_frames is at most 16; ISO 23008-2 the same).
inline constexpr std::size_t kReorderMax = 16;

// `Payload` owns the bytes that a unit's data points to; they must not move with it.
template <typename Payload>
class ReorderQueue {
 public:
  static constexpr std::size_t kQueueBytesMax = std::size_t{96} << 20;
  // A minute of audio in frames of 21 ms beside a still picture: beyond it nothing is reordered.
  static constexpr std::size_t kLookAheadMax = 3000;
  // What a unit costs beside its bytes, at least: this and what the library keeps of a packet.
  static constexpr std::size_t kUnitOverheadBytes = 512;

  struct Held {
    AccessUnit unit;
    Payload payload;
    bool dts_known = false;
  };

  void Push(Held held) {
    bytes_ += held.unit.data.size() + kUnitOverheadBytes;
    held_.push_back(std::move(held));
  }

  // Whether the first unit has all its times (and then sets them). `ended`: nothing more is coming.
  bool Ready(bool ended) {
    if (held_.empty()) return false;
    Held& front = held_.front();
    if (front.dts_known) return true;
    std::int64_t earliest = front.unit.pts;
    std::size_t followers = 0;
    const std::size_t seen = std::min(held_.size(), kLookAheadMax);
    for (std::size_t i = 1; i < seen && followers < kReorderMax; ++i) {
      const Held* const next = &held_[i];
      if (next->unit.track != front.unit.track) continue;
      earliest = std::min(earliest, next->unit.pts);
      ++followers;
    }
    const bool waits = followers < kReorderMax && held_.size() < kLookAheadMax;
    if (waits && !ended && !full()) return false;
    front.unit.dts = earliest;
    front.dts_known = true;
    return true;
  }

  // The first unit; Ready must have said so.
  Held Pop() {
    Held front = std::move(held_.front());
    held_.pop_front();
    bytes_ -= front.unit.data.size() + kUnitOverheadBytes;
    return front;
  }

  void Clear() {
    held_.clear();
    bytes_ = 0;
  }

  std::size_t size() const { return held_.size(); }
  bool empty() const { return held_.empty(); }
  bool full() const { return bytes_ >= kQueueBytesMax; }
  const Held& operator[](std::size_t i) const { return held_[i]; }

 private:
  std::deque<Held> held_;
  std::size_t bytes_ = 0;
};

}  // namespace millrace
