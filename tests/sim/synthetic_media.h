// Media made of arithmetic: every byte of every access unit follows from (asset, track, unit
// number), so that a client can tell whether what it received is what the file holds.
//
// Video: closed groups of pictures, each an IDR frame followed by P frames with `b_frames` B frames
// before each (in decoding order: after it). A unit is its slices behind 4-byte lengths, IDR units
// with an SEI message in front. No byte of a NAL unit is zero, so none needs emulation prevention.
// Audio: AAC frames of 1024 samples. Each NAL unit and frame carries its unit's number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "media/demuxer.h"

namespace millrace::sim {

struct SyntheticVideo {
  std::uint32_t frame_ticks = 3600;  // of 90 kHz
  std::uint32_t gop = 25;            // frames
  std::uint32_t b_frames = 0;
  std::uint32_t bit_rate = 1'000'000;
  std::uint32_t slices = 1;  // per frame
};

struct SyntheticAudio {
  std::uint32_t sample_rate = 48000;  // one of ISO 14496-3 table 1.18
  std::uint32_t channels = 2;
  std::uint32_t bit_rate = 128'000;
  std::uint32_t first_pts = 0;  // of frame 0, in samples; only where video starts at 0
};

struct SyntheticAsset {
  Duration duration = 10s;
  std::optional<SyntheticVideo> video = SyntheticVideo{};
  std::optional<SyntheticAudio> audio = SyntheticAudio{};
  bool indexed = true;        // false: MediaInfo::random_access stays empty
  std::uint64_t content = 1;  // another number, other bytes
};

class SyntheticMedia {
 public:
  struct Unit {
    std::int64_t pts = 0, dts = 0, duration = 0;
    bool random_access = false;
    std::size_t bytes = 0;  // of all NAL units, lengths not counted; of the frame
  };

  explicit SyntheticMedia(const SyntheticAsset& asset);

  const MediaInfo& info() const { return info_; }
  const SyntheticAsset& asset() const { return asset_; }
  bool IsVideo(std::size_t track) const { return asset_.video && track == 0; }
  std::size_t unit_count(std::size_t track) const { return tracks_[track].units; }
  // In decoding order, counted from 0.
  Unit Describe(std::size_t track, std::size_t number) const;
  // The NAL units of a video unit, or the one frame of an audio unit.
  std::vector<Bytes> Parts(std::size_t track, std::size_t number) const;
  // As a demuxer hands it out.
  Bytes Data(std::size_t track, std::size_t number) const;
  // Ticks of the track's clock as a duration, rounded towards zero.
  Duration TimeOf(std::size_t track, std::int64_t ticks) const;
  // First unit whose dts lies at or after `time`; unit_count when there is none.
  std::size_t FirstAtOrAfter(std::size_t track, Duration time) const;
  // The random access point at or before presentation time `time` (the first one when none is).
  std::size_t RandomAccessBefore(std::size_t track, Duration time) const;

  // The number a NAL unit or frame carries; nothing when it carries none (SEI, parameter sets).
  static std::optional<std::size_t> NumberIn(std::span<const std::uint8_t> part, bool video);

 private:
  struct TrackPlan {
    std::size_t units = 0;
    std::int64_t ticks = 0;  // per unit
  };
  struct Picture {
    std::size_t display;  // place in presentation order
    char type;            // 'I', 'P' or 'B'
  };

  Picture PictureAt(std::size_t number) const;
  std::uint64_t Key(std::size_t track, std::size_t number) const;
  Bytes Slice(std::size_t number, std::size_t index, std::size_t size) const;

  SyntheticAsset asset_;
  std::vector<TrackPlan> tracks_;
  MediaInfo info_;
};

}  // namespace millrace::sim
