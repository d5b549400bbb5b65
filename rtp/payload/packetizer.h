// Cuts access units into RTP packets, one implementation per payload format (../shared formats live
// in a file pair each beside this one).
//
// Shard: none; a loader thread makes one per block it fills, so a packet never depends on which
// block was filled before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/clock.h"
#include "media/access_unit.h"
#include "media/track.h"
#include "rtp/packet_block.h"

namespace millrace {

// Whole RTP packets, header included; leaves room for IPv6, UDP and a tunnel in 1500.
inline constexpr std::size_t kPacketBytesDefault = 1400;
inline constexpr std::size_t kPacketBytesMin = 128;

class Packetizer {
 public:
  virtual ~Packetizer() = default;
  // Appends the unit's packets (or holds it back to share a packet with the next, see Flush).
  // A malformed unit (NAL length beyond its end) yields the packets of its sound part; `false`
  // then, so that the caller can count and log it.
  virtual bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) = 0;
  // Appends what was held back. At the end of every block.
  virtual void Flush(PacketBlockBuilder& out) = 0;
};

// Payload bytes in a packet of `packet_bytes`, which is brought within [kPacketBytesMin, 65535]
// first.
std::size_t PayloadBytesMax(std::size_t packet_bytes);

// `packet_bytes` bounds each RTP packet, header included; at least kPacketBytesMin.
std::unique_ptr<Packetizer> MakePacketizer(const Track& track, std::size_t packet_bytes);

}  // namespace millrace
