// MP3 in RTP that bears the loss of packets (RFC 5219, mpa-robust): application data units, each
// behind a descriptor with its size. The clock is always 90 kHz, whatever the sample rate. Other
// layers' frames are such units as they are (section 5).
//
// 1. A packet carries one unit. More might share it (section 4.3), but who asks for this format
//    fears for packets, and would lose all of them with one.
// 2. A unit that is larger than a packet is cut: each fragment lies behind a descriptor that tells
//    the whole unit's size and, but for the first, that it goes on (section 4.3).
// 3. Descriptors are of two bytes, which hold every size (section 4.2). FFmpeg and live555 read
//    them; GStreamer's rtpmparobustdepay (1.22) takes the second byte for the unit's first.
// 4. Units are not interleaved: the sync words of their headers stay as they are (section 7).
// 5. The marker bit is never set (section 4.4).
//
// Limits: kMp3AduBytesMax. What does not begin with a header of MPEG audio is not sent.
#pragma once

#include <cstddef>

#include "rtp/payload/payload_format.h"

namespace millrace {

// What the 14 bits of a descriptor tell.
inline constexpr std::size_t kMp3AduBytesMax = 16383;

extern const PayloadFormat kMp3AduFormat;

}  // namespace millrace
