// H.264 in RTP (RFC 6184), packetization mode 1: single NAL unit packets, STAP-A and FU-A.
//
// Units are sent as they are, access unit delimiters and parameter sets included. Types 0 and 24 to
// 31, which H.264 leaves to others and RFC 6184 gives to its own packets, cannot be sent and are
// left out without complaint.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kH264Format;

}  // namespace millrace
