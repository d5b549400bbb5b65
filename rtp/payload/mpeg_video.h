// MPEG-1 and MPEG-2 video in RTP (RFC 2250 sections 3.1 and 3.4): payload type 32, a header of four
// bytes in front of the elementary stream's own bytes.
//
// What lies from one start code to the next is kept together where it can be:
// 1. A packet holds headers, or slices, or headers and the slices behind them, all whole, as many
// as
//    fit. A sequence header comes first in its packet, a group header first or behind a sequence
//    header, a picture header first or behind a group header.
// 2. A slice larger than a packet is cut into equal fragments, which no other slice shares. The
//    headers in front of it lie in its first fragment if they leave room there, else in a packet of
//    their own.
// 3. A header larger than a packet is cut too. Section 3.1 rules that out for packets that hold 261
//    bytes, unless user data is longer than that; below, nothing better is left.
// So packets differ in length, where other formats cut equal ones.
//
// The header's fields are those of the picture header; headers in front of a picture carry the
// picture's. Of MPEG-2 it tells what its picture header has there, 0 for the full_pel bits and 7
// for the f_codes (ISO 13818-2 section 6.3.9); the MPEG-2 extension is optional (T=0) and left out,
// and so is N (AN=0), which depends on pictures before.
//
// An access unit with two picture headers is a frame of two fields. Each has its own values in the
// header, but the timestamp is the frame's (section 3), and so is the marker bit, which tells the
// frame's end (section 3.3): it is set once, on the last packet of the access unit.
//
// Limits: a sequence header is not repeated where the file does not repeat it. Packetize leaves
// out, and returns false for, bytes in front of the first start code, start codes that no
// elementary stream has, slices without a sound picture header before them in the access unit, and
// all of an access unit without one.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kMpegVideoFormat;

}  // namespace millrace
