// What /proc tells of the server, and what this process costs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "core/clock.h"

namespace millrace::load {

struct ProcessStats {
  double cpu_seconds = 0;  // user and system, all threads
  std::uint64_t resident_bytes = 0;
  std::optional<std::uint64_t> descriptors;  // nothing when that may not be read
};

// CPU time by the scheduler's own account, to the nanosecond, where that may be read (threads that
// have ended are missing from it), else in clock ticks. Nothing: no such process.
std::optional<ProcessStats> ReadProcessStats(pid_t pid);

// User and system time of this process in seconds, and of the calling thread.
double OwnCpuSeconds();
Duration OwnThreadCpu();
// For how long the calling thread was ready to run and had no CPU; 0 where that is not told.
Duration OwnThreadWait();

// The calling thread; that there is such a CPU has been seen to.
void PinThreadTo(int cpu);

// CPUs that this process may run on.
int UsableCpus();

// Raises the limit of open files to `wanted`, above the hard limit where that is allowed. False
// when it could not be raised so far; `limit` is then what there is.
bool RaiseFileLimit(std::uint64_t wanted, std::uint64_t& limit);

}  // namespace millrace::load
