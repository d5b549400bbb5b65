// A receiver of RFC 7587, written from the RFC alone and stricter than real ones.
#pragma once

#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class OpusDepacketizer {
 public:
  // Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    if (packet.payload.empty()) return "no Opus packet";
    if (packet.marker) return "a marker without discontinuous transmission";
    packets.emplace_back(packet.payload.begin(), packet.payload.end());
    timestamps.push_back(packet.timestamp);
    return "";
  }

  std::vector<Bytes> packets;
  std::vector<std::uint32_t> timestamps;
};

}  // namespace millrace::testing
