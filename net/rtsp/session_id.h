// A session's name: 128 random bits and the shard that holds it (RFC 2326 section 3.4).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/random.h"

namespace millrace::rtsp {

struct SessionId {
  std::uint64_t high = 0, low = 0;
  std::uint8_t shard = 0;

  static SessionId Make(Random& random, std::size_t shard);
  // Nothing unless it is exactly what ToString writes.
  static std::optional<SessionId> Parse(std::string_view text);
  // 34 lower-case hexadecimal digits.
  std::string ToString() const;

  friend bool operator==(const SessionId&, const SessionId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SessionId& id) {
    return H::combine(std::move(h), id.high, id.low, id.shard);
  }
};

}  // namespace millrace::rtsp
