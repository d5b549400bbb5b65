// What /proc tells of the server and of this host's UDP.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace millrace::load_check {

struct ProcessStats {
  double cpu_seconds = 0;  // user and system, all threads
  std::uint64_t resident_bytes = 0;
};

// Nothing when there is no such process.
std::optional<ProcessStats> ReadProcessStats(pid_t pid);

// Datagrams this host has dropped for want of room in a socket's buffer since it booted. A loss of
// ours that this explains is the client's, not the server's.
std::uint64_t UdpBufferErrors();

// User and system time of this process in seconds.
double OwnCpuSeconds();

}  // namespace millrace::load_check
