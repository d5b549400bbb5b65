#include "rtp/vod_sender.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

// Key frames of a fast clock follow each other no closer than this, as they are shown: more would
// be many times the bit rate of normal playing and show no more.
constexpr Duration kKeyFrameGap = 100ms;
// A frame's decoding time, by which it has its block, is before its presentation time by up to this
// (if it is more, the next key frame is found).
constexpr Duration kReorderMargin = 200ms;
// How long before its first packet could be due a block is asked for, where the one before it held
// nothing: time to load it, and some in which there is nothing either.
constexpr Duration kLookAhead = 2s;
// Between looks at whether a growing file has grown.
constexpr Duration kEdgeLook = 100ms;
// Between looks of a sender that is ahead of its session's others.
constexpr Duration kStepWait = 8ms;

}  // namespace

VodSender::VodSender(SenderContext* context, PresentationRef presentation, std::size_t stream,
                     SenderObserver* observer, std::unique_ptr<Transport> transport)
    : Sender(context, stream, observer, std::move(transport)),
      presentation_(std::move(presentation)) {}

void VodSender::Start(StartPoint at, const PlayClock& clock, std::uint32_t timestamp_offset,
                      Instant now) {
  Stop();
  block_ = std::move(at.block);
  number_ = at.number;
  index_ = at.index;
  min_pts_ = clock.keys_only() ? std::numeric_limits<std::int64_t>::min() : at.min_pts;
  held_ = false;
  prefetched_ = false;
  max_pts_sent_ = std::numeric_limits<std::int64_t>::min();
  timestamp_offset_ = timestamp_offset;
  turn_shift_ = 0s;
  turn_ticks_ = 0;
  turned_in_vain_ = false;
  turn_pts_ = clock.turn > 0s ? rtp_stream().track.ClockFromDuration(clock.turn)
                              : std::numeric_limits<std::int64_t>::max();
  in_key_ = false;
  max_scaled_shown_ = clock.start;
  wanted_key_ = rtp_stream().track.ClockFromDuration(clock.start);
  clock_ = clock;
  set_end(clock.end);
  state_ = State::kPlaying;
  if (block_) {
    FixNumbering(block_->streams[stream()]);
  } else if (!numbering_fixed_) {
    // RTP-Info has to name a number now; the block, when it comes, is patched to it.
    next_sequence_ = rtp_stream().first_sequence;
    numbering_fixed_ = true;
  }
  Reschedule(now);
}

void VodSender::FixNumbering(const PacketBlock& block) {
  if (numbering_fixed_) return;
  // Invariant 2: a fresh viewer takes the numbers as they lie in the cache.
  std::uint32_t i = index_;
  const auto packets = block.packets();
  while (i < packets.size() && packets[i].pts < min_pts_) ++i;
  next_sequence_ = static_cast<std::uint16_t>(block.first_sequence() + i);
  numbering_fixed_ = true;
}

void VodSender::Stop() {
  transport().Withdraw();
  if (context_->pacer != nullptr) context_->pacer->Cancel(this);
  if (waiting()) context_->blocks->Cancel(this);
  block_.Reset();       // a paused viewer holds no memory
  prefetched_ = false;  // and what was fetched for him may be gone when he comes back
  waits_for_more_ = false;
  state_ = State::kStopped;
}

void VodSender::KeepTime(const PlayClock& clock, std::uint32_t timestamp_offset) {
  Stop();
  max_pts_sent_ = std::numeric_limits<std::int64_t>::min();
  turn_shift_ = 0s;
  turn_ticks_ = 0;
  timestamp_offset_ = timestamp_offset;
  clock_ = clock;
}

void VodSender::Resume(const PlayClock& clock, Instant now) {
  const bool range_ended = state_ == State::kEndOfRange;
  Stop();
  clock_.epoch = clock.epoch;
  clock_.start = clock.start;
  clock_.speed = clock.speed;
  clock_.in_step = clock.in_step;
  set_end(clock.end);
  if (range_ended) GoOnBeyondEnd();
  state_ = State::kPlaying;
  Reschedule(now);
}

void VodSender::set_end(std::optional<Duration> end) {
  wanted_end_ = end;
  if (!held_) ApplyEnd(end);
}

void VodSender::ApplyEnd(std::optional<Duration> end) {
  clock_.end = end;
  end_pts_ =
      end ? rtp_stream().track.ClockFromDuration(*end) : std::numeric_limits<std::int64_t>::max();
}

bool VodSender::GoOnBeyondEnd() {
  if (!held_ || wanted_end_ == clock_.end) return false;
  if (number_ != held_number_) block_.Reset();
  number_ = held_number_;
  index_ = held_index_;
  held_ = false;
  // Everything shown before the old end has been sent by now, nothing shown after it.
  min_pts_ = std::max(min_pts_, end_pts_);
  ApplyEnd(wanted_end_);
  return true;
}

void VodSender::ChangeSsrc(std::uint32_t ssrc) {
  ssrc_ = ssrc;
  packets_sent_ = 0;
  octets_sent_ = 0;
}

std::uint32_t VodSender::TimestampAt(Duration media) const {
  return rtp_stream().first_timestamp + timestamp_offset_ +
         static_cast<std::uint32_t>(rtp_stream().track.ClockFromDuration(clock_.ShownAt(media)));
}

Duration VodSender::DueOf(const PacketBlock& block, std::size_t packet) const {
  if (!clock_.keys_only()) return block.due(packet) + turn_shift_;
  return rtp_stream().track.DurationFromClock(block.packets()[packet].pts);
}

std::optional<Duration> VodSender::next_due() const {
  if (!block_) return std::nullopt;
  const PacketBlock& block = block_->streams[stream()];
  if (index_ >= block.packets().size()) return std::nullopt;
  return DueOf(block, index_);
}

Duration VodSender::reached() const {
  const bool backwards = clock_.scale < 0;
  return next_due().value_or(BlockStart(number_ + (backwards ? 1 : 0)) + turn_shift_);
}

std::optional<Duration> VodSender::max_shown() const {
  const bool none = max_pts_sent_ == std::numeric_limits<std::int64_t>::min();
  if (none && turn_shift_ == 0s) return std::nullopt;
  if (none) return turn_shift_;
  if (clock_.scaled()) return max_scaled_shown_;
  return rtp_stream().track.DurationFromClock(max_pts_sent_) + turn_shift_;
}

Duration VodSender::Lateness(Instant now) const {
  const std::optional<Duration> due = next_due();
  return due ? now - clock_.DueAt(*due) : 0s;
}

void VodSender::End(State state) {
  state_ = state;
  block_.Reset();
  observer_->OnSenderEnded(this);
}

bool VodSender::SettleIn(const PacketBlock& block) {
  const auto packets = block.packets();
  for (; index_ < packets.size(); ++index_) {
    const PacketEntry& entry = packets[index_];
    if (entry.pts < min_pts_ || entry.pts >= turn_pts_) continue;
    if (entry.pts < end_pts_) return true;
    HoldBackHere();
    // Frames shown before the end may still follow in decoding order, but none decoded after it.
    if (block.due(index_) >= *clock_.end) return false;
  }
  return false;
}

bool VodSender::SettleOnKey(const PacketBlock& block) {
  const auto packets = block.packets();
  if (in_key_) {
    const bool more = index_ < packets.size() && (packets[index_].flags & kPacketUnitStart) == 0;
    if (more || index_ == key_index_) return true;
    in_key_ = false;
    const std::uint32_t number = BlockOf(wanted_key_);
    const bool elsewhere = clock_.scale > 0 ? number > number_ : number != number_;
    if (elsewhere) {
      MoveToBlock(number);
      return false;
    }
  }
  const auto is_key = [&](std::size_t i) {
    return (packets[i].flags & kPacketRandomAccess) != 0 &&
           (clock_.scale > 0 ? packets[i].pts >= wanted_key_ : packets[i].pts <= wanted_key_);
  };
  std::size_t found = packets.size();
  if (clock_.scale > 0) {
    for (found = 0; found < packets.size() && !is_key(found);) ++found;
  } else {
    for (std::size_t i = packets.size(); i-- > 0 && found == packets.size();) {
      if (is_key(i)) found = i;
    }
  }
  if (found < packets.size()) {
    index_ = key_index_ = static_cast<std::uint32_t>(found);
    const std::int64_t pts = packets[found].pts;
    if (clock_.end && (clock_.scale > 0 ? pts >= end_pts_ : pts < end_pts_)) {
      End(State::kEndOfRange);
      return false;
    }
    in_key_ = true;
    const auto gap = static_cast<double>(rtp_stream().track.ClockFromDuration(kKeyFrameGap));
    wanted_key_ = pts + static_cast<std::int64_t>(gap * clock_.scale);
    return true;
  }
  if (clock_.scale > 0 ? block_->last : number_ == 0) {
    End(clock_.scale > 0 ? State::kEndOfMedia : State::kEndOfRange);
  } else {
    MoveToBlock(clock_.scale > 0 ? number_ + 1 : number_ - 1);
  }
  return false;
}

bool VodSender::Settle() {
  if (!FindNext()) return false;
  // What had to be waited for goes out as if it had been due when it came.
  if (std::exchange(waits_for_more_, false)) {
    const Duration late = context_->pacer->swept_until() - clock_.DueAt(*next_due());
    if (late > 0s) observer_->OnSenderDelayed(this, late);
  }
  return true;
}

void VodSender::MoveToBlock(std::uint32_t number) {
  number_ = number;
  index_ = 0;
  prefetched_ = false;
  block_.Reset();
}

void VodSender::HoldBackHere() {
  if (std::exchange(held_, true)) return;
  held_number_ = number_;
  held_index_ = index_;
}

bool VodSender::BeyondEnd() const {
  return clock_.end && !clock_.keys_only() && BlockStart(number_) >= *clock_.end;
}

bool VodSender::MayLookAhead() {
  const Instant when = clock_.DueAt(BlockStart(number_) + turn_shift_) - kLookAhead;
  if (when <= context_->pacer->swept_until()) return true;
  context_->pacer->Schedule(this, when);
  return false;
}

std::uint32_t VodSender::BlockOf(std::int64_t pts) const {
  Duration time = rtp_stream().track.DurationFromClock(pts);
  if (clock_.scale > 0) time -= kReorderMargin;
  const auto number = std::max(time, Duration(0s)) / presentation_->block_duration;
  return static_cast<std::uint32_t>(
      std::min<std::int64_t>(number, presentation_->block_count() - 1));
}

bool VodSender::TurnAround() {
  // The stretch may have begun behind the stream's end; a whole turn without a packet has none.
  const bool in_vain = max_pts_sent_ == std::numeric_limits<std::int64_t>::min();
  if (in_vain && turned_in_vain_) return false;
  turned_in_vain_ = in_vain;
  turn_shift_ += clock_.turn;
  turn_ticks_ = static_cast<std::uint32_t>(rtp_stream().track.ClockFromDuration(turn_shift_));
  max_pts_sent_ = std::numeric_limits<std::int64_t>::min();
  min_pts_ = std::numeric_limits<std::int64_t>::min();
  MoveToBlock(0);
  return true;
}

bool VodSender::FindNext() {
  while (state_ == State::kPlaying) {
    if (!block_) {
      if (BeyondEnd()) {
        HoldBackHere();
        if (GoOnBeyondEnd()) continue;
        End(State::kEndOfRange);
        return false;
      }
      if (waiting() || !MayLookAhead()) return false;
      block_ = context_->blocks->Acquire(presentation_, number_, this);
      if (!block_) return false;
      context_->counters->blocks_acquired.Add();
    }
    const PacketBlock& block = block_->streams[stream()];
    if (clock_.keys_only()) {
      if (SettleOnKey(block)) return true;
      continue;
    }
    if (SettleIn(block)) return true;
    if (index_ < block.packets().size() || block_->last) {
      if (GoOnBeyondEnd()) continue;
      if (!held_ && clock_.turn > 0s && TurnAround()) continue;
      End(held_ ? State::kEndOfRange : State::kEndOfMedia);
      return false;
    }
    MoveToBlock(number_ + 1);
  }
  return false;
}

std::uint32_t VodSender::CountDue(const PacketBlock& block, Instant now,
                                  std::uint32_t packets_max) const {
  const auto packets = block.packets();
  const Instant until = now + context_->limits->train_window;
  Duration horizon = clock_.MediaAt(until);
  if (clock_.in_step) horizon = std::min(horizon, observer_->FurthestInStep());
  horizon -= turn_shift_;
  const bool scaled = clock_.scaled();
  std::uint32_t count = 0;
  for (std::uint32_t i = index_; i < packets.size() && count < packets_max; ++i, ++count) {
    if (packets[i].pts < min_pts_ || packets[i].pts >= turn_pts_ ||
        (packets[i].pts >= end_pts_ && !clock_.keys_only())) {
      break;
    }
    if (!scaled) {
      if (block.due(i) > horizon) break;
      continue;
    }
    // One picture has one timestamp.
    if (clock_.DueAt(DueOf(block, i)) > until || packets[i].pts != packets[index_].pts) break;
    if (i > index_ && clock_.keys_only() && (packets[i].flags & kPacketUnitStart) != 0) break;
  }
  return count;
}

VodSender::Run VodSender::Due(Instant now, std::uint32_t packets_max, bool equal_sizes) {
  Run run;
  if (!Settle()) return run;
  const PacketBlock& block = block_->streams[stream()];
  const auto packets = block.packets();
  const std::uint32_t available = CountDue(block, now, packets_max);
  run.memory = block.bytes();
  run.first = index_;
  if (available > 0) Gather(&packets[index_], available, equal_sizes, &run);
  run.patch.sequence_offset = static_cast<std::uint16_t>(
      next_sequence_ - static_cast<std::uint16_t>(block.first_sequence() + index_));
  run.patch.timestamp_offset = timestamp_offset_ + turn_ticks_;
  if (clock_.scaled()) {
    const Track& track = rtp_stream().track;
    const std::int64_t pts = packets[index_].pts;
    const Duration shown = clock_.ShownAt(track.DurationFromClock(pts));
    run.patch.timestamp_offset += static_cast<std::uint32_t>(track.ClockFromDuration(shown) - pts);
  }
  run.patch.ssrc = ssrc_;
  return run;
}

bool VodSender::LateBehind(const Run& run, Instant now) const {
  const PacketBlock& block = block_->streams[stream()];
  const std::size_t next = run.first + run.count;
  return next < block.packets().size() &&
         !(clock_.keys_only() && (block.packets()[next].flags & kPacketUnitStart) != 0) &&
         clock_.DueAt(DueOf(block, next)) + context_->limits->train_window <= now;
}

void VodSender::Advance(const Run& run, std::uint32_t count) {
  if (count == 0) return;
  for (std::uint32_t i = 0; i < count; ++i) {
    max_pts_sent_ = std::max(max_pts_sent_, run.packets[i].pts);
  }
  if (clock_.scaled()) {
    const Duration time = rtp_stream().track.DurationFromClock(run.packets[0].pts);
    max_scaled_shown_ = std::max(max_scaled_shown_, clock_.ShownAt(time));
  }
  CountSent(run, count);
  index_ = run.first + count;
  if (prefetched_ || index_ <= block_->streams[stream()].packets().size() / 2) return;
  if (clock_.keys_only() || (block_->last && clock_.turn == 0s)) return;
  prefetched_ = true;
  context_->blocks->Prefetch(presentation_, block_->last ? 0 : number_ + 1);
}

MemoryHold VodSender::Hold(const Run&) const {
  constexpr auto kLetGo = [](void* set, void*) { BlockRef(static_cast<const BlockSet*>(set)); };
  return {kLetGo, const_cast<BlockSet*>(BlockRef(block_).Detach())};
}

void VodSender::Reschedule(Instant not_before) {
  if (!Settle()) return;
  const PacketBlock& block = block_->streams[stream()];
  const Instant due = clock_.DueAt(DueOf(block, index_));
  if (clock_.in_step && DueOf(block, index_) > observer_->FurthestInStep()) {
    not_before = std::max(not_before, context_->pacer->swept_until()) + kStepWait;
  }
  const Instant tick = due - due.time_since_epoch() % context_->limits->pacing_tick;
  context_->pacer->Schedule(this, std::max(tick, not_before));
}

void VodSender::OnBlock(BlockRef block) {
  block_ = std::move(block);
  context_->counters->blocks_acquired.Add();
  FixNumbering(block_->streams[stream()]);
  if (!clock_.in_step && !waits_for_more_ && next_due() &&
      clock_.DueAt(*next_due()) < context_->pacer->swept_until()) {
    context_->counters->viewers_late.Add();
  }
  Reschedule(Instant{});
}

void VodSender::OnBlockFailed(const absl::Status& status) {
  if (presentation_->growing() && absl::IsUnavailable(status)) {
    waits_for_more_ = true;
    // All who wait look at the same time, so that they wait for one load.
    const Instant now = context_->pacer->swept_until();
    context_->pacer->Schedule(this, now - now.time_since_epoch() % kEdgeLook + kEdgeLook);
    return;
  }
  observer_->OnSenderFailed(this, status);
}

}  // namespace millrace
