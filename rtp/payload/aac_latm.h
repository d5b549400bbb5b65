// AAC from LATM in RTP (RFC 6416 sections 6 and 7.3), MP4A-LATM with cpresent=0: the configuration
// is in the SDP alone. The clock is the sample rate.
//
// 1. The AudioMuxElements of the packets are made anew: one AAC frame each, behind its length. So
//    their StreamMuxConfig is the plainest there is, which is the one that receivers understand:
//    audioMuxVersion 0, one program, one layer, one frame, no other data, no checksum.
// 2. An element begins a packet and shares it with no other (section 6.1); one that is larger than
//    a packet is cut into fragments.
// 3. The marker is set on the packet that ends an element (section 6.2).
// 4. A frame whose element tells another configuration than the track's is not sent, nor are those
//    behind it that say "as before": a receiver could not know.
//
// Limits: kAacUnitBytesMax. What is no element, or has no frame in it, is not sent.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kAacLatmFormat;

}  // namespace millrace
