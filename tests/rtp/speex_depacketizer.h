// A receiver of Speex (RFC 5574): a packet is what the encoder gave for its time.
#pragma once

#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

struct SpeexDepacketizer {
  struct Packet {
    std::uint32_t timestamp = 0;
    Bytes bytes;
    friend bool operator==(const Packet&, const Packet&) = default;
  };

  std::string Add(const PacketView& packet) {
    if (packet.marker) return "a marker without silence suppression";
    if (packet.payload.empty()) return "no frame";
    packets.push_back({packet.timestamp, {packet.payload.begin(), packet.payload.end()}});
    return "";
  }

  std::vector<Packet> packets;
};

}  // namespace millrace::testing
