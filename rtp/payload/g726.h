// G.726 in RTP (RFC 3551 section 4.5.4): code words of 2, 3, 4 or 5 bits, the first in the least
// significant bits of an octet ("little endian"). Files as a rule have the opposite packing; then
// the words are packed anew.
//
// Eight words fill as many octets as a word has bits: such a group is what sample_packetizer.h cuts
// by, and lasts eight ticks. Track::config holds the bits of a word, Track::little_endian how the
// file packs them. Of a track with other bits nothing is sent.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kG726Format;

}  // namespace millrace
