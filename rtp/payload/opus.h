// Opus in RTP (RFC 7587): one Opus packet in each RTP packet, as it is.
//
// The format neither lets packets share nor cuts them (section 4.2), so an Opus packet larger than
// the payload cannot be sent. Any other is, unread. SDP says 48000 Hz and two channels whatever
// the stream has (section 7); sprop-stereo tells which. The marker is 0, for nothing tells where
// transmission was discontinuous (RFC 3551 section 4.1).
//
// Limits: mono and stereo; the format has no streams of several pairs.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kOpusFormat;

}  // namespace millrace
