// Headers of audio that frames itself: MPEG audio, AC-3, E-AC-3 and AMR. (ADTS, the frame of AAC,
// is in bitstream.h.)
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
  std::uint32_t layer = 0;  // MPEG audio: 1 to 3
  // Whether an access unit begins with the frame. Not so for E-AC-3's further substreams.
  bool starts_unit = true;
};

// MPEG-1 (ISO 11172-3 section 2.4.2.3), MPEG-2 (ISO 13818-3) and the unofficial 2.5, layers I to
// III. Free format, whose frames do not tell their length, is not read.
std::optional<AudioFrameHeader> ParseMpegAudio(ByteSpan bytes);

// AC-3, ETSI TS 102 366 section 4.4; E-AC-3 (bit stream identification above 10) is another
// format.
std::optional<AudioFrameHeader> ParseAc3(ByteSpan bytes);

// A frame of E-AC-3 (ETSI TS 102 366 annex E), or of AC-3, which may be among them. Half sample
// rates, which RFC 4598 section 5.1 does not permit, are not read.
std::optional<AudioFrameHeader> ParseEac3(ByteSpan bytes);
// An access unit: the frames of all programs and substreams for one stretch of time, in a
// container perhaps several such. `frame_bytes` is how much of it are whole frames one behind the
// other, `frame_samples` what they last; the rest is the first frame's.
std::optional<AudioFrameHeader> ParseEac3Unit(ByteSpan unit);

// One frame of AMR or AMR-WB as files have it (RFC 4867 section 5.3): an octet with its type, then
// as many bits as the type says. Types that are reserved, or another codec's, are not read.
std::optional<AudioFrameHeader> ParseAmr(ByteSpan bytes, bool wideband);

// Whether a frame of layer III holds no sound but the table that encoders put in front ("Xing",
// "Info" behind the side information, "VBRI" 32 bytes behind the header). Players skip it.
bool IsMp3InfoFrame(ByteSpan frame);

}  // namespace millrace
