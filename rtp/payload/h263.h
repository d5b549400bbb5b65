// H.263, also of 1998 and 2000, in RTP (RFC 4629).
//
// A picture that is larger than a packet is cut where a group of blocks, a slice or the end of the
// sequence begins, if that is told by a start code on a byte (section 5): as many whole ones share
// a packet as fit it, and each packet begins with such a start code, whose first two bytes of zeros
// the P bit stands for. A group that fits no packet, or a picture without groups, is cut into equal
// fragments, of which only the first has P. There are no extra picture headers and no VRC.
//
// Limits: a picture without its start code, temporal reference and PTYPE is malformed and not sent.
// Start codes between bytes are not looked for. What the file is encoded for (profile, level) no
// container that is read here tells, and section 8.1.1 leaves all parameters optional.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kH263Format;

}  // namespace millrace
