// A receiver of JPEG 2000, written from RFC 5371 alone and stricter than real ones: any packet that
// a sender of progressive pictures without RFC 5372 must not make is a fault.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class Jpeg2000Depacketizer {
 public:
  // Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (payload.size() < 9) return "no data behind the header";
    const int main_header = payload[0] / 16 % 4;
    const bool no_tile = payload[0] % 2 != 0;
    const int tile = payload[2] * 256 + payload[3];
    const std::size_t offset = payload[5] * 65536u + payload[6] * 256u + payload[7];
    const std::span<const std::uint8_t> data = payload.subspan(8);
    if (payload[0] / 64 != 0) return "not progressive";
    if (payload[0] / 2 % 8 != 0) return "a main header's number";
    if (payload[1] != 255) return "a priority";
    if (payload[4] != 0) return "a reserved byte is set";
    if (no_tile && tile != 0) return "a tile number that is said to be none";
    if (offset == 0) {
      if (open_) return "a picture inside a picture";
      pictures.emplace_back();
      in_header_ = true;
      tile_ = -1;
    } else if (!open_) {
      return "no start of a picture";
    }
    if (offset != pictures.back().size()) return "a hole, or an overlap";
    if ((main_header == 0) == in_header_) return "the main header is where it should not be";
    if (main_header != 0) {
      if (!no_tile) return "a main header with a tile";
      if ((main_header == 3) != (offset == 0 && main_header != 1)) return "a whole or last part";
      in_header_ = main_header == 1;
      if (packet.marker) return "a picture of a header";
    } else if (const std::string fault = CheckTile(data, no_tile, tile); !fault.empty()) {
      return fault;
    }
    pictures.back().insert(pictures.back().end(), data.begin(), data.end());
    open_ = !packet.marker;
    ++packets;
    return "";
  }

  bool open() const { return open_; }

  std::vector<Bytes> pictures;
  std::size_t packets = 0;
  std::size_t tile_starts = 0;  // packets that begin with a tile-part

 private:
  std::string CheckTile(std::span<const std::uint8_t> data, bool no_tile, int tile) {
    const bool starts = data.size() >= 12 && data[0] == 0xff && data[1] == 0x90;
    if (starts) {
      ++tile_starts;
      tile_ = no_tile ? -1 : data[4] * 256 + data[5];
    } else if (no_tile) {
      return "a fragment without a tile";
    }
    return !no_tile && tile != tile_ ? "another tile's number" : "";
  }

  bool open_ = false, in_header_ = false;
  int tile_ = -1;
};

}  // namespace millrace::testing
