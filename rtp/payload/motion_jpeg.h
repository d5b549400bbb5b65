// Motion JPEG in RTP (RFC 2435): payload type 26. A JPEG image goes without its headers, which a
// receiver makes anew from the few numbers in front of each fragment of the scan.
//
// 1. The quantization tables travel in the first packet of each image (Q=255), two of 8 bits.
// 2. Images with restart markers have type 64 or 65 and the Restart Marker header; the cuts regard
//    no restart intervals, so F and L are set and the count is 0x3fff (section 3.1.7).
// 3. Packets are equal in length but for the last, the tables counted. The marker bit is on the
// last.
// 4. Of the image only the scan is sent, without the EOI marker (section 3.1.9).
//
// Limits, which are the format's: baseline, 8 bits, three components in one scan, the first sampled
// twice as often in width (type 0) or in width and height (type 1), the Huffman tables of ISO
// 10918-1 annex K.3 or none; at most 2040 by 2040, which receivers see rounded up to multiples of
// 8; a scan of at most 2^24 bytes; packets of at least kMotionJpegPacketBytesMin. Two images in one
// access unit, the fields of an interlaced frame, are refused: FFmpeg and GStreamer would show them
// as frames of half the height. Packetize sends nothing and returns false where these are not kept.
// It also returns false, but sends the scan, where that does not end in EOI.
#pragma once

#include <cstddef>

#include "media/bitstream.h"
#include "rtp/payload/payload_format.h"

namespace millrace {

// The headers of RTP, JPEG, restart markers and tables, the tables, and a byte of the scan.
inline constexpr std::size_t kMotionJpegPacketBytesMin = 12 + 8 + 4 + 4 + 128 + 1;

extern const PayloadFormat kMotionJpegFormat;

}  // namespace millrace
