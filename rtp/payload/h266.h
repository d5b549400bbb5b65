// H.266 in RTP (RFC 9328): single NAL unit packets, aggregation packets and fragmentation units,
// all without decoding order numbers (sprop-max-don-diff is 0).
//
// Units are sent as they are. Types 28 and 29, which H.266 leaves unspecified and RFC 9328 gives to
// its own packets (section 4.3), cannot be sent and are left out without complaint.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kH266Format;

}  // namespace millrace
