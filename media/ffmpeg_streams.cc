#include "media/ffmpeg_streams.h"

#include <algorithm>
#include <span>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "media/indexed_demuxer.h"
#include "media/mp4_boxes.h"

namespace millrace {
namespace {

struct PcmLayout {
  std::uint32_t sample_bytes;
  bool little_endian;
};

// What can be sent as L8, L16 or L24 without loss (RFC 3551 section 4.5, RFC 3190).
std::optional<PcmLayout> PcmLayoutOf(AVCodecID id) {
  switch (id) {
    case AV_CODEC_ID_PCM_U8:
      return PcmLayout{1, false};
    case AV_CODEC_ID_PCM_S16LE:
      return PcmLayout{2, true};
    case AV_CODEC_ID_PCM_S16BE:
      return PcmLayout{2, false};
    case AV_CODEC_ID_PCM_S24LE:
      return PcmLayout{3, true};
    case AV_CODEC_ID_PCM_S24BE:
      return PcmLayout{3, false};
    default:
      return std::nullopt;
  }
}

// Of G.726, which containers tell as bits of a code word or by the bit rate.
std::uint32_t CodeBits(const AVCodecParameters& parameters) {
  if (parameters.bits_per_coded_sample > 0) {
    return static_cast<std::uint32_t>(parameters.bits_per_coded_sample);
  }
  if (parameters.sample_rate <= 0 || parameters.bit_rate <= 0) return 0;
  return static_cast<std::uint32_t>(
      std::min<std::int64_t>(parameters.bit_rate / parameters.sample_rate, UINT32_MAX));
}

// What has the shape of a language tag; "und" says that nobody knows.
std::string LanguageOf(const AVStream& stream) {
  constexpr std::size_t kTagBytesMax = 35;  // RFC 5646 section 4.4.1
  const AVDictionaryEntry* const entry = av_dict_get(stream.metadata, "language", nullptr, 0);
  if (entry == nullptr) return "";
  const std::string tag = entry->value;
  const bool sound =
      tag.size() >= 2 && tag.size() <= kTagBytesMax && tag != "und" &&
      std::ranges::all_of(tag, [](char c) { return absl::ascii_isalnum(c) || c == '-'; });
  return sound ? tag : "";
}

// By its name in MP4: FFmpeg 5.1 has no codec for it.
bool IsH266(const AVStream& stream) {
  const std::uint32_t tag = stream.codecpar->codec_tag;
  return stream.codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
         (tag == MKTAG('v', 'v', 'c', '1') || tag == MKTAG('v', 'v', 'i', '1'));
}

}  // namespace

std::optional<Codec> ServedCodec(const AVStream& stream) {
  const AVCodecID id = stream.codecpar->codec_id;
  if (IsH266(stream)) return Codec::kH266;
  switch (id) {
    case AV_CODEC_ID_H264:
      return Codec::kH264;
    case AV_CODEC_ID_HEVC:
      return Codec::kH265;
    case AV_CODEC_ID_VP8:
      return Codec::kVp8;
    case AV_CODEC_ID_VP9:
      return Codec::kVp9;
    case AV_CODEC_ID_AV1:
      return Codec::kAv1;
    case AV_CODEC_ID_MPEG4:
      return Codec::kMpeg4Video;
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO:
      return Codec::kMpegVideo;
    case AV_CODEC_ID_MJPEG:
      return Codec::kMotionJpeg;
    case AV_CODEC_ID_H263:
    case AV_CODEC_ID_H263P:
      return Codec::kH263;
    case AV_CODEC_ID_THEORA:
      return Codec::kTheora;
    case AV_CODEC_ID_JPEG2000:
      return Codec::kJpeg2000;
    case AV_CODEC_ID_DVVIDEO:
      return Codec::kDv;
    case AV_CODEC_ID_AAC:
      return Codec::kAac;
    case AV_CODEC_ID_AAC_LATM:
      return Codec::kAacLatm;
    case AV_CODEC_ID_MP1:
    case AV_CODEC_ID_MP2:
    case AV_CODEC_ID_MP3:
      return Codec::kMpegAudio;
    case AV_CODEC_ID_AC3:
      return Codec::kAc3;
    case AV_CODEC_ID_EAC3:
      return Codec::kEac3;
    case AV_CODEC_ID_AMR_NB:
      return Codec::kAmr;
    case AV_CODEC_ID_AMR_WB:
      return Codec::kAmrWb;
    case AV_CODEC_ID_ADPCM_G722:
      return Codec::kG722;
    case AV_CODEC_ID_ADPCM_G726:
    case AV_CODEC_ID_ADPCM_G726LE:
      return Codec::kG726;
    case AV_CODEC_ID_SPEEX:
      return Codec::kSpeex;
    case AV_CODEC_ID_SMPTE_KLV:
      return Codec::kKlv;
    case AV_CODEC_ID_OPUS:
      return Codec::kOpus;
    case AV_CODEC_ID_VORBIS:
      return Codec::kVorbis;
    case AV_CODEC_ID_PCM_MULAW:
      return Codec::kPcmu;
    case AV_CODEC_ID_PCM_ALAW:
      return Codec::kPcma;
    default:
      return PcmLayoutOf(id) ? std::optional(Codec::kLinearPcm) : std::nullopt;
  }
}

void ReadH266Configurations(const MediaFile& file, AVFormatContext* format) {
  const auto lacks = [](const AVStream& stream) {
    return IsH266(stream) && stream.codecpar->extradata == nullptr;
  };
  const std::span<AVStream*> streams(format->streams, format->nb_streams);
  if (std::ranges::none_of(streams, [&](const AVStream* stream) { return lacks(*stream); })) return;
  for (const Mp4Configuration& found : ReadMp4H266(file)) {
    for (AVStream* const stream : streams) {
      if (!lacks(*stream) || stream->id != static_cast<int>(found.track_id)) continue;
      AVCodecParameters* const parameters = stream->codecpar;
      parameters->extradata = static_cast<std::uint8_t*>(
          av_mallocz(found.record.size() + AV_INPUT_BUFFER_PADDING_SIZE));
      if (parameters->extradata == nullptr) return;
      std::ranges::copy(found.record, parameters->extradata);
      parameters->extradata_size = static_cast<int>(found.record.size());
    }
  }
}

std::optional<SubtitleFormat> SubtitleFormatOf(const AVStream& stream, AssetView view) {
  if (view != AssetView::kWithSubtitles) return std::nullopt;
  switch (stream.codecpar->codec_id) {
    case AV_CODEC_ID_MOV_TEXT:
      return SubtitleFormat::kTimed;
    case AV_CODEC_ID_SUBRIP:
      return SubtitleFormat::kSubRip;
    case AV_CODEC_ID_WEBVTT:
      return SubtitleFormat::kWebVtt;
    case AV_CODEC_ID_ASS:
      return SubtitleFormat::kAdvanced;
    case AV_CODEC_ID_TEXT:
      return SubtitleFormat::kPlain;
    default:
      return std::nullopt;
  }
}

bool KeepWordsOf(AVPacket* packet, SubtitleFormat format) {
  if (BytesOf(*packet).empty()) return true;
  if (av_packet_make_writable(packet) < 0) return false;
  constexpr int kCueBytesMax = 64 << 10;  // far more than anyone reads at once
  packet->size = std::min(packet->size, kCueBytesMax);
  const std::span<std::uint8_t> cue(packet->data, static_cast<std::size_t>(packet->size));
  packet->size = static_cast<int>(KeepWords(format, cue));
  return true;
}

TrackProbe ProbeFrom(const AVStream& stream, Codec codec) {
  const AVCodecParameters& found = *stream.codecpar;
  const int size = found.extradata == nullptr ? 0 : std::max(found.extradata_size, 0);
  const PcmLayout layout = PcmLayoutOf(found.codec_id).value_or(PcmLayout{0, false});
  const bool little_endian_codes = found.codec_id == AV_CODEC_ID_ADPCM_G726LE;
  TrackProbe probe(
      codec, {.extradata = {found.extradata, static_cast<std::size_t>(size)},
              .sample_rate = static_cast<std::uint32_t>(std::max(found.sample_rate, 0)),
              .channels = static_cast<std::uint32_t>(std::max(found.ch_layout.nb_channels, 0)),
              .sample_bytes = layout.sample_bytes,
              .little_endian = layout.little_endian || little_endian_codes,
              .code_bits = CodeBits(found)});
  Track& track = probe.track();
  track.bit_rate =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(found.bit_rate, 0, UINT32_MAX));
  track.language = LanguageOf(stream);
  if (KindOf(codec) != MediaKind::kVideo) return probe;
  track.width = static_cast<std::uint32_t>(std::max(found.width, 0));
  track.height = static_cast<std::uint32_t>(std::max(found.height, 0));
  if (stream.avg_frame_rate.num > 0 && stream.avg_frame_rate.den > 0) {
    track.frame_rate = {static_cast<std::uint32_t>(stream.avg_frame_rate.num),
                        static_cast<std::uint32_t>(stream.avg_frame_rate.den)};
  }
  return probe;
}

std::string TitleOf(const AVFormatContext& format) {
  constexpr std::size_t kTitleBytesMax = 256;
  const AVDictionaryEntry* const entry = av_dict_get(format.metadata, "title", nullptr, 0);
  return entry == nullptr ? "" : std::string(entry->value).substr(0, kTitleBytesMax);
}

std::string WayOut(const AVStream& stream) {
  const bool video = stream.codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
  return absl::StrCat(avcodec_get_name(stream.codecpar->codec_id),
                      " has no RTP payload format that is served; a copy that has: ffmpeg -i FILE "
                      "-map 0 -c copy ",
                      video ? "-c:v libx264" : "-c:a aac", " COPY.mkv");
}

// Width and height are in the SPS; libavcodec's parser reads them without decoding.
void ReadDimensions(ByteSpan access_unit, Track* track) {
  Parser parser(track->codec == Codec::kH264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_HEVC);
  if (!parser.ok() || access_unit.size() > kAccessUnitBytesMax) return;
  Bytes padded(access_unit.begin(), access_unit.end());
  padded.resize(padded.size() + AV_INPUT_BUFFER_PADDING_SIZE);
  parser.parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
  std::uint8_t* out = nullptr;
  int out_size = 0;
  av_parser_parse2(parser.parser.get(), parser.codec.get(), &out, &out_size, padded.data(),
                   static_cast<int>(access_unit.size()), AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
  if (parser.parser->width > 0 && parser.parser->height > 0) {
    track->width = static_cast<std::uint32_t>(parser.parser->width);
    track->height = static_cast<std::uint32_t>(parser.parser->height);
  }
}

}  // namespace millrace
