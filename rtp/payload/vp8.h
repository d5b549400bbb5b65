// VP8 in RTP (RFC 7741).
//
// A frame is cut into equal fragments without regard to its partitions: all are told as partition 0
// and only the frame's first packet as a start, which section 4.2 leaves to the sender. The payload
// descriptor is one byte. Picture ID and layer indices would have to be counted from block to block
// and serve conferences, not viewers of a file; whether other frames need this one is not known, so
// that N is 0.
//
// Limits: a frame without its whole header (3 bytes, 10 of a key frame: RFC 6386 section 9.1) is
// malformed and not sent, for receivers read the header from the first packet (section 4.3).
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kVp8Format;

}  // namespace millrace
