// DV in RTP (RFC 6469): a frame is cut between its DIF blocks of 80 bytes, as few packets as hold
// it, all as long but for the last; nothing stands in front of the blocks. The marker ends a frame.
//
// Sound that the frames themselves hold goes along (audio=bundled, section 3.1.1); what a container
// has beside them is a track of its own.
//
// Limits: of a track whose first frame is known, a frame of another length is malformed; so is one
// that is not made of whole blocks or does not begin with a header block.
#pragma once

#include "rtp/payload/payload_format.h"

namespace millrace {

// Track::config is the head of a frame (media/dv_frame.h).
extern const PayloadFormat kDvFormat;

}  // namespace millrace
