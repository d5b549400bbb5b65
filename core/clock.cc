#include "core/clock.h"

#include <ctime>

namespace millrace {
namespace {

Duration Read(clockid_t id) {
  timespec ts;
  clock_gettime(id, &ts);
  return std::chrono::seconds(ts.tv_sec) + Duration(ts.tv_nsec);
}

}  // namespace

Instant SystemClock::Now() const { return Instant(Read(CLOCK_MONOTONIC)); }
WallTime SystemClock::Wall() const { return WallTime(Read(CLOCK_REALTIME)); }

}  // namespace millrace
