// Serial number arithmetic for RTP's wrapping counters (RFC 3550 section 5.1, RFC 1982).
//
// Two values are compared by the shorter way round the circle; exactly half a turn apart neither is
// newer, and the distance is reported as negative.
#pragma once

#include <cstdint>

namespace millrace {

// How far `to` lies after `from`: negative when before, in [-32768, 32767].
constexpr std::int32_t SequenceDistance(std::uint16_t from, std::uint16_t to) {
  return static_cast<std::int16_t>(static_cast<std::uint16_t>(to - from));
}

constexpr bool SequenceNewer(std::uint16_t a, std::uint16_t b) {
  return SequenceDistance(b, a) > 0;
}

// Clock ticks by which `to` lies after `from`, in [-2^31, 2^31 - 1].
constexpr std::int32_t TimestampDistance(std::uint32_t from, std::uint32_t to) {
  return static_cast<std::int32_t>(to - from);
}

constexpr bool TimestampNewer(std::uint32_t a, std::uint32_t b) {
  return TimestampDistance(b, a) > 0;
}

// Counts the turns of a 16-bit sequence, as the receiver of RFC 3550 A.1 does: packets may come up
// to half a turn late or early. The first one defines turn 0, so a late one before it can be
// negative.
class ExtendedSequence {
 public:
  // The full number of `sequence`; remembers it when it is the highest so far.
  constexpr std::int64_t Extend(std::uint16_t sequence) {
    if (!started_) {
      started_ = true;
      highest_ = sequence;
      return highest_;
    }
    const std::int64_t full =
        highest_ + SequenceDistance(static_cast<std::uint16_t>(highest_), sequence);
    if (full > highest_) highest_ = full;
    return full;
  }

  // Of all numbers seen; 0 before the first.
  constexpr std::int64_t highest() const { return highest_; }
  constexpr bool started() const { return started_; }

 private:
  std::int64_t highest_ = 0;
  bool started_ = false;
};

}  // namespace millrace
