#include "media/container_track.h"

#include <algorithm>

#include "media/audio_frame.h"
#include "media/jpeg_image.h"
#include "media/opus_packet.h"
#include "media/start_code.h"
#include "media/xiph_headers.h"

namespace millrace {
namespace {

// The packet's presentation time; a container that gives only one time means both.
std::optional<std::int64_t> PresentationTime(const ContainerPacket& packet) {
  const std::optional<std::int64_t> pts = packet.pts ? packet.pts : packet.dts;
  return pts && Plausible(*pts) ? pts : std::nullopt;
}

// Whether decoding can start with the unit, by its own bytes; NAL units have start codes.
bool IsRandomAccess(Codec codec, ByteSpan unit) {
  switch (codec) {
    case Codec::kH264:
    case Codec::kH265:
      return ClassifyAccessUnit(codec, unit, 0) != PictureStart::kNone;
    case Codec::kMpegVideo:
      return StartsMpegSequence(unit);
    case Codec::kMpeg4Video:
      return StartsMpeg4Video(unit);
    default:  // the others come in containers that mark it
      return false;
  }
}

}  // namespace

TrackProbe::TrackProbe(Codec codec, const StreamParameters& parameters) {
  const ByteSpan extradata = parameters.extradata;
  track_.codec = codec;
  switch (codec) {
    case Codec::kH264:
    case Codec::kH265:
      if (!extradata.empty()) ParseVideoExtradata(extradata, &track_);
      break;
    case Codec::kAac:
      if (!extradata.empty()) SetAacConfig(extradata);
      break;
    case Codec::kMpeg4Video:
    case Codec::kAv1:
      track_.config.assign(extradata.begin(), extradata.end());
      break;
    case Codec::kOpus:
      // Whatever was encoded: the clock is 48 kHz, and packets last a multiple of 2.5 ms.
      SetAudio(48000, parameters.channels, 120);
      break;
    case Codec::kVorbis:
      if (ReadXiphHeaders(extradata)) track_.config.assign(extradata.begin(), extradata.end());
      SetAudio(parameters.sample_rate, parameters.channels, 0);
      break;
    case Codec::kPcmu:
    case Codec::kPcma:
    case Codec::kLinearPcm:
      SetAudio(parameters.sample_rate, parameters.channels, 0);
      track_.sample_bytes = parameters.sample_bytes;
      track_.little_endian = parameters.little_endian;
      break;
    default:  // told by their data, or nothing to tell
      break;
  }
}

bool TrackProbe::configured() const {
  switch (track_.codec) {
    case Codec::kH264:
    case Codec::kH265:
      return !track_.sps.empty() && !track_.pps.empty();
    case Codec::kAac:
    case Codec::kMpeg4Video:
      return !track_.config.empty();
    case Codec::kVorbis:
      return !track_.config.empty() && track_.sample_rate != 0;
    case Codec::kMotionJpeg:
      return carried_;
    default:
      return KindOf(track_.codec) == MediaKind::kVideo || track_.sample_rate != 0;
  }
}

bool TrackProbe::SetAudio(std::uint32_t sample_rate, std::uint32_t channels,
                          std::uint32_t frame_samples) {
  // The lowest and highest that anything plays; others are damage.
  if (sample_rate < 1000 || sample_rate > 768000 || channels == 0 || channels > 64) return false;
  track_.sample_rate = sample_rate;
  track_.clock_rate = RtpClockRate(track_.codec, sample_rate);
  track_.channels = channels;
  grid_ = {frame_samples, sample_rate, track_.clock_rate};
  return true;
}

void TrackProbe::SetAacConfig(ByteSpan config) {
  const std::optional<AudioConfig> audio = ReadAudioSpecificConfig(config);
  if (!audio || !SetAudio(audio->sample_rate, audio->channels, audio->frame_samples)) return;
  track_.config.assign(config.begin(), config.end());
}

void TrackProbe::LearnFromFrame(ByteSpan frame) {
  const std::optional<AudioFrameHeader> header =
      track_.codec == Codec::kAc3 ? ParseAc3(frame) : ParseMpegAudio(frame);
  if (header) SetAudio(header->sample_rate, header->channels, header->frame_samples);
}

void TrackProbe::LearnFromBytes(ByteSpan bytes) {
  if (configured()) return;
  switch (track_.codec) {
    case Codec::kH264:
    case Codec::kH265:
      return CollectParameterSets(bytes, track_.nal_length_size, &track_);
    case Codec::kMpeg4Video: {
      const ByteSpan headers = Mpeg4VideoHeaders(bytes);
      return track_.config.assign(headers.begin(), headers.end());
    }
    case Codec::kAac:
      if (const std::optional<AdtsHeader> header = ParseAdts(bytes)) {
        SetAacConfig(header->audio_specific_config);
        adts_ = configured();
      }
      return;
    case Codec::kMotionJpeg:
      carried_ = ReadJpegImage(bytes).has_value();
      return;
    case Codec::kMpegAudio:
    case Codec::kAc3:
      return LearnFromFrame(bytes);
    default:
      return;
  }
}

void TrackProbe::LearnTimes(const ContainerPacket& packet) {
  const std::optional<std::int64_t> pts = PresentationTime(packet);
  if (!pts) return;
  if (packets_++ == 0) {
    first_pts_ = min_pts_ = *pts;
    first_dts_ = packet.dts && Plausible(*packet.dts) ? *packet.dts : *pts;
  }
  min_pts_ = std::min(min_pts_, *pts);
  end_.Add(*pts, Plausible(packet.duration) ? packet.duration : 0);
  if (packet.key && KindOf(track_.codec) == MediaKind::kVideo) random_access_.push_back(*pts);
}

std::vector<std::int64_t> TrackProbe::RandomAccessTimes() const {
  std::vector<std::int64_t> times = random_access_;
  std::ranges::sort(times);
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

ContainerTrack::ContainerTrack(int stream, const TrackProbe& probe, TimeBase base,
                               ContainerRules rules)
    : stream_(stream),
      codec_(probe.track().codec),
      sample_group_bytes_(probe.track().channels *
                          std::max<std::uint32_t>(probe.track().sample_bytes, 1)),
      adts_(probe.adts()),
      rules_(rules),
      timeline_(base, probe.track().clock_rate, probe.grid()),
      first_pts_(probe.first_pts()),
      first_dts_(probe.first_dts()) {}

void ContainerTrack::SetOrigin(const ContainerTime& origin) {
  timeline_.SetOrigin(origin);
  timeline_.SetPhase(first_pts_);
}

bool ContainerTrack::MakeAudio(const ContainerPacket& packet, AccessUnit* unit) {
  if (adts_) {
    const std::optional<AdtsHeader> header = ParseAdts(unit->data);
    if (!header || header->raw_data_blocks != 1 || header->frame_bytes > unit->data.size()) {
      return false;
    }
    unit->data = unit->data.first(header->frame_bytes).subspan(header->header_bytes);
  }
  if (const std::optional<std::int64_t> pts = PresentationTime(packet)) {
    unit->pts = timeline_.ToClockOnGrid(*pts);
  } else if (last_pts_ && last_duration_ > 0) {  // several frames under one time stamp
    unit->pts = timeline_.After(*last_pts_, last_duration_);
  } else {
    return false;
  }
  unit->dts = unit->pts;
  unit->duration = last_duration_ = AudioDuration(packet, unit->data);
  unit->random_access = true;
  return true;
}

// In the track's clock; 0: unknown.
std::int64_t ContainerTrack::AudioDuration(const ContainerPacket& packet, ByteSpan data) const {
  switch (codec_) {
    case Codec::kOpus:
      return OpusSamples(data);
    case Codec::kPcmu:
    case Codec::kPcma:
    case Codec::kLinearPcm:
      return static_cast<std::int64_t>(data.size() / sample_group_bytes_);
    default:
      if (packet.duration > 0) return timeline_.LengthToClock(packet.duration);
      return timeline_.frame_ticks();
  }
}

bool ContainerTrack::MakeVideo(const ContainerPacket& packet, AccessUnit* unit, bool* dts_known) {
  if (const std::optional<std::int64_t> pts = PresentationTime(packet)) {
    unit->pts = timeline_.ToClock(*pts);
  } else if (last_pts_) {
    unit->pts = *last_pts_;  // the second field of a frame
  } else {
    return false;
  }
  *dts_known = rules_.has_dts && packet.dts && Plausible(*packet.dts);
  if (*dts_known) unit->dts = std::min(timeline_.ToClock(*packet.dts), unit->pts);
  unit->duration = timeline_.LengthToClock(packet.duration);
  unit->random_access = rules_.marks_keys ? packet.key : IsRandomAccess(codec_, unit->data);
  return true;
}

bool ContainerTrack::MakeUnit(const ContainerPacket& packet, AccessUnit* unit, bool* dts_known) {
  if (packet.data.empty()) return false;
  unit->data = packet.data;
  if (KindOf(codec_) == MediaKind::kAudio) {
    *dts_known = true;
    if (!MakeAudio(packet, unit)) return false;
  } else if (!MakeVideo(packet, unit, dts_known)) {
    return false;
  }
  last_pts_ = unit->pts;
  return true;
}

void TrackEnd::Add(std::int64_t pts, std::int64_t duration) {
  if (!last_ || pts > *last_) {
    before_ = last_;
    last_ = pts;
    duration_ = duration;
  } else if (pts < *last_ && (!before_ || pts > *before_)) {
    before_ = pts;
  }
}

std::optional<std::int64_t> TrackEnd::end() const {
  if (!last_) return std::nullopt;
  // Times of a damaged file may be anything; where the sum overflows, nothing follows.
  std::int64_t length = duration_, end = 0;
  if (duration_ <= 0 && before_ && __builtin_sub_overflow(*last_, *before_, &length)) return last_;
  return __builtin_add_overflow(*last_, length, &end) ? last_ : end;
}

}  // namespace millrace
