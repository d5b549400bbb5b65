#include "rtp/start_resolver.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace millrace {
namespace {

std::uint32_t BlockAt(const Presentation& presentation, Duration time) {
  const auto number =
      static_cast<std::uint64_t>(std::max(time, Duration(0s)) / presentation.block_duration);
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(number, presentation.block_count() - 1));
}

}  // namespace

void StartResolver::Abandon() {
  if (waiting()) blocks_->Cancel(this);
  phase_ = Phase::kIdle;
  points_.clear();
  arrived_.Reset();
  presentation_.reset();
}

bool StartResolver::Begin(PresentationRef presentation, std::vector<std::size_t> streams,
                          Duration time) {
  Abandon();
  presentation_ = std::move(presentation);
  streams_ = std::move(streams);
  points_.resize(streams_.size());
  const auto kind_of = [this](std::size_t stream) {
    return KindOf(presentation_->streams[stream].track.codec);
  };
  auto lead = std::find(streams_.begin(), streams_.end(), presentation_->lead_stream());
  if (lead == streams_.end()) lead = std::ranges::min_element(streams_, {}, kind_of);
  lead_ = static_cast<std::size_t>(lead - streams_.begin());
  time_ = time;
  number_ = BlockAt(*presentation_, time);
  const MediaKind kind = kind_of(streams_[lead_]);
  if (kind == MediaKind::kText || kind == MediaKind::kData) {
    // The one before may lie far back, and nothing needs it.
    lead_ = streams_.size();
    range_start_ = std::max(time, Duration(0s));
    phase_ = Phase::kOthers;
    return Step();
  }
  const auto& table = presentation_->random_access;
  if (!table.empty() && streams_[lead_] == presentation_->lead_stream()) {
    const auto after = std::upper_bound(table.begin(), table.end(), time);
    number_ = after == table.begin() ? 0 : BlockAt(*presentation_, *(after - 1));
  }
  phase_ = Phase::kLead;
  stride_ = 1;
  return Step();
}

bool StartResolver::Step() {
  while (pending()) {
    BlockRef block = arrived_ && arrived_->number == number_
                         ? std::move(arrived_)
                         : blocks_->Acquire(presentation_, number_, this);
    arrived_.Reset();
    if (!block) return false;
    if (phase_ == Phase::kOthers) {
      FindOthers(block);
      phase_ = Phase::kDone;
    } else if (FindLead(block)) {
      number_ = BlockAt(*presentation_, range_start_);
      phase_ = Phase::kOthers;
    } else if (number_ == 0) {
      StartAtBeginning(block);
      phase_ = Phase::kDone;
    } else {
      --number_;
    }
  }
  return true;
}

bool StartResolver::FindLead(const BlockRef& block) {
  const Track& track = presentation_->streams[streams_[lead_]].track;
  const auto packets = block->streams[streams_[lead_]].packets();
  const std::int64_t limit = track.ClockFromDuration(time_);
  for (std::size_t i = packets.size(); i-- > 0;) {
    const PacketEntry& entry = packets[i];
    if ((entry.flags & kPacketRandomAccess) == 0 || entry.pts > limit) continue;
    range_start_ = track.DurationFromClock(entry.pts);
    points_[lead_] = {block, number_, static_cast<std::uint32_t>(i), entry.pts};
    return true;
  }
  return false;
}

void StartResolver::FindOthers(const BlockRef& block) {
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    if (s == lead_) continue;
    const Track& track = presentation_->streams[streams_[s]].track;
    const auto packets = block->streams[streams_[s]].packets();
    const std::int64_t from = track.ClockFromDuration(range_start_);
    std::size_t i = 0;
    while (i < packets.size() && packets[i].pts < from) ++i;
    if (i < packets.size()) {
      points_[s] = {block, number_, static_cast<std::uint32_t>(i), from};
    } else if (!block->last) {
      points_[s] = {BlockRef(), number_ + 1, 0, from};
    } else {
      points_[s] = {block, number_, static_cast<std::uint32_t>(i), from};
    }
  }
}

// The block is not written yet. Who leads starts before it; the others wait for it there.
void StartResolver::GoBackFromEdge() {
  if (phase_ == Phase::kLead && number_ > 0) {
    // In strides: how far the media is thought to go can be wrong by much.
    number_ -= std::min(number_, stride_);
    stride_ *= 2;
    return;
  }
  if (phase_ == Phase::kLead) range_start_ = 0s;
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    if (phase_ == Phase::kOthers && s == lead_) continue;
    const Track& track = presentation_->streams[streams_[s]].track;
    points_[s] = {BlockRef(), number_, 0, track.ClockFromDuration(range_start_)};
    if (number_ == 0) points_[s].min_pts = std::numeric_limits<std::int64_t>::min();
  }
  phase_ = Phase::kDone;
}

void StartResolver::StartAtBeginning(const BlockRef& block) {
  range_start_ = 0s;
  for (StartPoint& point : points_) point = {block, 0, 0};
}

void StartResolver::OnBlock(BlockRef block) {
  arrived_ = std::move(block);
  if (Step()) observer_->OnStartResolved(absl::OkStatus());
}

void StartResolver::OnBlockFailed(const absl::Status& status) {
  if (presentation_->growing() && absl::IsUnavailable(status)) {
    GoBackFromEdge();
    if (Step()) observer_->OnStartResolved(absl::OkStatus());
    return;
  }
  Abandon();
  observer_->OnStartResolved(status);
}

}  // namespace millrace
