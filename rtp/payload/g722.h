// G.722 in RTP (RFC 3551 section 4.5.2): an octet holds two samples, and is a tick of a clock of
// 8000 Hz although samples come at 16000, which the section keeps for compatibility. How units are
// cut is in sample_packetizer.h, an octet being its sample.
//
// One channel; the static payload type 9.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kG722Format;

}  // namespace millrace
