// An elementary stream file played from an index made once at open: raw H.264 and H.265, and
// audio that frames itself.
//
// The data's way: whoever knows the format lists where each access unit lies and when it is due;
// Seek and Next only look things up and read.
//
// Shard: none; blocking, loader threads only.
// Limits: kIndexedUnitsMax entries (a day of 97 frames a second), kAccessUnitBytesMax each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "media/demuxer.h"
#include "media/media_file.h"

namespace millrace {

inline constexpr std::size_t kIndexedUnitsMax = std::size_t{1} << 23;
// Ten times the largest intra picture of 8K video at the highest common level.
inline constexpr std::size_t kAccessUnitBytesMax = std::size_t{64} << 20;

struct IndexedUnit {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  bool random_access = false;
  std::int64_t pts = 0, dts = 0;  // the track's clock, from npt 0
};

// `units` in coding order with ascending dts; `info` has exactly one track. `unit_duration` in the
// track's clock for every unit, 0 when they differ.
std::unique_ptr<Demuxer> MakeIndexedDemuxer(MediaFile file, MediaInfo info,
                                            std::vector<IndexedUnit> units,
                                            std::int64_t unit_duration);

// A file of frames of AAC in ADTS, AC-3 or MPEG audio (`codec`), perhaps between tags. Damage
// between frames is skipped. kInvalidArgument when no frame is found or the track cannot be
// described.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenFramedAudioFile(MediaFile file, Codec codec,
                                                             std::string title);

}  // namespace millrace
