// G.711 in RTP (RFC 3551 section 4.5.14): μ-law and A-law, a byte a sample, as they are. How they
// are cut: sample_packetizer.h.
//
// 8000 Hz mono has the static payload types 0 and 8 (RFC 3551 section 6); any other rate and number
// of channels is told by rtpmap under a dynamic one.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kPcmuFormat;
extern const PayloadFormat kPcmaFormat;

}  // namespace millrace
