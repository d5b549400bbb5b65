// AV1 in RTP (AOM "RTP Payload Format For AV1", version 1.0).
//
// The OBUs of a temporal unit are sent without their size fields (section 4.5). Small ones share a
// packet, one larger than a packet is cut into equal fragments that it shares with no other.
// Temporal delimiters and tile lists (section 5), padding, and OBUs of nothing but a header are
// left out.
//
// A sequence header is the first OBU of its packet. OBUs of two layers share none, and what belongs
// to no layer goes before what does (section 5). N is set where decoding can start and a sequence
// header tells how. Containers may keep that header in their configuration record alone: then the
// record's OBUs go before those of each access unit at which decoding can start.
//
// There is no fmtp: its parameters tell what a receiver can do (section 7.1).
//
// Limits: sizes up to 2^32 - 1 (AV1 section 4.10.5). A temporal unit is sent up to the first OBU
// that is damaged: forbidden bit, size without end or beyond the end.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kAv1Format;

}  // namespace millrace
