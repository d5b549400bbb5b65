// Time as the rest of the program sees it.
//
// A shard reads its clock once per tick and hands the value down as `now`; nothing else asks the
// kernel for the time. Durations and instants are strong types with nanosecond resolution.
//
// Shard: any; a Clock is read-only and safe to share.
#pragma once

#include <chrono>
#include <cstdint>

namespace millrace {

using Duration = std::chrono::nanoseconds;

// Tag of the monotonic timeline; it never goes back and is unrelated to wall time.
struct MonotonicTimeline {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
};
using Instant = std::chrono::time_point<MonotonicTimeline, Duration>;

// Nanoseconds since the Unix epoch, UTC. Used in sender reports, SDP and logs, never for deadlines.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ns;

// A deadline that never comes.
inline constexpr Instant kNever = Instant::max();

inline double ToSeconds(Duration d) { return std::chrono::duration<double>(d).count(); }

// One of the four seams of the simulation.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant Now() const = 0;
  virtual WallTime Wall() const = 0;
};

// CLOCK_MONOTONIC and CLOCK_REALTIME.
class SystemClock final : public Clock {
 public:
  Instant Now() const override;
  WallTime Wall() const override;
};

}  // namespace millrace
