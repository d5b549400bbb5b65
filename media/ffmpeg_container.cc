#include "media/ffmpeg_container.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "media/bitstream.h"
#include "media/ffmpeg_streams.h"
#include "media/ffmpeg_tracks.h"
#include "media/mpeg_picture.h"
#include "media/reorder_queue.h"
#include "media/timeline.h"

namespace millrace {
namespace {

// Open: at most this much of a file's head is read to find its tracks and their configuration.
constexpr std::uint64_t kHeadBytesMax = 16 << 20;
constexpr int kHeadPacketsMax = 8000;
// How long a stream may take to show that it is there, or what it is, where no header says so.
constexpr int kUnnamedPacketsMax = 500;
constexpr int kErrorsInARowMax = 64;
// Tracks are assumed to be interleaved no worse than this, until a seek proves otherwise.
constexpr Duration kInterleaving = 2s;
// Of a program stream's stamps (ISO 13818-1 section 2.4.3.7), Hz.
constexpr std::int64_t kProgramClock = 90000;
// Larger files that do not tell their duration are not read whole for it, but at their end.
constexpr std::uint64_t kReadWholeBytesMax = 8 << 20;
constexpr std::size_t kScannedUnitsMax = std::size_t{1} << 25;

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

constexpr ContainerKind kContainers[] = {
    {.format = "mov", .scanned = true, .growing = GrowingForm::kFragmentedMp4, .rules = {}},
    {.format = "matroska",
     .told = Told::kEnd,
     .growing = GrowingForm::kMatroska,
     .rules = {.has_dts = false}},
    {.format = "flv", .names_streams = false, .told = Told::kLength, .rules = {}},
    {.format = "ogg", .resyncs = true, .rules = {.has_dts = false, .counts_frames = true}},
    {.format = "asf", .rules = {.has_dts = false}},  // its one time is when a unit is shown
    {.format = "mpegts",
     .framed = false,
     .growing = GrowingForm::kTransportStream,
     .rules = {.marks_keys = false}},
    {.format = "mpeg",
     .framed = false,
     .names_streams = false,
     .stamps_all = false,
     .rules = {.has_dts = false, .marks_keys = false}},
};

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

using UnitQueue = ReorderQueue<PacketPtr>;

class ContainerDemuxer final : public Demuxer {
 public:
  ContainerDemuxer(std::unique_ptr<ByteSource> source, FormatPtr format, std::string name,
                   const ContainerKind& kind, AssetView view);

  // Once, first.
  absl::Status Open();

  const MediaInfo& info() const override { return info_; }
  absl::Status Seek(Duration time) override;
  absl::StatusOr<bool> Next(AccessUnit* unit) override;
  absl::StatusOr<bool> Grow() override;
  void TakeAsWhole() override;
  Duration FindEnd() override;

 private:
  void Prepare();
  bool TimePicture(int stream, ContainerPacket* packet);
  void ReadHead(bool with_times);
  bool HeadSuffices() const { return probes_.Suffice(*format_, /*reorders=*/!kind_.scanned); }
  void ScanMp4();
  Duration EndFromUnits();
  Duration EndFromTail();
  Duration FindDuration();
  absl::Status IndexAnew();
  Duration IndexClusters();

  std::size_t Guide() const;
  void GiveTime(std::size_t track, AVPacket* packet);
  void ReadUnit();
  std::size_t TrackOf(int stream) const;

  absl::Status SeekToStart();
  absl::Status OpenAnew();
  bool KnowsStreams() const;
  bool SeekContainer(Duration target);
  bool Reaches(Duration time);
  void ForgetUnits();

  const std::unique_ptr<ByteSource> source_;
  FormatPtr format_;
  const std::string name_;
  const ContainerKind& kind_;
  const AssetView view_;
  MediaInfo info_;
  std::vector<ContainerTrack> served_;          // beside info_.tracks
  StreamProbes probes_;                         // while Open runs
  std::map<int, PictureClock> picture_clocks_;  // by stream, where pictures have no times

  UnitQueue queue_;
  UnitQueue::Held current_;  // what Next gave last
  bool positioned_ = false;
  bool ended_ = false;
  int errors_in_a_row_ = 0;
  std::int64_t guide_time_ = AV_NOPTS_VALUE;  // since ForgetUnits
  std::uint32_t fragments_ = 0;               // of an MP4, those in the index
  std::uint64_t indexed_to_ = 0;  // the last cluster of a growing file that is in the index
  std::size_t units_since_seek_ = 0;
  absl::Status status_;
};

ContainerDemuxer::ContainerDemuxer(std::unique_ptr<ByteSource> source, FormatPtr format,
                                   std::string name, const ContainerKind& kind, AssetView view)
    : source_(std::move(source)),
      format_(std::move(format)),
      name_(std::move(name)),
      kind_(kind),
      view_(view),
      probes_(view) {
  Prepare();
}

// After every opening of the container.
void ContainerDemuxer::Prepare() {
  // Parsing what is whole already would make times depend on what was read before.
  if (kind_.framed) format_->flags |= AVFMT_FLAG_NOPARSE;
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    AVStream* stream = format_->streams[i];
    const bool wanted = served_.empty() ? probes_.CodecOf(*stream).has_value()
                                        : TrackOf(stream->index) < served_.size();
    const bool maybe = served_.empty() && IsUnnamed(*stream);
    stream->discard = wanted || maybe ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  }
}

absl::Status ContainerDemuxer::Open() {
  source_->Allow();
  info_.growing = IsGrowing(source_->file(), kind_.growing);
  if (kind_.scanned) {
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
  if (info_.growing) {
    const std::optional<std::uint64_t> beginning = BeginningOf(source_->file(), kind_.growing);
    // Tracks that are still to come would never be served.
    if (!beginning || (source_->met_end() && !HeadSuffices())) {
      return absl::UnavailableError("is still being written and has only begun");
    }
    info_.beginning = *beginning;
  }
  probes_.Choose(*format_, kind_.rules, &info_, &served_);
  if (served_.empty()) {
    std::string why = "no track can be served";
    for (const std::string& line : info_.left_out) absl::StrAppend(&why, "; ", line);
    if (!LastComplaint().empty()) absl::StrAppend(&why, " (", LastComplaint(), ")");
    return absl::InvalidArgumentError(why);
  }
  Prepare();
  info_.duration = std::max(FindDuration(), Duration::zero());
  if (info_.growing) info_.random_access.clear();
  probes_.Clear();
  ForgetUnits();
  positioned_ = false;
  status_ = absl::OkStatus();
  return absl::OkStatus();
}

// Where the container stamps some pictures only, gives the packet its time. False: it has none.
bool ContainerDemuxer::TimePicture(int stream, ContainerPacket* packet) {
  const AVStream& from = *format_->streams[static_cast<std::size_t>(stream)];
  if (kind_.stamps_all || ServedCodec(from) != Codec::kMpegVideo) return true;
  auto& clock = picture_clocks_.try_emplace(stream, kProgramClock).first->second;
  packet->pts = clock.TimeOf(packet->data, packet->pts ? packet->pts : packet->dts);
  packet->dts.reset();
  return packet->pts.has_value();
}

void ContainerDemuxer::ReadHead(bool with_times) {
  const PacketPtr packet(av_packet_alloc());
  const std::uint64_t bytes_before = source_->bytes_read();
  int errors = 0;
  for (int count = 0; packet && count < kHeadPacketsMax && errors < kErrorsInARowMax; ++count) {
    const bool named =
        count >= kUnnamedPacketsMax || (kind_.names_streams && !HasUnnamedStream(*format_));
    if ((named && HeadSuffices()) || source_->bytes_read() - bytes_before > kHeadBytesMax) break;
    const int error = av_read_frame(format_.get(), packet.get());
    if (error == AVERROR_EOF || error == AVERROR_EXIT) break;
    if (error < 0) {
      ++errors;
      continue;
    }
    if (TrackProbe* probe = probes_.Of(*format_->streams[packet->stream_index]); probe != nullptr) {
      ContainerPacket found = PacketFrom(*packet);
      probe->LearnFromBytes(found.data);
      if (with_times && TimePicture(packet->stream_index, &found)) probe->LearnTimes(found);
      Track& track = probe->track();
      const bool has_sps = track.codec == Codec::kH264 || track.codec == Codec::kH265;
      if (has_sps && track.nal_length_size == 0 && track.width == 0 && probe->configured())
        ReadDimensions(found.data, &track);
    }
    av_packet_unref(packet.get());
  }
}

// Walks all samples without reading their bytes: exact times, the whole index, fragments included.
void ContainerDemuxer::ScanMp4() {
  bool video = false;
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    const TrackProbe* probe = probes_.Of(*format_->streams[i]);
    video = video || (probe != nullptr && KindOf(probe->track().codec) == MediaKind::kVideo);
  }
  // Of audio, the index says all; only video's presentation times are known of the packets alone.
  for (unsigned i = 0; video && i < format_->nb_streams; ++i) {
    const TrackProbe* const probe = probes_.At(static_cast<int>(i));
    if (probe != nullptr && KindOf(probe->track().codec) == MediaKind::kAudio)
      format_->streams[i]->discard = AVDISCARD_ALL;
  }
  const Mp4Layout layout = ReadMp4Layout(source_->file());
  source_->SetUnread(layout.media_data);
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
    if (TrackProbe* probe = probes_.Of(*format_->streams[packet->stream_index]); probe != nullptr) {
      probe->LearnTimes(PacketFrom(*packet));
    }
    av_packet_unref(packet.get());
  }
  source_->SetUnread({});
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    AVStream* stream = format_->streams[i];
    TrackProbe* const probe = probes_.Of(*stream);
    if (stream->discard != AVDISCARD_ALL || probe == nullptr) continue;
    const int entries = avformat_index_get_entries_count(stream);
    for (int entry = 0; entry < entries; ++entry) {
      const std::int64_t time = avformat_index_get_entry(stream, entry)->timestamp;
      probe->LearnTimes({.pts = time, .dts = time});
    }
    stream->discard = AVDISCARD_DEFAULT;
  }
  fragments_ = layout.fragments;
  // What the buffer holds was never read.
  AVIOContext* io = format_->pb;
  io->buf_ptr = io->buf_end = io->buffer;
}

Duration ContainerDemuxer::FindDuration() {
  if (!kind_.framed) return EndFromTail();
  if (info_.growing && kind_.growing == GrowingForm::kMatroska) return IndexClusters();
  if (!kind_.scanned) {
    const std::int64_t told = kind_.told == Told::kNothing ? AV_NOPTS_VALUE : format_->duration;
    Duration end{};
    if (told > 0 && Plausible(told)) {
      const ContainerTrack& track = served_.front();
      const AVRational base = format_->streams[track.stream()]->time_base;
      end = kind_.told == Told::kLength
                ? Duration(told * (std::nano::den / AV_TIME_BASE))
                : track.timeline().ToNpt(av_rescale_q(told, AVRational{1, AV_TIME_BASE}, base));
    }
    if (kind_.resyncs && source_->size() > kReadWholeBytesMax) end = EndFromTail();
    if (end > Duration::zero()) return end;
    return SeekToStart().ok() ? EndFromUnits() : Duration::zero();
  }
  return probes_.TellTimes(served_, &info_.random_access);
}

// A growing Matroska file has no index yet; without one libavformat reads it through to seek.
// Returns where the last cluster begins. All streams are known.
Duration ContainerDemuxer::IndexClusters() {
  const ContainerTrack& guide = served_[Guide()];
  AVStream* const stream = format_->streams[guide.stream()];
  const std::vector<MatroskaCluster> clusters = FindMatroskaClusters(source_->file(), indexed_to_);
  Duration end{};
  for (const auto& [offset, timestamp] : clusters) {
    if (!Plausible(timestamp)) continue;
    end = std::max(end, guide.timeline().ToNpt(timestamp));
    av_add_index_entry(stream, static_cast<std::int64_t>(offset), timestamp, 0, 0,
                       AVINDEX_KEYFRAME);
  }
  if (!clusters.empty()) indexed_to_ = clusters.back().offset;
  return end;
}

// Where the last unit from here to the file's end stops being shown; zero without any.
Duration ContainerDemuxer::EndFromUnits() {
  std::vector<TrackEnd> ends(served_.size());
  while (!ended_) {
    ReadUnit();
    for (; !queue_.empty(); queue_.Pop()) {
      const AccessUnit& unit = queue_[0].unit;
      if (IsSparse(info_.tracks[unit.track].codec)) continue;
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

// The track that the others go by: the first of video, or else of audio.
std::size_t ContainerDemuxer::Guide() const {
  const auto kind_of = [](const Track& track) { return KindOf(track.codec); };
  const auto best = std::ranges::min_element(info_.tracks, {}, kind_of);
  return static_cast<std::size_t>(best - info_.tracks.begin());
}

// Metadata without a time of its own (MISB ST 1402: asynchronous) belongs to the picture before it.
void ContainerDemuxer::GiveTime(std::size_t track, AVPacket* packet) {
  if (track == Guide()) {
    guide_time_ = packet->dts != AV_NOPTS_VALUE ? packet->dts : packet->pts;
  } else if (info_.tracks[track].codec == Codec::kKlv && packet->pts == AV_NOPTS_VALUE &&
             packet->dts == AV_NOPTS_VALUE && guide_time_ != AV_NOPTS_VALUE) {
    const AVStream& guide = *format_->streams[served_[Guide()].stream()];
    const AVStream& stream = *format_->streams[packet->stream_index];
    packet->pts = av_rescale_q(guide_time_, guide.time_base, stream.time_base);
  }
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
  if (info_.growing && source_->met_end()) {
    ended_ = true;
    return;
  }
  errors_in_a_row_ = 0;
  const std::size_t track = TrackOf(held.payload->stream_index);
  if (++units_since_seek_ > kScannedUnitsMax) ended_ = true;
  // Where the container frames units, a corrupt one is cut short by the file's end.
  const bool torn = (held.payload->flags & AV_PKT_FLAG_CORRUPT) != 0 && kind_.framed;
  if (track == served_.size() || torn) return;
  held.unit.track = static_cast<std::uint32_t>(track);
  GiveTime(track, held.payload.get());
  const AVStream& stream = *format_->streams[held.payload->stream_index];
  if (const std::optional<SubtitleFormat> text = SubtitleFormatOf(stream, view_);
      text && !KeepWordsOf(held.payload.get(), *text)) {
    return;
  }
  ContainerPacket packet = PacketFrom(*held.payload);
  if (!TimePicture(held.payload->stream_index, &packet)) return;
  if (!served_[track].MakeUnit(packet, &held.unit, &held.dts_known)) return;
  queue_.Push(std::move(held));
}

absl::StatusOr<bool> ContainerDemuxer::Next(AccessUnit* unit) {
  source_->Allow();
  if (!positioned_) {
    if (absl::Status status = SeekToStart(); !status.ok()) return status;
  }
  current_ = {};
  while (!queue_.Ready(ended_ && !info_.growing)) {
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

absl::StatusOr<bool> ContainerDemuxer::Grow() {
  if (!info_.growing) return false;
  const std::uint64_t before = source_->file().size();
  const bool more = source_->Refresh();
  if (more && (source_->file().size() < before ||
               BeginningOf(source_->file(), kind_.growing) != info_.beginning)) {
    return absl::AbortedError("was written anew while it was being served");
  }
  info_.growing = IsGrowing(source_->file(), kind_.growing);
  if (!more) return !info_.growing;
  if (kind_.scanned) {
    const Mp4Layout layout = ReadMp4Layout(source_->file());
    ShowMp4(layout, source_.get());
    // A fragment behind those it has read is never seen by libavformat.
    if (std::exchange(fragments_, layout.fragments) != layout.fragments) {
      if (absl::Status status = IndexAnew(); !status.ok()) return status;
    }
  } else if (info_.growing && kind_.growing == GrowingForm::kMatroska && format_) {
    IndexClusters();
  }
  return true;
}

absl::Status ContainerDemuxer::IndexAnew() {
  source_->Allow();
  if (absl::Status status = OpenAnew(); !status.ok()) return status;
  ScanMp4();
  Prepare();
  info_.duration = std::max(info_.duration, FindDuration());
  info_.random_access.clear();
  probes_.Clear();
  ForgetUnits();
  positioned_ = false;
  return absl::OkStatus();
}

void ContainerDemuxer::TakeAsWhole() {
  if (!std::exchange(info_.growing, false) || kind_.scanned) return;
  source_->Allow();
  info_.duration = std::max(info_.duration, FindDuration());
  ForgetUnits();
  positioned_ = false;
}

Duration ContainerDemuxer::FindEnd() {
  if (!info_.growing || kind_.scanned || !format_) return info_.duration;
  source_->Allow();
  const Duration end = FindDuration();
  ForgetUnits();
  positioned_ = false;
  return end;
}

void ContainerDemuxer::ForgetUnits() {
  source_->ForgetEnd();
  queue_.Clear();
  current_ = {};
  ended_ = false;
  errors_in_a_row_ = 0;
  guide_time_ = AV_NOPTS_VALUE;
  units_since_seek_ = 0;
  for (ContainerTrack& track : served_) track.Forget();
  for (auto& [stream, clock] : picture_clocks_) clock.Forget();
}

// The first unit of every track. Only an MP4 can be moved there; elsewhere the bytes are read anew.
absl::Status ContainerDemuxer::SeekToStart() {
  ForgetUnits();
  positioned_ = true;
  if (kind_.scanned && !served_.empty() && format_) {
    const ContainerTrack& first =
        *std::ranges::min_element(served_, Before, &ContainerTrack::starts);
    if (av_seek_frame(format_.get(), first.stream(), first.first_dts(), AVSEEK_FLAG_BACKWARD) >=
        0) {
      return absl::OkStatus();
    }
  }
  return OpenAnew();
}

absl::Status ContainerDemuxer::OpenAnew() {
  format_.reset();
  indexed_to_ = 0;
  absl::StatusOr<FormatPtr> format = OpenFormat(source_.get(), name_);
  if (!format.ok()) {
    ended_ = true;
    return status_ = format.status();
  }
  format_ = *std::move(format);
  Prepare();
  const bool at_once = kind_.scanned || kind_.growing == GrowingForm::kMatroska;
  if (at_once && !KnowsStreams()) {
    format_.reset();
    ended_ = true;
    return status_ = absl::AbortedError("was written anew while it was being served");
  }
  if (info_.growing && kind_.growing == GrowingForm::kMatroska && !served_.empty()) IndexClusters();
  source_->ForgetEnd();
  return absl::OkStatus();
}

// Whether all streams are there again after the container has been opened anew: those that no
// header names turn up as they are read, in the file's order.
bool ContainerDemuxer::KnowsStreams() const {
  return std::ranges::all_of(served_, [this](const ContainerTrack& track) {
    return static_cast<unsigned>(track.stream()) < format_->nb_streams;
  });
}

bool ContainerDemuxer::SeekContainer(Duration target) {
  if (!KnowsStreams()) return false;
  ForgetUnits();
  const ContainerTrack& guide = served_[Guide()];
  return av_seek_frame(format_.get(), guide.stream(), guide.timeline().FromNpt(target),
                       AVSEEK_FLAG_BACKWARD) >= 0;
}

// Whether, from here, no unit due at `time` or later is missing: every track's first unit from here
// is due by then or is the file's first. Once a track has shown that here is early enough, another
// that has nothing until well past `time` has nothing to miss.
bool ContainerDemuxer::Reaches(Duration time) {
  std::vector<bool> reached(served_.size());
  std::size_t missing = served_.size();
  for (std::size_t i = 0; i < served_.size(); ++i) {
    // Lies beside the others; where its first unit lies tells nothing.
    reached[i] = IsSparse(info_.tracks[i].codec);
    if (reached[i]) --missing;
  }
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
  if (kind_.scanned) {
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

const ContainerKind* ContainerKindOf(std::string_view format) {
  const auto kind =
      std::ranges::find(kContainers, format.substr(0, format.find(',')), &ContainerKind::format);
  return kind == std::end(kContainers) ? nullptr : &*kind;
}

void ShowMp4(const Mp4Layout& layout, ByteSource* source) {
  // It lists a fragment twice when a segment index has told it of the fragment before.
  source->SetHiddenBoxes(layout.segment_indexes);
  // It opens no file whose last fragment has only begun.
  source->SetEnd(layout.fragments > 0 ? layout.readable_end : UINT64_MAX);
}

absl::StatusOr<std::unique_ptr<Demuxer>> OpenContainer(std::unique_ptr<ByteSource> source,
                                                       FormatPtr format, std::string name,
                                                       const ContainerKind& kind, AssetView view) {
  auto demuxer = std::make_unique<ContainerDemuxer>(std::move(source), std::move(format),
                                                    std::move(name), kind, view);
  if (absl::Status status = demuxer->Open(); !status.ok()) return status;
  return demuxer;
}

}  // namespace millrace
