// When received bytes arrived, by the kernel's time stamps: how long they have waited to be read is
// the client's doing, not the server's.
#pragma once

#include <sys/socket.h>

#include "core/clock.h"

namespace millrace::load {

// Asks for time stamps.
void StampArrivals(int fd);

// Turns the kernel's stamps, which are wall time, into instants without asking for the time.
//
// Thread: one worker's. Invariant: `Refresh` has been called within the last second or so, or a
// wall clock that is being set shows as lateness.
class ArrivalClock {
 public:
  ArrivalClock() { Refresh(); }

  void Refresh();
  // When what recvmsg gave arrived (of a stream: the last of it); without a stamp, the present.
  // `header` with room for control messages.
  Instant Of(msghdr* header) const;

 private:
  Duration wall_ahead_{};  // of the monotonic clock
};

}  // namespace millrace::load
