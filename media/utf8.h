// Characters of UTF-8 (RFC 3629).
//
// Shard: any; pure functions of bytes, any bytes allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace {

// How many bytes the first character of `text` has; 0 when what is there is none.
inline std::size_t Utf8CharacterBytes(std::span<const std::uint8_t> text) {
  if (text.empty()) return 0;
  const std::uint8_t first = text[0];
  if (first < 0x80) return 1;
  const std::size_t bytes = first < 0xc2   ? 0
                            : first < 0xe0 ? 2
                            : first < 0xf0 ? 3
                            : first < 0xf5 ? 4
                                           : 0;
  if (bytes == 0 || bytes > text.size()) return 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((text[i] & 0xc0) != 0x80) return 0;
  }
  // Longer than need be, surrogates, beyond the last.
  const bool odd = (first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] >= 0xa0) ||
                   (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] >= 0x90);
  return odd ? 0 : bytes;
}

}  // namespace millrace
