// MPEG-4 part 2 video in RTP (RFC 6416 section 5): the bytes of a VOP with the headers before it,
// cut into equal fragments, with nothing in front of them.
//
// The configuration travels in SDP alone (section 7.1), and in packets only where the file has it
// in its access units.
//
// Limits: the cuts regard no syntax. The headers at the front of an access unit lie in its first
// packet as long as they are shorter than half a packet; but the header of a video packet (resync
// marker), and that of a second VOP in the same access unit, may be split between two packets,
// which section 5.2 has otherwise and receivers, who put VOPs together by the marker bit, do not
// see. Only an empty access unit is malformed.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kMpeg4VideoFormat;

}  // namespace millrace
