#include "tools/load/udp_port_pair.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <initializer_list>

#include "tools/load/arrival.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace millrace::load {
namespace {

// Below the ports that the kernel gives out by itself (32768 and up).
constexpr unsigned kPortLow = 10000;
constexpr unsigned kPortHigh = 32766;
constexpr unsigned kPairs = (kPortHigh - kPortLow) / 2;
// A second of 8 Mbit/s, twice over for what the kernel charges per datagram.
constexpr int kReceiveBytes = 2 << 20;

std::atomic<unsigned> next_pair = 0;

// Bound and ready, or -1.
int OpenSocket(const sockaddr_storage& address) {
  const int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof(kReceiveBytes)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof(kReceiveBytes));
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
  StampArrivals(fd);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), AddressBytes(address)) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

}  // namespace

UdpPortPair::UdpPortPair(UdpPortPair&& other) noexcept
    : rtp_(other.rtp_), rtcp_(other.rtcp_), port_(other.port_) {
  other.rtp_ = other.rtcp_ = -1;
}

bool UdpPortPair::Open(const sockaddr_storage& local) {
  for (unsigned tries = 0; tries < kPairs; ++tries) {
    port_ = static_cast<std::uint16_t>(kPortLow + 2 * (next_pair.fetch_add(1) % kPairs));
    rtp_ = OpenSocket(WithPort(local, port_));
    if (rtp_ >= 0) {
      rtcp_ = OpenSocket(WithPort(local, static_cast<std::uint16_t>(port_ + 1)));
      if (rtcp_ >= 0) return true;
    }
    const int error = errno;
    Close();
    errno = error;
    if (error != EADDRINUSE) return false;
  }
  return false;
}

void UdpPortPair::Close() {
  if (rtp_ >= 0) close(rtp_);
  if (rtcp_ >= 0) close(rtcp_);
  rtp_ = rtcp_ = -1;
}

std::uint64_t UdpPortPair::Drops() const {
  std::uint64_t drops = 0;
  for (int fd : {rtp_, rtcp_}) {
    std::uint32_t info[SK_MEMINFO_VARS] = {};
    socklen_t bytes = sizeof(info);
    if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &bytes) == 0) {
      drops += info[SK_MEMINFO_DROPS];
    }
  }
  return drops;
}

}  // namespace millrace::load
