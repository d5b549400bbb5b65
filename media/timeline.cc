#include "media/timeline.h"

#include <algorithm>
#include <limits>

namespace millrace {
namespace {

// Wide enough: 53 bits of time, 20 of numerator, 31 of denominator, 20 of clock are 124.
__extension__ using Wide = __int128;

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

Wide FloorDivide(Wide value, Wide divisor) {
  const Wide quotient = value / divisor;
  return value % divisor < 0 ? quotient - 1 : quotient;
}

// To the nearest, halves up; the same shift for every time, whatever its sign.
Wide RoundDivide(Wide value, Wide divisor) { return FloorDivide(2 * value + divisor, 2 * divisor); }

std::int64_t Narrow(Wide value) {
  constexpr Wide kMax = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::clamp(value, -kMax, kMax));
}

std::int64_t AddTicks(std::int64_t a, std::int64_t b) { return Narrow(static_cast<Wide>(a) + b); }

}  // namespace

bool Before(const ContainerTime& a, const ContainerTime& b) {
  return static_cast<Wide>(a.ticks) * a.base.numerator * b.base.denominator <
         static_cast<Wide>(b.ticks) * b.base.numerator * a.base.denominator;
}

std::int64_t FrameGrid::TimeOf(std::int64_t n) const {
  return Narrow(RoundDivide(static_cast<Wide>(n) * frame_samples * clock_rate, sample_rate));
}

std::int64_t FrameGrid::NearestFrame(std::int64_t ticks) const {
  return Narrow(RoundDivide(static_cast<Wide>(ticks) * sample_rate,
                            static_cast<Wide>(frame_samples) * clock_rate));
}

Timeline::Timeline(TimeBase base, std::uint32_t clock_rate, const FrameGrid& grid)
    : base_(base), clock_rate_(clock_rate), grid_(grid) {
  // Fine enough when every sample has a tick of its own.
  const std::int64_t sample_rate = grid.empty() ? clock_rate : grid.sample_rate;
  coarse_ = base.denominator % (static_cast<std::int64_t>(base.numerator) * sample_rate) != 0;
}

std::int64_t Timeline::Scale(std::int64_t ticks, std::int64_t rate) const {
  const Wide common = static_cast<Wide>(base_.denominator) * origin_.base.denominator;
  const Wide time = static_cast<Wide>(ticks) * base_.numerator * origin_.base.denominator;
  const Wide start = static_cast<Wide>(origin_.ticks) * origin_.base.numerator * base_.denominator;
  const Wide since = time - start;
  // Whole seconds apart, so that the product with a large rate stays within 128 bits.
  const Wide seconds = FloorDivide(since, common);
  const Wide rest = since - seconds * common;
  return Narrow(seconds * rate + RoundDivide(rest * rate, common));
}

std::int64_t Timeline::ToClock(std::int64_t ticks) const { return Scale(ticks, clock_rate_); }

Duration Timeline::ToNpt(std::int64_t ticks) const {
  return Duration(Scale(ticks, kNanosecondsPerSecond));
}

std::int64_t Timeline::ToClockOnGrid(std::int64_t ticks) const {
  const std::int64_t exact = ToClock(ticks);
  if (!coarse_ || grid_.empty()) return exact;
  const std::int64_t on_grid =
      AddTicks(phase_, grid_.TimeOf(grid_.NearestFrame(AddTicks(exact, -phase_))));
  return Near(on_grid, exact) ? on_grid : exact;
}

std::int64_t Timeline::After(std::int64_t clock, std::int64_t length) const {
  if (grid_.empty() || length != frame_ticks()) return AddTicks(clock, length);
  const std::int64_t frame = grid_.NearestFrame(AddTicks(clock, -phase_));
  return AddTicks(clock, grid_.TimeOf(frame + 1) - grid_.TimeOf(frame));
}

std::int64_t Timeline::LengthToClock(std::int64_t ticks) const {
  if (!Plausible(ticks) || ticks < 0) return 0;
  const std::int64_t exact = Narrow(
      RoundDivide(static_cast<Wide>(ticks) * base_.numerator * clock_rate_, base_.denominator));
  return coarse_ && !grid_.empty() && Near(exact, frame_ticks()) ? frame_ticks() : exact;
}

bool Timeline::Near(std::int64_t a, std::int64_t b) const {
  const Wide distance = static_cast<Wide>(a) - b;
  const std::int64_t tolerance = clock_rate_ * std::int64_t{3} / 2000;
  return distance <= tolerance && distance >= -tolerance;
}

std::int64_t Timeline::FromNpt(Duration npt) const {
  // npt + origin, over base: every factor is apart in seconds and a rest to stay within 128 bits.
  const Wide per_second = static_cast<Wide>(base_.denominator);
  const Wide from_npt = FloorDivide(static_cast<Wide>(npt.count()) * per_second,
                                    static_cast<Wide>(kNanosecondsPerSecond) * base_.numerator);
  const Wide from_origin =
      FloorDivide(static_cast<Wide>(origin_.ticks) * origin_.base.numerator * base_.denominator,
                  static_cast<Wide>(origin_.base.denominator) * base_.numerator);
  const Wide limit = kContainerTicksMax;
  return static_cast<std::int64_t>(std::clamp(from_npt + from_origin, -limit, limit));
}

}  // namespace millrace
