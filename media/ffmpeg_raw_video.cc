// OpenRawVideo and H264Orders; declared in raw_video.h.
#include <cstring>
#include <utility>

#include "media/ffmpeg_support.h"
#include "media/raw_video.h"

namespace millrace {
namespace {

AVCodecID IdOf(Codec codec) {
  switch (codec) {
    case Codec::kH264:
      return AV_CODEC_ID_H264;
    case Codec::kH265:
      return AV_CODEC_ID_HEVC;
    case Codec::kMpeg4Video:
      return AV_CODEC_ID_MPEG4;
    case Codec::kMpegVideo:
      return AV_CODEC_ID_MPEG2VIDEO;  // and MPEG-1
    case Codec::kMotionJpeg:
      return AV_CODEC_ID_MJPEG;
    default:
      return AV_CODEC_ID_NONE;
  }
}

// Cuts a raw file into access units with libavcodec's parser.
class RawVideoIndexer {
 public:
  RawVideoIndexer(const MediaFile& file, Codec codec)
      : file_(file), parser_(IdOf(codec)), index_(codec) {}

  absl::Status Run() {
    if (!parser_.ok()) return absl::ResourceExhaustedError("no memory for a parser");
    Bytes chunk(kChunkBytes + AV_INPUT_BUFFER_PADDING_SIZE);
    for (std::uint64_t at = 0; at < file_.size() && !index_.full();) {
      absl::StatusOr<std::size_t> got = file_.ReadAt(at, std::span(chunk).first(kChunkBytes));
      if (!got.ok()) return got.status();
      if (*got == 0) break;
      std::memset(chunk.data() + *got, 0, AV_INPUT_BUFFER_PADDING_SIZE);
      for (std::size_t used = 0; used < *got;) used += Parse(chunk.data() + used, *got - used);
      at += *got;
      // A unit beyond all bounds: what follows cannot be framed any more.
      if (at - index_.bytes() > kAccessUnitBytesMax) break;
    }
    Parse(nullptr, 0);  // the last access unit is known to be whole only now
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Demuxer>> Make(MediaFile file) {
    const AVCodecParserContext& parser = *parser_.parser;
    if (parser.width > 0 && parser.height > 0) {
      index_.SetDimensions(static_cast<std::uint32_t>(parser.width),
                           static_cast<std::uint32_t>(parser.height));
    }
    return index_.Make(std::move(file), Rate());
  }

 private:
  static constexpr std::size_t kChunkBytes = std::size_t{256} << 10;

  // Returns the bytes used; 0 only together with an access unit.
  std::size_t Parse(std::uint8_t* data, std::size_t size) {
    std::uint8_t* unit = nullptr;
    int unit_size = 0;
    const int used =
        av_parser_parse2(parser_.parser.get(), parser_.codec.get(), &unit, &unit_size, data,
                         static_cast<int>(size), AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
    if (unit_size > 0) {
      const auto structure = parser_.parser->picture_structure;
      index_.Add({unit, static_cast<std::size_t>(unit_size)}, parser_.parser->output_picture_number,
                 structure == AV_PICTURE_STRUCTURE_TOP_FIELD ||
                     structure == AV_PICTURE_STRUCTURE_BOTTOM_FIELD);
    }
    if (used > 0) return static_cast<std::size_t>(used);
    return unit_size > 0 ? 0 : size;
  }

  std::optional<FrameRate> Rate() const {
    const Track& track = index_.track();
    if (track.codec == Codec::kH264) {
      // libavcodec's versions differ in whether they count fields; the SPS does not.
      return track.sps.empty() ? std::nullopt : ReadH264FrameRate(track.sps.front());
    }
    if (track.codec != Codec::kH265) return std::nullopt;
    const AVRational rate = parser_.codec->framerate;
    if (rate.num <= 0 || rate.den <= 0) return std::nullopt;
    return FrameRate{static_cast<std::uint32_t>(rate.num), static_cast<std::uint32_t>(rate.den)};
  }

  const MediaFile& file_;
  Parser parser_;
  RawVideoIndex index_;
};

}  // namespace

struct H264Orders::State {
  Parser parser{AV_CODEC_ID_H264};
  Bytes padded;
};

H264Orders::H264Orders() : state_(std::make_unique<State>()) {
  if (state_->parser.ok()) state_->parser.parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
}

H264Orders::~H264Orders() = default;

std::int32_t H264Orders::OrderOf(ByteSpan access_unit) {
  const Parser& parser = state_->parser;
  if (!parser.ok() || access_unit.size() > kAccessUnitBytesMax) return 0;
  Bytes& padded = state_->padded;
  padded.assign(access_unit.begin(), access_unit.end());
  padded.resize(padded.size() + AV_INPUT_BUFFER_PADDING_SIZE);
  std::uint8_t* out = nullptr;
  int out_size = 0;
  av_parser_parse2(parser.parser.get(), parser.codec.get(), &out, &out_size, padded.data(),
                   static_cast<int>(access_unit.size()), AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
  return parser.parser->output_picture_number;
}

absl::StatusOr<std::unique_ptr<Demuxer>> OpenRawVideo(MediaFile file, Codec codec) {
  RawVideoIndexer indexer(file, codec);
  if (absl::Status status = indexer.Run(); !status.ok()) return status;
  return indexer.Make(std::move(file));
}

}  // namespace millrace
