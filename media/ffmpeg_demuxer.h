// Files as Demuxers, through libavformat: MP4/MOV, Matroska, MPEG-TS, FLV and Ogg; PCM behind a
// header; H.264, H.265, AAC, MPEG audio, AC-3, E-AC-3 and AMR without a container.
//
// The data's way: one file descriptor, read by offset; libavformat takes the container apart and
// its parsers frame raw streams; nothing is decoded. The file is the only thing ever opened:
// external data references, playlists and every protocol are refused.
//
// Shard: none; blocking, loader threads only, one thread at a time per demuxer.
// Limits: what Open reads to find the tracks, the bytes one call may read (a damaged file cannot
// make it loop), consecutive damaged packets; each stated in the .cc.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "media/asset_name.h"
#include "media/demuxer.h"

namespace millrace {

// Takes `fd`, a regular file opened for reading, whatever comes of it. `name_for_log` goes into
// messages and its extension helps to tell raw formats apart.
// kInvalidArgument: not a served container, damaged, or no track in it can be served; the message
// says which. kResourceExhausted: memory. Else what the kernel says of reading.
//
// Times are those of MediaInfo. MP4 and raw files come with random_access and an exact duration;
// Matroska's duration is its header's, MPEG-TS's is read from the file's end. dts is the
// container's; where there is none (Matroska video) it is the earliest presentation time still to
// come.
//
// Text subtitles are tracks only where `view` shows them, and text and metadata only beside video
// or audio; neither has a say in where the asset begins and ends.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenFfmpegDemuxer(int fd, std::string_view name_for_log,
                                                           AssetView view = AssetView::kTracks);

}  // namespace millrace
