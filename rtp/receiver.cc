#include "rtp/receiver.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace millrace {
namespace {

// The duration in units of 1/rate s, modulo 2^32. Whole seconds apart, or days would overflow.
std::uint32_t UnitsOf(Duration duration, std::uint32_t rate) {
  constexpr std::int64_t kNanos = 1'000'000'000;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
  const std::int64_t nanos = (duration - seconds).count();
  return static_cast<std::uint32_t>(seconds.count()) * rate +
         static_cast<std::uint32_t>(nanos * rate / kNanos);
}

}  // namespace

Receiver::Receiver(const Options& options, BlockPool* pool, ReceivedPacketSink* sink)
    : options_(options), pool_(pool), sink_(sink) {}

Receiver::~Receiver() {
  for (const Slot& slot : slots_) {
    if (slot.block != nullptr) pool_->Release(slot.block);
  }
}

void Receiver::OnPacket(std::span<const std::uint8_t> bytes, Instant now) {
  const std::optional<PacketView> view = PacketView::Parse(bytes);
  if (!view) {
    ++stats_.malformed;
    return;
  }
  if (!options_.payload_types[view->payload_type] || !IsFromSource(view->ssrc, now)) {
    ++stats_.foreign;
    return;
  }
  last_arrival_ = now;
  if (!BelievesSequence(view->sequence)) {
    ++stats_.jumps;
    return;
  }
  const std::int64_t highest_before = sequence_.highest();
  const std::int64_t number = sequence_.Extend(view->sequence);
  ++received_;
  if (!NoteSeen(number, highest_before)) {
    ++stats_.duplicates;
    return;
  }
  MeasureJitter(view->timestamp, now);
  Order(number, *view, bytes, now);
}

void Receiver::OnDeadline(Instant now) {
  while (held_ > 0 && deadline() <= now) {
    std::int64_t first_held = next_;
    while (SlotOf(first_held).block == nullptr) ++first_held;
    GiveUpTo(first_held);
  }
}

void Receiver::OnSenderReport(const rtcp::SenderInfo& info, Instant now) {
  // Before the first packet it may be anybody's; MakeReportBlock looks again.
  if (ssrc_ && info.ssrc != *ssrc_) return;
  sender_info_ = info;
  sender_info_arrival_ = now;
}

rtcp::ReportBlock Receiver::MakeReportBlock(Instant now) {
  if (!ssrc_) std::abort();  // the caller's bug
  const std::int64_t expected = sequence_.highest() - base_ + 1;
  const std::int64_t expected_interval = expected - expected_prior_;
  const std::int64_t lost_interval = expected_interval - (received_ - received_prior_);
  expected_prior_ = expected;
  received_prior_ = received_;

  rtcp::ReportBlock block;
  block.ssrc = *ssrc_;
  if (expected_interval > 0 && lost_interval > 0) {
    block.fraction_lost = static_cast<std::uint8_t>(
        std::min<std::int64_t>(lost_interval * 256 / expected_interval, 255));
  }
  block.cumulative_lost = static_cast<std::int32_t>(
      std::clamp<std::int64_t>(expected - received_, -0x800000, 0x7fffff));
  block.highest_sequence = static_cast<std::uint32_t>(sequence_.highest());
  block.jitter = static_cast<std::uint32_t>(jitter_ >> 4);
  if (sender_info_ && sender_info_->ssrc == *ssrc_) {
    block.last_sr = static_cast<std::uint32_t>(sender_info_->ntp >> 16);
    block.delay_since_last_sr = UnitsOf(now - sender_info_arrival_, 1 << 16);
  }
  return block;
}

// Latches the first source, and another that takes over.
bool Receiver::IsFromSource(std::uint32_t ssrc, Instant now) {
  if (ssrc_ == ssrc) {
    rival_run_ = 0;
    return true;
  }
  if (ssrc_ && now - last_arrival_ < kSourceSilence) {
    if (rival_run_ == 0 || rival_ssrc_ != ssrc) {
      rival_ssrc_ = ssrc;
      rival_run_ = 0;
    }
    if (++rival_run_ < kTakeoverPackets) return false;
  }
  Latch(ssrc);
  return true;
}

void Receiver::Latch(std::uint32_t ssrc) {
  OnDeadline(kNever);
  ssrc_ = ssrc;
  rival_run_ = 0;
  sequence_ = ExtendedSequence();
  jitter_ = 0;
  ++stats_.sources;
}

// RFC 3550 A.1.
bool Receiver::BelievesSequence(std::uint16_t sequence) {
  if (!sequence_.started()) {
    StartSequence(sequence);
    return true;
  }
  const std::int32_t distance =
      SequenceDistance(static_cast<std::uint16_t>(sequence_.highest()), sequence);
  if (distance < kDropoutMax && distance > -kMisorderMax) {
    jump_.reset();
    return true;
  }
  if (jump_ != sequence) {
    jump_ = static_cast<std::uint16_t>(sequence + 1);
    return false;
  }
  StartSequence(sequence);
  return true;
}

void Receiver::StartSequence(std::uint16_t sequence) {
  OnDeadline(kNever);
  sequence_ = ExtendedSequence();
  next_ = base_ = sequence_.Extend(sequence);
  seen_.reset();
  jump_.reset();
  received_ = expected_prior_ = received_prior_ = 0;
  transit_.reset();
}

// False when it has come before. The belief in a number keeps it within the history.
bool Receiver::NoteSeen(std::int64_t number, std::int64_t highest_before) {
  constexpr auto kDepth = static_cast<std::int64_t>(kHistory);
  for (std::int64_t n = std::max(highest_before + 1, number - kDepth + 1); n <= number; ++n) {
    seen_.reset(static_cast<std::size_t>(n) % kHistory);
  }
  const std::size_t bit = static_cast<std::size_t>(number) % kHistory;
  if (seen_[bit]) return false;
  seen_.set(bit);
  return true;
}

// RFC 3550 A.8, in its whole numbers.
void Receiver::MeasureJitter(std::uint32_t timestamp, Instant now) {
  if (options_.clock_rate == 0) return;
  const std::uint32_t transit = UnitsOf(now.time_since_epoch(), options_.clock_rate) - timestamp;
  if (transit_) {
    const std::int64_t change = TimestampDistance(*transit_, transit);
    jitter_ += static_cast<std::uint64_t>(std::abs(change)) - ((jitter_ + 8) >> 4);
  }
  transit_ = transit;
}

void Receiver::Order(std::int64_t number, const PacketView& view,
                     std::span<const std::uint8_t> bytes, Instant now) {
  if (number < next_) {
    ++stats_.late;
    return;
  }
  if (number < sequence_.highest()) ++stats_.reordered;
  constexpr auto kReach = static_cast<std::int64_t>(kReorderPackets) - 1;
  GiveUpTo(options_.reorder ? number - kReach : number);
  if (number != next_) {
    if (Hold(number, bytes, now)) return;
    GiveUpTo(number);
  }
  ++next_;
  Deliver(view, bytes, now);
  DeliverRun();
}

bool Receiver::Hold(std::int64_t number, std::span<const std::uint8_t> bytes, Instant now) {
  if (bytes.size() > pool_->block_bytes()) return false;
  std::byte* block = pool_->Acquire();
  if (block == nullptr) return false;
  std::memcpy(block, bytes.data(), bytes.size());
  SlotOf(number) = {block, static_cast<std::uint32_t>(bytes.size()), now};
  if (held_++ == 0) held_since_ = now;
  return true;
}

void Receiver::Deliver(const PacketView& view, std::span<const std::uint8_t> bytes,
                       Instant arrival) {
  ++stats_.packets;
  sink_->OnPacket(view, bytes, arrival);
}

// The packet held for next_.
void Receiver::DeliverHeld() {
  Slot& slot = SlotOf(next_);
  ++next_;
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(slot.block),
                                            slot.length);
  Deliver(*PacketView::Parse(bytes), bytes, slot.arrival);
  pool_->Release(slot.block);
  slot.block = nullptr;
  --held_;
}

// What is held without a gap from next_ on.
void Receiver::DeliverRun() {
  if (held_ == 0) return;
  while (SlotOf(next_).block != nullptr) DeliverHeld();
  held_since_ = kNever;
  for (const Slot& slot : slots_) {
    if (slot.block != nullptr) held_since_ = std::min(held_since_, slot.arrival);
  }
}

// Gives everything before `number`, and behind it up to the next gap, to the sink.
void Receiver::GiveUpTo(std::int64_t number) {
  if (number <= next_) return;
  while (held_ > 0 && next_ < number) {
    if (SlotOf(next_).block != nullptr) {
      DeliverHeld();
    } else {
      ++stats_.lost;
      ++next_;
    }
  }
  if (next_ < number) {
    stats_.lost += static_cast<std::uint64_t>(number - next_);
    next_ = number;
  }
  DeliverRun();
}

}  // namespace millrace
