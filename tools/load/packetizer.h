// Cuts access units into RTP packets: H.264 (RFC 6184), H.265 (RFC 7798) and AAC (RFC 3640,
// AAC-hbr). Written apart from the server's own packetizers, so that one checks the other.
//
// Packets are laid end to end in one piece of memory, each with room in front for what differs from
// stream to stream and from pass to pass: the prefix of an interleaved frame and the RTP header. A
// whole access unit can so go out with one call, over TCP as well as over UDP.
//
// Thread: any, one at a time for a PacketMemory.
// Limits: kPacketBytesMax with the RTP header. An access unit may be of any size.
// Invariants:
//  1. The packets of a unit follow each other without a gap, prefix and header included.
//  2. The fragments of a NAL unit or audio frame are of one size, but for a shorter last.
//  3. The marker is on the last packet of a unit and on no other.
//  4. What is sent is what the file has: NAL units are neither added, joined nor left out, save
//     those that RTP has no way to carry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "media/track.h"

namespace millrace::load {

inline constexpr std::size_t kPacketBytesMax = 1400;
inline constexpr std::size_t kRtpHeaderBytes = 12;
// Of an interleaved frame: '$', channel, length (RFC 2326 section 10.12).
inline constexpr std::size_t kInterleavedPrefixBytes = 4;

struct CutPacket {
  std::uint64_t offset = 0;  // of its RTP header in PacketMemory::bytes
  std::uint16_t bytes = 0;   // from the RTP header on
  bool marker = false;
};

struct PacketMemory {
  std::size_t prefix_bytes = 0;  // in front of each packet: 0 or kInterleavedPrefixBytes
  std::vector<std::uint8_t> bytes;
  std::vector<CutPacket> packets;
};

// Appends the packets of one access unit, headers and prefixes zero. Returns how many of its NAL
// units or audio frames had to be left out: damaged, or of a kind that has no place in RTP.
std::size_t CutAccessUnit(const Track& track, std::span<const std::uint8_t> unit,
                          PacketMemory& memory);

// What differs from one sending of a packet to the next.
struct PacketHeader {
  std::uint8_t channel = 0;  // of the interleaved frame, if there is room for its prefix
  std::uint8_t payload_type = 0;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 0;
};

// Writes header and prefix of a packet in the room left for them.
void WriteHeader(const PacketHeader& header, const CutPacket& packet, PacketMemory& memory);

}  // namespace millrace::load
