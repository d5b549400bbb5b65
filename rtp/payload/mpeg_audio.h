// MPEG audio in RTP (RFC 2250 sections 3.2 and 3.5): frames of MPEG-1, -2 and -2.5, layers I to
// III. The payload type is always 14 and the clock always 90 kHz, whatever the sample rate.
//
// 1. A packet carries whole frames, as many as fit it, follow one another (to a millisecond, since
//    90 kHz does not count samples) and together last at most 100 ms, or one fragment of a frame
//    that is larger than a packet.
// 2. A packet has no field for the sizes of its frames: receivers compute them from the frames' own
//    headers. So a frame shares a packet only when its header tells the size it has. One of free
//    format, which tells none, travels alone; so does one with bytes missing or in excess, for
//    which Packetize returns false.
// 3. The marker bit is never set. Section 3.3 gives it to the first packet of a talk-spurt, and RFC
//    3551 section 4.1 has those who do not suppress silence leave it zero. Receivers do without it:
//    FFmpeg and live555 ignore it, GStreamer's rtpmpadepay takes it for a break in the sound.
//
// Limits: kMpegAudioFrameBytesMax. What is not a frame of these layers is not sent.
#pragma once

#include <cstddef>

#include "rtp/payload/payload_format.h"

namespace millrace {

// What the 16 bits of Frag_offset reach.
inline constexpr std::size_t kMpegAudioFrameBytesMax = 65535;

extern const PayloadFormat kMpegAudioFormat;

}  // namespace millrace
