// A receiver of VP9, written from RFC 9628 alone and stricter than real ones: any packet that a
// sender of one layer without picture IDs must not make is a fault, even if its meaning is clear.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class Vp9Depacketizer {
 public:
  // Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (payload.empty()) return "no payload descriptor";
    const auto bit = [&payload](int place) { return payload[0] >> (7 - place) & 1; };
    const bool picture_id = bit(0), predicted = bit(1), layers = bit(2), flexible = bit(3);
    const bool start = bit(4), end = bit(5), structure = bit(6), not_for_upper = bit(7);
    if (picture_id || layers || structure) return "a field that one byte has no room for";
    if (flexible) return "flexible mode without a picture ID";
    if (not_for_upper) return "a layer without layers";
    if (payload.size() < 2) return "a fragment of nothing";
    if (start == open_) return start ? "a start inside a frame" : "a fragment without a start";
    // One layer: the frame's end is the picture's.
    if (end != packet.marker) return end ? "an end without marker" : "a marker before the end";
    if (start) {
      frames.emplace_back();
      predictions.push_back(predicted);
    }
    if (predicted != predictions.back()) return "packets of one frame differ in P";
    frames.back().insert(frames.back().end(), payload.begin() + 1, payload.end());
    open_ = !end;
    return "";
  }

  bool open() const { return open_; }

  std::vector<Bytes> frames;
  std::vector<bool> predictions;  // P of each frame

 private:
  bool open_ = false;
};

}  // namespace millrace::testing
