// A receiver of octet-aligned AMR and AMR-WB (RFC 4867 section 4.3), written from the RFC alone and
// stricter than real ones. Gives frames back as files have them (section 5.3).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class AmrDepacketizer {
 public:
  explicit AmrDepacketizer(bool wideband) : wideband_(wideband) {}

  // Bits of speech, RFC 4867 table 1 and 3GPP TS 26.201 tables 2 and 3; -1: must be discarded.
  static int Bits(bool wideband, int type) {
    static constexpr int kNarrow[] = {95, 103, 118, 134, 148, 159, 204, 244,
                                      39, -1,  -1,  -1,  -1,  -1,  -1,  0};
    static constexpr int kWide[] = {132, 177, 253, 285, 317, 365, 397, 461,
                                    477, 40,  -1,  -1,  -1,  -1,  0,   0};
    return wideband ? kWide[type] : kNarrow[type];
  }

  struct Frame {
    std::uint32_t timestamp = 0;
    Bytes bytes;
    friend bool operator==(const Frame&, const Frame&) = default;
  };

  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    std::uint32_t timestamp = packet.timestamp;
    if (payload.size() < 2) return "no table of contents";
    if (payload[0] != 0xf0) return "CMR or reserved bits";
    std::size_t entries = 1;
    while (payload[entries] >= 0x80) {
      if (++entries >= payload.size()) return "a table without end";
    }
    if (entries > 5) return "more than 100 ms";
    std::size_t at = 1 + entries;
    for (std::size_t i = 1; i <= entries; ++i) {
      const std::uint8_t entry = payload[i] & 0x7f;
      if (entry % 4 != 0) return "padding";
      const int bits = Bits(wideband_, entry >> 3);
      if (bits < 0) return "a type that is none";
      const std::size_t octets = (static_cast<std::size_t>(bits) + 7) / 8;
      if (at + octets > payload.size()) return "a frame cut short";
      Bytes bytes = {entry};
      bytes.insert(bytes.end(), payload.begin() + static_cast<std::ptrdiff_t>(at),
                   payload.begin() + static_cast<std::ptrdiff_t>(at + octets));
      frames.push_back({timestamp, std::move(bytes)});
      timestamp += wideband_ ? 320 : 160;
      at += octets;
    }
    frames_per_packet.push_back(entries);
    return at == payload.size() ? "" : "octets behind the last frame";
  }

  std::vector<Frame> frames;
  std::vector<std::size_t> frames_per_packet;

 private:
  const bool wideband_;
};

}  // namespace millrace::testing
