#include "tools/load/arrival.h"

#include <time.h>

#include <chrono>
#include <cstring>

namespace millrace::load {
namespace {

Duration Since0(const timespec& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

Duration Read(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return Since0(now);
}

}  // namespace

void StampArrivals(int fd) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
}

void ArrivalClock::Refresh() {
  // The kernel stamps with CLOCK_REALTIME.
  wall_ahead_ = Read(CLOCK_REALTIME) - Read(CLOCK_MONOTONIC);
}

Instant ArrivalClock::Of(msghdr* header) const {
  for (cmsghdr* c = CMSG_FIRSTHDR(header); c != nullptr; c = CMSG_NXTHDR(header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec arrived{};
    std::memcpy(&arrived, CMSG_DATA(c), sizeof(arrived));
    return Instant(Since0(arrived) - wall_ahead_);
  }
  return Instant(Read(CLOCK_MONOTONIC));
}

}  // namespace millrace::load
