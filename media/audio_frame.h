// Headers of audio that frames itself: MPEG audio and AC-3. (ADTS, the frame of AAC, is in
// bitstream.h.)
//
// Shard: any; pure functions of bytes, any bytes allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "media/bitstream.h"

namespace millrace {

struct AudioFrameHeader {
  std::uint32_t sample_rate = 0;    // Hz
  std::uint32_t channels = 0;       // with the low-frequency one
  std::uint32_t frame_samples = 0;  // of each channel
  std::size_t frame_bytes = 0;      // header included
  // What may not change within a stream: version and layer, or the bit stream's identification.
  std::uint32_t kind = 0;
};

// MPEG-1 (ISO 11172-3 section 2.4.2.3), MPEG-2 (ISO 13818-3) and the unofficial 2.5, layers I to
// III. Free format, whose frames do not tell their length, is not read.
std::optional<AudioFrameHeader> ParseMpegAudio(ByteSpan bytes);

// AC-3, ETSI TS 102 366 section 4.4; E-AC-3 (bit stream identification above 10) is another
// format.
std::optional<AudioFrameHeader> ParseAc3(ByteSpan bytes);

// Whether a frame of layer III holds no sound but the table that encoders put in front ("Xing",
// "Info" behind the side information, "VBRI" 32 bytes behind the header). Players skip it.
bool IsMp3InfoFrame(ByteSpan frame);

}  // namespace millrace
