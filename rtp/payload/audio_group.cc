#include "rtp/payload/audio_group.h"

#include <algorithm>

namespace millrace {
namespace {

constexpr std::int64_t kGroupsPerSecondMin = 10;

}  // namespace

AudioGroup::AudioGroup(const Track& track, std::size_t bytes_max, std::int64_t tolerance)
    : track_(track), tolerance_(tolerance) {
  bytes_.reserve(bytes_max);
}

bool AudioGroup::Follows(const AccessUnit& unit) const {
  if (empty()) return true;
  const std::int64_t duration_max = track_.clock_rate / kGroupsPerSecondMin;
  // Unsigned: a damaged file's times must not overflow.
  const std::uint64_t off =
      static_cast<std::uint64_t>(unit.pts) - static_cast<std::uint64_t>(last_pts_) -
      static_cast<std::uint64_t>(last_duration_) + static_cast<std::uint64_t>(tolerance_);
  return last_duration_ > 0 && off <= 2 * static_cast<std::uint64_t>(tolerance_) &&
         unit.duration <= duration_max - duration_;
}

void AudioGroup::Add(const AccessUnit& unit) {
  if (empty()) first_ = unit;
  sizes_.push_back(static_cast<std::uint16_t>(unit.data.size()));
  bytes_.insert(bytes_.end(), unit.data.begin(), unit.data.end());
  duration_ += std::max<std::int64_t>(unit.duration, 0);
  last_pts_ = unit.pts;
  last_duration_ = unit.duration;
}

void AudioGroup::Begin(PacketBlockBuilder& out) const {
  out.BeginUnit(first_.pts, TimeOf(first_.dts), TimeOf(duration_), first_.random_access);
}

void AudioGroup::Clear() {
  sizes_.clear();
  bytes_.clear();
  duration_ = 0;
}

}  // namespace millrace
