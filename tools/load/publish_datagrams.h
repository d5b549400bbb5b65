// The media of one published track over UDP, a unit in as few calls as can be.
//
// Packets of one size that lie end to end go out as a train (UDP_SEGMENT), the last of which may be
// shorter; where the kernel or the device knows no such thing, one by one.
//
// Thread: the one that publishes. A full socket buffer is waited for, kRoomWithin at most.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <string>

#include "core/clock.h"
#include "tools/load/packetizer.h"
#include "tools/load/udp_port_pair.h"

namespace millrace::load {

class PublishDatagrams {
 public:
  static constexpr Duration kRoomWithin = 20ms;

  // Binds two ports on the address of `local`. False with errno when none are to be had.
  bool Open(const sockaddr_storage& local);
  void Close() { ports_.Close(); }
  // To where the packets go: RTP to `port`, RTCP to the next.
  void SetPeer(const sockaddr_storage& server, std::uint16_t port);

  // `bytes` are those of `packets`, end to end. False with errno when the kernel refuses them; a
  // lack of room is no refusal, see `unsent`.
  bool Send(std::span<const std::uint8_t> bytes, std::span<const CutPacket> packets);
  void SendReport(std::span<const std::uint8_t> report);

  std::uint16_t port() const { return ports_.port(); }
  int rtcp() const { return ports_.rtcp(); }
  // Packets given up for want of room in the socket's buffer.
  std::uint64_t unsent() const { return unsent_; }

 private:
  enum class Outcome { kSent, kNoRoom, kNoTrains, kRefused };
  Outcome SendOnce(std::span<const std::uint8_t> bytes, std::uint16_t segment_bytes);

  UdpPortPair ports_;
  sockaddr_storage rtp_peer_{};
  sockaddr_storage rtcp_peer_{};
  bool trains_ = true;
  std::uint64_t unsent_ = 0;
};

}  // namespace millrace::load
