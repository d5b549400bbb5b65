// Speex in RTP (RFC 5574): each packet is one access unit, which is one packet of the file: frames
// as the encoder put them together, filled up to whole octets (section 3.3). To pack those of
// several units together they would have to be decoded, for they end within octets.
//
// The clock is the sample rate. The marker is 0, as nothing tells where silence was (section 3.1).
//
// Limits: a packet may not be cut, so a unit larger than a packet is not sent.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kSpeexFormat;

}  // namespace millrace
