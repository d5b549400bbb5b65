#include "media/raw_video.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "media/timeline.h"

namespace millrace {
namespace {

// Between one and a thousand frames a second; beyond that a VUI is filled in carelessly.
FrameRate SensibleRate(std::optional<FrameRate> rate) {
  constexpr FrameRate kAssumed{25, 1};
  const FrameRate told = rate.value_or(kAssumed);
  const bool sensible = told.denominator > 0 && told.numerator >= told.denominator &&
                        told.numerator / 1000 <= told.denominator &&
                        told.numerator <= INT32_MAX / 2 && told.denominator <= INT32_MAX;
  return sensible ? told : kAssumed;
}

}  // namespace

void RawVideoIndex::Add(ByteSpan unit, std::int32_t order_count, bool field) {
  const std::uint64_t offset = bytes_;
  bytes_ += unit.size();
  if (unit.size() > kAccessUnitBytesMax || full()) return;
  const PictureStart start = ClassifyAccessUnit(track_.codec, unit, 0);
  const bool sequence = units_.empty() || start == PictureStart::kSequence ||
                        (start == PictureStart::kRandomAccess && sequence_ended_);
  sequence_ended_ = EndsSequence(track_.codec, unit, 0);
  CollectParameterSets(unit, 0, &track_);
  pictures_.push_back({order_count, sequence, field});
  units_.push_back({.offset = offset,
                    .size = static_cast<std::uint32_t>(unit.size()),
                    .random_access = start != PictureStart::kNone});
}

void RawVideoIndex::SetDimensions(std::uint32_t width, std::uint32_t height) {
  track_.width = width;
  track_.height = height;
}

absl::StatusOr<std::unique_ptr<Demuxer>> RawVideoIndex::Make(MediaFile file,
                                                             std::optional<FrameRate> rate) {
  if (units_.empty()) return absl::InvalidArgumentError("no access unit found");
  if (track_.sps.empty() || track_.pps.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(CodecName(track_.codec)), " without parameter sets"));
  }
  const FrameRate frames = SensibleRate(rate);
  const Timeline halves({static_cast<std::int32_t>(frames.denominator),
                         static_cast<std::int32_t>(frames.numerator * 2)},
                        track_.clock_rate);
  const std::vector<PictureTime> times = TimePictures(pictures_);
  MediaInfo info;
  std::int64_t end = 0;
  bool fields = false;
  for (std::size_t i = 0; i < units_.size(); ++i) {
    units_[i].pts = halves.ToClock(times[i].pts);
    units_[i].dts = halves.ToClock(times[i].dts);
    end = std::max(end, times[i].pts + (pictures_[i].field ? 1 : 2));
    fields = fields || pictures_[i].field;
    if (units_[i].random_access) info.random_access.push_back(halves.ToNpt(times[i].pts));
  }
  std::ranges::sort(info.random_access);
  info.duration = halves.ToNpt(end);
  const double seconds = ToSeconds(info.duration);
  track_.bit_rate = static_cast<std::uint32_t>(
      std::min(static_cast<double>(bytes_) * 8 / seconds, static_cast<double>(UINT32_MAX)));
  info.tracks.push_back(track_);
  return MakeIndexedDemuxer(std::move(file), std::move(info), std::move(units_),
                            fields ? 0 : halves.LengthToClock(2));
}

}  // namespace millrace
