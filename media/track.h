// One elementary stream of an asset: its codec, clock and out-of-band configuration.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"

namespace millrace {

enum class Codec { kH264, kH265, kAac };
enum class MediaKind { kVideo, kAudio };

std::string_view CodecName(Codec codec);  // "H.264"
MediaKind KindOf(Codec codec);

using Bytes = std::vector<std::uint8_t>;

// A duration in ticks of a clock of `clock_rate` Hz, rounded to nearest.
std::int64_t TicksFromDuration(Duration d, std::uint32_t clock_rate);

// Times of a track are counts of its clock: 90 kHz for video, the sample rate for AAC. They count
// exactly; nothing goes through microseconds.
struct Track {
  Codec codec = Codec::kH264;
  std::uint32_t clock_rate = 90000;  // Hz
  std::uint32_t bit_rate = 0;        // bit/s as the container says, 0 unknown

  // Video.
  std::uint32_t width = 0, height = 0;
  // Length field of each NAL unit in an access unit: 1, 2 or 4 bytes; 0 means Annex B start codes.
  std::uint32_t nal_length_size = 0;
  // Without start codes, in the container's order. H.265: vps, sps, pps; H.264: sps, pps.
  std::vector<Bytes> vps, sps, pps;

  // AAC.
  std::uint32_t channels = 0;
  Bytes audio_specific_config;  // ISO 14496-3 1.6.2.1

  // Rounds to nearest.
  std::int64_t ClockFromDuration(Duration d) const;
  Duration DurationFromClock(std::int64_t ticks) const;
};

}  // namespace millrace
