#include "core/memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <vector>

#ifndef MILLRACE_SANITIZED
#include <mimalloc.h>
#endif

namespace millrace {
namespace {

struct ThreadHeap {
  AllocationCounts counts;
  std::uint64_t violations = 0;
  int forbidden = 0;  // depth of ScopedNoAlloc
};
// Without constructor or destructor: operator new runs before main and after a thread's last
// object.
constinit thread_local ThreadHeap thread_heap;

constinit std::atomic<bool> abort_on_violation{false};

// Kept out of the allocation path, which is hot outside the guard.
[[gnu::cold, gnu::noinline]] void OnViolation() {
  ++thread_heap.violations;
  if (!abort_on_violation.load(std::memory_order_relaxed)) return;
  static constexpr char kText[] = "millrace: heap allocation where none is allowed\n";
  [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, kText, sizeof(kText) - 1);
  std::abort();
}

// --- What lies under operator new. Both free functions take aligned and plain blocks alike.
#ifdef MILLRACE_SANITIZED
void* HeapTake(std::size_t size) { return std::malloc(size); }
void* HeapTakeAligned(std::size_t size, std::size_t alignment) {
  void* p = nullptr;
  return posix_memalign(&p, std::max(alignment, sizeof(void*)), size) == 0 ? p : nullptr;
}
void HeapGive(void* p) { std::free(p); }
#else
void* HeapTake(std::size_t size) { return mi_malloc(size); }
void* HeapTakeAligned(std::size_t size, std::size_t alignment) {
  return mi_malloc_aligned(size, alignment);
}
void HeapGive(void* p) { mi_free(p); }
#endif

inline void Count(std::size_t size) {
  ThreadHeap& heap = thread_heap;
  ++heap.counts.allocations;
  heap.counts.bytes_allocated += size;
  if (heap.forbidden > 0) [[unlikely]]
    OnViolation();
}

// [new.delete.single]: ask the new-handler for more until it gives up.
template <typename Take>
void* TakeOrThrow(std::size_t size, const Take& take) {
  Count(size);
  while (true) {
    if (void* p = take(size != 0 ? size : 1)) [[likely]]
      return p;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

template <typename Take>
void* TakeOrNull(std::size_t size, const Take& take) noexcept {
  try {
    return TakeOrThrow(size, take);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void* New(std::size_t size) { return TakeOrThrow(size, HeapTake); }
void* NewOrNull(std::size_t size) noexcept { return TakeOrNull(size, HeapTake); }
void* NewAligned(std::size_t size, std::align_val_t alignment) {
  return TakeOrThrow(size, [alignment](std::size_t n) {
    return HeapTakeAligned(n, static_cast<std::size_t>(alignment));
  });
}
void* NewAlignedOrNull(std::size_t size, std::align_val_t alignment) noexcept {
  return TakeOrNull(size, [alignment](std::size_t n) {
    return HeapTakeAligned(n, static_cast<std::size_t>(alignment));
  });
}
void Delete(void* p) noexcept {
  if (p == nullptr) return;
  ++thread_heap.counts.frees;
  HeapGive(p);
}

// --- /proc and /sys

// A whole small file; empty when it cannot be read. These files say size 0, so read until the end.
std::string ReadSmallFile(const std::string& path) {
  std::string text;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  std::array<char, 4096> buffer;
  ssize_t n;
  while ((n = read(fd, buffer.data(), buffer.size())) > 0 && text.size() < (1u << 20)) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  close(fd);
  return text;
}

// The number at the start of `text` after blanks; `otherwise` when there is none ("max").
std::uint64_t LeadingNumber(std::string_view text, std::uint64_t otherwise) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() ? value : otherwise;
}

// Calls visit(line) for each line without its end.
template <typename Visit>
void ForEachLine(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool ListHas(std::string_view comma_separated, std::string_view item) {
  while (!comma_separated.empty()) {
    const std::size_t end = std::min(comma_separated.find(','), comma_separated.size());
    if (comma_separated.substr(0, end) == item) return true;
    comma_separated.remove_prefix(std::min(end + 1, comma_separated.size()));
  }
  return false;
}

// The least limit of a group and all its ancestors. In a container the named group may not exist
// under the mount (its path is the host's); then the mount's own top, which is the container,
// counts.
std::uint64_t LeastLimit(const std::string& mount, std::string_view group, const char* file) {
  std::uint64_t least = UINT64_MAX;
  while (true) {
    std::string path = mount;
    path.append(group).append("/").append(file);
    least = std::min(least, LeadingNumber(ReadSmallFile(path), UINT64_MAX));
    if (group.empty()) return least;
    group = group.substr(0, std::min(group.rfind('/'), group.size()));
    if (group.find('/') == std::string_view::npos) group = {};
  }
}

// proc(5), cgroups(7): /proc/self/cgroup has lines "hierarchy:controllers:path"; v2 is "0::path".
std::uint64_t ControlGroupLimit(const std::string& root) {
  std::uint64_t limit = UINT64_MAX;
  ForEachLine(ReadSmallFile(root + "/proc/self/cgroup"), [&](std::string_view line) {
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos) return;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) return;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view group = line.substr(second + 1);
    if (line.substr(0, first) == "0" && controllers.empty()) {
      limit = std::min(limit, LeastLimit(root + "/sys/fs/cgroup", group, "memory.max"));
    } else if (ListHas(controllers, "memory")) {
      limit = std::min(limit,
                       LeastLimit(root + "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
  });
  return limit;
}

}  // namespace

AllocationCounts ThreadAllocations() { return thread_heap.counts; }

const char* HeapName() {
#ifdef MILLRACE_SANITIZED
  return "malloc";
#else
  static const auto name = [] {
    std::array<char, 48> text{};
    const int v = mi_version();
    std::snprintf(text.data(), text.size(), "mimalloc %d.%d.%d", v / 100, v / 10 % 10, v % 10);
    return text;
  }();
  return name.data();
#endif
}

std::uint64_t MemoryAvailableUnder(const std::string& root) {
  std::uint64_t total = 0;
  constexpr std::string_view kTotal = "MemTotal:";
  ForEachLine(ReadSmallFile(root + "/proc/meminfo"), [&](std::string_view line) {
    if (line.substr(0, kTotal.size()) == kTotal) {
      total = LeadingNumber(line.substr(kTotal.size()), 0) * 1024;
    }
  });
  const std::uint64_t limit = ControlGroupLimit(root);
  if (total == 0) return limit == UINT64_MAX ? 0 : limit;
  return std::min(total, limit);
}

std::uint64_t MemoryAvailableToProcess() { return MemoryAvailableUnder(""); }

std::uint64_t ResidentBytes() {
  const std::string text = ReadSmallFile("/proc/self/statm");  // pages: size resident shared ...
  const std::size_t blank = text.find(' ');
  if (blank == std::string::npos) return 0;
  return LeadingNumber(std::string_view(text).substr(blank), 0) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

ScopedNoAlloc::ScopedNoAlloc() { ++thread_heap.forbidden; }
ScopedNoAlloc::~ScopedNoAlloc() { --thread_heap.forbidden; }
std::uint64_t ScopedNoAlloc::Violations() { return thread_heap.violations; }
void ScopedNoAlloc::AbortOnViolation(bool on) {
  abort_on_violation.store(on, std::memory_order_relaxed);
}

ScopedAllowAlloc::ScopedAllowAlloc() : saved_(thread_heap.forbidden) { thread_heap.forbidden = 0; }
ScopedAllowAlloc::~ScopedAllowAlloc() { thread_heap.forbidden = saved_; }

}  // namespace millrace

// --- The replacements of [new.delete], every form, so that no block is taken from one heap and
// given back to another.
using millrace::Delete;
using millrace::New;
using millrace::NewAligned;
using millrace::NewAlignedOrNull;
using millrace::NewOrNull;

void* operator new(std::size_t n) { return New(n); }
void* operator new[](std::size_t n) { return New(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return NewOrNull(n); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return NewOrNull(n); }
void* operator new(std::size_t n, std::align_val_t a) { return NewAligned(n, a); }
void* operator new[](std::size_t n, std::align_val_t a) { return NewAligned(n, a); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return NewAlignedOrNull(n, a);
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return NewAlignedOrNull(n, a);
}

void operator delete(void* p) noexcept { Delete(p); }
void operator delete[](void* p) noexcept { Delete(p); }
void operator delete(void* p, std::size_t) noexcept { Delete(p); }
void operator delete[](void* p, std::size_t) noexcept { Delete(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { Delete(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { Delete(p); }
void operator delete(void* p, std::align_val_t) noexcept { Delete(p); }
void operator delete[](void* p, std::align_val_t) noexcept { Delete(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { Delete(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { Delete(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { Delete(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { Delete(p); }
