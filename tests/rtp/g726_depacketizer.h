// A receiver of G.726 (RFC 3551 section 4.5.4): code words by their bits, first one least
// significant. Stricter than real ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtp/packet_view.h"

namespace millrace::testing {

class G726Depacketizer {
 public:
  explicit G726Depacketizer(std::size_t bits) : bits_(bits) {}

  std::string Add(const PacketView& packet) {
    if (packet.marker) return "a marker without silence suppression";
    const std::size_t total = packet.payload.size() * 8;
    if (total == 0 || total / bits_ % 8 != 0 || total % bits_ != 0) return "no whole groups";
    if (total / bits_ > 160) return "longer than 20 ms";
    if (!words.empty() && packet.timestamp != next_) return "a gap";
    next_ = packet.timestamp + static_cast<std::uint32_t>(total / bits_);
    for (std::size_t bit = 0; bit < total; bit += bits_) {
      int word = 0;
      for (std::size_t i = 0; i < bits_; ++i) {
        word |= (packet.payload[(bit + i) / 8] >> (bit + i) % 8 & 1) << i;
      }
      words.push_back(word);
    }
    return "";
  }

  std::vector<int> words;

 private:
  const std::size_t bits_;
  std::uint32_t next_ = 0;
};

}  // namespace millrace::testing
