// A receiver of G.711 and linear PCM, written from RFC 3551 alone (sections 4.1 to 4.3) and
// stricter than real ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class SampleDepacketizer {
 public:
  // `group_bytes`: of one sample of every channel.
  SampleDepacketizer(std::uint32_t clock_rate, std::size_t group_bytes)
      : clock_rate_(clock_rate), group_bytes_(group_bytes) {}

  // Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const std::size_t bytes = packet.payload.size();
    if (packet.marker) return "a marker without silence suppression";
    if (bytes == 0 || bytes % group_bytes_ != 0) return "no whole sample groups";
    const std::size_t groups = bytes / group_bytes_;
    if (groups > 1 && groups * 1000 > std::size_t{clock_rate_} * 20) return "longer than 20 ms";
    if (runs.empty() || packet.timestamp != next_) runs.push_back({packet.timestamp, {}});
    runs.back().bytes.insert(runs.back().bytes.end(), packet.payload.begin(), packet.payload.end());
    next_ = packet.timestamp + static_cast<std::uint32_t>(groups);
    return "";
  }

  // Sound without a gap.
  struct Run {
    std::uint32_t timestamp = 0;
    Bytes bytes;
    bool operator==(const Run&) const = default;
  };
  std::vector<Run> runs;

 private:
  const std::uint32_t clock_rate_;
  const std::size_t group_bytes_;
  std::uint32_t next_ = 0;
};

}  // namespace millrace::testing
