// A file played from an index made once at open: elementary streams, raw video, DV, or audio that
// frames itself, and containers so simple that nothing more is needed.
//
// The data's way: whoever knows the format lists where each access unit lies and when it is due;
// Seek and Next only look things up and read.
//
// Shard: none; blocking, loader threads only.
// Limits: kIndexedUnitsMax entries (a day of 97 frames a second), kAccessUnitBytesMax each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "media/demuxer.h"
#include "media/media_file.h"
#include "media/mp4_boxes.h"
#include "media/timeline.h"

namespace millrace {

inline constexpr std::size_t kIndexedUnitsMax = std::size_t{1} << 23;
// Ten times the largest intra picture of 8K video at the highest common level.
inline constexpr std::size_t kAccessUnitBytesMax = std::size_t{64} << 20;

struct IndexedUnit {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  bool random_access = false;
  bool split = false;  // lies in pieces, and `offset` is the place of the first one in their list
  std::uint16_t track = 0;
  std::int64_t pts = 0, dts = 0;  // the track's clock, from npt 0
};
static_assert(sizeof(IndexedUnit) == 32);

// `units` in coding order with ascending dts; `info` has exactly one track. `unit_duration` in the
// track's clock for every unit, 0 when they differ.
std::unique_ptr<Demuxer> MakeIndexedDemuxer(MediaFile file, MediaInfo info,
                                            std::vector<IndexedUnit> units,
                                            std::int64_t unit_duration);

// The same of several tracks, each with its units in coding order; `unit_durations` and
// IndexedUnit::track are by track. The pieces of split units follow one another in `pieces`.
std::unique_ptr<Demuxer> MakeIndexedDemuxer(MediaFile file, MediaInfo info,
                                            std::vector<IndexedUnit> units,
                                            std::vector<std::int64_t> unit_durations,
                                            std::vector<FileRange> pieces);

// Bytes in which frames are looked for.
struct ByteReader {
  std::uint64_t size = 0;
  // As MediaFile::ReadAt.
  std::function<absl::StatusOr<std::size_t>(std::uint64_t offset, std::span<std::uint8_t> out)>
      read_at;
};

struct FramedAudio {
  Track track;
  std::vector<IndexedUnit> units;  // offsets in the reader's bytes
  FrameGrid grid;                  // unit n begins at TimeOf(n)
};
// Frames of AAC in ADTS or LOAS, AC-3, E-AC-3, AMR or MPEG audio (`codec`), perhaps between tags.
// Damage between frames is skipped. Errors as OpenFramedAudioFile.
absl::StatusOr<FramedAudio> IndexFramedAudio(const ByteReader& bytes, Codec codec);

// A file of frames of AAC in ADTS or LOAS, AC-3, E-AC-3, AMR or MPEG audio (`codec`), perhaps
// between tags. Damage between frames is skipped. kInvalidArgument when no frame is found or the
// track cannot be described.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenFramedAudioFile(MediaFile file, Codec codec,
                                                             std::string title);

// A file of DV frames, sound and all, as they come from a tape. Frames that are not whole are
// skipped. kInvalidArgument when there is none, or none of a kind that RFC 6469 knows.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenDvFile(MediaFile file);

}  // namespace millrace
