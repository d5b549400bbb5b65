// A viewer's cursor over one stream of a file: where he is and what is due.
//
// The way of the data: Start puts the cursor at a packet; from there it runs on the viewer's clock.
// Half-way through a block the next one is asked for.
//
// Shard: home's only.
// Invariants
//  1. Sequence numbers a viewer sees count up by one per packet for the life of his SSRC, over
//     pauses, seeks, blocks and skipped packets (RFC 2326 appendix B).
//  2. A viewer who starts at the stream's own numbering and never seeks sends the cached bytes
//     untouched (patch() is the identity).
//  3. Only packets with min_pts <= pts < end_pts are sent, each once.
//  4. No packet is sent before its due time less the train window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>

#include "core/clock.h"
#include "rtp/packet_cache.h"
#include "rtp/sender.h"

namespace millrace {

// One stretch of playing, the same for every stream of a session.
struct PlayClock {
  Instant epoch{};   // when media time `start` is due
  Duration start{};  // npt
  std::optional<Duration> end;

  Instant DueAt(Duration media) const { return epoch + (media - start); }
  Duration MediaAt(Instant now) const { return start + (now - epoch); }
};

// Where a stream starts. `block` may be empty: it is asked for then.
struct StartPoint {
  BlockRef block;
  std::uint32_t number = 0;  // of the block
  std::uint32_t index = 0;   // of the packet in it
  std::int64_t min_pts = std::numeric_limits<std::int64_t>::min();
};

class VodSender : public Sender, private BlockWaiter {
 public:
  VodSender(SenderContext* context, PresentationRef presentation, std::size_t stream,
            SenderObserver* observer, std::unique_ptr<Transport> transport);

  // --- Verbs of the session.
  // A new stretch from `at`. `timestamp_offset` shifts the stream's own timestamps (mod 2^32).
  void Start(StartPoint at, const PlayClock& clock, std::uint32_t timestamp_offset, Instant now);
  void Stop() override;
  // On from where Stop left it, or from the first packet a range end held back.
  void Resume(const PlayClock& clock, Instant now);
  // The end of the range changes while playing. When the end that was has already held packets back
  // (frames are sent in decoding order), it is met first, lest any is lost or sent twice.
  void set_end(std::optional<Duration> end);
  // After a BYE the stream needs a new SSRC (RFC 3550 section 6.6): the next Start uses it.
  void ChangeSsrc(std::uint32_t ssrc);

  // --- Queries.
  const RtpStream& rtp_stream() const { return presentation_->streams[stream()]; }
  std::uint32_t ssrc() const override { return ssrc_ != 0 ? ssrc_ : rtp_stream().ssrc; }
  std::uint32_t clock_rate() const override { return rtp_stream().track.clock_rate; }
  std::uint32_t bit_rate() const override { return rtp_stream().track.bit_rate; }
  // RTP timestamp of media time `media` in this viewer's numbering.
  std::uint32_t TimestampAt(Duration media) const;
  // Media time at which the next packet is due; nothing while that is unknown (block not here).
  std::optional<Duration> next_due() const;
  // Latest presentation time sent since Start, in npt; nothing when none was.
  std::optional<Duration> max_time_sent() const;
  Duration Lateness(Instant now) const override;

  // --- For the transports.
  Run Due(Instant now, std::uint32_t packets_max, bool equal_sizes) override;
  // True when it is in the same block and late by the train window or more.
  bool LateBehind(const Run& run, Instant now) const override;
  void Advance(const Run& run, std::uint32_t count) override;
  MemoryHold Hold(const Run& run) const override;
  void Reschedule(Instant not_before) override;

 private:
  void OnBlock(BlockRef block) override;
  void OnBlockFailed(const absl::Status& status) override;
  // Moves over packets that are not for this viewer; false when there is none to send now.
  bool Settle();
  // The same within a block; false at its end and at the range's (the cursor stands on a packet
  // then).
  bool SettleIn(const PacketBlock& block);
  // After the range's end, when it has been moved: to the first packet it held back.
  bool GoOnBeyondEnd();
  void ApplyEnd(std::optional<Duration> end);
  void End(State state);
  void FixNumbering(const PacketBlock& block);

  const PresentationRef presentation_;
  BlockRef block_;
  PlayClock clock_;
  std::int64_t min_pts_ = 0;
  std::int64_t end_pts_ = 0;
  std::int64_t max_pts_sent_ = std::numeric_limits<std::int64_t>::min();
  std::optional<Duration>
      wanted_end_;  // differs from the clock's until what that held back is sent
  // First packet that the range's end held back: a PLAY without Range goes on there.
  std::uint32_t held_number_ = 0, held_index_ = 0;
  bool held_ = false;

  std::uint32_t number_ = 0;      // block
  std::uint32_t index_ = 0;       // packet in it
  bool numbering_fixed_ = false;  // next_sequence_ is decided
  bool prefetched_ = false;       // the block after this one has been asked for
  std::uint32_t timestamp_offset_ = 0;
  std::uint32_t ssrc_ = 0;  // 0: the stream's own
};

}  // namespace millrace
