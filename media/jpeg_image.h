// A JPEG image as video uses it, taken apart for a receiver that makes its headers anew.
//
// Shard: any; a pure function of bytes. Any bytes are allowed as input.
#pragma once

#include <cstdint>
#include <optional>

#include "media/bitstream.h"

namespace millrace {

// Baseline, 8 bits, three components in one scan of which the first is twice as wide as the others,
// Huffman tables of ISO 10918-1 annex K.3 or none, at most 2040 by 2040 pixels and 2^24 bytes: what
// RFC 2435 can tell.
struct JpegImage {
  bool chroma_halved = false;           // the first is also twice as high
  std::uint16_t width = 0, height = 0;  // pixels
  std::uint16_t restart_interval = 0;   // 0: no restart markers
  ByteSpan luma_table, chroma_table;    // quantization, 64 bytes each in zigzag order
  ByteSpan scan;                        // entropy coded, without the EOI marker
  bool whole = false;                   // EOI was there
};

// Views of `data`. Nothing for any other kind of image, a damaged one, or two in a row, which are
// the fields of an interlaced frame.
std::optional<JpegImage> ReadJpegImage(ByteSpan data);

}  // namespace millrace
