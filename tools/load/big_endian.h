// Numbers as they stand in packets.
#pragma once

#include <cstdint>

namespace millrace::load {

// The low 16 bits.
inline void Put16(std::uint8_t* p, std::uint32_t value) {
  p[0] = static_cast<std::uint8_t>(value >> 8);
  p[1] = static_cast<std::uint8_t>(value);
}

inline void Put32(std::uint8_t* p, std::uint32_t value) {
  Put16(p, value >> 16);
  Put16(p + 2, value);
}

}  // namespace millrace::load
