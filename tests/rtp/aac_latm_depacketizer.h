// A receiver of MP4A-LATM with cpresent=0 (RFC 6416), written from the RFC and ISO 14496-3 alone
// and stricter than real ones.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"

namespace millrace::testing {

class AacLatmDepacketizer {
 public:
  using View = std::span<const std::uint8_t>;

  // What is wrong with a StreamMuxConfig; empty when it is one that any receiver understands.
  // Leaves the AudioSpecificConfig, in its bits and what follows them, in `config`.
  std::string SetConfig(View bytes) {
    std::vector<bool> bits;
    for (const std::uint8_t byte : bytes) {
      for (int i = 7; i >= 0; --i) bits.push_back((byte >> i & 1) != 0);
    }
    std::size_t at = 0;
    const auto take = [&](int count) {
      unsigned value = 0;
      for (; count > 0; --count, ++at) value = value << 1 | (at < bits.size() && bits[at] ? 1 : 0);
      return value;
    };
    if (take(1) != 0) return "audioMuxVersion";
    if (take(1) != 1) return "allStreamsSameTimeFraming";
    if (take(6) != 0 || take(4) != 0 || take(3) != 0) return "more than one frame";
    unsigned type = take(5);
    const bool sbr = type == 5 || type == 29;
    const auto put = [this, &at, &bits](std::size_t from) {
      config.clear();
      for (std::size_t i = from; i < at; ++i) {
        if ((i - from) % 8 == 0) config.push_back(0);
        if (bits.at(i)) config.back() |= static_cast<std::uint8_t>(0x80 >> (i - from) % 8);
      }
    };
    if (take(4) == 15) take(24);
    take(4);
    if (sbr && take(4) == 15) take(24);
    if (sbr) type = take(5);
    if (type < 1 || type > 4) return "object type";
    take(3);
    put(15);
    if (take(3) != 0) return "frameLengthType";
    take(8);
    if (take(1) != 0) return "otherDataPresent";
    if (take(1) != 0) return "crcCheckPresent";
    if (at > bits.size() || bits.size() - at >= 8) return "length";
    while (at < bits.size()) {
      if (take(1) != 0) return "padding";
    }
    return "";
  }

  // Takes the packets in order. Returns the first fault found; empty when there is none.
  std::string Add(View payload, bool marker, std::uint32_t timestamp) {
    if (!element_.empty() && timestamp != timestamp_) return "fragments of two times";
    timestamp_ = timestamp;
    element_.insert(element_.end(), payload.begin(), payload.end());
    ++packets_;
    if (!marker) return "";
    std::size_t at = 0, length = 0;
    for (std::uint8_t byte = 255; byte == 255;) {
      if (at == element_.size()) return "no length";
      byte = element_[at++];
      length += byte;
    }
    if (length != element_.size() - at) return "an element that ends elsewhere";
    frames.emplace_back(element_.begin() + static_cast<std::ptrdiff_t>(at), element_.end());
    packets_per_frame.push_back(packets_);
    element_.clear();
    packets_ = 0;
    return "";
  }

  bool open() const { return !element_.empty(); }

  Bytes config;
  std::vector<Bytes> frames;
  std::vector<std::size_t> packets_per_frame;

 private:
  Bytes element_;
  std::size_t packets_ = 0;
  std::uint32_t timestamp_ = 0;
};

}  // namespace millrace::testing
