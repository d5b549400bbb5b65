// SMPTE ST 336 metadata in RTP (RFC 6597): nothing but the unit's bytes, cut where a packet is
// full. The marker bit is set on the unit's last packet (section 4.1), and the clock is 90 kHz.
//
// A unit is keys, lengths and values end to end (section 4.2.1). It is malformed where they do not
// fill it, or do not begin with a universal label; the whole items before that are sent.
//
// Limits: a unit that is empty or larger than kKlvUnitBytesMax is not sent.
#pragma once

#include <cstddef>

#include "rtp/payload/payload_format.h"

namespace millrace {

inline constexpr std::size_t kKlvUnitBytesMax = std::size_t{1} << 20;

extern const PayloadFormat kKlvFormat;

}  // namespace millrace
