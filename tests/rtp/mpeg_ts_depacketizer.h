// A receiver of MPEG transport streams (RFC 2250 section 2), written from the RFC and stricter than
// real ones.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class MpegTsDepacketizer {
 public:
  // Takes the packets in order. Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (packet.marker) return "a marker, though no timestamp jumps";
    if (payload.empty() || payload.size() % 188 != 0) return "not in whole transport packets";
    if (payload.size() > 1316) return "more than seven transport packets";
    for (std::size_t at = 0; at < payload.size(); at += 188) {
      if (payload[at] != 0x47) return "no sync byte";
    }
    transport_packets.push_back(payload.size() / 188);
    stream.insert(stream.end(), payload.begin(), payload.end());
    return "";
  }

  Bytes stream;
  std::vector<std::size_t> transport_packets;  // in each packet
};

}  // namespace millrace::testing
