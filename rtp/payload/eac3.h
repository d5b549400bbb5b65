// E-AC-3 in RTP (RFC 4598): a header of two bytes, then whole frames or one fragment of a frame.
// The clock is the sample rate.
//
// 1. An access unit is the frames of every substream for one stretch of time. Units of six audio
//    blocks, which are whole frame sets, share a packet while they fit it, follow one another
//    without a gap, and together last at most 100 ms; shorter ones travel one by one, for a packet
//    should not have parts of two frame sets (section 4.3).
// 2. A unit that is larger than a packet goes out frame by frame, as many as fit each packet; a
//    frame that is larger is cut into equal fragments. All of these packets have one timestamp.
// 3. The marker bit is set on a packet of whole frames and on the last fragment of one (section 3).
// 4. A unit is malformed whose frames do not fill it, as their headers tell their sizes; what
//    frames are whole are sent.
//
// Limits: a frame has at most 4096 bytes, which is what its header can tell; a unit
// kEac3UnitBytesMax.
#pragma once

#include <cstddef>

#include "rtp/payload/payload_format.h"

namespace millrace {

// Eight programs of nine substreams (section 2.1.2), each a frame of the largest kind.
inline constexpr std::size_t kEac3UnitBytesMax = std::size_t{8} * 9 * 4096;

extern const PayloadFormat kEac3Format;

}  // namespace millrace
