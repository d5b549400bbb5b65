// A viewer's cursor over one stream of a file: where he is and what is due.
//
// The way of the data: Start puts the cursor at a packet; from there it runs on the viewer's clock.
// Half-way through a block the next one is asked for. A clock that is not of normal speed changes
// what is sent (key frames only, when it is faster than normal or runs backwards) and the
// timestamps; one that turns goes on at the start of the media for ever. Where a growing file ends
// for now the cursor waits, and the clock of the session with it.
//
// Shard: home's only.
// Invariants
//  1. Sequence numbers a viewer sees count up by one per packet for the life of his SSRC, over
//     pauses, seeks, blocks and skipped packets (RFC 2326 appendix B).
//  2. A viewer who starts at the stream's own numbering and never seeks sends the cached bytes
//     untouched (patch() is the identity).
//  3. Only packets with min_pts <= pts < end_pts are sent, each once.
//  4. No packet is sent before its due time less the train window.
//  5. Timestamps count the time in which a viewer is shown something, not media time (RFC 2326
//     section 12.34 and appendix B): at four times normal speed, two pictures four seconds of media
//     apart are one second apart.
//  6. Every turn is as long as the media, for all streams alike, however long a stream itself is:
//     audio and video stay in sync.
#pragma once

#include <algorithm>
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
  // Media seconds shown in a second (RFC 2326 section 12.34); negative: backwards.
  double scale = 1;
  // Seconds' worth of what is shown that are delivered in a second (section 12.35).
  double speed = 1;
  // Nothing but the connection bounds the speed: the streams of a session have to look after each
  // other, lest one runs away from the others.
  bool in_step = false;
  // 0, or the length after which the media begins anew; media time goes on beyond it.
  Duration turn{};

  bool scaled() const { return scale != 1; }
  // Only key frames are sent.
  bool keys_only() const { return scale > 1 || scale < 0; }

  Instant DueAt(Duration media) const { return epoch + Over(media - start, scale * speed); }
  Duration MediaAt(Instant now) const { return start + Over(now - epoch, 1 / (scale * speed)); }
  // When `media` is shown, on the timeline that RTP timestamps count.
  Duration ShownAt(Duration media) const { return start + Over(media - start, scale); }

 private:
  static Duration Over(Duration time, double divisor) {
    if (divisor == 1) return time;
    constexpr double kMax = 4e18;  // a century; what is beyond is never reached
    const double result = static_cast<double>(time.count()) / divisor;
    return Duration(static_cast<Duration::rep>(std::clamp(result, -kMax, kMax)));
  }
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
  // Silent during a stretch that others of the session play; its timestamps keep their time.
  void KeepTime(const PlayClock& clock, std::uint32_t timestamp_offset);
  // On from where Stop left it, or from the first packet a range end held back.
  void Resume(const PlayClock& clock, Instant now);
  // The end of the range changes while playing. When the end that was has already held packets back
  // (frames are sent in decoding order), it is met first, lest any is lost or sent twice.
  void set_end(std::optional<Duration> end);
  // The media was not there in time: what follows is due so much later.
  void Delay(Duration by) { clock_.epoch += by; }
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
  // Media time that the cursor has come to: next_due, or where the block begins that it waits for.
  Duration reached() const;
  // The latest that was shown since Start, as PlayClock::ShownAt has it; nothing when none was.
  std::optional<Duration> max_shown() const;
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
  bool FindNext();  // the same, but for what is due later because it came late
  // The same within a block; false at its end and at the range's (the cursor stands on a packet
  // then).
  bool SettleIn(const PacketBlock& block);
  // Instead of it where only key frames are sent; moves to other blocks, of which none may be here
  // then.
  bool SettleOnKey(const PacketBlock& block);
  void MoveToBlock(std::uint32_t number);
  Duration BlockStart(std::uint32_t number) const { return number * presentation_->block_duration; }
  std::uint32_t BlockOf(std::int64_t pts) const;
  // Whether the clock is near enough to the block that is to be asked for; else it looks again when
  // it is. Where key frames, or a stream's units, are few, nobody runs through the whole file.
  bool MayLookAhead();
  // Every unit of the block that is to be asked for lies behind the end of the range.
  bool BeyondEnd() const;
  // What the cursor stands on is the first that the range's end holds back, unless one was before.
  void HoldBackHere();
  // Back to the start of the media; false when it has nothing for this stream.
  bool TurnAround();
  Duration DueOf(const PacketBlock& block, std::size_t packet) const;
  // How many packets from the cursor on are due and may share a run.
  std::uint32_t CountDue(const PacketBlock& block, Instant now, std::uint32_t packets_max) const;
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
  std::int64_t max_pts_sent_ = std::numeric_limits<std::int64_t>::min();  // of this turn
  Duration max_scaled_shown_{};                                           // of a scaled clock
  Duration turn_shift_{};  // length of the turns before this one
  std::uint32_t turn_ticks_ = 0;
  std::int64_t turn_pts_ = 0;    // what is shown at or after it belongs to no turn
  bool turned_in_vain_ = false;  // the last turn sent nothing
  std::optional<Duration>
      wanted_end_;  // differs from the clock's until what that held back is sent
  // First packet that the range's end held back: a PLAY without Range goes on there.
  std::uint32_t held_number_ = 0, held_index_ = 0;
  bool held_ = false;

  std::uint32_t number_ = 0;      // block
  std::uint32_t index_ = 0;       // packet in it
  bool in_key_ = false;           // the cursor is within a key frame
  std::uint32_t key_index_ = 0;   // its first packet
  std::int64_t wanted_key_ = 0;   // the next key frame is at or beyond this time
  bool numbering_fixed_ = false;  // next_sequence_ is decided
  bool prefetched_ = false;       // the block after this one has been asked for
  bool waits_for_more_ = false;   // the block to send from was not written yet
  std::uint32_t timestamp_offset_ = 0;
  std::uint32_t ssrc_ = 0;  // 0: the stream's own
};

}  // namespace millrace
