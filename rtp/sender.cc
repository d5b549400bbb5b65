#include "rtp/sender.h"

#include <algorithm>
#include <utility>

namespace millrace {

Sender::Sender(SenderContext* context, PresentationRef presentation, std::size_t stream,
               SenderObserver* observer)
    : context_(context),
      presentation_(std::move(presentation)),
      observer_(observer),
      stream_(static_cast<std::uint16_t>(stream)) {}

void Sender::Start(StartPoint at, const PlayClock& clock, std::uint32_t timestamp_offset,
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
    FixNumbering(block_->streams[stream_]);
  } else if (!numbering_fixed_) {
    // RTP-Info has to name a number now; the block, when it comes, is patched to it.
    next_sequence_ = rtp_stream().first_sequence;
    numbering_fixed_ = true;
  }
  Reschedule(now);
}

void Sender::FixNumbering(const PacketBlock& block) {
  if (numbering_fixed_) return;
  // Invariant 2: a fresh viewer takes the numbers as they lie in the cache.
  std::uint32_t i = index_;
  const auto packets = block.packets();
  while (i < packets.size() && packets[i].pts < min_pts_) ++i;
  next_sequence_ = static_cast<std::uint16_t>(block.first_sequence() + i);
  numbering_fixed_ = true;
}

void Sender::Stop() {
  if (context_->pacer != nullptr) context_->pacer->Cancel(this);
  if (waiting()) context_->blocks->Cancel(this);
  block_.Reset();       // a paused viewer holds no memory
  prefetched_ = false;  // and what was fetched for him may be gone when he comes back
  state_ = State::kStopped;
}

void Sender::Resume(const PlayClock& clock, Instant now) {
  const bool range_ended = state_ == State::kEndOfRange;
  Stop();
  clock_.epoch = clock.epoch;
  clock_.start = clock.start;
  set_end(clock.end);
  if (range_ended) GoOnBeyondEnd();
  state_ = State::kPlaying;
  Reschedule(now);
}

void Sender::set_end(std::optional<Duration> end) {
  wanted_end_ = end;
  if (!held_) ApplyEnd(end);
}

void Sender::ApplyEnd(std::optional<Duration> end) {
  clock_.end = end;
  end_pts_ =
      end ? rtp_stream().track.ClockFromDuration(*end) : std::numeric_limits<std::int64_t>::max();
}

bool Sender::GoOnBeyondEnd() {
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

void Sender::ChangeSsrc(std::uint32_t ssrc) {
  ssrc_ = ssrc;
  packets_sent_ = 0;
  octets_sent_ = 0;
}

std::uint32_t Sender::TimestampAt(Duration media) const {
  return rtp_stream().first_timestamp + timestamp_offset_ +
         static_cast<std::uint32_t>(rtp_stream().track.ClockFromDuration(media));
}

std::optional<Duration> Sender::next_due() const {
  if (!block_) return std::nullopt;
  const PacketBlock& block = block_->streams[stream_];
  if (index_ >= block.packets().size()) return std::nullopt;
  return block.due(index_);
}

std::optional<Duration> Sender::max_time_sent() const {
  if (max_pts_sent_ == std::numeric_limits<std::int64_t>::min()) return std::nullopt;
  return rtp_stream().track.DurationFromClock(max_pts_sent_);
}

Duration Sender::Lateness(Instant now) const {
  const std::optional<Duration> due = next_due();
  return due ? now - clock_.DueAt(*due) : 0s;
}

void Sender::End(State state) {
  state_ = state;
  block_.Reset();
  observer_->OnSenderEnded(this);
}

bool Sender::SettleIn(const PacketBlock& block) {
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

bool Sender::Settle() {
  while (state_ == State::kPlaying) {
    if (!block_) {
      if (waiting()) return false;
      block_ = context_->blocks->Acquire(presentation_, number_, this);
      if (!block_) return false;
      context_->counters->blocks_acquired.Add();
    }
    const PacketBlock& block = block_->streams[stream_];
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

Sender::Run Sender::Due(Instant now, std::uint32_t packets_max, bool equal_sizes) {
  Run run;
  if (!Settle()) return run;
  const PacketBlock& block = block_->streams[stream_];
  const auto packets = block.packets();
  const Duration horizon = clock_.MediaAt(now + context_->limits->train_window);
  const std::uint16_t length = packets[index_].length;
  if (equal_sizes) {
    packets_max = std::min(packets_max, static_cast<std::uint32_t>(kTrainPacketsMax));  // [4]
  }
  run.block = &block;
  run.first = index_;
  for (std::uint32_t i = index_; i < packets.size() && run.count < packets_max; ++i) {
    const PacketEntry& entry = packets[i];
    if (block.due(i) > horizon || entry.pts < min_pts_ || entry.pts >= end_pts_) break;
    if (equal_sizes && entry.length > length) break;                                       // [2]
    if (equal_sizes && run.count > 0 && run.bytes + entry.length > kTrainBytesMax) break;  // [5]
    ++run.count;
    run.bytes += entry.length;
    if (equal_sizes && entry.length < length) break;  // [3]: a shorter one closes the train
  }
  run.patch.sequence_offset = static_cast<std::uint16_t>(
      next_sequence_ - static_cast<std::uint16_t>(block.first_sequence() + index_));
  run.patch.timestamp_offset = timestamp_offset_;
  run.patch.ssrc = ssrc_;
  return run;
}

bool Sender::LateBehind(const Run& run, Instant now) const {
  const std::size_t next = run.first + run.count;
  return next < run.block->packets().size() &&
         clock_.DueAt(run.block->due(next)) + context_->limits->train_window <= now;
}

void Sender::Advance(const Run& run, std::uint32_t count) {
  if (count == 0) return;
  const auto packets = run.block->packets();
  for (std::uint32_t i = run.first; i < run.first + count; ++i) {
    max_pts_sent_ = std::max(max_pts_sent_, packets[i].pts);
    octets_sent_ += packets[i].length - static_cast<std::uint32_t>(kRtpHeaderBytes);
  }
  has_sent_ = true;
  packets_sent_ += count;
  next_sequence_ = static_cast<std::uint16_t>(next_sequence_ + count);
  index_ = run.first + count;
  if (!prefetched_ && index_ > packets.size() / 2 && !block_->last) {
    prefetched_ = true;
    context_->blocks->Prefetch(presentation_, number_ + 1);
  }
}

void Sender::Reschedule(Instant not_before) {
  if (!Settle()) return;
  const PacketBlock& block = block_->streams[stream_];
  context_->pacer->Schedule(this, std::max(clock_.DueAt(block.due(index_)), not_before));
}

void Sender::OnBlock(BlockRef block) {
  block_ = std::move(block);
  context_->counters->blocks_acquired.Add();
  FixNumbering(block_->streams[stream_]);
  if (next_due() && clock_.DueAt(*next_due()) < context_->pacer->swept_until()) {
    context_->counters->viewers_late.Add();
  }
  Reschedule(Instant{});
}

void Sender::OnBlockFailed(const absl::Status& status) { observer_->OnSenderFailed(this, status); }

}  // namespace millrace
