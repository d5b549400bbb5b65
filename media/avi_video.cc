#include "media/avi_video.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "media/bitstream.h"
#include "media/jpeg_image.h"
#include "media/mpeg4_picture.h"
#include "media/raw_video.h"
#include "media/start_code.h"

namespace millrace {
namespace {

constexpr std::size_t kBitmapHeaderBytes = 40;

std::string CompressionOf(const AviStream& stream) {
  if (stream.format.size() < 20) return absl::AsciiStrToUpper(stream.handler);
  const auto name = stream.format.begin() + 16;
  return absl::AsciiStrToUpper(std::string(name, name + 4));
}

// From the header of the bitmap that each picture is taken for; its height may be below zero.
void TakeSize(const AviStream& stream, Track* track) {
  constexpr std::int32_t kSizeMax = 1 << 16;
  if (stream.format.size() < 12) return;
  const auto number = [&stream](std::size_t at) {
    const std::uint8_t* const p = stream.format.data() + at;
    return static_cast<std::int32_t>(std::uint32_t{p[3]} << 24 | std::uint32_t{p[2]} << 16 |
                                     std::uint32_t{p[1]} << 8 | p[0]);
  };
  const std::int32_t width = number(4), height = number(8);
  if (width <= 0 || width > kSizeMax || height < -kSizeMax || height > kSizeMax) return;
  track->width = static_cast<std::uint32_t>(width);
  track->height = static_cast<std::uint32_t>(std::abs(height));
}

std::optional<Codec> CodecOf(const std::string& compression) {
  for (const char* name : {"XVID", "DIVX", "DX50", "FMP4", "MP4V", "3IV2", "3IVX", "RMP4", "M4S2",
                           "MP4S", "DIV4", "UMP4", "WV1F", "SEDG", "BLZ0", "XVIX"}) {
    if (compression == name) return Codec::kMpeg4Video;
  }
  for (const char* name : {"H264", "X264", "AVC1", "DAVC", "SMV2", "VSSH"}) {
    if (compression == name) return Codec::kH264;
  }
  for (const char* name : {"MJPG", "AVRN", "JPEG", "AVI1", "AVI2"}) {
    if (compression == name) return Codec::kMotionJpeg;
  }
  return std::nullopt;
}

// What a codec's chunks are told to find out the pictures' order.
class PictureList {
 public:
  // `bytes` lie in the file from `offset`, in the chunk of that number.
  virtual void AddChunk(std::int64_t number, std::uint64_t offset, ByteSpan bytes) = 0;
  // By picture, the place in which it is shown.
  virtual std::vector<std::size_t> Places() const = 0;
  virtual ~PictureList() = default;

  Track track;
  std::vector<IndexedUnit> units;     // without times
  std::vector<std::int64_t> numbers;  // of the chunk in whose place each was coded

 protected:
  void Add(std::int64_t number, const IndexedUnit& unit) {
    units.push_back(unit);
    numbers.push_back(number);
  }
};

class Mpeg4List final : public PictureList {
 public:
  explicit Mpeg4List(ByteSpan extradata) {
    if (FindStartCode(extradata, 0) < extradata.size()) {
      track.config.assign(extradata.begin(), extradata.end());
    }
  }

  void AddChunk(std::int64_t number, std::uint64_t offset, ByteSpan bytes) override {
    // A picture that says only that nothing changed.
    constexpr std::size_t kPlaceholderBytesMax = 19;
    const std::vector<Mpeg4Plane> planes = FindMpeg4Planes(bytes);
    if (!planes.empty()) TakeHeaders(bytes, planes[0]);
    const bool intra = !planes.empty() && planes[0].type == PlaneType::kIntra;
    if (intra) waiting_.clear();
    const bool placeholder =
        planes.empty() || (planes.size() == 1 && !intra && bytes.size() <= kPlaceholderBytesMax);
    for (std::size_t i = 0; i < planes.size() && (waiting_.empty() || !placeholder); ++i) {
      const std::size_t begin = i == 0 ? 0 : planes[i].begin;
      const std::size_t end = i + 1 < planes.size() ? planes[i + 1].begin : bytes.size();
      waiting_.push_back({offset + begin, end - begin, planes[i].type});
    }
    // More than one waiting is no bitstream of that kind.
    do {
      if (waiting_.empty()) return;
      Emit(number, waiting_.front());
      waiting_.pop_front();
    } while (waiting_.size() > 1);
  }

  std::vector<std::size_t> Places() const override { return ShownPlaces(types_); }

 private:
  struct Picture {
    std::uint64_t offset;
    std::size_t size;
    PlaneType type;
  };

  void TakeHeaders(ByteSpan bytes, const Mpeg4Plane& first) {
    const ByteSpan headers = Mpeg4VideoHeaders(bytes.first(first.begin + 4));
    if (!headers.empty() && !told_) track.config.assign(headers.begin(), headers.end());
    told_ = told_ || !headers.empty();
  }

  void Emit(std::int64_t number, const Picture& picture) {
    types_.push_back(picture.type);
    Add(number, {.offset = picture.offset,
                 .size = static_cast<std::uint32_t>(picture.size),
                 .random_access = picture.type == PlaneType::kIntra});
  }

  std::vector<PlaneType> types_;
  std::deque<Picture> waiting_;  // for a chunk that holds none of its own
  bool told_ = false;            // the pictures themselves have the configuration
};

class H264List final : public PictureList {
 public:
  H264List() { track.codec = Codec::kH264; }

  void AddChunk(std::int64_t number, std::uint64_t offset, ByteSpan bytes) override {
    if (bytes.empty()) return;
    CollectParameterSets(bytes, 0, &track);
    const PictureStart start = ClassifyAccessUnit(Codec::kH264, bytes, 0);
    pictures_.push_back({.order_count = orders_.OrderOf(bytes),
                         .starts_sequence = start == PictureStart::kSequence});
    Add(number, {.offset = offset,
                 .size = static_cast<std::uint32_t>(bytes.size()),
                 .random_access = start != PictureStart::kNone});
  }

  std::vector<std::size_t> Places() const override {
    std::vector<std::size_t> places;
    for (const PictureTime& time : TimePictures(pictures_)) {
      places.push_back(static_cast<std::size_t>(time.pts / 2));
    }
    return places;
  }

 private:
  H264Orders orders_;
  std::vector<CodedPicture> pictures_;
};

class JpegList final : public PictureList {
 public:
  JpegList() { track.codec = Codec::kMotionJpeg; }

  void AddChunk(std::int64_t number, std::uint64_t offset, ByteSpan bytes) override {
    if (bytes.empty()) return;
    if (units.empty() && !ReadJpegImage(bytes)) return;  // of a kind that cannot be sent
    Add(number, {.offset = offset,
                 .size = static_cast<std::uint32_t>(bytes.size()),
                 .random_access = true});
  }

  std::vector<std::size_t> Places() const override {
    std::vector<std::size_t> places(units.size());
    for (std::size_t i = 0; i < places.size(); ++i) places[i] = i;
    return places;
  }
};

std::unique_ptr<PictureList> ListFor(Codec codec, const AviStream& stream) {
  if (codec == Codec::kH264) return std::make_unique<H264List>();
  if (codec == Codec::kMotionJpeg) return std::make_unique<JpegList>();
  const ByteSpan format = stream.format;
  auto list =
      std::make_unique<Mpeg4List>(format.subspan(std::min(format.size(), kBitmapHeaderBytes)));
  list->track.codec = Codec::kMpeg4Video;
  return list;
}

// Empty when the track can be played.
std::string WhyNot(const PictureList& list) {
  const std::string name(CodecName(list.track.codec));
  const bool described = list.track.codec == Codec::kH264
                             ? !list.track.sps.empty() && !list.track.pps.empty()
                             : list.track.codec != Codec::kMpeg4Video || !list.track.config.empty();
  if (list.track.codec == Codec::kMotionJpeg && list.units.empty()) {
    return absl::StrCat(name, " of a kind that RFC 2435 cannot carry, or without pictures");
  }
  if (list.units.empty()) return absl::StrCat(name, " without pictures");
  return described ? "" : absl::StrCat(name, " without a usable configuration");
}

}  // namespace

absl::StatusOr<AviVideo> IndexAviVideo(const MediaFile& file, const AviStream& stream) {
  const std::string compression = CompressionOf(stream);
  const std::optional<Codec> codec = CodecOf(compression);
  if (!codec) {
    return absl::InvalidArgumentError(
        absl::StrCat("the codec '", absl::CHexEscape(compression),
                     "' has no RTP payload format that is served; a copy that has: ffmpeg -i FILE "
                     "-map 0 -c copy -c:v libx264 COPY.mkv"));
  }
  const std::unique_ptr<PictureList> list = ListFor(*codec, stream);
  Bytes bytes;
  for (std::size_t i = 0; i < stream.chunks.size(); ++i) {
    const FileRange& chunk = stream.chunks[i];
    const std::uint64_t size = chunk.end - chunk.begin;
    bytes.resize(size > kAccessUnitBytesMax ? 0 : size);
    const absl::StatusOr<std::size_t> got = file.ReadAt(chunk.begin, bytes);
    if (!got.ok()) return got.status();
    bytes.resize(*got);
    list->AddChunk(static_cast<std::int64_t>(i), chunk.begin, bytes);
  }
  if (const std::string why = WhyNot(*list); !why.empty()) {
    return absl::InvalidArgumentError(why);
  }
  const std::vector<std::size_t> places = list->Places();
  AviVideo video{std::move(list->track), std::move(list->units)};
  TakeSize(stream, &video.track);
  for (std::size_t i = 0; i < places.size(); ++i) video.units[i].pts = list->numbers[places[i]];
  std::int64_t earliest = INT64_MAX;
  for (std::size_t i = places.size(); i-- > 0;) {
    video.units[i].dts = earliest = std::min(earliest, video.units[i].pts);
  }
  return video;
}

}  // namespace millrace
