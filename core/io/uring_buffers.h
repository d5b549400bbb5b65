// Memory that the kernel receives into: a ring of buffers it picks from when data has come.
//
// Shard: the backend's own.
#pragma once

#include <liburing.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace millrace::uring {

// Named in requests and in registration; one ring of buffers each.
inline constexpr std::uint16_t kStreamGroup = 0;
inline constexpr std::uint16_t kDatagramGroup = 1;

// Whoever is told of a buffer gives it back once the handler has seen what is in it.
class BufferPool {
 public:
  BufferPool(std::uint16_t group, std::uint32_t count, std::uint32_t bytes)
      : group_(group), count_(count), bytes_(bytes) {}
  ~BufferPool() {
    if (memory_ != MAP_FAILED) munmap(memory_, MappedBytes());
  }
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // 0 or a negative errno.
  int Register(io_uring* ring) {
    memory_ = mmap(nullptr, MappedBytes(), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ == MAP_FAILED) return -errno;
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory_);
    registration.ring_entries = count_;
    registration.bgid = group_;
    if (const int error = io_uring_register_buf_ring(ring, &registration, 0); error != 0) {
      return error;
    }
    for (std::uint32_t i = 0; i < count_; ++i) GiveBack(static_cast<std::uint16_t>(i));
    return 0;
  }

  std::uint8_t* At(std::uint16_t id) const {
    return static_cast<std::uint8_t*>(memory_) + RingBytes() + std::size_t{id} * bytes_;
  }
  void GiveBack(std::uint16_t id) {
    auto* ring = static_cast<io_uring_buf_ring*>(memory_);
    // By hand: the flexible array of io_uring_buf_ring is not where C++ compilers of all headers'
    // ages look for it. The tail lives in an unused field of entry 0.
    auto* entries = static_cast<io_uring_buf*>(memory_);
    io_uring_buf& entry = entries[ring->tail & (count_ - 1)];
    entry.addr = reinterpret_cast<std::uintptr_t>(At(id));
    entry.len = bytes_;
    entry.bid = id;
    io_uring_buf_ring_advance(ring, 1);
  }
  std::uint16_t group() const { return group_; }

 private:
  std::size_t RingBytes() const {
    return (count_ * sizeof(io_uring_buf) + 4095) & ~std::size_t{4095};
  }
  std::size_t MappedBytes() const { return RingBytes() + std::size_t{count_} * bytes_; }

  const std::uint16_t group_;
  const std::uint32_t count_;  // a power of two
  const std::uint32_t bytes_;
  void* memory_ = MAP_FAILED;  // the ring of entries, then the buffers
};

}  // namespace millrace::uring
