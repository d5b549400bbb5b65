// A receiver of E-AC-3 (RFC 4598), written from the RFC and ETSI TS 102 366 annex E alone and
// stricter than real ones.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class Eac3Depacketizer {
 public:
  using View = std::span<const std::uint8_t>;

  // Takes the packets in order. Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const View payload = packet.payload;
    if (payload.size() <= 2) return "no audio behind the header";
    if (payload[0] > 1) return "MBZ";
    const std::size_t count = payload[1];
    const View data = payload.subspan(2);
    if (payload[0] == 1) return AddFragment(count, data, packet.marker, packet.timestamp);
    if (wanted_ != 0) return "a fragmented frame was not finished";
    if (!packet.marker) return "whole frames without marker";
    return AddWhole(count, data, packet.timestamp);
  }

  bool open() const { return wanted_ != 0; }

  // 0: not told. AC-3 is told by the caller's knowledge of it: 48 kHz at 192 kbit/s only.
  static std::size_t FrameBytes(View data) {
    if (data.size() < 6 || data[0] != 0x0b || data[1] != 0x77) return 0;
    if (data[5] / 8 <= 10) return data[4] == 20 ? 768 : 0;
    return 2 * ((data[2] % 8 * 256u + data[3]) + 1);
  }

  struct Frame {
    std::uint32_t timestamp = 0;  // of its packet
    Bytes bytes;
    friend bool operator==(const Frame&, const Frame&) = default;
  };
  std::vector<Frame> frames;
  std::vector<std::size_t> frames_per_packet;  // of those with whole frames
  std::size_t fragments = 0;

 private:
  std::string AddWhole(std::size_t count, View data, std::uint32_t timestamp) {
    frames_per_packet.push_back(count);
    if (count == 0) return "no frame";
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t size = FrameBytes(data);
      if (size == 0 || size > data.size()) return "a frame that does not tell where it ends";
      frames.push_back({timestamp, {data.begin(), data.begin() + static_cast<int>(size)}});
      data = data.subspan(size);
    }
    return data.empty() ? "" : "bytes behind the last frame";
  }

  std::string AddFragment(std::size_t count, View data, bool marker, std::uint32_t timestamp) {
    ++fragments;
    if (count < 2) return "a fragment that is all of its frame";
    if (wanted_ == 0) {
      wanted_ = count;
      timestamp_ = timestamp;
    }
    if (count != wanted_) return "fragments of one frame differ in NF";
    if (timestamp != timestamp_) return "fragments of one frame differ in their timestamps";
    frame_.insert(frame_.end(), data.begin(), data.end());
    if (marker != (++seen_ == count)) return "the marker is not on the last fragment";
    if (!marker) return "";
    if (FrameBytes(frame_) != frame_.size()) return "fragments that do not make their frame";
    frames.push_back({timestamp, frame_});
    frame_.clear();
    wanted_ = seen_ = 0;
    return "";
  }

  std::size_t wanted_ = 0, seen_ = 0;
  std::uint32_t timestamp_ = 0;
  Bytes frame_;  // the one being put together
};

}  // namespace millrace::testing
