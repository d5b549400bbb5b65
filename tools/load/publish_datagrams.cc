#include "tools/load/publish_datagrams.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "tools/load/address.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace millrace::load {
namespace {

constexpr std::size_t kTrainPacketsMax = 64;   // UDP_MAX_SEGMENTS
constexpr std::size_t kTrainBytesMax = 65000;  // with the headers of IP and UDP below 64 KiB
// A key frame of a megabyte, twice over for what the kernel charges per datagram.
constexpr int kSendBufferBytes = 2 << 20;

struct Train {
  std::size_t packets = 0;
  std::size_t bytes = 0;
};

// As many of the first packets as one call can carry.
Train FirstTrain(std::span<const CutPacket> packets) {
  Train train;
  const std::size_t segment = packets.front().bytes;
  for (const CutPacket& packet : packets) {
    if (packet.bytes > segment || train.packets == kTrainPacketsMax ||
        train.bytes + packet.bytes > kTrainBytesMax) {
      break;
    }
    ++train.packets;
    train.bytes += packet.bytes;
    if (packet.bytes < segment) break;  // a shorter one ends it
  }
  return train;
}

}  // namespace

bool PublishDatagrams::Open(const sockaddr_storage& local) {
  if (!ports_.Open(local)) return false;
  if (setsockopt(ports_.rtp(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferBytes,
                 sizeof(kSendBufferBytes)) != 0) {
    setsockopt(ports_.rtp(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes));
  }
  return true;
}

void PublishDatagrams::SetPeer(const sockaddr_storage& server, std::uint16_t port) {
  rtp_peer_ = WithPort(server, port);
  rtcp_peer_ = WithPort(server, static_cast<std::uint16_t>(port + 1));
}

bool PublishDatagrams::Send(std::span<const std::uint8_t> bytes,
                            std::span<const CutPacket> packets) {
  while (!packets.empty()) {
    const Train train = trains_ ? FirstTrain(packets) : Train{1, packets.front().bytes};
    Outcome outcome = SendOnce(bytes.first(train.bytes), packets.front().bytes);
    if (outcome == Outcome::kNoRoom) {
      pollfd room{ports_.rtp(), POLLOUT, 0};
      poll(&room, 1, static_cast<int>(kRoomWithin / 1ms));
      outcome = SendOnce(bytes.first(train.bytes), packets.front().bytes);
    }
    if (outcome == Outcome::kRefused) return false;
    if (outcome == Outcome::kNoTrains) {
      trains_ = false;
      continue;
    }
    if (outcome == Outcome::kNoRoom) unsent_ += train.packets;
    bytes = bytes.subspan(train.bytes);
    packets = packets.subspan(train.packets);
  }
  return true;
}

PublishDatagrams::Outcome PublishDatagrams::SendOnce(std::span<const std::uint8_t> bytes,
                                                     std::uint16_t segment_bytes) {
  iovec part{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_name = &rtp_peer_;
  message.msg_namelen = AddressBytes(rtp_peer_);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(segment_bytes))> control{};
  const bool is_train = bytes.size() > segment_bytes;
  if (is_train) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(segment_bytes));
    std::memcpy(CMSG_DATA(header), &segment_bytes, sizeof(segment_bytes));
  }
  if (sendmsg(ports_.rtp(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return Outcome::kSent;
  switch (errno) {
    case EAGAIN:
    case ENOBUFS:
      return Outcome::kNoRoom;
    case EINVAL:
    case EIO:
    case EMSGSIZE:
    case EOPNOTSUPP:
      return is_train ? Outcome::kNoTrains : Outcome::kRefused;
    default:
      return Outcome::kRefused;
  }
}

void PublishDatagrams::SendReport(std::span<const std::uint8_t> report) {
  // A report that is lost is followed by another.
  sendto(ports_.rtcp(), report.data(), report.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
         reinterpret_cast<const sockaddr*>(&rtcp_peer_), AddressBytes(rtcp_peer_));
}

}  // namespace millrace::load
