// Room for what one recvmmsg brings: trains that the kernel has put together again (UDP_GRO).
//
// Thread: one worker's; what it gives is valid until the next call.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/clock.h"
#include "tools/load/arrival.h"

namespace millrace::load {

// Datagrams of one peer that arrived as one: all `segment_bytes` long, the last one maybe shorter.
struct DatagramTrain {
  std::span<const std::uint8_t> bytes;
  std::size_t segment_bytes = 0;
  const sockaddr_storage& from;
  Instant arrived{};

  std::size_t packets() const { return (bytes.size() + segment_bytes - 1) / segment_bytes; }
};

class ReceiveBuffers {
 public:
  ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  // Takes all that waits at the socket and calls `on_train(const DatagramTrain&)` for each train.
  template <typename F>
  void Drain(int fd, const ArrivalClock& clock, F&& on_train) {
    std::size_t messages = 0;
    do {
      messages = Receive(fd);
      for (std::size_t i = 0; i < messages; ++i) {
        if (headers_[i].msg_len == 0) continue;
        on_train(DatagramTrain{{&memory_[i * kBytes], headers_[i].msg_len},
                               SegmentBytes(i),
                               froms_[i],
                               clock.Of(&headers_[i].msg_hdr)});
      }
      // Fewer than asked for: the kernel found the socket empty.
    } while (messages == kMessages);
  }

 private:
  static constexpr std::size_t kMessages = 8;
  static constexpr std::size_t kBytes = 64 * 1024;

  // The number of messages; 0 when nothing waits.
  std::size_t Receive(int fd);
  // Of the datagrams in a message: what UDP_GRO says, or all of it.
  std::size_t SegmentBytes(std::size_t index);

  std::vector<std::uint8_t> memory_;
  std::array<mmsghdr, kMessages> headers_{};
  std::array<iovec, kMessages> iovecs_;
  std::array<sockaddr_storage, kMessages> froms_;
  std::array<std::array<std::uint64_t, 8>, kMessages> controls_;
  std::size_t used_ = kMessages;  // headers that the kernel has written to since they were set
};

}  // namespace millrace::load
