#include "media/ffmpeg_demuxer.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/log.h>
}

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "media/bitstream.h"
#include "media/byte_source.h"
#include "media/container_track.h"
#include "media/indexed_demuxer.h"
#include "media/media_file.h"
#include "media/mp4_boxes.h"
#include "media/raw_video.h"
#include "media/reorder_queue.h"
#include "media/timeline.h"

namespace millrace {
namespace {

// Nothing but these is ever parsed beyond its probe; playlists and protocols are not among them.
constexpr char kFormats[] = "mov,matroska,mpegts,h264,hevc,aac";
constexpr int kAvioBytes = 64 << 10;
// Open: at most this much of a file's head is read to find its tracks and their configuration.
constexpr std::uint64_t kHeadBytesMax = 16 << 20;
constexpr int kHeadPacketsMax = 8000;
// How long a transport stream's unnamed stream may take to show what it is.
constexpr int kUnnamedPacketsMax = 500;
constexpr int kErrorsInARowMax = 64;
// Tracks are assumed to be interleaved no worse than this, until a seek proves otherwise.
constexpr Duration kInterleaving = 2s;
constexpr std::size_t kScannedUnitsMax = std::size_t{1} << 25;

// libav's last complaint, for the status instead of the terminal.
thread_local std::string last_log_line;

void KeepLogLine(void* /*source*/, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_ERROR) return;
  std::array<char, 256> line;
  const int size = vsnprintf(line.data(), line.size(), format, arguments);
  if (size <= 0) return;
  const auto kept = std::min(static_cast<std::size_t>(size), line.size() - 1);
  const absl::string_view text = absl::StripAsciiWhitespace(absl::string_view(line.data(), kept));
  if (!text.empty()) last_log_line.assign(text.data(), text.size());
}

void InstallLog() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_callback(KeepLogLine); });
}

std::string ErrorText(int error) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(error, text.data(), text.size());
  return last_log_line.empty() ? std::string(text.data())
                               : absl::StrCat(text.data(), " (", last_log_line, ")");
}

struct PacketFree {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
using PacketPtr = std::unique_ptr<AVPacket, PacketFree>;

struct ParserFree {
  void operator()(AVCodecParserContext* parser) const { av_parser_close(parser); }
};
struct CodecFree {
  void operator()(AVCodecContext* codec) const { avcodec_free_context(&codec); }
};
struct Parser {
  explicit Parser(AVCodecID id)
      : parser(av_parser_init(id)), codec(avcodec_alloc_context3(nullptr)) {
    if (codec) codec->codec_id = id;
  }
  bool ok() const { return parser != nullptr && codec != nullptr; }

  std::unique_ptr<AVCodecParserContext, ParserFree> parser;
  std::unique_ptr<AVCodecContext, CodecFree> codec;
};

int ReadSource(void* opaque, std::uint8_t* out, int size) {
  std::size_t count = 0;
  switch (static_cast<ByteSource*>(opaque)->Read({out, static_cast<std::size_t>(size)}, &count)) {
    case ByteSource::Outcome::kRead:
      return static_cast<int>(count);
    case ByteSource::Outcome::kEnd:
      return AVERROR_EOF;
    case ByteSource::Outcome::kBudgetSpent:
      return AVERROR_EXIT;
    case ByteSource::Outcome::kFailed:
      break;
  }
  return AVERROR(EIO);
}

std::int64_t SeekSource(void* opaque, std::int64_t offset, int whence) {
  auto& source = *static_cast<ByteSource*>(opaque);
  if ((whence & AVSEEK_SIZE) != 0) return static_cast<std::int64_t>(source.size());
  const int from = whence & ~AVSEEK_FORCE;
  if (from == SEEK_CUR) offset += static_cast<std::int64_t>(source.position());
  if (from == SEEK_END) offset += static_cast<std::int64_t>(source.size());
  if (offset < 0) return AVERROR(EINVAL);
  source.MoveTo(static_cast<std::uint64_t>(offset));
  return offset;
}

int RefuseToOpen(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
  return AVERROR(EACCES);
}

struct FormatClose {
  void operator()(AVFormatContext* format) const {
    AVIOContext* io = format->pb;
    avformat_close_input(&format);
    if (io != nullptr) av_freep(&io->buffer);
    avio_context_free(&io);
  }
};
using FormatPtr = std::unique_ptr<AVFormatContext, FormatClose>;

absl::Status FailureOf(const ByteSource& source, int error, std::string_view doing) {
  if (!source.status().ok()) return source.status();
  const std::string text = absl::StrCat(std::string(doing), ": ", ErrorText(error));
  if (error == AVERROR(ENOMEM)) return absl::ResourceExhaustedError(text);
  return absl::InvalidArgumentError(text);
}

absl::StatusOr<FormatPtr> OpenFormat(ByteSource* source, const std::string& name) {
  last_log_line.clear();
  source->MoveTo(0);
  source->Allow();
  AVFormatContext* raw = avformat_alloc_context();
  auto* buffer = static_cast<unsigned char*>(av_malloc(kAvioBytes));
  AVIOContext* io = buffer == nullptr ? nullptr
                                      : avio_alloc_context(buffer, kAvioBytes, 0, source,
                                                           ReadSource, nullptr, SeekSource);
  if (raw == nullptr || io == nullptr) {
    av_free(buffer);
    avformat_free_context(raw);
    return absl::ResourceExhaustedError("no memory for a demuxer");
  }
  raw->pb = io;
  raw->io_open = RefuseToOpen;
  // Times as the container has them; what libavformat would infer depends on what was read before.
  raw->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_NOFILLIN;
  AVDictionary* options = nullptr;
  av_dict_set(&options, "format_whitelist", kFormats, 0);
  av_dict_set(&options, "protocol_whitelist", "none", 0);
  const int error = avformat_open_input(&raw, name.c_str(), nullptr, &options);
  av_dict_free(&options);
  if (error < 0) {  // the context is freed already, the I/O below it is not
    av_freep(&io->buffer);
    avio_context_free(&io);
    return FailureOf(*source, error, "cannot open as media");
  }
  return FormatPtr(raw);
}

std::optional<Codec> ServedCodec(const AVStream& stream) {
  switch (stream.codecpar->codec_id) {
    case AV_CODEC_ID_H264:
      return Codec::kH264;
    case AV_CODEC_ID_HEVC:
      return Codec::kH265;
    case AV_CODEC_ID_AAC:
      return Codec::kAac;
    default:
      return std::nullopt;
  }
}

ByteSpan BytesOf(const AVPacket& packet) {
  if (packet.data == nullptr || packet.size <= 0) return {};
  return {packet.data, static_cast<std::size_t>(packet.size)};
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

// Cuts a raw file into access units with libavcodec's parser.
class RawVideoIndexer {
 public:
  RawVideoIndexer(const MediaFile& file, Codec codec)
      : file_(file),
        parser_(codec == Codec::kH264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_HEVC),
        index_(codec) {}

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
    const AVRational rate = parser_.codec->framerate;
    if (rate.num <= 0 || rate.den <= 0) return std::nullopt;
    return FrameRate{static_cast<std::uint32_t>(rate.num), static_cast<std::uint32_t>(rate.den)};
  }

  const MediaFile& file_;
  Parser parser_;
  RawVideoIndex index_;
};

absl::StatusOr<std::unique_ptr<Demuxer>> OpenRawVideo(MediaFile file, Codec codec) {
  RawVideoIndexer indexer(file, codec);
  if (absl::Status status = indexer.Run(); !status.ok()) return status;
  return indexer.Make(std::move(file));
}

// A transport stream tells some codecs only by their data.
bool IsUnnamed(const AVStream& stream) {
  const AVCodecID id = stream.codecpar->codec_id;
  return id == AV_CODEC_ID_NONE || id == AV_CODEC_ID_PROBE || id == AV_CODEC_ID_BIN_DATA;
}

bool HasUnnamedStream(const AVFormatContext& format) {
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    if (IsUnnamed(*format.streams[i])) return true;
  }
  return false;
}

enum class Container { kMp4, kMatroska, kTransportStream };

std::optional<std::int64_t> Stamp(std::int64_t time) {
  return time == AV_NOPTS_VALUE ? std::nullopt : std::optional(time);
}

ContainerPacket PacketFrom(const AVPacket& packet) {
  return {.pts = Stamp(packet.pts),
          .dts = Stamp(packet.dts),
          .duration = std::max<std::int64_t>(packet.duration, 0),
          .key = (packet.flags & AV_PKT_FLAG_KEY) != 0,
          .data = BytesOf(packet)};
}

TrackProbe ProbeFrom(const AVStream& stream, Codec codec) {
  const AVCodecParameters& parameters = *stream.codecpar;
  const int size = parameters.extradata == nullptr ? 0 : std::max(parameters.extradata_size, 0);
  TrackProbe probe(codec, {parameters.extradata, static_cast<std::size_t>(size)});
  Track& track = probe.track();
  track.bit_rate =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(parameters.bit_rate, 0, UINT32_MAX));
  track.width = static_cast<std::uint32_t>(std::max(parameters.width, 0));
  track.height = static_cast<std::uint32_t>(std::max(parameters.height, 0));
  return probe;
}

using UnitQueue = ReorderQueue<PacketPtr>;

class ContainerDemuxer final : public Demuxer {
 public:
  ContainerDemuxer(std::unique_ptr<ByteSource> source, FormatPtr format, std::string name);

  // Once, first.
  absl::Status Open();

  const MediaInfo& info() const override { return info_; }
  absl::Status Seek(Duration time) override;
  absl::StatusOr<bool> Next(AccessUnit* unit) override;

 private:
  void Prepare();
  TrackProbe* ProbeAt(int stream);
  void ReadHead(bool with_times);
  bool HeadSuffices() const;
  void ScanMp4();
  void ChooseTracks();
  std::string WhyNotServed(const AVStream& stream) const;
  Duration EndFromUnits();
  Duration EndFromTail();
  Duration FindDuration();

  void ReadUnit();
  std::size_t TrackOf(int stream) const;

  absl::Status SeekToStart();
  bool SeekContainer(Duration target);
  bool Reaches(Duration time);
  void ForgetUnits();

  const std::unique_ptr<ByteSource> source_;
  FormatPtr format_;
  const std::string name_;
  Container container_ = Container::kMp4;
  MediaInfo info_;
  std::vector<ContainerTrack> served_;             // beside info_.tracks
  std::vector<std::optional<TrackProbe>> probes_;  // by stream, while Open runs

  UnitQueue queue_;
  UnitQueue::Held current_;  // what Next gave last
  bool positioned_ = false;
  bool ended_ = false;
  int errors_in_a_row_ = 0;
  std::size_t units_since_seek_ = 0;
  absl::Status status_;
};

ContainerDemuxer::ContainerDemuxer(std::unique_ptr<ByteSource> source, FormatPtr format,
                                   std::string name)
    : source_(std::move(source)), format_(std::move(format)), name_(std::move(name)) {
  const absl::string_view kind = format_->iformat->name;
  if (kind == "mpegts") container_ = Container::kTransportStream;
  if (absl::StartsWith(kind, "matroska")) container_ = Container::kMatroska;
  Prepare();
}

// After every opening of the container.
void ContainerDemuxer::Prepare() {
  // Only a transport stream has to be framed; the others' units are whole.
  if (container_ != Container::kTransportStream) format_->flags |= AVFMT_FLAG_NOPARSE;
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    AVStream* stream = format_->streams[i];
    const bool wanted = served_.empty() ? ServedCodec(*stream).has_value()
                                        : TrackOf(stream->index) < served_.size();
    const bool maybe = served_.empty() && IsUnnamed(*stream);
    stream->discard = wanted || maybe ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  }
}

absl::Status ContainerDemuxer::Open() {
  source_->Allow();
  if (container_ == Container::kMp4) {
    ScanMp4();
    ForgetUnits();
    if (!HeadSuffices()) {
      if (absl::Status status = SeekToStart(); !status.ok()) return status;
      ReadHead(/*with_times=*/false);
    }
  } else {
    ReadHead(/*with_times=*/true);
  }
  if (!source_->status().ok()) return source_->status();
  ChooseTracks();
  if (served_.empty()) {
    std::string why = "no track can be served";
    for (const std::string& line : info_.left_out) absl::StrAppend(&why, "; ", line);
    if (!last_log_line.empty()) absl::StrAppend(&why, " (", last_log_line, ")");
    return absl::InvalidArgumentError(why);
  }
  Prepare();
  info_.duration = std::max(FindDuration(), Duration::zero());
  probes_.clear();
  ForgetUnits();
  positioned_ = false;
  status_ = absl::OkStatus();
  return absl::OkStatus();
}

TrackProbe* ContainerDemuxer::ProbeAt(int index) {
  const auto at = static_cast<std::size_t>(index);
  if (probes_.size() <= at) probes_.resize(at + 1);
  const AVStream& stream = *format_->streams[at];
  if (const std::optional<Codec> codec = ServedCodec(stream); codec && !probes_[at]) {
    probes_[at] = ProbeFrom(stream, *codec);
  }
  return probes_[at] ? &*probes_[at] : nullptr;
}

// Every track that could be served has its configuration and enough units to know its first time.
bool ContainerDemuxer::HeadSuffices() const {
  bool any = false;
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    if (!ServedCodec(*format_->streams[i])) continue;
    if (i >= probes_.size() || !probes_[i] || !probes_[i]->configured()) return false;
    const bool reorders = container_ != Container::kMp4 &&  // which has been read whole already
                          KindOf(probes_[i]->track().codec) == MediaKind::kVideo;
    if (probes_[i]->packets() <= (reorders ? kReorderMax : 0)) return false;
    any = true;
  }
  return any;
}

void ContainerDemuxer::ReadHead(bool with_times) {
  const PacketPtr packet(av_packet_alloc());
  const std::uint64_t bytes_before = source_->bytes_read();
  int errors = 0;
  for (int count = 0; packet && count < kHeadPacketsMax && errors < kErrorsInARowMax; ++count) {
    const bool named = count >= kUnnamedPacketsMax || !HasUnnamedStream(*format_);
    if ((named && HeadSuffices()) || source_->bytes_read() - bytes_before > kHeadBytesMax) break;
    const int error = av_read_frame(format_.get(), packet.get());
    if (error == AVERROR_EOF || error == AVERROR_EXIT) break;
    if (error < 0) {
      ++errors;
      continue;
    }
    if (TrackProbe* probe = ProbeAt(packet->stream_index); probe != nullptr) {
      const ContainerPacket found = PacketFrom(*packet);
      probe->LearnFromBytes(found.data);
      if (with_times) probe->LearnTimes(found);
      Track& track = probe->track();
      const bool annex_b = track.codec != Codec::kAac && track.nal_length_size == 0;
      if (annex_b && track.width == 0 && probe->configured()) ReadDimensions(found.data, &track);
    }
    av_packet_unref(packet.get());
  }
}

// Walks all samples without reading their bytes: exact times, the whole index, fragments included.
void ContainerDemuxer::ScanMp4() {
  bool video = false;
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    const TrackProbe* probe = ProbeAt(static_cast<int>(i));
    video = video || (probe != nullptr && KindOf(probe->track().codec) == MediaKind::kVideo);
  }
  // Of audio, the index says all; only video's presentation times are known of the packets alone.
  for (unsigned i = 0; video && i < format_->nb_streams; ++i) {
    const bool audio = probes_[i] && probes_[i]->track().codec == Codec::kAac;
    if (audio) format_->streams[i]->discard = AVDISCARD_ALL;
  }
  source_->SetUnread(ReadMp4Layout(source_->file()).media_data);
  const PacketPtr packet(av_packet_alloc());
  int errors = 0;
  for (std::size_t count = 0; packet && count < kScannedUnitsMax; ++count) {
    const int error = av_read_frame(format_.get(), packet.get());
    if (error == AVERROR_EOF || error == AVERROR_EXIT || errors > kErrorsInARowMax) break;
    if (error < 0) {
      ++errors;
      continue;
    }
    errors = 0;
    if (TrackProbe* probe = ProbeAt(packet->stream_index); probe != nullptr) {
      probe->LearnTimes(PacketFrom(*packet));
    }
    av_packet_unref(packet.get());
  }
  source_->SetUnread({});
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    AVStream* stream = format_->streams[i];
    if (stream->discard != AVDISCARD_ALL || !probes_[i]) continue;
    const int entries = avformat_index_get_entries_count(stream);
    for (int entry = 0; entry < entries; ++entry) {
      const std::int64_t time = avformat_index_get_entry(stream, entry)->timestamp;
      probes_[i]->LearnTimes({.pts = time, .dts = time});
    }
    stream->discard = AVDISCARD_DEFAULT;
  }
  // What the buffer holds was never read.
  AVIOContext* io = format_->pb;
  io->buf_ptr = io->buf_end = io->buffer;
}

// Empty when the track can be served.
std::string ContainerDemuxer::WhyNotServed(const AVStream& stream) const {
  const std::optional<Codec> codec = ServedCodec(stream);
  if (!codec) {
    return absl::StrCat("codec ", avcodec_get_name(stream.codecpar->codec_id), " is not served");
  }
  const std::string name(CodecName(*codec));
  const auto tag = stream.codecpar->codec_tag;
  if (tag == MKTAG('e', 'n', 'c', 'v') || tag == MKTAG('e', 'n', 'c', 'a')) {
    return absl::StrCat(name, " is encrypted");
  }
  const auto at = static_cast<std::size_t>(stream.index);
  if (at >= probes_.size() || !probes_[at] || probes_[at]->packets() == 0) {
    return absl::StrCat(name, " without data at the file's start");
  }
  if (probes_[at]->configured()) return "";
  return absl::StrCat(
      name, *codec == Codec::kAac ? " without a usable configuration" : " without parameter sets");
}

void ContainerDemuxer::ChooseTracks() {
  std::optional<ContainerTime> origin;
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    const AVStream& stream = *format_->streams[i];
    const AVMediaType type = stream.codecpar->codec_type;
    const bool cover = (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0;
    if ((type != AVMEDIA_TYPE_VIDEO && type != AVMEDIA_TYPE_AUDIO) || cover) continue;
    if (const std::string why = WhyNotServed(stream); !why.empty()) {
      info_.left_out.push_back(
          absl::StrCat(type == AVMEDIA_TYPE_VIDEO ? "video" : "audio", " track ", i, ": ", why));
      continue;
    }
    const TrackProbe& probe = *probes_[i];
    const TimeBase base{stream.time_base.num, stream.time_base.den};
    info_.tracks.push_back(probe.track());
    served_.emplace_back(stream.index, probe, base,
                         ContainerRules{.has_dts = container_ != Container::kMatroska,
                                        .marks_keys = container_ != Container::kTransportStream});
    const ContainerTime start{probe.min_pts(), base};
    if (!origin || Before(start, *origin)) origin = start;
  }
  for (ContainerTrack& track : served_) track.SetOrigin(*origin);
}

Duration ContainerDemuxer::FindDuration() {
  if (container_ == Container::kTransportStream) return EndFromTail();
  if (container_ == Container::kMatroska) {
    if (format_->duration == AV_NOPTS_VALUE || !Plausible(format_->duration)) {
      return SeekToStart().ok() ? EndFromUnits() : Duration::zero();
    }
    const ContainerTrack& track = served_.front();
    const AVRational base = format_->streams[track.stream()]->time_base;
    return track.timeline().ToNpt(
        av_rescale_q(format_->duration, AVRational{1, AV_TIME_BASE}, base));
  }
  Duration end{};
  bool video_seen = false;
  for (const ContainerTrack& track : served_) {
    const TrackProbe& probe = *probes_[static_cast<std::size_t>(track.stream())];
    end = std::max(end, track.timeline().ToNpt(probe.end()));
    const bool video = KindOf(probe.track().codec) == MediaKind::kVideo;
    if (!video || std::exchange(video_seen, true)) continue;
    for (const std::int64_t pts : probe.RandomAccessTimes()) {
      info_.random_access.push_back(track.timeline().ToNpt(pts));
    }
  }
  return end;
}

// Where the last unit from here to the file's end stops being shown; zero without any.
Duration ContainerDemuxer::EndFromUnits() {
  std::vector<TrackEnd> ends(served_.size());
  while (!ended_) {
    ReadUnit();
    for (; !queue_.empty(); queue_.Pop()) {
      const AccessUnit& unit = queue_[0].unit;
      ends[unit.track].Add(unit.pts, unit.duration);
    }
  }
  Duration end{};
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (const std::optional<std::int64_t> ticks = ends[i].end()) {
      end = std::max(end, info_.tracks[i].DurationFromClock(*ticks));
    }
  }
  return end;
}

Duration ContainerDemuxer::EndFromTail() {
  constexpr std::int64_t kTailBytesMax = std::int64_t{16} << 20;
  const auto size = static_cast<std::int64_t>(source_->size());
  Duration end{};
  for (std::int64_t tail = std::int64_t{1} << 20; tail <= kTailBytesMax; tail *= 4) {
    ForgetUnits();
    source_->Allow();
    if (av_seek_frame(format_.get(), -1, std::max<std::int64_t>(size - tail, 0), AVSEEK_FLAG_BYTE) <
        0) {
      break;
    }
    end = std::max(end, EndFromUnits());
    if (end > Duration::zero() || tail >= size) break;
  }
  return end;
}

std::size_t ContainerDemuxer::TrackOf(int stream) const {
  const auto at = std::ranges::find(served_, stream, &ContainerTrack::stream);
  return static_cast<std::size_t>(at - served_.begin());
}

// Reads one packet into the queue, if it is of a served track, or notes the end.
void ContainerDemuxer::ReadUnit() {
  UnitQueue::Held held;
  held.payload.reset(av_packet_alloc());
  const int error =
      held.payload ? av_read_frame(format_.get(), held.payload.get()) : AVERROR(ENOMEM);
  if (error < 0) {
    if (!source_->status().ok()) {
      status_ = source_->status();
    } else if (error == AVERROR(ENOMEM) || error == AVERROR_EXIT) {
      status_ = error == AVERROR_EXIT ? absl::DataLossError("the file is read round and round")
                                      : absl::ResourceExhaustedError("no memory for a packet");
    } else if (error != AVERROR_EOF && ++errors_in_a_row_ <= kErrorsInARowMax) {
      return;
    }
    ended_ = true;
    return;
  }
  errors_in_a_row_ = 0;
  const std::size_t track = TrackOf(held.payload->stream_index);
  if (++units_since_seek_ > kScannedUnitsMax) ended_ = true;
  // Where the container frames units, a corrupt one is cut short by the file's end.
  const bool torn =
      (held.payload->flags & AV_PKT_FLAG_CORRUPT) != 0 && container_ != Container::kTransportStream;
  if (track == served_.size() || torn) return;
  held.unit.track = static_cast<std::uint32_t>(track);
  if (!served_[track].MakeUnit(PacketFrom(*held.payload), &held.unit, &held.dts_known)) return;
  queue_.Push(std::move(held));
}

absl::StatusOr<bool> ContainerDemuxer::Next(AccessUnit* unit) {
  source_->Allow();
  if (!positioned_) {
    if (absl::Status status = SeekToStart(); !status.ok()) return status;
  }
  current_ = {};
  while (!queue_.Ready(ended_)) {
    if (ended_) {
      if (!status_.ok()) return status_;
      return false;
    }
    ReadUnit();
  }
  current_ = queue_.Pop();
  *unit = current_.unit;
  return true;
}

void ContainerDemuxer::ForgetUnits() {
  queue_.Clear();
  current_ = {};
  ended_ = false;
  errors_in_a_row_ = 0;
  units_since_seek_ = 0;
  for (ContainerTrack& track : served_) track.Forget();
}

// The first unit of every track. Only an MP4 can be moved there; elsewhere the bytes are read anew.
absl::Status ContainerDemuxer::SeekToStart() {
  ForgetUnits();
  positioned_ = true;
  if (container_ == Container::kMp4 && !served_.empty()) {
    const ContainerTrack& first =
        *std::ranges::min_element(served_, Before, &ContainerTrack::starts);
    if (av_seek_frame(format_.get(), first.stream(), first.first_dts(), AVSEEK_FLAG_BACKWARD) >=
        0) {
      return absl::OkStatus();
    }
  }
  format_.reset();
  absl::StatusOr<FormatPtr> format = OpenFormat(source_.get(), name_);
  if (!format.ok()) {
    ended_ = true;
    return status_ = format.status();
  }
  format_ = *std::move(format);
  Prepare();
  return absl::OkStatus();
}

bool ContainerDemuxer::SeekContainer(Duration target) {
  ForgetUnits();
  const auto is_video = [](const Track& track) { return KindOf(track.codec) == MediaKind::kVideo; };
  const auto video = std::ranges::find_if(info_.tracks, is_video);
  const auto at = video == info_.tracks.end() ? 0 : video - info_.tracks.begin();
  const ContainerTrack& guide = served_[static_cast<std::size_t>(at)];
  return av_seek_frame(format_.get(), guide.stream(), guide.timeline().FromNpt(target),
                       AVSEEK_FLAG_BACKWARD) >= 0;
}

// Whether, from here, no unit due at `time` or later is missing: every track's first unit from here
// is due by then or is the file's first. Once a track has shown that here is early enough, another
// that has nothing until well past `time` has nothing to miss.
bool ContainerDemuxer::Reaches(Duration time) {
  std::vector<bool> reached(served_.size());
  std::size_t missing = served_.size();
  bool early_enough = false;
  for (std::size_t judged = 0; missing > 0 && !queue_.full();) {
    if (ended_) return early_enough;
    ReadUnit();
    for (; judged < queue_.size(); ++judged) {
      const AccessUnit& unit = queue_[judged].unit;
      const std::int64_t ticks = queue_[judged].dts_known ? unit.dts : unit.pts;
      const Duration due = info_.tracks[unit.track].DurationFromClock(ticks);
      if (reached[unit.track]) {
        if (early_enough && due > time + kInterleaving) return true;
        continue;
      }
      if (due > time && unit.pts != served_[unit.track].first_pts()) return false;
      early_enough = early_enough || due <= time;
      reached[unit.track] = true;
      --missing;
    }
  }
  return missing == 0 || early_enough;
}

absl::Status ContainerDemuxer::Seek(Duration time) {
  source_->ClearStatus();
  status_ = absl::OkStatus();
  source_->Allow();
  if (!format_) return SeekToStart();
  positioned_ = true;
  if (container_ == Container::kMp4) {
    // Its index moves every track by itself.
    bool beyond_start = false;
    for (const ContainerTrack& track : served_) {
      beyond_start = beyond_start || time > track.timeline().ToNpt(track.first_dts());
    }
    if (beyond_start && SeekContainer(time)) return absl::OkStatus();
    return SeekToStart();
  }
  for (Duration margin = kInterleaving; time - margin > kInterleaving; margin *= 3) {
    source_->Allow();
    if (SeekContainer(time - margin) && Reaches(time)) return absl::OkStatus();
  }
  return SeekToStart();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Demuxer>> OpenFfmpegDemuxer(int fd, std::string_view name_for_log) {
  MediaFile file(fd);
  InstallLog();
  const std::string name(name_for_log);
  auto source = std::make_unique<ByteSource>(std::move(file));
  // libavformat lists a fragment twice when a segment index has told it of the fragment before.
  source->SetHiddenBoxes(ReadMp4Layout(source->file()).segment_indexes);
  absl::StatusOr<FormatPtr> format = OpenFormat(source.get(), name);
  if (!format.ok()) return format.status();
  const absl::string_view kind = (*format)->iformat->name;
  const bool h264 = kind == "h264", h265 = kind == "hevc", adts = kind == "aac";
  if (h264 || h265 || adts) {
    format->reset();
    if (adts) return OpenAdtsFile(source->TakeFile());
    return OpenRawVideo(source->TakeFile(), h264 ? Codec::kH264 : Codec::kH265);
  }
  auto demuxer = std::make_unique<ContainerDemuxer>(std::move(source), *std::move(format), name);
  if (absl::Status status = demuxer->Open(); !status.ok()) return status;
  return demuxer;
}

}  // namespace millrace
