#include "media/ffmpeg_tracks.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "media/ffmpeg_streams.h"
#include "media/reorder_queue.h"

namespace millrace {

bool IsSparse(Codec codec) {
  const MediaKind kind = KindOf(codec);
  return kind == MediaKind::kText || kind == MediaKind::kData;
}

std::optional<Codec> StreamProbes::CodecOf(const AVStream& stream) const {
  return SubtitleFormatOf(stream, view_) ? Codec::kT140 : ServedCodec(stream);
}

TrackProbe* StreamProbes::Of(const AVStream& stream) {
  const auto at = static_cast<std::size_t>(stream.index);
  if (probes_.size() <= at) probes_.resize(at + 1);
  if (const std::optional<Codec> codec = CodecOf(stream); codec && !probes_[at]) {
    probes_[at] = ProbeFrom(stream, *codec);
  }
  return probes_[at] ? &*probes_[at] : nullptr;
}

const TrackProbe* StreamProbes::At(int stream) const {
  const auto at = static_cast<std::size_t>(stream);
  return at < probes_.size() && probes_[at] ? &*probes_[at] : nullptr;
}

bool StreamProbes::Suffice(const AVFormatContext& format, bool reorders) const {
  bool any = false;
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    const std::optional<Codec> codec = CodecOf(*format.streams[i]);
    if (!codec || IsSparse(*codec)) continue;
    const TrackProbe* const probe = At(static_cast<int>(i));
    if (probe == nullptr || !probe->configured()) return false;
    const bool video = KindOf(probe->track().codec) == MediaKind::kVideo;
    if (probe->packets() <= (reorders && video ? kReorderMax : 0)) return false;
    any = true;
  }
  return any;
}

// Empty when the track can be served.
std::string StreamProbes::WhyNotServed(const AVStream& stream) const {
  const std::optional<Codec> codec = CodecOf(stream);
  if (!codec) return WayOut(stream);
  const std::string name(CodecName(*codec));
  const auto tag = stream.codecpar->codec_tag;
  if (tag == MKTAG('e', 'n', 'c', 'v') || tag == MKTAG('e', 'n', 'c', 'a')) {
    return absl::StrCat(name, " is encrypted");
  }
  const TrackProbe* const probe = At(stream.index);
  if (IsSparse(*codec)) return "";  // the first may come much later
  if (probe == nullptr || probe->packets() == 0) {
    return absl::StrCat(name, " without data at the file's start");
  }
  if (probe->configured()) return "";
  if (*codec == Codec::kMotionJpeg) {
    return absl::StrCat(name, " of a kind that RFC 2435 cannot carry: it wants 8 bits, 4:2:0 or ",
                        "4:2:2, standard Huffman tables and at most 2040x2040");
  }
  const bool has_sets = *codec == Codec::kH264 || *codec == Codec::kH265 || *codec == Codec::kH266;
  return absl::StrCat(name,
                      has_sets ? " without parameter sets" : " without a usable configuration");
}

void StreamProbes::Choose(const AVFormatContext& format, const ContainerRules& rules,
                          MediaInfo* info, std::vector<ContainerTrack>* served) {
  info->title = TitleOf(format);
  std::optional<ContainerTime> origin;
  bool all_sparse = true;
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    const AVStream& stream = *format.streams[i];
    const AVMediaType type = stream.codecpar->codec_type;
    const bool cover = (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0;
    const std::optional<Codec> codec = CodecOf(stream);
    const bool sparse = codec && IsSparse(*codec);
    if ((type != AVMEDIA_TYPE_VIDEO && type != AVMEDIA_TYPE_AUDIO && !sparse) || cover) continue;
    Of(stream);
    if (const std::string why = WhyNotServed(stream); !why.empty()) {
      info->left_out.push_back(
          absl::StrCat(type == AVMEDIA_TYPE_VIDEO ? "video" : "audio", " track ", i, ": ", why));
      continue;
    }
    const TrackProbe& probe = *probes_[i];
    const TimeBase base{stream.time_base.num, stream.time_base.den};
    info->tracks.push_back(probe.track());
    served->emplace_back(stream.index, probe, base, rules);
    if (sparse) continue;
    all_sparse = false;
    const ContainerTime start{probe.min_pts(), base};
    if (!origin || Before(start, *origin)) origin = start;
  }
  if (all_sparse) {
    served->clear();
    info->tracks.clear();
  }
  for (ContainerTrack& track : *served) track.SetOrigin(*origin);
}

Duration StreamProbes::TellTimes(const std::vector<ContainerTrack>& served,
                                 std::vector<Duration>* random_access) const {
  Duration end{};
  bool video_seen = false;
  for (const ContainerTrack& track : served) {
    const TrackProbe* const probe = At(track.stream());
    if (probe == nullptr) continue;  // opened anew, it is another file
    if (IsSparse(probe->track().codec)) continue;
    end = std::max(end, track.timeline().ToNpt(probe->end()));
    const bool video = KindOf(probe->track().codec) == MediaKind::kVideo;
    if (!video || std::exchange(video_seen, true)) continue;
    for (const std::int64_t pts : probe->RandomAccessTimes()) {
      random_access->push_back(track.timeline().ToNpt(pts));
    }
  }
  return end;
}

}  // namespace millrace
