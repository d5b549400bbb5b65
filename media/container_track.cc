#include "media/container_track.h"

#include <algorithm>

namespace millrace {
namespace {

// The packet's presentation time; a container that gives only one time means both.
std::optional<std::int64_t> PresentationTime(const ContainerPacket& packet) {
  const std::optional<std::int64_t> pts = packet.pts ? packet.pts : packet.dts;
  return pts && Plausible(*pts) ? pts : std::nullopt;
}

}  // namespace

TrackProbe::TrackProbe(Codec codec, ByteSpan extradata) {
  track_.codec = codec;
  if (extradata.empty()) return;
  if (codec == Codec::kAac) {
    SetAudioConfig(extradata);
  } else {
    ParseVideoExtradata(extradata, &track_);
  }
}

bool TrackProbe::configured() const {
  if (track_.codec == Codec::kAac) return !track_.audio_specific_config.empty();
  return !track_.sps.empty() && !track_.pps.empty();
}

void TrackProbe::SetAudioConfig(ByteSpan config) {
  const std::optional<AudioConfig> audio = ReadAudioSpecificConfig(config);
  if (!audio || audio->channels == 0) return;
  track_.audio_specific_config.assign(config.begin(), config.end());
  track_.clock_rate = audio->sample_rate;
  track_.channels = audio->channels;
  frame_samples_ = audio->frame_samples;
}

void TrackProbe::LearnFromBytes(ByteSpan bytes) {
  if (configured()) return;
  if (track_.codec != Codec::kAac) {
    CollectParameterSets(bytes, track_.nal_length_size, &track_);
  } else if (const std::optional<AdtsHeader> header = ParseAdts(bytes)) {
    SetAudioConfig(header->audio_specific_config);
    adts_ = configured();
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
  if (packet.key && track_.codec != Codec::kAac) random_access_.push_back(*pts);
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
      adts_(probe.adts()),
      rules_(rules),
      timeline_(base, probe.track().clock_rate, probe.frame_samples()),
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
  const std::int64_t frame = timeline_.frame_samples();
  if (const std::optional<std::int64_t> pts = PresentationTime(packet)) {
    unit->pts = timeline_.ToClockOnGrid(*pts);
  } else if (last_pts_) {
    unit->pts = *last_pts_ + frame;  // several frames under one time stamp
  } else {
    return false;
  }
  unit->dts = unit->pts;
  unit->duration = packet.duration > 0 ? timeline_.LengthToClock(packet.duration) : frame;
  unit->random_access = true;
  return true;
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
  unit->random_access = rules_.marks_keys
                            ? packet.key
                            : ClassifyAccessUnit(codec_, unit->data, 0) != PictureStart::kNone;
  return true;
}

bool ContainerTrack::MakeUnit(const ContainerPacket& packet, AccessUnit* unit, bool* dts_known) {
  if (packet.data.empty()) return false;
  unit->data = packet.data;
  if (codec_ == Codec::kAac) {
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
  if (duration_ > 0 || !before_) return *last_ + duration_;
  return *last_ + (*last_ - *before_);
}

}  // namespace millrace
