// A receiver of MPEG-4 part 2 video, written from RFC 6416 section 5 alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class Mpeg4VideoDepacketizer {
 public:
  // The marker bit alone tells where a VOP ends (section 5.1). Returns the first fault found; empty
  // when there is none.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (payload.empty()) return "a fragment of nothing";
    if (!open_) {
      frames.emplace_back();
      timestamp_ = packet.timestamp;
    }
    if (packet.timestamp != timestamp_) return "packets of one VOP differ in timestamp";
    frames.back().insert(frames.back().end(), payload.begin(), payload.end());
    open_ = !packet.marker;
    return "";
  }

  bool open() const { return open_; }

  std::vector<Bytes> frames;

 private:
  bool open_ = false;
  std::uint32_t timestamp_ = 0;  // of the VOP being put together
};

}  // namespace millrace::testing
