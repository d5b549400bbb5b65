#include "media/avi_file.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "media/avi_audio.h"
#include "media/avi_layout.h"
#include "media/avi_video.h"
#include "media/timeline.h"

namespace millrace {
namespace {

constexpr Duration kStartMax = 24h;  // of a stream, after the file's beginning

// Frames a second between one and a thousand; else something usual.
FrameRate RateOf(const AviStream& stream) {
  const bool sensible = stream.scale > 0 && stream.rate >= stream.scale &&
                        stream.rate / 1000 <= stream.scale && stream.rate <= INT32_MAX;
  return sensible ? FrameRate{stream.rate, stream.scale} : FrameRate{25, 1};
}

class AviIndex {
 public:
  // Takes a stream in, or notes why not. An error is the file's.
  absl::Status Add(const MediaFile& file, const AviStream& stream, std::size_t number) {
    const bool video = stream.type == "vids";
    if (!video && stream.type != "auds") return absl::OkStatus();
    const absl::Status status = video ? AddVideo(file, stream) : AddAudio(file, stream);
    if (status.code() != absl::StatusCode::kInvalidArgument) return status;
    info_.left_out.push_back(
        absl::StrCat(video ? "video" : "audio", " track ", number, ": ", status.message()));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Demuxer>> Make(MediaFile file, std::string title) && {
    if (info_.tracks.empty()) {
      std::string why = "no track can be served";
      for (const std::string& line : info_.left_out) absl::StrAppend(&why, "; ", line);
      return absl::InvalidArgumentError(why);
    }
    StartAtZero();
    info_.title = std::move(title);
    return MakeIndexedDemuxer(std::move(file), std::move(info_), std::move(units_),
                              std::move(durations_), std::move(pieces_));
  }

 private:
  absl::Status AddVideo(const MediaFile& file, const AviStream& stream) {
    absl::StatusOr<AviVideo> video = IndexAviVideo(file, stream);
    if (!video.ok()) return video.status();
    const FrameRate rate = RateOf(stream);
    Track& track = video->track;
    const FrameGrid frames{rate.denominator, rate.numerator, track.clock_rate};
    track.frame_rate = rate;
    const bool late = frames.TimeOf(stream.start) > TicksFromDuration(kStartMax, track.clock_rate);
    const std::int64_t start = late ? 0 : stream.start;
    for (IndexedUnit& unit : video->units) {
      unit.pts = frames.TimeOf(unit.pts + start);
      unit.dts = frames.TimeOf(unit.dts + start);
    }
    const auto count = static_cast<std::int64_t>(stream.chunks.size());
    AddTrack(std::move(track), video->units, frames.TimeOf(1), frames.TimeOf(count + start));
    return absl::OkStatus();
  }

  absl::Status AddAudio(const MediaFile& file, const AviStream& stream) {
    absl::StatusOr<AviAudio> audio = IndexAviAudio(file, stream, &pieces_);
    if (!audio.ok()) return audio.status();
    const std::uint32_t clock = audio->track.clock_rate;
    const std::int64_t told =
        stream.rate == 0 ? 0 : FrameGrid{stream.scale, stream.rate, clock}.TimeOf(stream.start);
    // Later than this, sound does not begin: the header is damaged.
    const std::int64_t start = told > TicksFromDuration(kStartMax, clock) ? 0 : told;
    for (IndexedUnit& unit : audio->units) {
      unit.pts += start;
      unit.dts += start;
    }
    AddTrack(std::move(audio->track), audio->units, audio->unit_duration, audio->end + start);
    return absl::OkStatus();
  }

  void AddTrack(Track track, std::vector<IndexedUnit>& units, std::int64_t duration,
                std::int64_t end) {
    const auto number = static_cast<std::uint16_t>(info_.tracks.size());
    const bool leads = KindOf(track.codec) == MediaKind::kVideo && !video_seen_;
    video_seen_ = video_seen_ || leads;
    for (IndexedUnit& unit : units) {
      unit.track = number;
      units_.push_back(unit);
      if (leads && unit.random_access) {
        info_.random_access.push_back(track.DurationFromClock(unit.pts));
      }
    }
    const Duration begins = track.DurationFromClock(units.front().dts);
    start_ = info_.tracks.empty() ? begins : std::min(start_, begins);
    info_.duration = std::max(info_.duration, track.DurationFromClock(end));
    durations_.push_back(duration);
    info_.tracks.push_back(std::move(track));
  }

  // npt 0 is when the earliest unit is shown.
  void StartAtZero() {
    std::ranges::sort(info_.random_access);
    if (start_ == Duration::zero()) return;
    for (IndexedUnit& unit : units_) {
      const std::int64_t shift = info_.tracks[unit.track].ClockFromDuration(start_);
      unit.pts -= shift;
      unit.dts -= shift;
    }
    for (Duration& time : info_.random_access) time -= start_;
    info_.duration -= start_;
  }

  MediaInfo info_;
  std::vector<IndexedUnit> units_;
  std::vector<std::int64_t> durations_;
  std::vector<FileRange> pieces_;
  Duration start_{};
  bool video_seen_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Demuxer>> OpenAviFile(MediaFile file) {
  absl::StatusOr<AviLayout> layout = ReadAviLayout(file);
  if (!layout.ok()) return layout.status();
  AviIndex index;
  for (std::size_t i = 0; i < layout->streams.size(); ++i) {
    const absl::Status status = index.Add(file, layout->streams[i], i);
    if (!status.ok()) return status;
  }
  return std::move(index).Make(std::move(file), std::move(layout->title));
}

}  // namespace millrace
