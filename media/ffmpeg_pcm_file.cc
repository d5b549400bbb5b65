// OpenPcmFile; declared in ffmpeg_streams.h.
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "media/ffmpeg_streams.h"
#include "media/indexed_demuxer.h"

namespace millrace {

absl::StatusOr<std::unique_ptr<Demuxer>> OpenPcmFile(std::unique_ptr<ByteSource> source,
                                                     FormatPtr format) {
  constexpr std::uint32_t kUnitsPerSecond = 10;
  constexpr std::uint64_t kUnitBytesMin = 4096;
  if (format->nb_streams != 1) return absl::InvalidArgumentError("not one audio track");
  const AVStream& stream = *format->streams[0];
  const std::optional<Codec> codec = ServedCodec(stream);
  if (!codec) return absl::InvalidArgumentError(absl::StrCat("audio: ", WayOut(stream)));
  const bool pcm = *codec == Codec::kLinearPcm || *codec == Codec::kPcmu || *codec == Codec::kPcma;
  const TrackProbe probe = ProbeFrom(stream, *codec);
  if (!pcm || !probe.configured()) {
    return absl::InvalidArgumentError(absl::StrCat(
        std::string(CodecName(*codec)), " in this container is not served, only PCM is"));
  }
  const Track& track = probe.track();
  const std::uint64_t group_bytes =
      std::uint64_t{track.channels} * std::max<std::uint32_t>(track.sample_bytes, 1);
  // The demuxer has read the headers and stands before the first sample.
  const auto begin = static_cast<std::uint64_t>(std::max<std::int64_t>(avio_tell(format->pb), 0));
  std::uint64_t groups = source->size() > begin ? (source->size() - begin) / group_bytes : 0;
  // What lies behind the samples is no sound.
  if (stream.duration > 0 && stream.time_base.num == 1 &&
      static_cast<std::uint32_t>(stream.time_base.den) == track.sample_rate) {
    groups = std::min(groups, static_cast<std::uint64_t>(stream.duration));
  }
  // A tenth of a second, or more where that is next to nothing: the index has a place for each.
  const std::uint64_t unit_groups =
      std::max<std::uint64_t>(track.sample_rate / kUnitsPerSecond, kUnitBytesMin / group_bytes);
  groups = std::min(groups, unit_groups * kIndexedUnitsMax);
  if (groups == 0) return absl::InvalidArgumentError("no samples behind the header");
  std::vector<IndexedUnit> units;
  units.reserve(groups / unit_groups + 1);
  for (std::uint64_t at = 0; at < groups; at += unit_groups) {
    const std::uint64_t count = std::min(unit_groups, groups - at);
    units.push_back({.offset = begin + at * group_bytes,
                     .size = static_cast<std::uint32_t>(count * group_bytes),
                     .random_access = true,
                     .pts = static_cast<std::int64_t>(at),
                     .dts = static_cast<std::int64_t>(at)});
  }
  MediaInfo info;
  info.tracks.push_back(track);
  info.title = TitleOf(*format);
  info.duration = track.DurationFromClock(static_cast<std::int64_t>(groups));
  format.reset();
  return MakeIndexedDemuxer(source->TakeFile(), std::move(info), std::move(units),
                            static_cast<std::int64_t>(unit_groups));
}

}  // namespace millrace
