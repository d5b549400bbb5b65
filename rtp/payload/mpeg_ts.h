// An MPEG transport stream in RTP (RFC 2250 section 2): payload type 33, whole transport packets of
// 188 bytes and nothing else. The clock is 90 kHz, the timestamp a packet's time of transmission.
//
// 1. A packet carries as many transport packets as fit it, at most seven, and none in part.
// 2. The marker bit tells of a timestamp that does not follow from the one before. Times of an
// asset
//    go on over the jumps of the clock inside the stream, so it is never set.
//
// Limits: packets too small for one transport packet (below 200 bytes) carry nothing; Packetize
// then returns false, as it does for what is not in whole transport packets.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kMpegTsFormat;

}  // namespace millrace
