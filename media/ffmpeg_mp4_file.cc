#include "media/ffmpeg_mp4_file.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "media/bitstream.h"
#include "media/container_track.h"
#include "media/ffmpeg_streams.h"
#include "media/ffmpeg_support.h"
#include "media/ffmpeg_tracks.h"
#include "media/mp4_samples.h"
#include "media/mp4_tables.h"

namespace millrace {
namespace {

// Those whose samples are units as they are.
bool IsPlain(Codec codec) {
  switch (codec) {
    case Codec::kH264:
    case Codec::kH265:
    case Codec::kVp8:
    case Codec::kVp9:
    case Codec::kAv1:
    case Codec::kMpeg4Video:
    case Codec::kH263:
    case Codec::kAac:
    case Codec::kMpegAudio:
    case Codec::kAc3:
    case Codec::kEac3:
    case Codec::kOpus:
    case Codec::kAmr:
    case Codec::kAmrWb:
      return true;
    default:
      return false;
  }
}

absl::Status ReadSample(const MediaFile& file, const Mp4Sample& sample, Bytes* bytes) {
  bytes->resize(sample.size);
  const absl::StatusOr<std::size_t> got = file.ReadAt(sample.offset, *bytes);
  if (!got.ok() || *got == bytes->size()) return got.status();
  return absl::DataLossError(
      absl::StrCat("file shrank: ", bytes->size(), " bytes at ", sample.offset, " are gone"));
}

class Mp4Demuxer final : public Demuxer {
 public:
  // `samples` beside `tracks` and the tracks of `info`.
  Mp4Demuxer(MediaFile file, MediaInfo info, std::vector<ContainerTrack> tracks,
             std::vector<Mp4Samples> samples)
      : file_(std::move(file)),
        info_(std::move(info)),
        tracks_(std::move(tracks)),
        samples_(std::move(samples)) {
    static_cast<void>(Seek(Duration::min()));
  }

  const MediaInfo& info() const override { return info_; }
  absl::Status Seek(Duration time) override;
  absl::StatusOr<bool> Next(AccessUnit* unit) override;

 private:
  std::size_t NextTrack() const;

  const MediaFile file_;
  const MediaInfo info_;
  std::vector<ContainerTrack> tracks_;
  std::vector<Mp4Samples> samples_;
  Bytes buffer_;
};

absl::Status Mp4Demuxer::Seek(Duration time) {
  // A little early: whether a unit is due before `time` is then the caller's comparison alone.
  constexpr Duration kEarly = 5ms;
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    tracks_[i].Forget();
    const bool from_start = time <= Duration::zero();
    samples_[i].MoveTo(
        from_start ? 0 : samples_[i].FirstFrom(tracks_[i].timeline().FromNpt(time - kEarly)));
  }
  return absl::OkStatus();
}

// Of the tracks that have not ended, the one whose next sample is decoded first; their number when
// all have.
std::size_t Mp4Demuxer::NextTrack() const {
  std::size_t first = tracks_.size();
  ContainerTime earliest;
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    if (samples_[i].ended()) continue;
    const ContainerTime due{samples_[i].next_dts(), tracks_[i].timeline().base()};
    if (first < tracks_.size() && !Before(due, earliest)) continue;
    first = i;
    earliest = due;
  }
  return first;
}

absl::StatusOr<bool> Mp4Demuxer::Next(AccessUnit* unit) {
  while (true) {
    const std::size_t track = NextTrack();
    if (track == tracks_.size()) return false;
    const Mp4Sample sample = samples_[track].Take();
    if (absl::Status status = ReadSample(file_, sample, &buffer_); !status.ok()) return status;
    unit->track = static_cast<std::uint32_t>(track);
    bool dts_known = false;
    const ContainerPacket packet{.pts = sample.pts,
                                 .dts = sample.dts,
                                 .duration = sample.duration,
                                 .key = sample.key,
                                 .data = buffer_};
    if (tracks_[track].MakeUnit(packet, unit, &dts_known) && dts_known) return true;
  }
}

// Lets the probe learn of the samples what libavformat would tell it of their packets. Of sound
// beside video that is only when each begins; what is shown as it is decoded needs no more than the
// first and the last.
void LearnTimes(Mp4Samples* samples, bool beside_video, TrackProbe* probe) {
  const bool video = KindOf(probe->track().codec) == MediaKind::kVideo;
  samples->MoveTo(0);
  for (std::size_t i = 0; !samples->ended(); ++i) {
    if (!video && i == 1 && samples->size() > 3) samples->MoveTo(samples->size() - 2);
    const Mp4Sample sample = samples->Take();
    probe->LearnTimes({.pts = sample.pts,
                       .dts = sample.dts,
                       .duration = !video && beside_video ? 0 : sample.duration,
                       .key = sample.key});
  }
}

// Some sound is described by its first frame alone. `bytes_left`: that may still be read for that,
// of all tracks. False: they do not suffice.
bool LearnConfiguration(const MediaFile& file, Mp4Samples* samples, std::uint64_t* bytes_left,
                        TrackProbe* probe) {
  constexpr int kSamplesMax = 100;
  if (KindOf(probe->track().codec) != MediaKind::kAudio) return true;
  Bytes bytes;
  samples->MoveTo(0);
  for (int i = 0; i < kSamplesMax && !samples->ended() && !probe->configured(); ++i) {
    const Mp4Sample sample = samples->Take();
    if (sample.size > *bytes_left) return false;
    *bytes_left -= sample.size;
    if (!ReadSample(file, sample, &bytes).ok()) return false;
    probe->LearnFromBytes(bytes);
  }
  return true;
}

struct PlainStream {
  const AVStream* stream;
  Mp4Samples samples;
};

// The streams that are served, if all of them are plain and have understood tables; else nothing.
std::optional<std::vector<PlainStream>> PlainStreams(const AVFormatContext& format,
                                                     const StreamProbes& probes,
                                                     std::vector<Mp4Track> tracks) {
  std::vector<PlainStream> streams;
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    AVStream& stream = *format.streams[i];
    const std::optional<Codec> codec = probes.CodecOf(stream);
    if (!codec) continue;
    const auto track = std::ranges::find_if(
        tracks, [&](const Mp4Track& t) { return static_cast<int>(t.id) == stream.id; });
    if (!IsPlain(*codec) || track == tracks.end() || !track->tables ||
        (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0) {
      return std::nullopt;
    }
    const std::uint32_t timescale = track->tables->timescale;
    if (stream.time_base.num != 1 || stream.time_base.den != static_cast<int>(timescale) ||
        stream.duration <= 0) {
      return std::nullopt;
    }
    // As libavformat has it of a track with samples; the product wraps where its own does.
    stream.codecpar->bit_rate = static_cast<std::int64_t>(
        track->tables->bytes * 8 * timescale / static_cast<std::uint64_t>(stream.duration));
    std::optional<Mp4Samples> samples = Mp4Samples::Make(
        *std::exchange(track->tables, std::nullopt), KindOf(*codec), stream.duration);
    if (!samples) return std::nullopt;
    streams.push_back({&stream, *std::move(samples)});
  }
  return streams;
}

std::unique_ptr<Demuxer> Open(ByteSource* source, const Mp4Layout& layout, const std::string& name,
                              AssetView view) {
  std::optional<std::vector<Mp4Track>> tracks = ReadMp4Tables(source->file(), layout);
  if (!tracks) return nullptr;
  std::vector<std::uint64_t> hidden;
  for (const Mp4Track& track : *tracks) {
    hidden.insert(hidden.end(), track.boxes.begin(), track.boxes.end());
  }
  std::ranges::sort(hidden);
  source->SetHiddenBoxes(std::move(hidden));
  const absl::StatusOr<FormatPtr> format = OpenFormat(source, name);
  source->SetHiddenBoxes({});
  if (!format.ok() || !source->status().ok() || (*format)->nb_streams != tracks->size()) {
    return nullptr;
  }
  StreamProbes probes(view);
  std::optional<std::vector<PlainStream>> streams =
      PlainStreams(**format, probes, *std::move(tracks));
  if (!streams) return nullptr;
  const auto is_video = [](const PlainStream& plain) {
    return plain.stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
  };
  const bool video = std::ranges::any_of(*streams, is_video);
  std::uint64_t bytes_left = std::uint64_t{16} << 20;
  for (PlainStream& plain : *streams) {
    TrackProbe* const probe = probes.Of(*plain.stream);
    LearnTimes(&plain.samples, video, probe);
    if (!LearnConfiguration(source->file(), &plain.samples, &bytes_left, probe)) return nullptr;
    plain.samples.MoveTo(0);
  }
  if (!probes.Suffice(**format, /*reorders=*/false)) return nullptr;
  MediaInfo info;
  std::vector<ContainerTrack> served;
  probes.Choose(**format, ContainerRules{}, &info, &served);
  info.duration = std::max(probes.TellTimes(served, &info.random_access), Duration::zero());
  std::vector<Mp4Samples> samples;
  for (const ContainerTrack& track : served) {
    const auto plain = std::ranges::find_if(
        *streams, [&](const PlainStream& s) { return s.stream->index == track.stream(); });
    samples.push_back(std::move(plain->samples));
  }
  if (served.empty()) return nullptr;
  return std::make_unique<Mp4Demuxer>(source->TakeFile(), std::move(info), std::move(served),
                                      std::move(samples));
}

}  // namespace

std::unique_ptr<Demuxer> OpenIndexedMp4(ByteSource* source, const Mp4Layout& layout,
                                        const std::string& name, AssetView view) {
  std::unique_ptr<Demuxer> demuxer = Open(source, layout, name, view);
  // An error that has passed is not to fail who reads the file in another way.
  if (demuxer == nullptr) source->ClearStatus();
  return demuxer;
}

}  // namespace millrace
