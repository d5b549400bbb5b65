#include "tools/load/stream_check.h"

#include <algorithm>
#include <cstdlib>

namespace millrace::load {
namespace {

constexpr std::size_t kRtpHeaderBytes = 12;
// Media time that leaps further ahead of the clock than this has jumped.
constexpr Duration kJump = 1s;

std::uint32_t Read32(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

}  // namespace

void StreamCounts::Add(const StreamCounts& other) {
  packets += other.packets;
  bytes += other.bytes;
  lost += other.lost;
  lost_at_start += other.lost_at_start;
  reordered += other.reordered;
  duplicates += other.duplicates;
  malformed += other.malformed;
  wrong_ssrc += other.wrong_ssrc;
  wrong_payload_type += other.wrong_payload_type;
  timestamp_faults += other.timestamp_faults;
  marker_faults += other.marker_faults;
  rtp_info_faults += other.rtp_info_faults;
  jumps += other.jumps;
}

void StreamCheck::Expect(const TrackDescription& track, std::optional<std::uint32_t> ssrc,
                         Duration settle) {
  payload_type_ = track.payload_type;
  kind_ = track.kind;
  clock_rate_ = static_cast<std::int32_t>(std::clamp(track.clock_rate, 1u, 1u << 30));
  tick_ns_ = 1e9 / clock_rate_;
  ssrc_ = ssrc;
  settle_ = settle;
}

void StreamCheck::Land(const RtpInfo& info) {
  moving_ = false;
  time_known_ = false;
  landing_.reset();
  if (!info.sequence) return;
  const std::uint16_t sequence = *info.sequence;
  if (!started_) {
    expected_ = sequence;
    promised_ = true;
  } else if (!promised_) {
    promised_ = true;
    const auto missed = static_cast<std::int16_t>(first_sequence_ - sequence);
    if (missed > 0) {
      counts_.lost += static_cast<std::uint64_t>(missed);
      counts_.lost_at_start += static_cast<std::uint64_t>(missed);
    }
    return;
  }
  const int ahead = static_cast<std::int16_t>(sequence - static_cast<std::uint16_t>(expected_));
  if (std::abs(ahead) >= static_cast<int>(kWindow)) {
    // The server numbers anew, which it may; nothing can be missing in between.
    expected_ = (expected_ & 0xffff0000u) + 0x10000u + sequence;
    missing_.reset();
    landing_ = expected_;
  } else if (ahead >= 0) {
    landing_ = expected_ + static_cast<std::uint32_t>(ahead);
  }
  landing_timestamp_ = info.timestamp;
}

std::optional<Duration> StreamCheck::OnPacket(std::span<const std::uint8_t> packet,
                                              Instant arrived) {
  if (packet.size() < kRtpHeaderBytes || packet[0] >> 6 != 2) {
    ++counts_.malformed;
    return std::nullopt;
  }
  ++counts_.packets;
  counts_.bytes += packet.size();
  if ((packet[1] & 0x7f) != payload_type_) ++counts_.wrong_payload_type;
  const std::uint32_t ssrc = Read32(&packet[8]);
  if (!ssrc_) ssrc_ = ssrc;
  if (*ssrc_ != ssrc) {
    // Another source's sequence numbers would only drown the one fault in a flood of others.
    ++counts_.wrong_ssrc;
    return std::nullopt;
  }
  const auto sequence = static_cast<std::uint16_t>(packet[2] << 8 | packet[3]);
  const std::uint32_t timestamp = Read32(&packet[4]);
  const bool first = !started_;
  if (first) {
    started_ = true;
    first_sequence_ = sequence;
    anew_at_ = arrived;
    if (!promised_) expected_ = sequence;
  }
  if (!OnSequence(sequence)) return std::nullopt;
  if (first) counts_.lost_at_start = counts_.lost;
  if (landing_) {
    const auto past = static_cast<std::int32_t>(expected_ - 1 - *landing_);
    if (past < 0) return std::nullopt;  // still from before the jump
    if (past == 0 && landing_timestamp_ &&
        std::abs(static_cast<std::int32_t>(timestamp - *landing_timestamp_)) > clock_rate_) {
      ++counts_.rtp_info_faults;
    }
    landing_.reset();
  }
  OnTime(timestamp, (packet[1] & 0x80) != 0, arrived);
  return moving_ || went_back_ ? std::nullopt : Lateness(arrived);
}

bool StreamCheck::OnSequence(std::uint16_t sequence) {
  const int ahead = static_cast<std::int16_t>(sequence - static_cast<std::uint16_t>(expected_));
  if (ahead == 0) {
    missing_.reset(expected_ % kWindow);
    ++expected_;
    return true;
  }
  if (moving_ && started_ && std::abs(ahead) >= static_cast<int>(kWindow)) {
    // Numbered anew, and earlier than the answer that says so.
    expected_ = (expected_ & 0xffff0000u) + 0x10000u + sequence + 1;
    missing_.reset();
    return true;
  }
  if (ahead > 0) {
    const auto gap = static_cast<std::uint32_t>(ahead);
    counts_.lost += gap;
    if (gap >= kWindow) missing_.reset();
    for (std::uint32_t i = 0; i < gap && i < kWindow; ++i) {
      missing_.set((expected_ + gap - 1 - i) % kWindow);
    }
    missing_.reset((expected_ + gap) % kWindow);
    expected_ += gap + 1;
    marker_known_ = false;
    return true;
  }
  const std::size_t slot = sequence % kWindow;
  if (-ahead <= static_cast<int>(kWindow) && missing_.test(slot)) {
    missing_.reset(slot);
    --counts_.lost;
    const bool before_first = static_cast<std::int16_t>(sequence - first_sequence_) < 0;
    if (before_first && counts_.lost_at_start > 0) --counts_.lost_at_start;
    ++counts_.reordered;
  } else {
    ++counts_.duplicates;
  }
  return false;
}

void StreamCheck::OnTime(std::uint32_t timestamp, bool marker, Instant arrived) {
  if (!time_known_ || moving_) {
    BeginAnew(arrived);
  } else {
    CompareTime(static_cast<std::int32_t>(timestamp - timestamp_), arrived);
  }
  timestamp_ = timestamp;
  arrived_ = arrived;
  marker_ = marker;
  marker_known_ = true;
}

void StreamCheck::CompareTime(std::int32_t ticks, Instant arrived) {
  if (marker_known_ && kind_ == MediaKind::kVideo && (ticks != 0) != marker_) {
    ++counts_.marker_faults;
  }
  if (ticks == 0) return;
  if (ticks < 0) {
    went_back_ = true;
    if (kind_ == MediaKind::kAudio || ticks < -clock_rate_) ++counts_.timestamp_faults;
  }
  const Duration step(static_cast<Duration::rep>(ticks * tick_ns_));
  if (step - (arrived - arrived_) > kJump) {
    ++counts_.jumps;
    return BeginAnew(arrived);
  }
  ticks_ += ticks;
  ticks_max_ = std::max(ticks_max_, ticks_);
}

void StreamCheck::BeginAnew(Instant arrived) {
  time_known_ = true;
  ticks_ = ticks_max_ = 0;
  anew_at_ = arrived;
  baseline_.reset();
}

std::optional<Duration> StreamCheck::Lateness(Instant arrived) {
  const Duration since = arrived - anew_at_;
  if (since < settle_) return std::nullopt;
  const Duration transit =
      since - Duration(static_cast<Duration::rep>(static_cast<double>(ticks_) * tick_ns_));
  if (!baseline_ || transit < *baseline_) baseline_ = transit;
  told_lateness_ = true;
  return transit - *baseline_;
}

Duration StreamCheck::Behind(Instant playing_since, Instant now) const {
  if (!started_) return now - playing_since;
  const Duration media(static_cast<Duration::rep>(static_cast<double>(ticks_max_) * tick_ns_));
  return now - anew_at_ - media;
}

}  // namespace millrace::load
