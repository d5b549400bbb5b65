// H.265 in RTP (RFC 7798): single NAL unit packets, aggregation packets and fragmentation units,
// all without decoding order numbers (sprop-max-don-diff is 0).
//
// Units are sent as they are. Types 48 to 50, which H.265 leaves unspecified and RFC 7798 gives to
// its own packets, cannot be sent and are left out without complaint.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kH265Format;

}  // namespace millrace
