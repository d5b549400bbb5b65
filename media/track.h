// One elementary stream of an asset: its codec, clock and out-of-band configuration.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"

namespace millrace {

// Video first, then audio, text, data: KindOf compares.
enum class Codec {
  kH264,
  kH265,
  kH266,
  kVp8,
  kVp9,
  kAv1,
  kMpeg4Video,  // part 2
  kMpegVideo,   // MPEG-1 and MPEG-2
  kMotionJpeg,
  kH263,
  kTheora,
  kJpeg2000,
  kDv,
  kMpegTs,  // a whole transport stream, whatever is in it
  kAac,
  kMpegAudio,  // MPEG-1, -2 and -2.5, layers I to III
  kAc3,
  kOpus,
  kVorbis,
  kPcmu,
  kPcma,
  kLinearPcm,
  kEac3,
  kAmr,
  kAmrWb,
  kG722,
  kG726,
  kSpeex,
  kAacLatm,
  kMp3Adu,  // MPEG audio of layer III as application data units
  kT140,    // text
  kKlv,     // SMPTE 336M metadata
};
enum class MediaKind { kVideo, kAudio, kText, kData };

std::string_view CodecName(Codec codec);  // "H.264"
MediaKind KindOf(Codec codec);

using Bytes = std::vector<std::uint8_t>;

// Of the RTP clock of audio with that sample rate (RFC 3551 section 4.1: as a rule the same).
std::uint32_t RtpClockRate(Codec codec, std::uint32_t sample_rate);

// A duration in ticks of a clock of `clock_rate` Hz, rounded to nearest.
std::int64_t TicksFromDuration(Duration d, std::uint32_t clock_rate);

// Frames per second.
struct FrameRate {
  std::uint32_t numerator = 0, denominator = 1;  // 0: unknown
};

// Times of a track are counts of its RTP clock: 90 kHz for video, MPEG audio and metadata, 48 kHz
// for Opus, 8 kHz for G.722, the sample rate for other audio, 1 kHz for text. They count exactly.
struct Track {
  Codec codec = Codec::kH264;
  std::uint32_t clock_rate = 90000;  // Hz
  std::uint32_t bit_rate = 0;        // bit/s as the container says, 0 unknown
  std::string language;              // a tag such as "en" or "eng" (RFC 5646), empty unknown

  // Video.
  std::uint32_t width = 0, height = 0;
  FrameRate frame_rate;
  // Length field of each NAL unit in an access unit: 1, 2 or 4 bytes; 0 means Annex B start codes.
  std::uint32_t nal_length_size = 0;
  // Without start codes, in the container's order. H.265, H.266: vps, sps, pps; H.264: sps, pps.
  std::vector<Bytes> vps, sps, pps;

  // Audio.
  std::uint32_t channels = 0;
  std::uint32_t sample_rate = 0;   // Hz; 0: as the clock
  std::uint32_t sample_bytes = 0;  // linear PCM: of one channel's sample, 1 (unsigned), 2 or 3
  std::uint32_t layer = 0;         // MPEG audio: 1 to 3, 0 unknown
  bool little_endian = false;      // linear PCM, G.726: in the file, whatever it is in packets

  // What a decoder needs to begin, as the codec's mapping to MP4 or Matroska has it. AAC:
  // AudioSpecificConfig (ISO 14496-3 section 1.6.2.1), in LATM of just its bits. MPEG-4 video: the
  // headers down to the video object layer's (ISO 14496-2 section 6.2). Vorbis: the three header
  // packets, laced: 2, the first two's sizes in bytes of up to 255, then the packets; Theora: as
  // Vorbis. DV: the first 55 DIF blocks of a frame. JPEG 2000: a picture's bytes up to its first
  // SOT marker and that marker's length, included. G.726: a byte, the bits of a code word.
  Bytes config;

  // Rounds to nearest.
  std::int64_t ClockFromDuration(Duration d) const;
  Duration DurationFromClock(std::int64_t ticks) const;
};

}  // namespace millrace
