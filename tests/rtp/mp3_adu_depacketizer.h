// A receiver of mpa-robust (RFC 5219), written from the RFC alone and stricter than real ones.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"

namespace millrace::testing {

class Mp3AduDepacketizer {
 public:
  using View = std::span<const std::uint8_t>;

  // Takes the packets in order. Returns the first fault found; empty when there is none.
  std::string Add(View payload, bool marker, std::uint32_t timestamp) {
    if (marker) return "marker";
    std::size_t whole = 0;
    while (!payload.empty()) {
      const bool goes_on = (payload[0] & 0x80) != 0;
      const bool two_bytes = (payload[0] & 0x40) != 0;
      if (two_bytes && payload.size() < 2) return "half a descriptor";
      const std::size_t size =
          two_bytes ? std::size_t{payload[0] & 0x3fu} << 8 | payload[1] : payload[0] & 0x3fu;
      payload = payload.subspan(two_bytes ? 2 : 1);
      if (size == 0 || payload.empty()) return "a unit of no bytes";
      if (goes_on != !unit_.empty()) return goes_on ? "a fragment without a first" : "unfinished";
      if (goes_on && (size != size_ || timestamp != timestamp_)) return "another unit's fragment";
      if (!goes_on && size <= payload.size()) {
        units.emplace_back(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size));
        payload = payload.subspan(size);
        ++whole;
        continue;
      }
      if (whole > 0) return "a fragment behind a whole unit";
      ++fragments;
      size_ = size;
      timestamp_ = timestamp;
      unit_.insert(unit_.end(), payload.begin(), payload.end());
      if (unit_.size() > size_) return "more than the unit";
      if (unit_.size() == size_) {
        units.push_back(unit_);
        unit_.clear();
      }
      return "";
    }
    return whole > 0 ? "" : "nothing";
  }

  bool open() const { return !unit_.empty(); }

  std::vector<Bytes> units;
  std::size_t fragments = 0;

 private:
  Bytes unit_;  // the one being put together
  std::size_t size_ = 0;
  std::uint32_t timestamp_ = 0;
};

}  // namespace millrace::testing
