// Vorbis in RTP (RFC 5215): raw packets, and in SDP the headers that a decoder begins with.
//
// A packet carries as many whole Vorbis packets as fit it, at most 15 (section 2.2), while they
// follow one another without a gap and together last at most 100 ms. One larger than the payload is
// cut into fragments that it shares with no other. The marker is 0 (section 2.1).
//
// A track whose headers are damaged, or too long to be told in 16 bits, has no parameters and the
// Ident 0. See rtp/payload/xiph.h.
#pragma once

#include <cstddef>

#include "rtp/payload/payload_format.h"

namespace millrace {

// Largest unit: a receiver puts fragments together under one length of 16 bits. Larger ones are
// malformed, and so are empty ones and header packets (Vorbis I section 4.3.1).
inline constexpr std::size_t kVorbisUnitBytesMax = 65535;
// The count of four bits (section 2.2).
inline constexpr std::size_t kVorbisUnitsPerPacketMax = 15;

extern const PayloadFormat kVorbisFormat;

}  // namespace millrace
