#include "core/io/posix_socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

// Linux has them since 4.18; the C library's headers got them later.
#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace millrace {
namespace {

absl::Status SocketError(const char* what, const Endpoint& local, int error) {
  const std::string message = absl::StrCat("cannot ", what, " ", local.ToString());
  if (error == EADDRINUSE) {
    return absl::AlreadyExistsError(absl::StrCat(message, ": ", std::strerror(error)));
  }
  return absl::ErrnoToStatus(error, message);
}

bool SetOption(int descriptor, int level, int name, int value) {
  return setsockopt(descriptor, level, name, &value, sizeof(value)) == 0;
}

// FORCE goes past the system's limit and needs CAP_NET_ADMIN; the plain option stops at the limit.
void SetBuffer(int descriptor, int force_name, int name, int bytes) {
  if (!SetOption(descriptor, SOL_SOCKET, force_name, bytes)) {
    SetOption(descriptor, SOL_SOCKET, name, bytes);
  }
}

// An IPv6 wildcard takes IPv4 too, whatever net.ipv6.bindv6only says.
absl::StatusOr<int> MakeSocket(const Endpoint& local, int type, const char* what) {
  const int descriptor = socket(local.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return SocketError(what, local, errno);
  if (local.family() == AF_INET6) {
    SetOption(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, local.IsWildcard() ? 0 : 1);
  }
  return descriptor;
}

absl::StatusOr<int> BindOrClose(int descriptor, const Endpoint& local, const char* what) {
  if (bind(descriptor, local.sockaddr_ptr(), local.sockaddr_length()) == 0) return descriptor;
  const int error = errno;
  close(descriptor);
  return SocketError(what, local, error);
}

template <typename Query>
Endpoint QueryEndpoint(int descriptor, Query query) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (query(descriptor, any, &length) != 0) return {};
  return Endpoint::FromSockaddr(any);
}

}  // namespace

absl::Status TableFullError(const Endpoint& local) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no place for a socket on ", local.ToString(), ": the backend's table is full"));
}

absl::StatusOr<int> MakeTcpListener(const Endpoint& local) {
  constexpr char kWhat[] = "listen on";
  absl::StatusOr<int> made = MakeSocket(local, SOCK_STREAM, kWhat);
  if (!made.ok()) return made;
  SetOption(*made, SOL_SOCKET, SO_REUSEADDR, 1);
  made = BindOrClose(*made, local, kWhat);
  if (!made.ok()) return made;
  if (listen(*made, kListenBacklog) != 0) {
    const int error = errno;
    close(*made);
    return SocketError(kWhat, local, error);
  }
  return made;
}

absl::StatusOr<int> MakeUdpSocket(const Endpoint& local, int send_buffer_bytes) {
  constexpr char kWhat[] = "bind UDP to";
  absl::StatusOr<int> made = MakeSocket(local, SOCK_DGRAM, kWhat);
  if (!made.ok()) return made;
  SetBuffer(*made, SO_SNDBUFFORCE, SO_SNDBUF, send_buffer_bytes);
  SetBuffer(*made, SO_RCVBUFFORCE, SO_RCVBUF, kUdpReceiveBufferBytes);
  return BindOrClose(*made, local, kWhat);
}

void SetUpStream(int descriptor) {
  const int flags = fcntl(descriptor, F_GETFL);
  if ((flags & O_NONBLOCK) == 0) fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
  SetOption(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
}

void ResetOnClose(int descriptor) {
  const linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

Endpoint LocalEndpointOf(int descriptor) { return QueryEndpoint(descriptor, getsockname); }
Endpoint PeerEndpointOf(int descriptor) { return QueryEndpoint(descriptor, getpeername); }

int FamilyOf(int descriptor) {
  int family = AF_UNSPEC;
  socklen_t length = sizeof(family);
  getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &length);
  return family;
}

bool IsPassingAcceptError(int error) {
  switch (error) {
    case EAGAIN:
    case EINTR:
    case ECANCELED:
    case ECONNABORTED:
    case EPERM:  // a firewall's word on this one connection
    // Errors of the new connection that Linux hands to accept.
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

bool IsPassingReceiveError(int error) {
  return error == EAGAIN || error == EINTR || error == ECANCELED || error == ENOBUFS ||
         error == ENOMEM;
}

void FillMessage(const SendOp& op, msghdr* message, SegmentControl* control) {
  *message = msghdr{};
  if (op.to != nullptr) {
    message->msg_name = const_cast<sockaddr*>(op.to->sockaddr_ptr());  // sends only read
    message->msg_namelen = op.to->sockaddr_length();
  }
  message->msg_iov = const_cast<iovec*>(op.iov);
  message->msg_iovlen = op.iov_count;
  if (op.segment_size == 0) return;
  message->msg_control = control->bytes;
  message->msg_controllen = sizeof(control->bytes);
  cmsghdr* header = CMSG_FIRSTHDR(message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(op.segment_size));
  std::memcpy(CMSG_DATA(header), &op.segment_size, sizeof(op.segment_size));
}

std::int32_t SendNow(int descriptor, const SendOp& op) {
  msghdr message;
  SegmentControl control;
  FillMessage(op, &message, &control);
  for (;;) {
    const ssize_t sent = sendmsg(descriptor, &message, kSendFlags);
    if (sent >= 0) return static_cast<std::int32_t>(sent);
    if (errno != EINTR) return -errno;
  }
}

}  // namespace millrace
