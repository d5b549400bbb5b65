#include "tools/load/receive_buffers.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cstring>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace millrace::load {

ReceiveBuffers::ReceiveBuffers() : memory_(kMessages * kBytes) {
  for (std::size_t i = 0; i < kMessages; ++i) {
    iovecs_[i] = {&memory_[i * kBytes], kBytes};
    msghdr& header = headers_[i].msg_hdr;
    header.msg_name = &froms_[i];
    header.msg_iov = &iovecs_[i];
    header.msg_iovlen = 1;
    header.msg_control = controls_[i].data();
  }
}

std::size_t ReceiveBuffers::Receive(int fd) {
  // Mostly one train waits, so mostly one header is to be set again.
  for (std::size_t i = 0; i < used_; ++i) {
    headers_[i].msg_hdr.msg_namelen = sizeof(froms_[i]);
    headers_[i].msg_hdr.msg_controllen = sizeof(controls_[i]);
  }
  const int count = recvmmsg(fd, headers_.data(), kMessages, MSG_DONTWAIT, nullptr);
  const std::size_t messages = count < 0 ? 0 : static_cast<std::size_t>(count);
  // The kernel may also have touched the one it found nothing for.
  used_ = std::min(messages + 1, kMessages);
  return messages;
}

std::size_t ReceiveBuffers::SegmentBytes(std::size_t index) {
  msghdr& header = headers_[index].msg_hdr;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO) continue;
    int bytes = 0;
    std::memcpy(&bytes, CMSG_DATA(c), sizeof(bytes));
    if (bytes > 0) return static_cast<std::size_t>(bytes);
  }
  return headers_[index].msg_len;
}

}  // namespace millrace::load
