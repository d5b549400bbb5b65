// A container that libavformat reads packet by packet: Matroska, FLV, Ogg, ASF, MPEG-TS, MPEG-PS,
// and MP4 that is not played by its own tables (ffmpeg_mp4_file.h).
//
// The data's way: the head is read until every stream is known (of an MP4, the times of all
// packets instead); from then on each packet becomes an access unit and waits in a queue for its
// times.
//
// Shard: none; blocking, loader threads only, one thread at a time per demuxer.
// Limits: see ffmpeg_demuxer.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "media/asset_name.h"
#include "media/byte_source.h"
#include "media/container_track.h"
#include "media/demuxer.h"
#include "media/ffmpeg_support.h"
#include "media/growth.h"
#include "media/mp4_boxes.h"

namespace millrace {

// What a container's header says of its duration.
enum class Told { kNothing, kEnd, kLength };

// What containers differ in.
struct ContainerKind {
  std::string_view format;    // the first of libavformat's names for it
  bool scanned = false;       // its index tells the time of every unit
  bool framed = true;         // its packets are access units
  bool names_streams = true;  // before the first packet
  bool stamps_all = true;     // its pictures
  Told told = Told::kNothing;
  bool resyncs = false;  // it can be read from any byte on
  GrowingForm growing = GrowingForm::kNone;
  ContainerRules rules;
};

// Null: not a container of these.
const ContainerKind* ContainerKindOf(std::string_view format);

// Of an MP4, what libavformat can do with; for before it is opened.
void ShowMp4(const Mp4Layout& layout, ByteSource* source);

// `format` was just opened over `source`. Errors as OpenFfmpegDemuxer.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenContainer(std::unique_ptr<ByteSource> source,
                                                       FormatPtr format, std::string name,
                                                       const ContainerKind& kind, AssetView view);

}  // namespace millrace
