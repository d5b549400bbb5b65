// AMR and AMR-WB in RTP (RFC 4867), octet-aligned and of one channel: an octet that asks nothing of
// the receiver's encoder, a table of contents with an octet for each frame, then the frames.
//
// 1. An access unit holds frames as files do (section 5.3), each behind an octet of its own. In a
//    packet the octets stand in front, and only F, type and Q of them count (section 4.3.2).
// 2. Frames are 20 ms long. A packet carries those that follow one another without a gap, at most
//    100 ms of them; frames without data keep their place.
// 3. The marker bit is set where a packet begins with the first speech after something else
//    (section 4.1), as far as the packets of one block show it.
// 4. A unit is malformed behind the first frame that is cut short or of a type that is not this
//    codec's (section 4.3.2); what stands before it is sent.
//
// The bandwidth-efficient mode, interleaving, checksums and robust sorting are not offered.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kAmrFormat;
extern const PayloadFormat kAmrWbFormat;

}  // namespace millrace
