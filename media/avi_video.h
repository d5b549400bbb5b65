// The pictures of an AVI's video stream: where they lie and in which frame's place they are shown.
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

struct AviVideo {
  Track track;
  // In coding order, ascending dts. Times count frames from the stream's first chunk.
  std::vector<IndexedUnit> units;
};

// kInvalidArgument, with why it is left out; or the file's own error.
absl::StatusOr<AviVideo> IndexAviVideo(const MediaFile& file, const AviStream& stream);

}  // namespace millrace
