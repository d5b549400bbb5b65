// A receiver of Theora, written from draft-barbato-avt-rtp-theora-01 and Theora I alone and
// stricter than real ones: of its packets and of the description in SDP.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class TheoraDescription {
 public:
  // `parameters` is the value of a=fmtp. Returns the first fault found; empty when there is none.
  std::string Read(const std::string& parameters) {
    std::map<std::string, std::string> values;
    for (const std::string& parameter : std::vector<std::string>(absl::StrSplit(parameters, ';'))) {
      const std::size_t equals = parameter.find('=');
      if (equals == parameter.npos) return "a parameter without value";
      if (!values.emplace(parameter.substr(0, equals), parameter.substr(equals + 1)).second) {
        return "a parameter twice";
      }
    }
    if (values.size() != 5) return "other parameters than the five";
    if (values["delivery-method"] != "inline") return "another delivery method";
    sampling = values["sampling"];
    width = values["width"];
    height = values["height"];
    std::string raw;
    if (!absl::Base64Unescape(values["configuration"], &raw)) return "not base64";
    return ReadPacked(Bytes(raw.begin(), raw.end()));
  }

  std::string sampling, width, height;
  std::uint32_t ident = 0;
  Bytes identification, comment, setup;

 private:
  static bool IsHeader(const Bytes& packet, std::uint8_t type) {
    const Bytes start = {type, 't', 'h', 'e', 'o', 'r', 'a'};
    return packet.size() >= start.size() && std::equal(start.begin(), start.end(), packet.begin());
  }

  std::string ReadPacked(const Bytes& packed) {
    if (packed.size() < 12) return "shorter than its fields";
    if (packed[0] + packed[1] + packed[2] != 0 || packed[3] != 1) return "not one packed header";
    ident = packed[4] * 65536u + packed[5] * 256u + packed[6];
    const std::size_t length = packed[7] * 256u + packed[8];
    if (packed[9] != 2) return "not three headers";
    std::size_t at = 10;
    std::size_t sizes[2] = {};
    for (std::size_t& size : sizes) {
      do {
        if (at == packed.size()) return "a length without end";
        size = size * 128 + packed[at] % 128;
      } while (packed[at++] >= 128);
    }
    if (length != packed.size() - at) return "the length is not that of the headers";
    if (sizes[0] > length || sizes[1] > length - sizes[0]) return "a header beyond the end";
    const auto first = packed.begin() + static_cast<std::ptrdiff_t>(at);
    const auto second = first + static_cast<std::ptrdiff_t>(sizes[0]);
    const auto third = second + static_cast<std::ptrdiff_t>(sizes[1]);
    identification.assign(first, second);
    comment.assign(second, third);
    setup.assign(third, packed.end());
    if (!IsHeader(identification, 0x80) || !IsHeader(setup, 0x82))
      return "a header of another type";
    // Theora I section 6.3: the vendor's length and the number of comments, nothing of either.
    const Bytes nothing = {0x81, 't', 'h', 'e', 'o', 'r', 'a', 0, 0, 0, 0, 0, 0, 0, 0};
    return comment == nothing ? "" : "another comment header than the empty one";
  }
};

class TheoraDepacketizer {
 public:
  explicit TheoraDepacketizer(std::uint32_t ident) : ident_(ident) {}

  // Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (packet.marker) return "a marker";
    if (payload.size() < 7) return "no room for a frame";
    if (payload[0] * 65536u + payload[1] * 256u + payload[2] != ident_) {
      return "an Ident without configuration";
    }
    if (payload[3] / 16 % 4 != 0) return "another type than raw Theora";
    const int fragment = payload[3] / 64;
    const int count = payload[3] % 16;
    const std::span<const std::uint8_t> data = payload.subspan(6);
    if (payload[4] * 256u + payload[5] != data.size()) return "a length is wrong";
    if (count != (fragment == 0 ? 1 : 0)) return "not one frame, or a fragment that counts frames";
    const bool starts = fragment < 2;
    if (starts == open_) return open_ ? "a start inside a frame" : "a fragment without a start";
    if (starts) {
      if (data[0] >= 128) return "a header packet among the frames";
      frames.emplace_back();
      timestamp_ = packet.timestamp;
    }
    if (packet.timestamp != timestamp_) return "fragments of one frame differ in time";
    frames.back().insert(frames.back().end(), data.begin(), data.end());
    fragments += fragment != 0 ? 1 : 0;
    open_ = fragment == 1 || fragment == 2;
    return "";
  }

  bool open() const { return open_; }

  std::vector<Bytes> frames;
  std::size_t fragments = 0;

 private:
  const std::uint32_t ident_;
  bool open_ = false;
  std::uint32_t timestamp_ = 0;  // of the frame being put together
};

}  // namespace millrace::testing
