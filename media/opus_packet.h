// What an Opus packet (RFC 6716 section 3) tells of itself without being decoded.
//
// Shard: any; a pure function of bytes. Any bytes are allowed as input.
#pragma once

#include <cstdint>

#include "media/bitstream.h"

namespace millrace {

// A packet lasts at most 120 ms (RFC 6716 section 3.2.5, requirement R5).
inline constexpr std::int64_t kOpusPacketSamplesMax = 5760;

// 48 kHz samples that the packet lasts: the frame size of its TOC byte (section 3.1) times its
// frame count (section 3.2). 0 when it is empty, lacks its frame count, has none, or would last too
// long; the frames themselves are not looked at.
std::int64_t OpusSamples(ByteSpan packet);

}  // namespace millrace
