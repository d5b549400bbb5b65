#include "media/ffmpeg_demuxer.h"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "media/avi_file.h"
#include "media/avi_layout.h"
#include "media/byte_source.h"
#include "media/ffmpeg_container.h"
#include "media/ffmpeg_mp4_file.h"
#include "media/ffmpeg_streams.h"
#include "media/ffmpeg_support.h"
#include "media/indexed_demuxer.h"
#include "media/media_file.h"
#include "media/mp4_boxes.h"
#include "media/raw_video.h"

namespace millrace {
namespace {

// Of a format that is one stream without a container.
std::optional<Codec> BareCodec(const AVFormatContext& opened) {
  const std::string_view format = opened.iformat->name;
  if (format == "h264") return Codec::kH264;
  if (format == "hevc") return Codec::kH265;
  if (format == "m4v") return Codec::kMpeg4Video;
  if (format == "mpegvideo") return Codec::kMpegVideo;
  if (format == "aac") return Codec::kAac;
  if (format == "loas") return Codec::kAacLatm;
  if (format == "mp3") return Codec::kMpegAudio;
  if (format == "ac3") return Codec::kAc3;
  if (format == "eac3") return Codec::kEac3;
  // Narrow or wide: only its first line says which.
  if (format == "amr" && opened.nb_streams == 1) return ServedCodec(*opened.streams[0]);
  if (format == "dv") return Codec::kDv;
  return std::nullopt;
}

// A file of JPEG images end to end; libavformat might take it for a single one.
bool StartsJpeg(const MediaFile& file) {
  std::array<std::uint8_t, 3> head{};
  return file.ReadAt(0, head).value_or(0) == head.size() && head[0] == 0xff && head[1] == 0xd8 &&
         head[2] == 0xff;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Demuxer>> OpenFfmpegDemuxer(int fd, std::string_view name_for_log,
                                                           AssetView view) {
  KeepComplaints();
  MediaFile file(fd);
  if (IsAvi(file)) return OpenAviFile(std::move(file));
  if (StartsJpeg(file)) return OpenRawVideo(std::move(file), Codec::kMotionJpeg);
  const std::string name(name_for_log);
  auto source = std::make_unique<ByteSource>(std::move(file));
  const Mp4Layout layout = ReadMp4Layout(source->file());
  if (auto demuxer = OpenIndexedMp4(source.get(), layout, name, view)) return demuxer;
  ShowMp4(layout, source.get());
  absl::StatusOr<FormatPtr> format = OpenFormat(source.get(), name);
  if (!format.ok()) return format.status();
  if (const std::optional<Codec> codec = BareCodec(**format)) {
    std::string title = TitleOf(**format);
    format->reset();
    if (*codec == Codec::kDv) return OpenDvFile(source->TakeFile());
    return KindOf(*codec) == MediaKind::kVideo
               ? OpenRawVideo(source->TakeFile(), *codec)
               : OpenFramedAudioFile(source->TakeFile(), *codec, std::move(title));
  }
  ReadH266Configurations(source->file(), format->get());
  const ContainerKind* const container = ContainerKindOf((*format)->iformat->name);
  if (container == nullptr) return OpenPcmFile(std::move(source), *std::move(format));
  return OpenContainer(std::move(source), *std::move(format), name, *container, view);
}

}  // namespace millrace
