// DV frames as tests make them.
#pragma once

#include <cstdint>

#include "media/dv_frame.h"

namespace millrace::testing {

struct DvRecipe {
  bool lines_625 = false;
  int application = 0;
  int signal_type = 0;
  bool sound = false;
  std::size_t bytes = 120000;
  std::uint8_t fill = 0x55;
};

// Sequence, section and number of each block as IEC 61834-2 has them in front; in the rest, only
// what DvRecipe says.
inline Bytes DvFrame(const DvRecipe& recipe) {
  Bytes frame(recipe.bytes, recipe.fill);
  for (std::size_t block = 0; (block + 1) * 80 <= frame.size(); ++block) {
    const std::size_t in_sequence = block % 150;
    // Header, subcode, VAUX, then an audio block before every fifteen video blocks.
    const int section = in_sequence < 1         ? 0
                        : in_sequence < 3       ? 1
                        : in_sequence < 6       ? 2
                        : in_sequence % 16 == 6 ? 3
                                                : 4;
    frame[block * 80] = static_cast<std::uint8_t>(section << 5 | 0x1f);
    frame[block * 80 + 1] = static_cast<std::uint8_t>(block / 150 << 4 | 7);
    frame[block * 80 + 2] = static_cast<std::uint8_t>(in_sequence);
  }
  if (frame.size() < 55 * 80) return frame;
  frame[3] = recipe.lines_625 ? 0xbf : 0x3f;
  frame[4] = static_cast<std::uint8_t>(0xf8 | recipe.application);
  frame[5 * 80 + 48] = 0x60;
  frame[5 * 80 + 51] = static_cast<std::uint8_t>(0xc0 | recipe.signal_type);
  frame[54 * 80 + 3] = recipe.sound ? 0x50 : 0xff;
  return frame;
}

}  // namespace millrace::testing
