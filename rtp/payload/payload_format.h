// What a payload format makes of a track: its names in SDP, and who cuts it into packets. Each
// format's file pair defines one; PayloadFormatOf knows them all.
//
// Shard: immutable, shared by all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "media/track.h"
#include "rtp/payload/packetizer.h"

namespace millrace {

struct PayloadFormat {
  // Value of a=rtpmap, such as "H264/90000" (RFC 8866 section 6.6).
  std::string (*encoding)(const Track& track);
  // `packet_bytes` bounds each RTP packet, header included; at least kPacketBytesMin.
  std::unique_ptr<Packetizer> (*make_packetizer)(const Track& track, std::size_t packet_bytes);
  // Value of a=fmtp, without the payload type; empty, or null: there is none.
  std::string (*parameters)(const Track& track) = nullptr;
  // Of RFC 3551 section 6, where this track has one; null, or nothing: a dynamic one.
  std::optional<std::uint8_t> (*static_type)(const Track& track) = nullptr;
};

const PayloadFormat& PayloadFormatOf(Codec codec);

}  // namespace millrace
