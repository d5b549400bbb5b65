// OpenPcmFile; declared in ffmpeg_streams.h.
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "media/ffmpeg_streams.h"
#include "media/indexed_demuxer.h"

namespace millrace {
namespace {

// The least run of samples that fills whole bytes.
struct SampleGroup {
  std::uint64_t bytes = 1, samples = 1;
  std::uint64_t ticks = 1;  // of the RTP clock
};

SampleGroup GroupOf(const Track& track) {
  if (track.codec == Codec::kG722) return {.bytes = 1, .samples = 2, .ticks = 1};
  if (track.codec == Codec::kG726) return {.bytes = track.config.front(), .samples = 8, .ticks = 8};
  return {.bytes = std::uint64_t{track.channels} * std::max<std::uint32_t>(track.sample_bytes, 1)};
}

bool StandsAlone(Codec codec) {
  return codec == Codec::kLinearPcm || codec == Codec::kPcmu || codec == Codec::kPcma ||
         codec == Codec::kG722 || codec == Codec::kG726;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Demuxer>> OpenPcmFile(std::unique_ptr<ByteSource> source,
                                                     FormatPtr format) {
  constexpr std::uint32_t kUnitsPerSecond = 10;
  constexpr std::uint64_t kUnitBytesMin = 4096;
  if (format->nb_streams != 1) return absl::InvalidArgumentError("not one audio track");
  const AVStream& stream = *format->streams[0];
  const std::optional<Codec> codec = ServedCodec(stream);
  if (!codec) return absl::InvalidArgumentError(absl::StrCat("audio: ", WayOut(stream)));
  const TrackProbe probe = ProbeFrom(stream, *codec);
  if (!StandsAlone(*codec) || !probe.configured()) {
    return absl::InvalidArgumentError(absl::StrCat(
        std::string(CodecName(*codec)), " in this container is not served, only PCM is"));
  }
  const Track& track = probe.track();
  const SampleGroup group = GroupOf(track);
  // The demuxer has read the headers and stands before the first sample.
  const auto begin = static_cast<std::uint64_t>(std::max<std::int64_t>(avio_tell(format->pb), 0));
  std::uint64_t groups = source->size() > begin ? (source->size() - begin) / group.bytes : 0;
  // What lies behind the samples is no sound.
  if (stream.duration > 0 && stream.time_base.num == 1 &&
      static_cast<std::uint32_t>(stream.time_base.den) == track.sample_rate) {
    groups = std::min(groups, static_cast<std::uint64_t>(stream.duration) / group.samples);
  }
  // A tenth of a second, or more where that is next to nothing: the index has a place for each.
  const std::uint64_t unit_groups =
      std::max<std::uint64_t>({track.clock_rate / group.ticks / kUnitsPerSecond,
                               kUnitBytesMin / group.bytes / group.ticks, 1});
  groups = std::min(groups, unit_groups * kIndexedUnitsMax);
  if (groups == 0) return absl::InvalidArgumentError("no samples behind the header");
  std::vector<IndexedUnit> units;
  units.reserve(groups / unit_groups + 1);
  for (std::uint64_t at = 0; at < groups; at += unit_groups) {
    const std::uint64_t count = std::min(unit_groups, groups - at);
    units.push_back({.offset = begin + at * group.bytes,
                     .size = static_cast<std::uint32_t>(count * group.bytes),
                     .random_access = true,
                     .pts = static_cast<std::int64_t>(at * group.ticks),
                     .dts = static_cast<std::int64_t>(at * group.ticks)});
  }
  MediaInfo info;
  info.tracks.push_back(track);
  info.title = TitleOf(*format);
  info.duration = track.DurationFromClock(static_cast<std::int64_t>(groups * group.ticks));
  format.reset();
  return MakeIndexedDemuxer(source->TakeFile(), std::move(info), std::move(units),
                            static_cast<std::int64_t>(unit_groups * group.ticks));
}

}  // namespace millrace
