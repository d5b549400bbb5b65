// What libav knows of a container's stream, in Millrace's terms: its codec if there is an RTP
// payload format for it, what its header says, and why it cannot be served.
//
// Shard: none; loader threads only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "media/asset_name.h"
#include "media/container_track.h"
#include "media/demuxer.h"
#include "media/ffmpeg_support.h"
#include "media/media_file.h"
#include "media/subtitle_text.h"

namespace millrace {

// Nothing: there is no payload format for it.
std::optional<Codec> ServedCodec(const AVStream& stream);

// libavformat gives the packets of H.266 in MP4, but not every version the configuration: gives it
// to the streams of `format`, just opened, that lack it.
void ReadH266Configurations(const MediaFile& file, AVFormatContext* format);

// Of text that `view` shows; nothing for any other stream.
std::optional<SubtitleFormat> SubtitleFormatOf(const AVStream& stream, AssetView view);
// Its packets are cut down to their words; false when memory is short.
bool KeepWordsOf(AVPacket* packet, SubtitleFormat format);

TrackProbe ProbeFrom(const AVStream& stream, Codec codec);

// As the file's author named it, at most 256 bytes; empty when he did not.
std::string TitleOf(const AVFormatContext& format);

// For a codec that is not served: its name, and what to do. One line.
std::string WayOut(const AVStream& stream);

// Width and height of H.264 and H.265 are in the SPS; libavcodec's parser reads them without
// decoding.
void ReadDimensions(ByteSpan access_unit, Track* track);

// A file of linear PCM, G.711, G.722 or G.726 with a header in front (WAV, W64, AIFF, AU), `format`
// just opened. Its units are the same whatever was read before, which libavformat's are not.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenPcmFile(std::unique_ptr<ByteSource> source,
                                                     FormatPtr format);

}  // namespace millrace
