// An AVI file, played from an index made once at open.
//
// AVI has no times: a chunk of video is a frame, whose place among the chunks is its time, and
// audio is counted in samples. So
//  1. pictures are put into the order in which they are shown by their types or order counts; a
//     chunk without bytes shows the last picture on, and keeps its place;
//  2. where a chunk of MPEG-4 holds two pictures (a packed bitstream), the second is the next
//     chunk's, which then holds none of its own;
//  3. audio that frames itself is framed anew: its chunks end anywhere.
//
// Shard: none; blocking, loader threads only. Limits: as the index and AviLayout.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "media/demuxer.h"
#include "media/media_file.h"

namespace millrace {

// MPEG-4 video, H.264 with start codes, and Motion JPEG; MPEG audio, AC-3, AAC, PCM and G.711.
// Other streams are left out. kInvalidArgument when none is left, or the file's own error.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenAviFile(MediaFile file);

}  // namespace millrace
