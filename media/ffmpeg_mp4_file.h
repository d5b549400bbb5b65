// An MP4 or MOV file played by its own sample tables, as nearly all can be (see mp4_tables.h).
//
// The data's way: libavformat is shown the file without its sample tables and tells what the tracks
// are; the tables tell the rest. Only the few megabytes of tables are read to open hours of video,
// and no libavformat index is made of them, so that the first DESCRIBE does not wait.
//
// Shard: none; blocking, loader threads only, one thread at a time per demuxer.
// Invariant: what is played here is the same, unit for unit, as through libavformat.
#pragma once

#include <memory>
#include <string>

#include "media/asset_name.h"
#include "media/byte_source.h"
#include "media/demuxer.h"
#include "media/mp4_boxes.h"

namespace millrace {

// Null, and `source` still has its file: it is not an MP4, or not so simple that the above holds.
std::unique_ptr<Demuxer> OpenIndexedMp4(ByteSource* source, const Mp4Layout& layout,
                                        const std::string& name, AssetView view);

}  // namespace millrace
