// Socket calls that both kernel backends share: making sockets, setting them up, one sendmsg.
//
// Shard: any; nothing here has state. Limits: kListenBacklog connections wait to be accepted.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/endpoint.h"
#include "core/io/io_backend.h"

namespace millrace {

// Connections the kernel completes before accept takes them; net.core.somaxconn may cut it.
inline constexpr int kListenBacklog = 4096;
// RTCP of all sessions of a shard arrives at one socket, in bursts.
inline constexpr int kUdpReceiveBufferBytes = 4 << 20;
inline constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;

// For a backend whose table has no place for one more socket.
absl::Status TableFullError(const Endpoint& local);
// A listening, non-blocking descriptor. AlreadyExists when the port is in use.
absl::StatusOr<int> MakeTcpListener(const Endpoint& local);
// A bound, non-blocking datagram descriptor with its buffers sized as far as the system allows.
absl::StatusOr<int> MakeUdpSocket(const Endpoint& local, int send_buffer_bytes);
// Non-blocking and without Nagle's delay: what is sent here is already gathered.
void SetUpStream(int descriptor);
// The close that follows drops what is queued and sends RST.
void ResetOnClose(int descriptor);

// AF_UNSPEC endpoints when the socket has none.
Endpoint LocalEndpointOf(int descriptor);
Endpoint PeerEndpointOf(int descriptor);
int FamilyOf(int descriptor);

// Accept fails so when that one connection died, or a signal came: the next may well succeed.
bool IsPassingAcceptError(int error);
// A receive that fails so says nothing about the socket.
bool IsPassingReceiveError(int error);

// The control message of a GSO train.
struct SegmentControl {
  alignas(cmsghdr) unsigned char bytes[CMSG_SPACE(sizeof(std::uint16_t))];
};
// `message` and `control` must live as long as the send they are for.
void FillMessage(const SendOp& op, msghdr* message, SegmentControl* control);
// Tries `op` once; the value for SendOp::result.
std::int32_t SendNow(int descriptor, const SendOp& op);

}  // namespace millrace
