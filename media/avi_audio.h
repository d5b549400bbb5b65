// The sound of an AVI's audio stream, whatever its chunks: frames found anew, or samples counted.
//
// Shard: none; blocking, loader threads only.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "media/avi_layout.h"
#include "media/indexed_demuxer.h"
#include "media/media_file.h"
#include "media/track.h"

namespace millrace {

struct AviAudio {
  Track track;
  // Ascending times from the stream's first sample, in the track's clock.
  std::vector<IndexedUnit> units;
  std::int64_t unit_duration = 0;
  std::int64_t end = 0;
};

// Adds the pieces of units that lie in several chunks to `pieces`. kInvalidArgument, with why it is
// left out; or the file's own error.
absl::StatusOr<AviAudio> IndexAviAudio(const MediaFile& file, const AviStream& stream,
                                       std::vector<FileRange>* pieces);

}  // namespace millrace
