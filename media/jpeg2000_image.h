// JPEG 2000 pictures (ISO 15444-1): where the codestream lies, and what its main header tells.
//
// Shard: any; pure functions of bytes, any bytes allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "media/bitstream.h"

namespace millrace {

// The codestream of a picture that is one, or a row of boxes with one in it, as a JP2 file and a
// frame of Motion JPEG 2000 are. Only the first is given: fields that share a sample are not known
// here. Empty when there is none.
ByteSpan Jpeg2000Codestream(ByteSpan picture);

// How far the main header of a codestream reaches, which is where its first tile-part begins; 0
// when it is damaged or does not end.
std::size_t Jpeg2000MainHeaderBytes(ByteSpan codestream);

struct Jpeg2000Image {
  std::size_t head_bytes = 0;  // what was read: down to the first tile-part's marker
  std::uint32_t width = 0, height = 0;
  std::string_view sampling;  // as RFC 5371 section 7.1 has it: "YCbCr-4:2:0"
};

// Of a picture, or of its first `head_bytes`. Nothing when it is damaged, or of components for
// which there is no name. Three or four alike are taken for RGB unless a box says otherwise.
std::optional<Jpeg2000Image> ReadJpeg2000(ByteSpan picture);

struct Jpeg2000TilePart {
  std::uint16_t tile = 0;
  ByteSpan bytes;
};

// The tile-parts behind the main header; the last reaches to the codestream's end. False when one
// is damaged: `*parts` has those before it.
bool ReadJpeg2000TileParts(ByteSpan codestream, std::vector<Jpeg2000TilePart>* parts);

}  // namespace millrace
