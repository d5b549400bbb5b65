// Two UDP sockets on an even port and the next odd one, as RTP and RTCP of one track want them.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "tools/load/address.h"

namespace millrace::load {

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
  // Datagrams that the kernel has dropped for want of room in the buffers of these two.
  std::uint64_t Drops() const;

 private:
  int rtp_ = -1;
  int rtcp_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace millrace::load
