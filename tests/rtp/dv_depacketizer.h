// A receiver of DV, written from RFC 6469 alone and stricter than real ones: DIF blocks must be
// whole and in the order of a frame.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class DvDepacketizer {
 public:
  // Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (payload.empty()) return "a packet of nothing";
    if (payload.size() % 80 != 0) return "half a DIF block";
    // Section type 0, sequence 0, number 0: the header of a frame.
    const bool header = payload[0] < 32 && payload[1] < 16 && payload[2] == 0;
    if (!open_ && !header) return "no header block in front";
    if (!open_) frames.emplace_back();
    frames.back().insert(frames.back().end(), payload.begin(), payload.end());
    open_ = !packet.marker;
    return "";
  }

  bool open() const { return open_; }

  std::vector<Bytes> frames;

 private:
  bool open_ = false;
};

}  // namespace millrace::testing
