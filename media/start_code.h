// MPEG-1, -2 and -4 video, whose parts begin with 00 00 01 and a byte that names them.
//
// Shard: any; pure functions of bytes, any bytes allowed.
#pragma once

#include <cstddef>

#include "media/bitstream.h"

namespace millrace {

// Where the next 00 00 01 lies at or behind `from`; data.size() when there is none. The byte that
// names it may be missing at the end.
std::size_t FindStartCode(ByteSpan data, std::size_t from);

// A sequence header (ISO 13818-2 section 6.2.2.1) before the first picture: decoding can start.
bool StartsMpegSequence(ByteSpan access_unit);

// The first video object plane is intra coded (ISO 14496-2 section 6.3.5).
bool StartsMpeg4Video(ByteSpan access_unit);

// What precedes the first video object plane or group of them, if it holds a video object layer:
// the configuration of RFC 6416 section 7.1. Else empty.
ByteSpan Mpeg4VideoHeaders(ByteSpan access_unit);

}  // namespace millrace
