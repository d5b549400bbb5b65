// Theora in RTP (draft-barbato-avt-rtp-theora-01): raw packets, and in SDP the headers that a
// decoder begins with. See rtp/payload/xiph.h.
//
// A packet carries one frame, for frames have times of their own; one larger than the payload is
// cut into fragments. The marker is 0, as FFmpeg and GStreamer send it: F and the count tell where
// a frame ends.
//
// Limits: a frame of more than 65535 bytes is sent, yet not put together again by GStreamer, which
// keeps its length in 16 bits. Header packets among the frames are malformed, and so are empty
// ones, which only repeat the frame before (Theora I section 7).
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

extern const PayloadFormat kTheoraFormat;

}  // namespace millrace
