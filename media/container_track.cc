#include "media/container_track.h"

#include <algorithm>

#include "media/audio_frame.h"
#include "media/dv_frame.h"
#include "media/jpeg2000_image.h"
#include "media/jpeg_image.h"
#include "media/klv.h"
#include "media/latm.h"
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

// Where a container's parser gives a program for itself, it is the second of a unit's.
bool IsFurtherProgram(ByteSpan unit) {
  const std::optional<AudioFrameHeader> header = ParseEac3(unit);
  return header && !header->starts_unit;
}

std::int64_t AmrSamples(ByteSpan unit, bool wideband) {
  std::int64_t samples = 0;
  while (const std::optional<AudioFrameHeader> header = ParseAmr(unit, wideband)) {
    samples += header->frame_samples;
    unit = unit.subspan(std::min(header->frame_bytes, unit.size()));
  }
  return samples;
}

}  // namespace

TrackProbe::TrackProbe(Codec codec, const StreamParameters& parameters) {
  const ByteSpan extradata = parameters.extradata;
  track_.codec = codec;
  switch (codec) {
    case Codec::kH264:
    case Codec::kH265:
    case Codec::kH266:
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
    case Codec::kTheora:
      track_.config = LacedXiphHeaders(extradata);
      break;
    case Codec::kPcmu:
    case Codec::kPcma:
    case Codec::kLinearPcm:
      SetAudio(parameters.sample_rate, parameters.channels, 0);
      track_.sample_bytes = parameters.sample_bytes;
      track_.little_endian = parameters.little_endian;
      break;
    case Codec::kAmr:
      SetAudio(8000, 1, 160);
      break;
    case Codec::kAmrWb:
      SetAudio(16000, 1, 320);
      break;
    case Codec::kG722:
      if (parameters.sample_rate == 16000 && parameters.channels == 1) SetAudio(16000, 1, 0);
      break;
    case Codec::kG726:
      if (parameters.sample_rate != 8000 || parameters.channels != 1 || parameters.code_bits < 2 ||
          parameters.code_bits > 5) {
        break;
      }
      track_.config = {static_cast<std::uint8_t>(parameters.code_bits)};
      track_.little_endian = parameters.little_endian;
      SetAudio(8000, 1, 0);
      break;
    case Codec::kSpeex:
      SetSpeex(extradata);
      break;
    case Codec::kT140:
      track_.clock_rate = 1000;  // RFC 4103 section 6
      break;
    default:  // told by their data, or nothing to tell
      break;
  }
}

bool TrackProbe::configured() const {
  switch (track_.codec) {
    case Codec::kH264:
    case Codec::kH265:
    case Codec::kH266:
      return !track_.sps.empty() && !track_.pps.empty();
    case Codec::kAac:
    case Codec::kAacLatm:
    case Codec::kMpeg4Video:
    case Codec::kTheora:
    case Codec::kDv:
    case Codec::kJpeg2000:
      return !track_.config.empty();
    case Codec::kVorbis:
      return !track_.config.empty() && track_.sample_rate != 0;
    case Codec::kMotionJpeg:
      return carried_;
    default:
      return KindOf(track_.codec) != MediaKind::kAudio || track_.sample_rate != 0;
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

// The header of Speex in Ogg, little endian: of "Speex   " and a version, the bit stream's shape.
void TrackProbe::SetSpeex(ByteSpan header) {
  constexpr std::size_t kHeaderBytes = 80, kRate = 36, kChannels = 48, kFrame = 56, kFrames = 64;
  constexpr std::uint32_t kFrameSamplesMax = 1 << 16;
  if (header.size() < kHeaderBytes) return;
  const auto field = [header](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 4; i-- > 0;) value = value << 8 | header[at + i];
    return value;
  };
  const std::uint32_t rate = field(kRate);
  // RFC 5574 section 4.1.1.
  if (rate != 8000 && rate != 16000 && rate != 32000) return;
  const std::uint64_t samples = std::uint64_t{field(kFrame)} * std::max(field(kFrames), 1u);
  if (samples == 0 || samples > kFrameSamplesMax) return;
  SetAudio(rate, field(kChannels), static_cast<std::uint32_t>(samples));
}

void TrackProbe::LearnFromFrame(ByteSpan frame) {
  const std::optional<AudioFrameHeader> header = track_.codec == Codec::kAc3 ? ParseAc3(frame)
                                                 : track_.codec == Codec::kEac3
                                                     ? ParseEac3Unit(frame)
                                                     : ParseMpegAudio(frame);
  if (!header || !header->starts_unit) return;
  if (SetAudio(header->sample_rate, header->channels, header->frame_samples)) {
    track_.layer = header->layer;
  }
}

void TrackProbe::LearnFromBytes(ByteSpan bytes) {
  if (configured()) return;
  switch (track_.codec) {
    case Codec::kH264:
    case Codec::kH265:
    case Codec::kH266:
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
    case Codec::kAacLatm:
      if (LoasFrameBytes(bytes)) {
        const auto element = ParseLatm(bytes.subspan(kLoasHeaderBytes));
        if (element && element->config) SetAacConfig(element->config->bytes());
      }
      return;
    case Codec::kDv: {
      if (ReadDvFormat(bytes) == nullptr) return;
      const ByteSpan head = bytes.first(kDvHeadBytes);
      return track_.config.assign(head.begin(), head.end());
    }
    case Codec::kJpeg2000:
      if (const std::optional<Jpeg2000Image> image = ReadJpeg2000(bytes)) {
        const ByteSpan head = bytes.first(image->head_bytes);
        track_.config.assign(head.begin(), head.end());
      }
      return;
    case Codec::kMotionJpeg:
      carried_ = ReadJpegImage(bytes).has_value();
      return;
    case Codec::kMpegAudio:
    case Codec::kAc3:
    case Codec::kEac3:
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
      code_bits_(probe.track().codec == Codec::kG726 && !probe.track().config.empty()
                     ? probe.track().config.front()
                     : 8),
      adts_(probe.adts()),
      latm_(probe.track().config),
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
  if (codec_ == Codec::kAacLatm) {
    const std::optional<std::size_t> bytes = LoasFrameBytes(unit->data);
    if (!bytes || *bytes > unit->data.size()) return false;
    unit->data = unit->data.first(*bytes).subspan(kLoasHeaderBytes);
  }
  if (codec_ == Codec::kEac3 && IsFurtherProgram(unit->data)) {
    if (!last_pts_) return false;
    unit->pts = unit->dts = *last_pts_;
    unit->duration = 0;
    return true;
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
  if (codec_ == Codec::kAacLatm && !latm_.Passes(unit->data, ParseLatm(unit->data))) {
    last_pts_ = unit->pts;  // it takes its time nevertheless
    return false;
  }
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
    case Codec::kG722:  // an octet is two samples, and a tick
      return static_cast<std::int64_t>(data.size() / sample_group_bytes_);
    case Codec::kG726:
      return static_cast<std::int64_t>(data.size() / code_bits_ * 8);
    case Codec::kAmr:
    case Codec::kAmrWb:
      return AmrSamples(data, codec_ == Codec::kAmrWb);
    case Codec::kEac3: {
      const std::optional<AudioFrameHeader> header = ParseEac3Unit(data);
      return header ? header->frame_samples : timeline_.frame_ticks();
    }
    default:
      if (packet.duration > 0) return timeline_.LengthToClock(packet.duration);
      return timeline_.frame_ticks();
  }
}

// Text and metadata: each unit for itself, at its time.
bool ContainerTrack::MakeSparse(const ContainerPacket& packet, AccessUnit* unit) const {
  const std::optional<std::int64_t> pts = PresentationTime(packet);
  if (codec_ == Codec::kKlv) unit->data = KlvItems(unit->data);
  if (!pts || unit->data.empty()) return false;
  unit->pts = unit->dts = timeline_.ToClock(*pts);
  unit->duration = timeline_.LengthToClock(packet.duration);
  unit->random_access = true;
  return true;
}

// In the container's ticks; nothing where it cannot be told.
std::optional<std::int64_t> ContainerTrack::VideoTime(const ContainerPacket& packet) {
  std::optional<std::int64_t> time = PresentationTime(packet);
  if (!time && last_video_time_) {
    // The next frame, or the second field of one.
    time = *last_video_time_ + (rules_.counts_frames ? last_video_duration_ : 0);
  }
  if (time && Plausible(*time)) {
    last_video_time_ = time;
    // One without data repeats the last, whatever the container makes of it.
    last_video_duration_ = packet.data.empty()          ? std::max<std::int64_t>(packet.duration, 1)
                           : Plausible(packet.duration) ? packet.duration
                                                        : 0;
  }
  return time;
}

bool ContainerTrack::MakeVideo(const ContainerPacket& packet, AccessUnit* unit, bool* dts_known) {
  const std::optional<std::int64_t> time = VideoTime(packet);
  if (codec_ == Codec::kJpeg2000) unit->data = Jpeg2000Codestream(packet.data);
  if (!time || unit->data.empty()) return false;
  unit->pts = timeline_.ToClock(*time);
  *dts_known = rules_.has_dts && packet.dts && Plausible(*packet.dts);
  if (*dts_known) unit->dts = std::min(timeline_.ToClock(*packet.dts), unit->pts);
  unit->duration = timeline_.LengthToClock(packet.duration);
  unit->random_access = rules_.marks_keys ? packet.key : IsRandomAccess(codec_, unit->data);
  return true;
}

bool ContainerTrack::MakeUnit(const ContainerPacket& packet, AccessUnit* unit, bool* dts_known) {
  unit->data = packet.data;
  *dts_known = true;
  const MediaKind kind = KindOf(codec_);
  // A video packet without data may still tell the time.
  if (kind != MediaKind::kVideo && packet.data.empty()) return false;
  const bool made = kind == MediaKind::kVideo   ? MakeVideo(packet, unit, dts_known)
                    : kind == MediaKind::kAudio ? MakeAudio(packet, unit)
                                                : MakeSparse(packet, unit);
  if (!made) return false;
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
