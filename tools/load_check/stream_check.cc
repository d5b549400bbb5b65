#include "tools/load_check/stream_check.h"

#include <algorithm>

namespace millrace::load_check {
namespace {

constexpr std::size_t kRtpHeaderBytes = 12;

std::uint32_t Read32(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

}  // namespace

void StreamCounts::Add(const StreamCounts& other) {
  packets += other.packets;
  bytes += other.bytes;
  lost += other.lost;
  out_of_order += other.out_of_order;
  duplicates += other.duplicates;
  malformed += other.malformed;
  wrong_ssrc += other.wrong_ssrc;
  wrong_payload_type += other.wrong_payload_type;
}

void StreamCheck::Expect(int payload_type, unsigned clock_rate, std::optional<std::uint32_t> ssrc) {
  payload_type_ = payload_type;
  clock_rate_ = std::max(1u, clock_rate);
  ssrc_ = ssrc;
}

void StreamCheck::ExpectFirst(std::uint16_t sequence) {
  if (!started_) {
    expecting_ = true;
    expected_ = sequence;
    return;
  }
  const auto missed = static_cast<std::int16_t>(first_sequence_ - sequence);
  if (missed > 0) counts_.lost += static_cast<std::uint64_t>(missed);
}

void StreamCheck::OnPacket(std::span<const std::uint8_t> packet, Instant now) {
  if (packet.size() < kRtpHeaderBytes || packet[0] >> 6 != 2) {
    ++counts_.malformed;
    return;
  }
  ++counts_.packets;
  counts_.bytes += packet.size();
  if ((packet[1] & 0x7f) != payload_type_) ++counts_.wrong_payload_type;
  const std::uint32_t ssrc = Read32(&packet[8]);
  if (!ssrc_) ssrc_ = ssrc;
  if (*ssrc_ != ssrc) {
    // Another source's sequence numbers would only drown the one fault in a flood of others.
    ++counts_.wrong_ssrc;
    return;
  }
  const auto sequence = static_cast<std::uint16_t>(packet[2] << 8 | packet[3]);
  const std::uint32_t timestamp = Read32(&packet[4]);
  if (!started_) {
    started_ = true;
    first_at_ = now;
    first_sequence_ = sequence;
    first_timestamp_ = timestamp;
    if (!expecting_) expected_ = sequence;
  }
  // With B-frames time goes back now and then; what counts is how far it came.
  ticks_max_ = std::max(ticks_max_, static_cast<std::int32_t>(timestamp - first_timestamp_));
  OnSequence(sequence);
}

void StreamCheck::OnSequence(std::uint16_t sequence) {
  const auto ahead = static_cast<std::int16_t>(sequence - static_cast<std::uint16_t>(expected_));
  if (ahead >= 0) {
    const auto gap = static_cast<std::uint32_t>(ahead);
    counts_.lost += gap;
    if (gap >= kWindow) missing_.reset();
    for (std::uint32_t i = 0; i < gap && i < kWindow; ++i) {
      missing_.set((expected_ + gap - 1 - i) % kWindow);
    }
    missing_.reset((expected_ + gap) % kWindow);
    expected_ += gap + 1;
    return;
  }
  const std::size_t slot = sequence % kWindow;
  if (-ahead <= static_cast<int>(kWindow) && missing_.test(slot)) {
    missing_.reset(slot);
    --counts_.lost;
    ++counts_.out_of_order;
  } else {
    ++counts_.duplicates;
  }
}

Duration StreamCheck::Behind(Instant playing_since, Instant now) const {
  if (!started_) return now - playing_since;
  const auto media = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(static_cast<double>(ticks_max_) / clock_rate_));
  return now - first_at_ - media;
}

}  // namespace millrace::load_check
