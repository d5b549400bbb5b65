// A viewer's cursor over one stream: where he is, what is due, and his own numbering.
//
// The way of the data: Start puts the cursor at a packet; the pacer fires when that packet is due;
// the transport (udp_sender, interleaved_sender) takes the due run out of the shared block, sends
// it, and advances the cursor by what the kernel took. Half-way through a block the next one is
// asked for. Nothing is queued per viewer: a sender that may not send simply stays where it is.
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
#include <optional>

#include "core/clock.h"
#include "core/counters.h"
#include "core/io/send_batch.h"
#include "core/limits.h"
#include "rtp/header_patch.h"
#include "rtp/pacer.h"
#include "rtp/packet_cache.h"
#include "rtp/rtcp.h"

namespace millrace {

// What all senders of a shard use.
struct SenderContext {
  Pacer* pacer = nullptr;
  SendBatch* batch = nullptr;
  BlockClient* blocks = nullptr;
  ShardCounters* counters = nullptr;
  const Limits* limits = nullptr;
  SocketId rtp_socket = kNoSocket;
  SocketId rtcp_socket = kNoSocket;
};

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

class Sender;

class SenderObserver {
 public:
  virtual ~SenderObserver() = default;
  // The cursor met the end of the range or of the media. Called from within a send: note it, act
  // later.
  virtual void OnSenderEnded(Sender* sender) = 0;
  // The media cannot be read any more. From the mailbox.
  virtual void OnSenderFailed(Sender* sender, const absl::Status& status) = 0;
};

class Sender : public PacedTask, private BlockWaiter {
 public:
  enum class State : std::uint8_t { kStopped, kPlaying, kEndOfRange, kEndOfMedia };

  Sender(SenderContext* context, PresentationRef presentation, std::size_t stream,
         SenderObserver* observer);

  // --- Verbs of the session.
  // A new stretch from `at`. `timestamp_offset` shifts the stream's own timestamps (mod 2^32).
  void Start(StartPoint at, const PlayClock& clock, std::uint32_t timestamp_offset, Instant now);
  // PAUSE: stays where it is and lets go of the block.
  void Stop();
  // On from where Stop left it, or from the first packet a range end held back.
  void Resume(const PlayClock& clock, Instant now);
  // The end of the range changes while playing. When the end that was has already held packets back
  // (frames are sent in decoding order), it is met first, lest any is lost or sent twice.
  void set_end(std::optional<Duration> end);
  // After a BYE the stream needs a new SSRC (RFC 3550 section 6.6): the next Start uses it.
  void ChangeSsrc(std::uint32_t ssrc);

  // --- Queries.
  State state() const { return state_; }
  std::size_t stream() const { return stream_; }
  const RtpStream& rtp_stream() const { return presentation_->streams[stream_]; }
  std::uint32_t ssrc() const { return ssrc_ != 0 ? ssrc_ : rtp_stream().ssrc; }
  bool has_sent() const { return has_sent_; }
  // Of the next packet, once started; what RTP-Info says.
  std::uint16_t next_sequence() const { return next_sequence_; }
  // RTP timestamp of media time `media` in this viewer's numbering.
  std::uint32_t TimestampAt(Duration media) const;
  // Media time at which the next packet is due; nothing while that is unknown (block not here).
  std::optional<Duration> next_due() const;
  // Latest presentation time sent since Start, in npt; nothing when none was.
  std::optional<Duration> max_time_sent() const;
  std::uint32_t packets_sent() const { return packets_sent_; }
  std::uint32_t octets_sent() const { return octets_sent_; }

  // Last receiver report.
  const rtcp::ReportBlock& report() const { return report_; }
  void set_report(const rtcp::ReportBlock& report) { report_ = report; }

  // --- For the transports.
  // A run of packets that may leave together: contiguous in the block, equal in length but for a
  // shorter last one, all due.
  struct Run {
    const PacketBlock* block = nullptr;
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::uint32_t bytes = 0;
    HeaderPatch patch;
  };
  // The run at the cursor; count is 0 when nothing is due. `equal_sizes` asks for a GSO train,
  // which keeps the conditions [2] to [5] of SendBatch.
  Run Due(Instant now, std::uint32_t packets_max, bool equal_sizes);
  // Whether the packet behind `run`, in the same block, is late by the train window or more.
  bool LateBehind(const Run& run, Instant now) const;
  // `count` packets of `run` have left.
  void Advance(const Run& run, std::uint32_t count);
  // Puts the next packet into the calendar, or waits for its block, or ends.
  void Reschedule(Instant not_before);
  // How late the packet at the cursor is.
  Duration Lateness(Instant now) const;

 protected:
  SenderContext* const context_;

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
  SenderObserver* const observer_;
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

  std::uint32_t number_ = 0;  // block
  std::uint32_t index_ = 0;   // packet in it
  const std::uint16_t stream_;
  std::uint16_t next_sequence_ = 0;
  bool numbering_fixed_ = false;  // next_sequence_ is decided
  bool has_sent_ = false;
  bool prefetched_ = false;  // the block after this one has been asked for
  State state_ = State::kStopped;
  std::uint32_t timestamp_offset_ = 0;
  std::uint32_t ssrc_ = 0;  // 0: the stream's own
  std::uint32_t packets_sent_ = 0;
  std::uint32_t octets_sent_ = 0;
  rtcp::ReportBlock report_;
};

}  // namespace millrace
