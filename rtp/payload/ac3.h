// AC-3 in RTP (RFC 4184): a header of two bytes, then whole frames or one fragment of a frame. The
// clock is the sample rate.
//
// 1. A packet carries as many whole frames as fit it, follow one another without a gap, and
// together
//    last at most 100 ms; the header counts them.
// 2. Receivers find where a frame ends by its own header (section 4.1.1). So a frame shares a
// packet
//    only when its header tells the size it has; one with bytes missing or in excess travels alone,
//    and Packetize returns false for it.
// 3. A frame larger than a packet is cut. Where a packet has room for five eighths of it, which is
//    what a decoder needs for its first two blocks (section 4.2), the first of two fragments is
//    just that; otherwise the fragments are equal.
// 4. The marker bit is set on a packet of whole frames and on the last fragment of one (section 3).
//
// Limits: kAc3FrameBytesMax. What is not an AC-3 frame is not sent, and E-AC-3 is not AC-3 (section
// 4).
#pragma once

#include <cstddef>

#include "rtp/payload/payload_format.h"

namespace millrace {

// 640 kbit/s at 32 kHz, the largest that a header can tell (section 4.2).
inline constexpr std::size_t kAc3FrameBytesMax = 3840;

extern const PayloadFormat kAc3Format;

}  // namespace millrace
