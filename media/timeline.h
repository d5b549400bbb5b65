// From a container's times to a track's clock, counted from npt 0, without ever passing through a
// rounded unit.
//
// Shard: any; pure functions. Invariant: what a time becomes depends on that time, the asset's
// origin and the track's first unit only, so a seek gives the same values as playing from the
// start.
#pragma once

#include <cstdint>

#include "core/clock.h"

namespace millrace {

// Seconds per tick, as a fraction. Both are positive.
struct TimeBase {
  std::int32_t numerator = 1;
  std::int32_t denominator = 1;
};

// A point of a container's time.
struct ContainerTime {
  std::int64_t ticks = 0;
  TimeBase base;
};
bool Before(const ContainerTime& a, const ContainerTime& b);

// Container times outside ±kContainerTicksMax are damage; within it no product here overflows.
inline constexpr std::int64_t kContainerTicksMax = std::int64_t{1} << 53;
inline bool Plausible(std::int64_t ticks) {
  return ticks >= -kContainerTicksMax && ticks <= kContainerTicksMax;
}

// Where audio frames of one length begin, in ticks of a clock that need not count samples.
struct FrameGrid {
  std::uint32_t frame_samples = 0;  // 0: no grid
  std::uint32_t sample_rate = 0;    // Hz
  std::uint32_t clock_rate = 0;     // Hz

  bool empty() const { return frame_samples == 0 || sample_rate == 0; }
  // Frame `n`'s beginning, to the nearest tick; frame 0 begins at 0.
  std::int64_t TimeOf(std::int64_t n) const;
  // The frame whose beginning is nearest to `ticks`.
  std::int64_t NearestFrame(std::int64_t ticks) const;
};

class Timeline {
 public:
  Timeline() = default;
  // `grid` is empty for what has none, such as video; its clock is `clock_rate`.
  Timeline(TimeBase base, std::uint32_t clock_rate, const FrameGrid& grid = {});

  // What npt 0 is in the file.
  void SetOrigin(const ContainerTime& origin) { origin_ = origin; }
  // The track's first unit: where its grid of frames starts.
  void SetPhase(std::int64_t first_ticks) { phase_ = ToClock(first_ticks); }

  // To the nearest tick of the track's clock.
  std::int64_t ToClock(std::int64_t ticks) const;
  // The same, then moved onto the grid of audio frames when the container's time is coarser than a
  // sample (milliseconds in Matroska, 90 kHz in MPEG-TS) and the grid is within 1.5 ms.
  std::int64_t ToClockOnGrid(std::int64_t ticks) const;
  // The end of what begins at `clock` and lasts `length` ticks; on the grid where it is a frame,
  // whose length in ticks may be rounded.
  std::int64_t After(std::int64_t clock, std::int64_t length) const;
  // A length of time; frames come out whole under the same rule.
  std::int64_t LengthToClock(std::int64_t ticks) const;
  // npt in the container's ticks, rounded down.
  std::int64_t FromNpt(Duration npt) const;
  // The other way, for a time of this track.
  Duration ToNpt(std::int64_t ticks) const;

  const TimeBase& base() const { return base_; }
  // Ticks of one frame; 0 without a grid.
  std::int64_t frame_ticks() const { return grid_.empty() ? 0 : grid_.TimeOf(1); }

 private:
  std::int64_t Scale(std::int64_t ticks, std::int64_t rate) const;
  // Within 1.5 ms.
  bool Near(std::int64_t a, std::int64_t b) const;

  TimeBase base_;
  std::uint32_t clock_rate_ = 1;
  FrameGrid grid_;
  bool coarse_ = false;
  ContainerTime origin_;
  std::int64_t phase_ = 0;
};

}  // namespace millrace
