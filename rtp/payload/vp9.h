// VP9 in RTP (RFC 9628), in non-flexible mode, without picture ID and layers.
//
// A frame, or a superframe with the hidden frames in it, is cut into equal fragments as it lies in
// the access unit. The payload descriptor is one byte: P unless decoding can start at the frame, B
// in its first packet, E in its last beside the RTP marker, without which FFmpeg puts no frame
// together. Picture IDs would have to be counted from block to block; a scalability structure tells
// nothing of a single layer that its frames do not.
//
// Limits: nothing in the frame is looked at, so that only an empty one is malformed. GStreamer
// drops frames below 10 bytes, which are those that repeat an earlier frame.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kVp9Format;

}  // namespace millrace
