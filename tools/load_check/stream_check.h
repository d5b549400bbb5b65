// What one viewer received of one track, checked packet by packet.
//
// Sequence numbers must follow one another from the one RTP-Info promised; the SSRC and the payload
// type must stay what SETUP and the SDP said. A gap counts as lost until the missing packet turns
// up within the window, then as out of order.
//
// Thread: the worker that owns the viewer.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/clock.h"

namespace millrace::load_check {

struct StreamCounts {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // RTP header included, lower layers not
  std::uint64_t lost = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t malformed = 0;
  std::uint64_t wrong_ssrc = 0;
  std::uint64_t wrong_payload_type = 0;

  void Add(const StreamCounts& other);
  std::uint64_t Wrong() const { return malformed + wrong_ssrc + wrong_payload_type; }
};

class StreamCheck {
 public:
  // `ssrc` as Transport named it, if it did; else the first packet's.
  void Expect(int payload_type, unsigned clock_rate, std::optional<std::uint32_t> ssrc);
  // The `seq` of RTP-Info (RFC 2326 section 12.33); packets may have overtaken it.
  void ExpectFirst(std::uint16_t sequence);
  void OnPacket(std::span<const std::uint8_t> packet, Instant now);
  // Bytes that should have been a packet and are none.
  void OnMalformed() { ++counts_.malformed; }

  const StreamCounts& counts() const { return counts_; }
  bool started() const { return started_; }
  Instant first_at() const { return first_at_; }
  std::uint32_t ssrc() const { return ssrc_.value_or(0); }
  // Highest sequence number with its wraps, as a receiver report has it (RFC 3550 section 6.4.1).
  std::uint32_t highest_sequence() const { return expected_ - 1; }
  // How much less media has come than time has passed since the first packet; negative when ahead.
  // Nothing came: all the time since `playing_since`.
  Duration Behind(Instant playing_since, Instant now) const;

 private:
  static constexpr std::size_t kWindow = 1024;

  void OnSequence(std::uint16_t sequence);

  int payload_type_ = -1;
  unsigned clock_rate_ = 90000;
  std::optional<std::uint32_t> ssrc_;

  bool started_ = false;
  bool expecting_ = false;
  Instant first_at_{};
  std::uint16_t first_sequence_ = 0;
  std::uint32_t expected_ = 0;  // extended; its low half is the next sequence number
  std::uint32_t first_timestamp_ = 0;
  std::int32_t ticks_max_ = 0;
  std::bitset<kWindow> missing_;  // by sequence number, of the last kWindow
  StreamCounts counts_;
};

}  // namespace millrace::load_check
