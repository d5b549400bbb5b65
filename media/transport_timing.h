// Times for the bytes of a transport stream, from its clock references, over the clock's jumps.
//
// Shard: any; pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace millrace {

// A clock reference as it lies in a file.
struct ClockReference {
  std::uint64_t offset = 0;
  std::int64_t pcr = 0;        // 27 MHz, wraps at kPcrModulus
  bool discontinuity = false;  // does not follow from the one before, and says so
};

// How fast time passes with the bytes.
struct ByteRate {
  std::int64_t ticks = 0;  // 27 MHz
  std::int64_t bytes = 0;  // 0: unknown
  bool known() const { return bytes > 0 && ticks > 0; }
  std::int64_t TimeOf(std::uint64_t byte_count) const;
};

struct TimedOffset {
  std::uint64_t offset = 0;
  std::int64_t time = 0;  // 27 MHz
};

// No stretch of a file that is timed at once lasts longer: a day.
inline constexpr std::int64_t kStretchTicksMax = std::int64_t{24} * 3600 * 27'000'000;

// From one reference to the next, in [0, kPcrModulus).
std::int64_t PcrSpan(std::int64_t from, std::int64_t to);

// Times from `begin`, which is 0, to `end`, ascending, both included. `usual` may be unknown;
// `found`, if not null, gets the rate of the stretch itself. Empty when there is no rate at all.
std::vector<TimedOffset> TimeStretch(std::uint64_t begin, std::uint64_t end,
                                     std::span<const ClockReference> references,
                                     const ByteRate& usual, ByteRate* found);

// Makes the last one's time `span`, and the others' in proportion.
void FitInto(std::int64_t span, std::vector<TimedOffset>* times);

// Between two of them in proportion to the bytes. `times` is not empty.
std::int64_t TimeAt(std::span<const TimedOffset> times, std::uint64_t offset);

}  // namespace millrace
