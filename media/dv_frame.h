// DV frames (IEC 61834, SMPTE 314M and 370M): what their first DIF blocks tell of them.
//
// Shard: any; pure functions of bytes, any bytes allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "media/bitstream.h"

namespace millrace {

inline constexpr std::size_t kDifBlockBytes = 80;
// Header, subcode and VAUX blocks, then audio blocks 0 to 3 with the video blocks between them: all
// that is read here.
inline constexpr std::size_t kDvHeadBytes = 55 * kDifBlockBytes;

// Frames of one kind are all as long.
struct DvFormat {
  std::string_view name;  // as RFC 6469 section 3.1.1 has it: "SD-VCR/525-60"
  std::uint32_t frame_bytes = 0;
  std::uint32_t width = 0, height = 0;
  FrameRate frame_rate;
};

// The header block of the first DIF sequence of the first channel.
bool StartsDvFrame(ByteSpan bytes);

// Of a frame, or of its first kDvHeadBytes. Null: not a frame, or of a kind not known here.
const DvFormat* ReadDvFormat(ByteSpan frame);

// Whether there is sound in the frame. False for fewer than kDvHeadBytes.
bool HasDvSound(ByteSpan frame);

}  // namespace millrace
