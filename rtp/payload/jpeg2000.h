// JPEG 2000 in RTP (RFC 5371): the main header in packets of its own, then as many whole tile-parts
// to a packet as fit it, one larger than the payload in equal fragments.
//
// The priority is 255 and mh_id 0, as senders have them that know RFC 5371 alone (section 4.1).
// Pictures are progressive: tp is 0.
//
// Limits: JPEG 2000 packets within a tile-part are not looked for, so that a fragment may begin
// within one. A picture of 16 MiB or more is malformed, for the fragment offset has 24 bits. Of a
// damaged picture the tile-parts before the damage are sent.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

// Access units are codestreams. Track::config is the head of a picture (media/jpeg2000_image.h).
extern const PayloadFormat kJpeg2000Format;

}  // namespace millrace
