// Time as the simulation says: it stands still until the world moves it.
#pragma once

#include <cstdlib>

#include "core/clock.h"

namespace millrace::sim {

class SimClock final : public Clock {
 public:
  // Far from zero, so that Instant{} is always in the past and "now minus a minute" is a valid
  // time.
  static constexpr Instant kStart{Duration(10000s)};
  // 2026-01-01 00:00 UTC at kStart.
  static constexpr WallTime kWallStart{Duration(1767225600s)};

  Instant Now() const override { return now_; }
  WallTime Wall() const override { return WallAt(now_); }
  static WallTime WallAt(Instant instant) { return kWallStart + (instant - kStart); }

  // Time never goes back: doing so is a defect of the simulation.
  void MoveTo(Instant instant) {
    if (instant < now_) std::abort();
    now_ = instant;
  }

 private:
  Instant now_ = kStart;
};

}  // namespace millrace::sim
