// Two UDP sockets on an even port and the next odd one, as RTP and RTCP of one track want them.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/clock.h"
#include "tools/load_check/arrival.h"

namespace millrace::load_check {

// Room for what one recvmmsg brings: trains that the kernel has put together again (UDP_GRO).
class ReceiveBuffers {
 public:
  static constexpr std::size_t kMessages = 8;
  static constexpr std::size_t kBytes = 64 * 1024;

  ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  // Takes what waits at the socket and calls `on_datagram(bytes, from, waited)` for each datagram
  // of it; `waited`: for how long it had lain in the socket, by the kernel's time stamp.
  template <typename F>
  void Drain(int fd, F&& on_datagram) {
    int messages = 0;
    do {
      messages = Receive(fd);
      for (int i = 0; i < messages; ++i) {
        const auto index = static_cast<std::size_t>(i);
        const std::span<const std::uint8_t> train = Bytes(index);
        const std::size_t segment = SegmentBytes(index);
        const Duration waited = WaitedInSocket(&headers_[index].msg_hdr);
        for (std::size_t at = 0; at < train.size(); at += segment) {
          on_datagram(train.subspan(at, std::min(segment, train.size() - at)), froms_[index],
                      waited);
        }
      }
    } while (messages == static_cast<int>(kMessages));
  }

 private:
  // The number of messages; 0 when nothing waits.
  int Receive(int fd);
  std::span<const std::uint8_t> Bytes(std::size_t index) const;
  // Of the datagrams in a message: what UDP_GRO says, or all of it.
  std::size_t SegmentBytes(std::size_t index);

  std::vector<std::uint8_t> memory_;
  std::array<mmsghdr, kMessages> headers_;
  std::array<iovec, kMessages> iovecs_;
  std::array<sockaddr_storage, kMessages> froms_;
  std::array<std::array<std::uint64_t, 8>, kMessages> controls_;
};

class UdpPortPair {
 public:
  UdpPortPair() = default;
  ~UdpPortPair() { Close(); }
  UdpPortPair(UdpPortPair&& other) noexcept;
  UdpPortPair& operator=(UdpPortPair&&) = delete;

  // Binds the next free pair below the ephemeral ports, on the address of `local`. False with errno
  // when none can be had.
  bool Open(const sockaddr_storage& local);
  void Close();

  int rtp() const { return rtp_; }
  int rtcp() const { return rtcp_; }
  std::uint16_t port() const { return port_; }

 private:
  int rtp_ = -1;
  int rtcp_ = -1;
  std::uint16_t port_ = 0;
};

socklen_t AddressBytes(const sockaddr_storage& address);
std::uint16_t PortOf(const sockaddr_storage& address);
sockaddr_storage WithPort(const sockaddr_storage& address, std::uint16_t port);
bool SameEndpoint(const sockaddr_storage& a, const sockaddr_storage& b);

}  // namespace millrace::load_check
