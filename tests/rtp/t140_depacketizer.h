// A receiver of text (RFC 4103), written from the RFC and RFC 3629 alone and stricter than real
// ones. It takes every line separator for the beginning of a line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtp/packet_view.h"

namespace millrace::testing {

class T140Depacketizer {
 public:
  std::string Add(const PacketView& packet) {
    if (packet.payload.empty()) return "no text";
    const std::string text(packet.payload.begin(), packet.payload.end());
    // Each block has whole characters (section 4.2).
    for (std::size_t at = 0; at < text.size();) {
      const auto first = static_cast<unsigned char>(text[at]);
      const std::size_t bytes = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
      if ((first >= 0x80 && first < 0xc2) || first > 0xf4) return "no first byte of a character";
      if (at + bytes > text.size()) return "a character cut";
      for (std::size_t i = 1; i < bytes; ++i) {
        if ((text[at + i] & 0xc0) != 0x80) return "no further byte of a character";
      }
      at += bytes;
    }
    const bool begins = text.compare(0, 3, "\u2028") == 0;
    if (packet.marker) {
      if (!begins) return "what comes after silence does not begin a line";
      cues.push_back({packet.timestamp, text});
      return "";
    }
    if (cues.empty() || cues.back().timestamp != packet.timestamp) return "no beginning";
    cues.back().text += text;
    return "";
  }

  struct Cue {
    std::uint32_t timestamp = 0;
    std::string text;
    friend bool operator==(const Cue&, const Cue&) = default;
  };
  std::vector<Cue> cues;
};

}  // namespace millrace::testing
