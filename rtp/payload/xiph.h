// What Vorbis (RFC 5215) and Theora (draft-barbato-avt-rtp-theora-01, the same with other names)
// have in common: the payload header, fragments, and the configuration in SDP.
//
// The configuration is one packed header (RFC 5215 section 3.2.1), named by a hash of what is in it
// so that every packetizer of a track gives its packets the same Ident and a changed file another.
// Of the comment header only the frame is sent: the decoder needs none of its words, yet libvorbis
// refuses to begin without one, and so GStreamer stops at an empty one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "media/bitstream.h"
#include "rtp/packet_block.h"

namespace millrace {

struct XiphCodec {
  std::string_view signature;  // behind the type of every header packet
  std::uint8_t identification_type = 0, setup_type = 0;
  ByteSpan comment;  // a comment header that says nothing
};

// 0 for a track whose headers are damaged, or too long to be told in 16 bits.
std::uint32_t XiphIdent(const Track& track, const XiphCodec& codec);

// The packed headers in base64; empty for such a track.
std::string XiphConfiguration(const Track& track, const XiphCodec& codec);

inline constexpr std::size_t kXiphHeaderBytes = 4;  // Ident, F, type and count (section 2.2)
inline constexpr std::size_t kXiphLengthBytes = 2;  // before each unit or fragment

// F, already in its place above type 0 (raw data).
enum class XiphFragmentation : std::uint8_t {
  kWhole = 0 << 6,
  kStart = 1 << 6,
  kContinuation = 2 << 6,
  kEnd = 3 << 6,
};

// `units` < 16; 0 of a fragment.
void WriteXiphHeader(std::uint32_t ident, XiphFragmentation fragmentation, std::size_t units,
                     std::uint8_t* p);

// Adds a unit that fits no packet to the open access unit of `out`. Each fragment tells its own
// length, and a count of 0 (section 4).
void AddXiphFragments(std::uint32_t ident, ByteSpan unit, std::size_t payload_max,
                      PacketBlockBuilder& out);

}  // namespace millrace
