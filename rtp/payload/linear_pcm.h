// Linear PCM in RTP: L8 with its offset of 128 and L16 (RFC 3551 sections 4.5.10 and 4.5.11), L24
// (RFC 3190), most significant byte first. How they are cut: sample_packetizer.h.
//
// L16 of 44100 Hz has the static payload types 10 (stereo) and 11 (mono) (RFC 3551 section 6).
//
// Limits: channels are sent in the file's order. Up to two that is RFC 3551's; of more, section 4.1
// has an order of its own, which receivers in use do not expect.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kLinearPcmFormat;

}  // namespace millrace
