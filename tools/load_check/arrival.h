// When received bytes arrived, by the kernel's time stamps: how long they have waited to be read is
// the client's doing, not the server's.
#pragma once

#include <sys/socket.h>

#include "core/clock.h"

namespace millrace::load_check {

// Asks for time stamps.
void StampArrivals(int fd);
// For how long what recvmsg gave had lain in the socket (of a stream: the last of it); 0 without a
// stamp. `header` with at least 64 bytes of control.
Duration WaitedInSocket(msghdr* header);

}  // namespace millrace::load_check
