#include "tools/load_check/arrival.h"

#include <time.h>

#include <chrono>
#include <cstring>

namespace millrace::load_check {

void StampArrivals(int fd) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
}

Duration WaitedInSocket(msghdr* header) {
  for (cmsghdr* c = CMSG_FIRSTHDR(header); c != nullptr; c = CMSG_NXTHDR(header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec arrived{}, now{};
    std::memcpy(&arrived, CMSG_DATA(c), sizeof(arrived));
    clock_gettime(CLOCK_REALTIME, &now);  // what the kernel stamps with
    const Duration waited = std::chrono::seconds(now.tv_sec - arrived.tv_sec) +
                            std::chrono::nanoseconds(now.tv_nsec - arrived.tv_nsec);
    // The wall clock may have been set in between.
    return waited >= 0s && waited < 10s ? waited : 0s;
  }
  return 0s;
}

}  // namespace millrace::load_check
