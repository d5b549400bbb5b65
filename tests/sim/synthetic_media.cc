#include "tests/sim/synthetic_media.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "core/random.h"

namespace millrace::sim {
namespace {

constexpr std::size_t kNumberBytes = 5;    // 7 bits each, the top bit set
constexpr std::size_t kPartBytesMin = 16;  // header, number and some content
constexpr std::int64_t kAacSamples = 1024;
constexpr std::uint8_t kFirstSliceByte = 0x88;  // first_mb_in_slice 0, slice_type 7: looks right
constexpr std::uint8_t kFirstFrameByte = 0x21;  // a channel pair element

constexpr std::array<std::uint8_t, 12> kSps = {0x67, 0x4d, 0x40, 0x1f, 0x95, 0xa0,
                                               0x14, 0x01, 0x6e, 0xc0, 0x44, 0x11};
constexpr std::array<std::uint8_t, 4> kPps = {0x68, 0xee, 0x3c, 0x80};
constexpr std::array<std::uint32_t, 13> kAacRates = {
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350};

void AppendNumber(Bytes* out, std::size_t number) {
  for (std::size_t i = 0; i < kNumberBytes; ++i) {
    out->push_back(static_cast<std::uint8_t>(0x80 | ((number >> (7 * i)) & 0x7f)));
  }
}

// Content up to `size`, without a zero byte.
void Fill(Bytes* out, std::size_t size, std::uint64_t seed) {
  SeededRandom random(seed);
  out->reserve(size);
  while (out->size() < size) {
    std::uint64_t word = random.Next64() | 0x0101010101010101u;
    for (int i = 0; i < 8 && out->size() < size; ++i, word >>= 8) {
      out->push_back(static_cast<std::uint8_t>(word));
    }
  }
}

Track VideoTrack(const SyntheticVideo& video) {
  Track track;
  track.codec = Codec::kH264;
  track.clock_rate = 90000;
  track.bit_rate = video.bit_rate;
  track.frame_rate = {90000, video.frame_ticks};
  track.width = 640;
  track.height = 360;
  track.nal_length_size = 4;
  track.sps.emplace_back(kSps.begin(), kSps.end());
  track.pps.emplace_back(kPps.begin(), kPps.end());
  return track;
}

Track AudioTrack(const SyntheticAudio& audio) {
  Track track;
  track.codec = Codec::kAac;
  track.clock_rate = audio.sample_rate;
  track.bit_rate = audio.bit_rate;
  track.channels = audio.channels;
  const auto rate = std::find(kAacRates.begin(), kAacRates.end(), audio.sample_rate);
  if (rate == kAacRates.end()) {
    std::fprintf(stderr, "synthetic media: no AAC sample rate: %u\n", audio.sample_rate);
    std::abort();
  }
  const auto index = static_cast<unsigned>(rate - kAacRates.begin());
  // Object type 2 (5 bits), frequency index (4), channels (4), three zero flags.
  const unsigned config = 2u << 11 | index << 7 | audio.channels << 3;
  track.config = {static_cast<std::uint8_t>(config >> 8), static_cast<std::uint8_t>(config)};
  return track;
}

std::size_t UnitsIn(Duration duration, std::int64_t ticks, std::uint32_t rate) {
  const double units = ToSeconds(duration) * rate / static_cast<double>(ticks);
  return std::max<std::size_t>(1, static_cast<std::size_t>(units + 0.5));
}

Duration ToDuration(std::int64_t ticks, std::int64_t rate) {
  // Whole seconds apart, lest the product overflow.
  const std::int64_t seconds = ticks / rate, rest = ticks % rate;
  return Duration(seconds * 1'000'000'000 + rest * 1'000'000'000 / rate);
}

}  // namespace

SyntheticMedia::SyntheticMedia(const SyntheticAsset& asset) : asset_(asset) {
  if (asset.video) {
    const SyntheticVideo& v = *asset.video;
    tracks_.push_back({UnitsIn(asset.duration, v.frame_ticks, 90000), v.frame_ticks});
    info_.tracks.push_back(VideoTrack(v));
    for (std::size_t n = 0; asset.indexed && n < tracks_[0].units; n += v.gop) {
      info_.random_access.push_back(ToDuration(Describe(0, n).pts, 90000));
    }
  }
  if (asset.audio) {
    const SyntheticAudio& a = *asset.audio;
    tracks_.push_back({UnitsIn(asset.duration, kAacSamples, a.sample_rate), kAacSamples});
    info_.tracks.push_back(AudioTrack(a));
  }
  for (std::size_t t = 0; t < tracks_.size(); ++t) {
    const std::int64_t first = IsVideo(t) ? 0 : asset.audio->first_pts;
    const std::int64_t end = first + static_cast<std::int64_t>(tracks_[t].units) * tracks_[t].ticks;
    info_.duration = std::max(info_.duration, ToDuration(end, info_.tracks[t].clock_rate));
  }
}

SyntheticMedia::Picture SyntheticMedia::PictureAt(std::size_t number) const {
  const std::size_t gop_start = number - number % asset_.video->gop;
  const std::size_t frames = std::min<std::size_t>(asset_.video->gop, tracks_[0].units - gop_start);
  const std::size_t k = number - gop_start;
  if (k == 0) return {gop_start, 'I'};
  const std::size_t group_size = asset_.video->b_frames + 1;
  const std::size_t first = 1 + (k - 1) / group_size * group_size;  // of the group, both orders
  const std::size_t size = std::min(group_size, frames - first);
  if (k == first) return {gop_start + first + size - 1, 'P'};
  return {gop_start + k - 1, 'B'};
}

std::uint64_t SyntheticMedia::Key(std::size_t track, std::size_t number) const {
  SeededRandom random(asset_.content * 0x9e3779b97f4a7c15u + track * 0x100000001u + number);
  return random.Next64();
}

SyntheticMedia::Unit SyntheticMedia::Describe(std::size_t track, std::size_t number) const {
  const TrackPlan& plan = tracks_[track];
  Unit unit;
  unit.duration = plan.ticks;
  const std::uint64_t key = Key(track, number);
  const double jitter = 0.75 + 0.5 * static_cast<double>(key >> 40) / (1 << 24);
  double bytes = 0;
  if (IsVideo(track)) {
    const SyntheticVideo& v = *asset_.video;
    const Picture picture = PictureAt(number);
    // Everything is shown at least one frame after it is decoded when there are B frames.
    const std::int64_t delay = v.b_frames > 0 ? 1 : 0;
    unit.pts = static_cast<std::int64_t>(picture.display) * plan.ticks;
    unit.dts = (static_cast<std::int64_t>(number) - delay) * plan.ticks;
    unit.random_access = picture.type == 'I';
    const double weight = picture.type == 'I' ? 4 : picture.type == 'P' ? 1 : 0.5;
    bytes = v.bit_rate / 8.0 * static_cast<double>(plan.ticks) / 90000 * weight * jitter;
    bytes = std::max(bytes, static_cast<double>(kPartBytesMin * v.slices));
  } else {
    const SyntheticAudio& a = *asset_.audio;
    unit.pts = unit.dts = a.first_pts + static_cast<std::int64_t>(number) * plan.ticks;
    unit.random_access = true;
    bytes = a.bit_rate / 8.0 * static_cast<double>(plan.ticks) / a.sample_rate * jitter;
    bytes = std::clamp(bytes, static_cast<double>(kPartBytesMin), 6144.0 / 8 * a.channels);
  }
  unit.bytes = static_cast<std::size_t>(bytes);
  return unit;
}

Bytes SyntheticMedia::Slice(std::size_t number, std::size_t index, std::size_t size) const {
  const char type = PictureAt(number).type;
  Bytes nal;
  nal.push_back(type == 'I' ? 0x65 : type == 'P' ? 0x41 : 0x01);
  nal.push_back(kFirstSliceByte);
  AppendNumber(&nal, number);
  nal.push_back(static_cast<std::uint8_t>(0x80 | index));
  Fill(&nal, size, Key(0, number) + index);
  return nal;
}

std::vector<Bytes> SyntheticMedia::Parts(std::size_t track, std::size_t number) const {
  const Unit unit = Describe(track, number);
  std::vector<Bytes> parts;
  if (!IsVideo(track)) {
    Bytes& frame = parts.emplace_back();
    frame.push_back(kFirstFrameByte);
    AppendNumber(&frame, number);
    Fill(&frame, unit.bytes, Key(track, number));
    return parts;
  }
  if (unit.random_access) {
    // User data unregistered, with the number in front of the rest.
    Bytes& sei = parts.emplace_back(Bytes{0x06, 0x05, 0x10});
    AppendNumber(&sei, number);
    Fill(&sei, 20, Key(0, number) ^ 0x5e1);
  }
  const std::size_t slices = std::max<std::uint32_t>(1, asset_.video->slices);
  for (std::size_t i = 0; i < slices; ++i) {
    const std::size_t part = unit.bytes / slices + (i == 0 ? unit.bytes % slices : 0);
    parts.push_back(Slice(number, i, part));
  }
  return parts;
}

Bytes SyntheticMedia::Data(std::size_t track, std::size_t number) const {
  std::vector<Bytes> parts = Parts(track, number);
  if (!IsVideo(track)) return std::move(parts.front());
  Bytes data;
  for (const Bytes& part : parts) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      data.push_back(static_cast<std::uint8_t>(part.size() >> shift));
    }
    data.insert(data.end(), part.begin(), part.end());
  }
  return data;
}

Duration SyntheticMedia::TimeOf(std::size_t track, std::int64_t ticks) const {
  return ToDuration(ticks, info_.tracks[track].clock_rate);
}

std::size_t SyntheticMedia::FirstAtOrAfter(std::size_t track, Duration time) const {
  std::size_t low = 0, high = unit_count(track);  // dts grows with the number
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (TimeOf(track, Describe(track, middle).dts) < time) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::size_t SyntheticMedia::RandomAccessBefore(std::size_t track, Duration time) const {
  const std::size_t step = IsVideo(track) ? asset_.video->gop : 1;
  std::size_t best = 0;
  for (std::size_t n = 0; n < unit_count(track); n += step) {
    if (TimeOf(track, Describe(track, n).pts) > time) break;
    best = n;
  }
  return best;
}

std::optional<std::size_t> SyntheticMedia::NumberIn(std::span<const std::uint8_t> part,
                                                    bool video) {
  std::size_t at = 1;
  if (video) {
    if (part.empty()) return std::nullopt;
    const int type = part[0] & 0x1f;
    if (type == 6) {
      at = 3;
    } else if (type == 1 || type == 5) {
      at = 2;
    } else {
      return std::nullopt;
    }
  }
  if (part.size() < at + kNumberBytes) return std::nullopt;
  std::size_t number = 0;
  for (std::size_t i = 0; i < kNumberBytes; ++i) {
    if ((part[at + i] & 0x80) == 0) return std::nullopt;
    number |= static_cast<std::size_t>(part[at + i] & 0x7f) << (7 * i);
  }
  return number;
}

}  // namespace millrace::sim
