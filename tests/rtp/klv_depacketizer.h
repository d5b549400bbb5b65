// A receiver of metadata (RFC 6597 section 4).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class KlvDepacketizer {
 public:
  std::string Add(const PacketView& packet) {
    if (packet.payload.empty()) return "no metadata";
    if (!open_) units.push_back({packet.timestamp, {}});
    Unit& unit = units.back();
    if (packet.timestamp != unit.timestamp) return "a unit with two timestamps";
    unit.bytes.insert(unit.bytes.end(), packet.payload.begin(), packet.payload.end());
    open_ = !packet.marker;
    return "";
  }
  bool open() const { return open_; }

  struct Unit {
    std::uint32_t timestamp = 0;
    Bytes bytes;
    friend bool operator==(const Unit&, const Unit&) = default;
  };
  std::vector<Unit> units;

 private:
  bool open_ = false;
};

}  // namespace millrace::testing
