#include "tools/load_check/udp_port_pair.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace millrace::load_check {
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

ReceiveBuffers::ReceiveBuffers() : memory_(kMessages * kBytes) {
  for (std::size_t i = 0; i < kMessages; ++i) iovecs_[i] = {&memory_[i * kBytes], kBytes};
}

int ReceiveBuffers::Receive(int fd) {
  for (std::size_t i = 0; i < kMessages; ++i) {
    msghdr& header = headers_[i].msg_hdr;
    header = {};
    header.msg_name = &froms_[i];
    header.msg_namelen = sizeof(froms_[i]);
    header.msg_iov = &iovecs_[i];
    header.msg_iovlen = 1;
    header.msg_control = controls_[i].data();
    header.msg_controllen = sizeof(controls_[i]);
  }
  const int count = recvmmsg(fd, headers_.data(), kMessages, MSG_DONTWAIT, nullptr);
  return count < 0 ? 0 : count;
}

std::span<const std::uint8_t> ReceiveBuffers::Bytes(std::size_t index) const {
  return {&memory_[index * kBytes], headers_[index].msg_len};
}

std::size_t ReceiveBuffers::SegmentBytes(std::size_t index) {
  msghdr& header = headers_[index].msg_hdr;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO) continue;
    int bytes = 0;
    std::memcpy(&bytes, CMSG_DATA(c), sizeof(bytes));
    if (bytes > 0) return static_cast<std::size_t>(bytes);
  }
  return kBytes;
}

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

socklen_t AddressBytes(const sockaddr_storage& address) {
  return address.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

std::uint16_t PortOf(const sockaddr_storage& address) {
  // The port stands at the same place in both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

sockaddr_storage WithPort(const sockaddr_storage& address, std::uint16_t port) {
  sockaddr_storage changed = address;
  reinterpret_cast<sockaddr_in*>(&changed)->sin_port = htons(port);
  return changed;
}

bool SameEndpoint(const sockaddr_storage& a, const sockaddr_storage& b) {
  if (a.ss_family != b.ss_family || PortOf(a) != PortOf(b)) return false;
  if (a.ss_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in&>(a).sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in&>(b).sin_addr.s_addr;
  }
  return std::memcmp(&reinterpret_cast<const sockaddr_in6&>(a).sin6_addr,
                     &reinterpret_cast<const sockaddr_in6&>(b).sin6_addr, sizeof(in6_addr)) == 0;
}

}  // namespace millrace::load_check
