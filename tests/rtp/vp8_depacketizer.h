// A receiver of VP8, written from RFC 7741 alone and stricter than real ones: any packet that a
// sender without extensions must not make is a fault, even if its meaning is clear.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class Vp8Depacketizer {
 public:
  // Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (payload.empty()) return "no payload descriptor";
    const int descriptor = payload[0];
    const std::span<const std::uint8_t> data = payload.subspan(1);
    if (descriptor >= 128) return "an extension";
    if (descriptor / 64 % 2 != 0 || descriptor / 8 % 2 != 0) return "a reserved bit is set";
    if (descriptor / 32 % 2 != 0) return "a frame said to be needless";
    if (descriptor % 8 != 0) return "a partition that was not started";
    const bool start = descriptor / 16 % 2 != 0;
    if (start == open_) return start ? "a start inside a frame" : "a fragment without a start";
    if (data.empty()) return "a fragment of nothing";
    if (start) {
      // Section 4.3: the payload header and a key frame's own stand in the first packet.
      const bool key = data[0] % 2 == 0;
      if (data.size() < (key ? 10u : 3u)) return "half a frame header";
      frames.emplace_back();
    }
    frames.back().insert(frames.back().end(), data.begin(), data.end());
    open_ = !packet.marker;
    return "";
  }

  bool open() const { return open_; }

  std::vector<Bytes> frames;

 private:
  bool open_ = false;
};

}  // namespace millrace::testing
