// A receiver of H.263, written from RFC 4629 alone and stricter than real ones: any packet that a
// sender without extra picture headers and VRC must not make is a fault.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class H263Depacketizer {
 public:
  // Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (payload.size() < 2) return "no payload header";
    if (payload[0] / 8 != 0) return "a reserved bit is set";
    if (payload[0] / 2 % 2 != 0) return "VRC";
    if (payload[0] % 2 != 0 || payload[1] != 0) return "an extra picture header";
    const bool starts = payload[0] == 4;
    const std::span<const std::uint8_t> data = payload.subspan(2);
    if (data.empty()) return "a packet of nothing";
    if (starts && data[0] < 128) return "no start code where one is said to be";
    const bool picture = starts && data[0] / 4 == 32;
    if (picture == open_) return picture ? "a picture inside a picture" : "no picture was started";
    if (picture) pictures.emplace_back();
    if (starts) pictures.back().insert(pictures.back().end(), 2, 0);
    pictures.back().insert(pictures.back().end(), data.begin(), data.end());
    starts_seen += starts ? 1 : 0;
    open_ = !packet.marker;
    return "";
  }

  bool open() const { return open_; }

  std::vector<Bytes> pictures;
  std::size_t starts_seen = 0;  // packets that begin with a start code

 private:
  bool open_ = false;
};

}  // namespace millrace::testing
