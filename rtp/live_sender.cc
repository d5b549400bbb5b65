#include "rtp/live_sender.h"

#include <algorithm>
#include <utility>

#include "rtp/big_endian.h"
#include "rtp/live_hub.h"

namespace millrace {

LiveSender::LiveSender(SenderContext* context, LiveView* view, std::size_t stream,
                       SenderObserver* observer, std::unique_ptr<Transport> transport)
    : Sender(context, stream, observer, std::move(transport)), view_(view) {}

LiveSender::~LiveSender() { LeaveList(); }

std::uint32_t LiveSender::ssrc() const {
  return ssrc_ != 0 ? ssrc_ : view_->live()->stream(stream()).ssrc;
}

std::uint32_t LiveSender::clock_rate() const {
  return view_->live()->description().streams[stream()].clock_rate;
}

std::uint32_t LiveSender::bit_rate() const {
  return view_->live()->description().streams[stream()].bandwidth_kbps * 1000;
}

void LiveSender::LeaveList() {
  if (list == nullptr) return;
  list->Remove(this);
  list = nullptr;
}

void LiveSender::Stop() {
  transport().Withdraw();
  if (context_->pacer != nullptr) context_->pacer->Cancel(this);
  LeaveList();
  state_ = State::kStopped;
}

void LiveSender::ChangeSsrc(std::uint32_t ssrc) {
  ssrc_ = ssrc;
  packets_sent_ = 0;
  octets_sent_ = 0;
  numbered_ = false;
}

void LiveSender::Start(Instant now) {
  Stop();
  state_ = State::kPlaying;
  fired_at_ = PacketLog::kNone;
  awaiting_ = true;
  awaiting_since_ = now;
  await_from_ = 0;
  resuming_ = numbered_;
  resume_at_ = position_;
  Reschedule(now);
}

// The packet to begin with, when the cursor has none.
bool LiveSender::FindStart(Instant now) {
  const LogReader& log = view_->log(stream());
  std::uint64_t start = PacketLog::kNone;
  if (view_->starts_at_access_points()) {
    start = log.access();
    // Without the leading stream there is nothing to go with.
    const bool alone = view_->log(view_->live()->lead_stream()).tail() == 0;
    if (start == PacketLog::kNone && (alone || now - awaiting_since_ >= kAccessWait)) {
      start = log.NewestUnit();
    }
  } else {
    start = log.NewestUnit();
  }
  if (start == PacketLog::kNone || start < await_from_) return false;
  position_ = start;
  // Whoever paused within this group of pictures goes on where he was.
  if (resuming_) position_ = std::max(position_, resume_at_);
  awaiting_ = false;
  located_ = false;
  return true;
}

void LiveSender::JumpOutOfWindow(Instant now) {
  ++jumps_;
  context_->counters->live_jumps.Add();
  await_from_ = std::exchange(position_, 0) + 1;
  awaiting_ = true;
  awaiting_since_ = now;
  observer_->OnSenderJumped(this);
}

std::uint16_t LiveSender::LogSequence(std::size_t index) const {
  return LoadBe16(chunk_->bytes.data() + chunk_->packets[index].offset + 2);
}

void LiveSender::Locate(Instant now) {
  located_ = true;
  const std::size_t index = position_ - chunk_->first;
  pacing_ = true;
  pace_start_ = now;
  pace_first_ = chunk_->TimeOf(index);
  const std::uint16_t sequence = LogSequence(index);
  // After a pause the numbers go on; after a jump they tell what is missing.
  if (!numbered_) {
    sequence_offset_ = 0;
  } else if (resuming_) {
    sequence_offset_ = static_cast<std::uint16_t>(next_sequence_ - sequence);
  }
  resuming_ = false;
  next_sequence_ = static_cast<std::uint16_t>(sequence + sequence_offset_);
}

bool LiveSender::Settle(Instant now) {
  if (state_ != State::kPlaying) return false;
  const LogReader& log = view_->log(stream());
  if (!awaiting_ && position_ < log.first()) JumpOutOfWindow(now);
  if ((awaiting_ && !FindStart(now)) || position_ >= log.tail()) {
    if (view_->ended()) {
      state_ = State::kEndOfMedia;
      observer_->OnSenderEnded(this);
      return false;
    }
    if (!awaiting_) pacing_ = false;
    LeaveList();
    view_->AddWaiting(this);
    return false;
  }
  const LogChunk* near =
      chunk_ != nullptr && chunk_first_ >= log.oldest_first() && chunk_first_ <= position_
          ? chunk_
          : nullptr;
  chunk_ = log.Find(position_, near);
  chunk_first_ = chunk_->first;
  if (!located_) Locate(now);
  return true;
}

Sender::Run LiveSender::Due(Instant now, std::uint32_t packets_max, bool equal_sizes) {
  Run run;
  if (burst_at_ != now) {
    burst_at_ = now;
    burst_left_ = static_cast<std::uint32_t>(context_->limits->burst_packets);
  }
  if (!Settle(now)) return run;
  fired_at_ = position_;
  const LogReader& log = view_->log(stream());
  const LogChunk* const next_chunk = chunk_->next.load(std::memory_order_acquire);
  const std::uint64_t end =
      next_chunk != nullptr ? std::min(next_chunk->first, log.tail()) : log.tail();
  const std::size_t index = position_ - chunk_->first;
  std::uint32_t available = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(end - position_, std::min(packets_max, burst_left_)));
  if (pacing_) {
    const Instant horizon = now + context_->limits->train_window;
    std::uint32_t due = 0;
    while (due < available && DueAt(chunk_->TimeOf(index + due)) <= horizon) ++due;
    available = due;
  }
  if (available == 0) return run;
  run.memory = chunk_->bytes.data();
  run.first = static_cast<std::uint32_t>(index);
  Gather(&chunk_->packets[index], available, equal_sizes, &run);
  run.patch.sequence_offset = sequence_offset_;
  run.patch.ssrc = ssrc_;
  return run;
}

void LiveSender::Advance(const Run& run, std::uint32_t count) {
  if (count == 0) return;
  CountSent(run, count);
  numbered_ = true;
  position_ += count;
  burst_left_ -= std::min(burst_left_, count);
  next_sequence_ = static_cast<std::uint16_t>(
      LoadBe16(run.memory + run.packets[count - 1].offset + 2) + sequence_offset_ + 1);
}

MemoryHold LiveSender::Hold(const Run&) const {
  constexpr auto kLetGo = [](void* chunk, void* pool) {
    static_cast<LogChunkPool*>(pool)->Release(static_cast<LogChunk*>(chunk));
  };
  auto* const chunk = const_cast<LogChunk*>(chunk_);
  LogChunkPool::Hold(chunk);
  return {kLetGo, chunk, view_->log(stream()).pool()};
}

void LiveSender::Reschedule(Instant not_before) {
  if (!Settle(not_before)) return;
  const Instant due = DueAt(chunk_->TimeOf(position_ - chunk_->first));
  // No progress since the last visit: the socket is full, and a millisecond may help.
  if (due <= not_before + context_->limits->train_window && position_ != fired_at_ &&
      (burst_left_ > 0 || burst_at_ != not_before)) {
    LeaveList();
    view_->AddReady(this);
  } else {
    context_->pacer->Schedule(this, std::max(due, not_before));
  }
}

Duration LiveSender::Lateness(Instant now) const {
  const LogReader& log = view_->log(stream());
  if (state_ != State::kPlaying || awaiting_ || position_ >= log.tail()) return 0s;
  const std::uint64_t position = std::max(position_, log.first());
  const LogChunk* const chunk = log.Find(position, nullptr);
  return now - chunk->TimeOf(position - chunk->first);
}

std::optional<std::uint32_t> LiveSender::next_timestamp() const {
  const LogReader& log = view_->log(stream());
  if (state_ != State::kPlaying || awaiting_ || position_ >= log.tail() ||
      position_ < log.first()) {
    return std::nullopt;
  }
  const LogChunk* const chunk = log.Find(position_, nullptr);
  return static_cast<std::uint32_t>(chunk->packets[position_ - chunk->first].pts);
}

}  // namespace millrace
