#include "rtp/vod_sender.h"

#include <algorithm>
#include <utility>

namespace millrace {

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
  min_pts_ = at.min_pts;
  held_ = false;
  prefetched_ = false;
  max_pts_sent_ = std::numeric_limits<std::int64_t>::min();
  timestamp_offset_ = timestamp_offset;
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
  state_ = State::kStopped;
}

void VodSender::Resume(const PlayClock& clock, Instant now) {
  const bool range_ended = state_ == State::kEndOfRange;
  Stop();
  clock_.epoch = clock.epoch;
  clock_.start = clock.start;
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
         static_cast<std::uint32_t>(rtp_stream().track.ClockFromDuration(media));
}

std::optional<Duration> VodSender::next_due() const {
  if (!block_) return std::nullopt;
  const PacketBlock& block = block_->streams[stream()];
  if (index_ >= block.packets().size()) return std::nullopt;
  return block.due(index_);
}

std::optional<Duration> VodSender::max_time_sent() const {
  if (max_pts_sent_ == std::numeric_limits<std::int64_t>::min()) return std::nullopt;
  return rtp_stream().track.DurationFromClock(max_pts_sent_);
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
    if (entry.pts < min_pts_) continue;
    if (entry.pts < end_pts_) return true;
    if (!held_) {
      held_ = true;
      held_number_ = number_;
      held_index_ = index_;
    }
    // Frames shown before the end may still follow in decoding order, but none decoded after it.
    if (block.due(index_) >= *clock_.end) return false;
  }
  return false;
}

bool VodSender::Settle() {
  while (state_ == State::kPlaying) {
    if (!block_) {
      if (waiting()) return false;
      block_ = context_->blocks->Acquire(presentation_, number_, this);
      if (!block_) return false;
      context_->counters->blocks_acquired.Add();
    }
    const PacketBlock& block = block_->streams[stream()];
    if (SettleIn(block)) return true;
    if (index_ < block.packets().size() || block_->last) {
      if (GoOnBeyondEnd()) continue;
      End(held_ ? State::kEndOfRange : State::kEndOfMedia);
      return false;
    }
    ++number_;
    index_ = 0;
    prefetched_ = false;
    block_.Reset();
  }
  return false;
}

VodSender::Run VodSender::Due(Instant now, std::uint32_t packets_max, bool equal_sizes) {
  Run run;
  if (!Settle()) return run;
  const PacketBlock& block = block_->streams[stream()];
  const auto packets = block.packets();
  const Duration horizon = clock_.MediaAt(now + context_->limits->train_window);
  std::uint32_t available = 0;
  for (std::uint32_t i = index_; i < packets.size() && available < packets_max; ++i, ++available) {
    if (block.due(i) > horizon || packets[i].pts < min_pts_ || packets[i].pts >= end_pts_) break;
  }
  run.memory = block.bytes();
  run.first = index_;
  if (available > 0) Gather(&packets[index_], available, equal_sizes, &run);
  run.patch.sequence_offset = static_cast<std::uint16_t>(
      next_sequence_ - static_cast<std::uint16_t>(block.first_sequence() + index_));
  run.patch.timestamp_offset = timestamp_offset_;
  run.patch.ssrc = ssrc_;
  return run;
}

bool VodSender::LateBehind(const Run& run, Instant now) const {
  const PacketBlock& block = block_->streams[stream()];
  const std::size_t next = run.first + run.count;
  return next < block.packets().size() &&
         clock_.DueAt(block.due(next)) + context_->limits->train_window <= now;
}

void VodSender::Advance(const Run& run, std::uint32_t count) {
  if (count == 0) return;
  for (std::uint32_t i = 0; i < count; ++i) {
    max_pts_sent_ = std::max(max_pts_sent_, run.packets[i].pts);
  }
  CountSent(run, count);
  index_ = run.first + count;
  if (!prefetched_ && index_ > block_->streams[stream()].packets().size() / 2 && !block_->last) {
    prefetched_ = true;
    context_->blocks->Prefetch(presentation_, number_ + 1);
  }
}

MemoryHold VodSender::Hold(const Run&) const {
  constexpr auto kLetGo = [](void* set, void*) { BlockRef(static_cast<const BlockSet*>(set)); };
  return {kLetGo, const_cast<BlockSet*>(BlockRef(block_).Detach())};
}

void VodSender::Reschedule(Instant not_before) {
  if (!Settle()) return;
  const PacketBlock& block = block_->streams[stream()];
  const Instant due = clock_.DueAt(block.due(index_));
  const Instant tick = due - due.time_since_epoch() % context_->limits->pacing_tick;
  context_->pacer->Schedule(this, std::max(tick, not_before));
}

void VodSender::OnBlock(BlockRef block) {
  block_ = std::move(block);
  context_->counters->blocks_acquired.Add();
  FixNumbering(block_->streams[stream()]);
  if (next_due() && clock_.DueAt(*next_due()) < context_->pacer->swept_until()) {
    context_->counters->viewers_late.Add();
  }
  Reschedule(Instant{});
}

void VodSender::OnBlockFailed(const absl::Status& status) {
  observer_->OnSenderFailed(this, status);
}

}  // namespace millrace
