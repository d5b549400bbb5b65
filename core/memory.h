// The heap (mimalloc behind operator new) and the guard that proves the playing path allocates
// nothing.
//
// Every operator new on a thread adds to that thread's counter. A ScopedNoAlloc marks a stretch
// that must not allocate: each allocation inside it counts as a violation and, after
// AbortOnViolation(true), stops the process with the stack still standing. The guard is in every
// build; it costs one test of a thread-local number per allocation and nothing elsewhere.
//
// Only operator new and delete are seen: what a C library takes from malloc is not counted.
//
// Shard: counters and guards are the calling thread's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace millrace {

struct AllocationCounts {
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
  std::uint64_t bytes_allocated = 0;  // as asked for, not as rounded up
};

// Of the calling thread since it started. A block freed by another thread counts there.
AllocationCounts ThreadAllocations();

// "mimalloc 2.0.9" or "malloc" (sanitizer builds).
const char* HeapName();
// Total memory of the machine or of the control group this process is in, whichever is less, in
// bytes. Both hierarchies of control groups are read (v1 and v2), with every ancestor's limit.
// 0 when not even /proc can be read.
std::uint64_t MemoryAvailableToProcess();
// The same from the files under `root` ("/copy" for "/copy/proc/meminfo"); what tests call.
std::uint64_t MemoryAvailableUnder(const std::string& root);
// Resident set of this process in bytes; 0 when /proc cannot be read.
std::uint64_t ResidentBytes();

// Guards nest; the stretch ends with the outermost.
class ScopedNoAlloc {
 public:
  ScopedNoAlloc();
  ~ScopedNoAlloc();
  ScopedNoAlloc(const ScopedNoAlloc&) = delete;
  ScopedNoAlloc& operator=(const ScopedNoAlloc&) = delete;

  // Violations seen on this thread since it started.
  static std::uint64_t Violations();
  // Process-wide; tests turn it on.
  static void AbortOnViolation(bool on);
};

// Lifts the mark for what is known to allocate on a path that may (a new session, a log line).
class ScopedAllowAlloc {
 public:
  ScopedAllowAlloc();
  ~ScopedAllowAlloc();
  ScopedAllowAlloc(const ScopedAllowAlloc&) = delete;
  ScopedAllowAlloc& operator=(const ScopedAllowAlloc&) = delete;

 private:
  int saved_;
};

}  // namespace millrace
