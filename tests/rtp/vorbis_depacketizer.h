// A receiver of RFC 5215, written from the RFC alone and stricter than real ones: of its packets
// and of the configuration in SDP.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

// One packed header, section 3.2.1.
class VorbisConfiguration {
 public:
  // `parameters` is the value of a=fmtp. Returns the first fault found; empty when there is none.
  std::string Read(const std::string& parameters) {
    const std::string name = "configuration=";
    if (parameters.compare(0, name.size(), name) != 0) return "no configuration";
    const std::string text = parameters.substr(name.size());
    std::string raw;
    if (!absl::Base64Unescape(text, &raw)) return "not base64";
    if (absl::Base64Escape(raw) != text) return "not the base64 that RFC 4648 makes";
    rest_.assign(raw.begin(), raw.end());
    std::uint32_t packed_headers = 0, length = 0, lengths_told = 0, first = 0, second = 0;
    if (!Number(4, &packed_headers) || !Number(3, &ident) || !Number(2, &length) ||
        !Number(1, &lengths_told) || !Length(&first) || !Length(&second)) {
      return "shorter than its fields";
    }
    if (packed_headers != 1) return "not one packed header";
    if (lengths_told != 2) return "not three headers";
    if (length != rest_.size()) return "the length is not that of the headers";
    if (first > length || second > length - first) return "a header beyond the end";
    identification.assign(rest_.begin(), rest_.begin() + first);
    comment.assign(rest_.begin() + first, rest_.begin() + first + second);
    setup.assign(rest_.begin() + first + second, rest_.end());
    if (!IsHeader(identification, 1) || !IsHeader(setup, 5)) return "a header of another type";
    return CommentFault();
  }

  std::uint32_t ident = 0;
  Bytes identification, comment, setup;

 private:
  static bool IsHeader(const Bytes& packet, std::uint8_t type) {
    const Bytes start = {type, 'v', 'o', 'r', 'b', 'i', 's'};
    return packet.size() >= start.size() && std::equal(start.begin(), start.end(), packet.begin());
  }

  // Vorbis I section 5.2.1: numbers have the least significant byte first.
  std::string CommentFault() const {
    if (!IsHeader(comment, 3)) return "no comment header";
    std::size_t at = 7;
    const auto take = [&](std::size_t* number) {
      if (comment.size() - at < 4) return false;
      *number = 0;
      for (std::size_t i = 4; i-- > 0;) *number = *number * 256 + comment[at + i];
      at += 4;
      return true;
    };
    std::size_t vendor = 0, count = 0;
    if (!take(&vendor) || vendor > comment.size() - at) return "the vendor of the comment header";
    at += vendor;
    if (!take(&count)) return "the count of comments";
    while (count-- > 0) {
      std::size_t size = 0;
      if (!take(&size) || size > comment.size() - at) return "a comment beyond the end";
      at += size;
    }
    if (at + 1 != comment.size() || comment[at] % 2 != 1) return "the comment header's framing bit";
    return "";
  }

  bool Number(std::size_t bytes, std::uint32_t* number) {
    if (rest_.size() < bytes) return false;
    *number = 0;
    for (; bytes > 0; --bytes) {
      *number = *number * 256 + rest_[0];
      rest_.erase(rest_.begin());
    }
    return true;
  }

  // Base 128; no number begins with zeros.
  bool Length(std::uint32_t* length) {
    *length = 0;
    for (int bytes = 0; bytes < 4 && !rest_.empty(); ++bytes) {
      const std::uint32_t byte = rest_[0];
      rest_.erase(rest_.begin());
      if (bytes == 0 && byte == 128) return false;
      *length = *length * 128 + byte % 128;
      if (byte < 128) return true;
    }
    return false;
  }

  Bytes rest_;
};

class VorbisDepacketizer {
 public:
  explicit VorbisDepacketizer(std::uint32_t ident) : ident_(ident) {}

  // Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (packet.marker) return "a marker";
    if (payload.size() < 6) return "no room for a length";
    const std::uint32_t ident = std::uint32_t{payload[0]} * 65536 + payload[1] * 256u + payload[2];
    if (ident != ident_) return "an Ident without configuration";
    if (payload[3] / 16 % 4 != 0) return "another type than raw Vorbis";
    const int fragment = payload[3] / 64;
    const std::size_t count = payload[3] % 16;
    if (fragment != 0) return AddFragment(packet, fragment, count);
    if (open_) return "a fragmented unit was not finished";
    if (count == 0) return "a packet of nothing";
    return AddWhole(payload.subspan(4), count);
  }

  bool open() const { return open_; }

  std::vector<Bytes> units;
  std::vector<std::size_t> units_per_packet;  // of those with whole units
  std::size_t fragments = 0;

 private:
  std::string AddWhole(std::span<const std::uint8_t> rest, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (rest.size() < 2) return "half a length";
      const std::size_t size = std::size_t{rest[0]} * 256 + rest[1];
      rest = rest.subspan(2);
      if (size == 0 || size > rest.size()) return "a unit's length is wrong";
      units.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
      rest = rest.subspan(size);
      if (units.back()[0] % 2 != 0) return "a header packet among the audio";
    }
    units_per_packet.push_back(count);
    return rest.empty() ? "" : "bytes behind the last unit";
  }

  std::string AddFragment(const PacketView& packet, int fragment, std::size_t count) {
    ++fragments;
    const std::span<const std::uint8_t> data = packet.payload.subspan(6);
    if (count != 0) return "a fragment counts units";
    if (data.empty()) return "a fragment of nothing";
    if (std::size_t{packet.payload[4]} * 256 + packet.payload[5] != data.size()) {
      return "a fragment's length is wrong";
    }
    if ((fragment == 1) == open_) return open_ ? "a start inside a unit" : "no start";
    if (fragment == 1) {
      units.emplace_back();
      timestamp_ = packet.timestamp;
    }
    if (packet.timestamp != timestamp_) return "fragments of one unit differ in time";
    units.back().insert(units.back().end(), data.begin(), data.end());
    open_ = fragment != 3;
    return "";
  }

  const std::uint32_t ident_;
  bool open_ = false;
  std::uint32_t timestamp_ = 0;  // of the unit being put together
};

}  // namespace millrace::testing
