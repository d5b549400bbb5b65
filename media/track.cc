#include "media/track.h"

#include <limits>

namespace millrace {
namespace {

__extension__ using Wide = __int128;

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

// value * multiplier / divisor to the nearest integer, halves away from zero, held within 64 bits.
std::int64_t Rescale(std::int64_t value, std::int64_t multiplier, std::int64_t divisor) {
  const Wide product = static_cast<Wide>(value) * multiplier;
  const Wide half = divisor / 2;
  const Wide rounded = (product >= 0 ? product + half : product - half) / divisor;
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  if (rounded > kMax) return kMax;
  if (rounded < kMin) return kMin;
  return static_cast<std::int64_t>(rounded);
}

}  // namespace

std::string_view CodecName(Codec codec) {
  switch (codec) {
    case Codec::kH264:
      return "H.264";
    case Codec::kH265:
      return "H.265";
    case Codec::kH266:
      return "H.266";
    case Codec::kVp8:
      return "VP8";
    case Codec::kVp9:
      return "VP9";
    case Codec::kAv1:
      return "AV1";
    case Codec::kMpeg4Video:
      return "MPEG-4 video";
    case Codec::kMpegVideo:
      return "MPEG video";
    case Codec::kMotionJpeg:
      return "Motion JPEG";
    case Codec::kH263:
      return "H.263";
    case Codec::kTheora:
      return "Theora";
    case Codec::kJpeg2000:
      return "JPEG 2000";
    case Codec::kDv:
      return "DV";
    case Codec::kMpegTs:
      return "MPEG transport stream";
    case Codec::kAac:
      return "AAC";
    case Codec::kMpegAudio:
      return "MPEG audio";
    case Codec::kAc3:
      return "AC-3";
    case Codec::kOpus:
      return "Opus";
    case Codec::kVorbis:
      return "Vorbis";
    case Codec::kPcmu:
      return "G.711 mu-law";
    case Codec::kPcma:
      return "G.711 A-law";
    case Codec::kLinearPcm:
      return "linear PCM";
    case Codec::kEac3:
      return "E-AC-3";
    case Codec::kAmr:
      return "AMR";
    case Codec::kAmrWb:
      return "AMR-WB";
    case Codec::kG722:
      return "G.722";
    case Codec::kG726:
      return "G.726";
    case Codec::kSpeex:
      return "Speex";
    case Codec::kAacLatm:
      return "AAC in LATM";
    case Codec::kMp3Adu:
      return "MP3 in ADUs";
    case Codec::kT140:
      return "T.140 text";
    case Codec::kKlv:
      return "KLV";
  }
  return "unknown";
}

MediaKind KindOf(Codec codec) {
  if (codec < Codec::kAac) return MediaKind::kVideo;
  if (codec < Codec::kT140) return MediaKind::kAudio;
  return codec == Codec::kT140 ? MediaKind::kText : MediaKind::kData;
}

std::uint32_t RtpClockRate(Codec codec, std::uint32_t sample_rate) {
  if (codec == Codec::kMpegAudio || codec == Codec::kMp3Adu) return 90000;
  if (codec == Codec::kOpus) return 48000;
  if (codec == Codec::kG722) return 8000;  // RFC 3551 section 4.5.2
  return sample_rate;
}

std::int64_t TicksFromDuration(Duration d, std::uint32_t clock_rate) {
  return Rescale(d.count(), clock_rate, kNanosecondsPerSecond);
}

std::int64_t Track::ClockFromDuration(Duration d) const { return TicksFromDuration(d, clock_rate); }

Duration Track::DurationFromClock(std::int64_t ticks) const {
  return Duration(Rescale(ticks, kNanosecondsPerSecond, clock_rate == 0 ? 1 : clock_rate));
}

}  // namespace millrace
