#include "media/raw_video.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "media/jpeg_image.h"
#include "media/start_code.h"
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
  CodedPicture picture{order_count, units_.empty(), field};
  bool random_access = false;
  if (!Learn(unit, &picture, &random_access)) return;
  pictures_.push_back(picture);
  units_.push_back({.offset = offset,
                    .size = static_cast<std::uint32_t>(unit.size()),
                    .random_access = random_access});
}

bool RawVideoIndex::Learn(ByteSpan unit, CodedPicture* picture, bool* random_access) {
  switch (track_.codec) {
    case Codec::kMpegVideo: {
      const std::optional<MpegPicture> read = ReadMpegPicture(unit);
      if (!read) return false;
      if (!rate_ && read->rate.numerator != 0) rate_ = read->rate;
      picture->order_count = static_cast<std::int32_t>(places_.PlaceOf(*read));
      picture->field = read->field;
      *random_access = read->sequence;
      return true;
    }
    case Codec::kMpeg4Video:
      *random_access = StartsMpeg4Video(unit);
      return LearnMpeg4(unit);
    case Codec::kMotionJpeg:
      carried_ = carried_ || ReadJpegImage(unit).has_value();
      picture->order_count = static_cast<std::int32_t>(units_.size());
      return *random_access = carried_;
    default: {
      const PictureStart start = ClassifyAccessUnit(track_.codec, unit, 0);
      picture->starts_sequence = picture->starts_sequence || start == PictureStart::kSequence ||
                                 (start == PictureStart::kRandomAccess && sequence_ended_);
      sequence_ended_ = EndsSequence(track_.codec, unit, 0);
      CollectParameterSets(unit, 0, &track_);
      *random_access = start != PictureStart::kNone;
      return true;
    }
  }
}

bool RawVideoIndex::LearnMpeg4(ByteSpan unit) {
  constexpr std::size_t kTimesMax = 100;
  const std::vector<Mpeg4Plane> planes = FindMpeg4Planes(unit);
  if (planes.empty()) return false;
  if (track_.config.empty()) {
    const ByteSpan headers = Mpeg4VideoHeaders(unit);
    track_.config.assign(headers.begin(), headers.end());
    layer_ = ReadMpeg4Layer(headers);
    if (layer_) plane_times_.emplace(layer_->resolution);
  }
  planes_.push_back(planes.front().type);
  if (plane_times_ && first_times_.size() < kTimesMax) {
    if (const auto time = plane_times_->TimeOf(unit)) first_times_.push_back(*time);
  }
  return true;
}

std::optional<FrameRate> RawVideoIndex::OwnRate() const {
  if (!layer_) return rate_;
  if (layer_->fixed_increment > 0) return FrameRate{layer_->resolution, layer_->fixed_increment};
  // The least that two pictures are apart.
  std::vector<std::int64_t> times = first_times_;
  std::ranges::sort(times);
  std::int64_t least = 0;
  for (std::size_t i = 1; i < times.size(); ++i) {
    const std::int64_t apart = times[i] - times[i - 1];
    if (apart > 0 && (least == 0 || apart < least)) least = apart;
  }
  if (least == 0 || least > UINT16_MAX) return std::nullopt;
  return FrameRate{layer_->resolution, static_cast<std::uint32_t>(least)};
}

// Empty when it is.
std::string RawVideoIndex::WhyNotDescribed() const {
  const std::string name(CodecName(track_.codec));
  if (units_.empty() && track_.codec != Codec::kMotionJpeg) return "no access unit found";
  if (units_.empty()) return absl::StrCat(name, " of a kind that RFC 2435 cannot carry");
  const bool has_sets = track_.codec == Codec::kH264 || track_.codec == Codec::kH265;
  if (has_sets && (track_.sps.empty() || track_.pps.empty())) {
    return absl::StrCat(name, " without parameter sets");
  }
  if (track_.codec == Codec::kMpeg4Video && track_.config.empty()) {
    return absl::StrCat(name, " without a usable configuration");
  }
  return "";
}

void RawVideoIndex::SetDimensions(std::uint32_t width, std::uint32_t height) {
  track_.width = width;
  track_.height = height;
}

absl::StatusOr<std::unique_ptr<Demuxer>> RawVideoIndex::Make(MediaFile file,
                                                             std::optional<FrameRate> rate) {
  if (const std::string why = WhyNotDescribed(); !why.empty()) {
    return absl::InvalidArgumentError(why);
  }
  const std::vector<std::size_t> places = ShownPlaces(planes_);
  for (std::size_t i = 0; i < places.size(); ++i) {
    pictures_[i].order_count = static_cast<std::int32_t>(places[i]);
  }
  const std::optional<FrameRate> own = OwnRate();
  const FrameRate frames = SensibleRate(own ? own : rate);
  track_.frame_rate = frames;
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
