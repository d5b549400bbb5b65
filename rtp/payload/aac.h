// AAC in RTP (RFC 3640), mode AAC-hbr: 16-bit AU headers, 13 bits of size and 3 of index.
//
// A packet carries as many whole access units as fit it, follow one another without a gap (there is
// no field for a gap: a receiver counts on from the packet's timestamp), and together last at most
// 100 ms, which is what the last of them may come early. An access unit larger than a packet is cut
// into fragments that it shares with no other.
#pragma once

#include <cstddef>

#include "rtp/payload/payload_format.h"

namespace millrace {

// Largest access unit that the 13 bits can tell; larger ones are malformed, and so are empty ones.
inline constexpr std::size_t kAacUnitBytesMax = 8191;

// audioProfileLevelIndication (ISO 14496-3 table 1.14) of the least level that allows the stream; 1
// is what senders use who do not know.
int AacProfileLevel(const Track& track);

extern const PayloadFormat kAacFormat;

}  // namespace millrace
