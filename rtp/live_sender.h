// A viewer's cursor over one stream of a publisher: a position in the log, and nothing else.
//
// The way of the data: Start puts it at the newest access point (or at the live edge); the backlog
// from there leaves paced, kCatchUpSpeed times as fast as it came; at the tail the sender waits in
// its LiveView's list, and whatever is committed wakes it in the same tick. One that cannot send
// stays where it is; when the window has moved past it, it goes on at the newest access point (or
// waits for the next).
//
// Shard: home's only.
// Limits: Limits::burst_packets per tick and millisecond.
// Invariants
//  1. While its numbering is untouched it sends the log's bytes as they lie: sequence numbers
//     missing there (lost on the publisher's way, or jumped over here) are missing for the viewer.
//  2. Over a PAUSE sequence numbers go on without a gap (RFC 2326 appendix B); timestamps are the
//     publisher's throughout.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "rtp/intrusive_list.h"
#include "rtp/live_presentation.h"
#include "rtp/sender.h"

namespace millrace {

class LiveHub;
class LiveView;

class LiveSender final : public Sender {
 public:
  // A backlog of ten seconds is over after little more than one, and a player's buffers, made for
  // bursts of a few frames, take it.
  static constexpr int kCatchUpSpeed = 8;
  // Whoever waits for an access point so long starts without: some streams have none.
  static constexpr Duration kAccessWait = 10s;

  // `view` is attached as long as this lives.
  LiveSender(SenderContext* context, LiveView* view, std::size_t stream, SenderObserver* observer,
             std::unique_ptr<Transport> transport);
  ~LiveSender() override;

  void Start(Instant now);
  void Stop() override;
  // After a BYE the stream needs a new SSRC (RFC 3550 section 6.6): the next Start uses it.
  void ChangeSsrc(std::uint32_t ssrc);

  // --- Queries.
  std::uint32_t ssrc() const override;
  std::uint32_t clock_rate() const override;
  std::uint32_t bit_rate() const override;
  Duration Lateness(Instant now) const override;
  // RTP timestamp of the packet at the cursor, and with it next_sequence(); nothing while the
  // cursor waits for one to start with.
  std::optional<std::uint32_t> next_timestamp() const;
  // Times it fell out of the window.
  std::uint32_t jumps() const { return jumps_; }

  // --- For LiveView and LiveHub.
  void Fire(Instant now) { transport().OnDue(now); }
  IntrusiveList<LiveSender>* list = nullptr;  // that it is in
  LiveSender* next = nullptr;
  LiveSender* previous = nullptr;

  // --- For the transports.
  Run Due(Instant now, std::uint32_t packets_max, bool equal_sizes) override;
  // Never: what does not fit one train goes with the next round of the same tick.
  bool LateBehind(const Run&, Instant) const override { return false; }
  void Advance(const Run& run, std::uint32_t count) override;
  MemoryHold Hold(const Run& run) const override;
  void Reschedule(Instant not_before) override;

 private:
  // Finds the packet to send next; false when there is none now (it waits or has ended).
  bool Settle(Instant now);
  bool FindStart(Instant now);
  void JumpOutOfWindow(Instant now);
  void Locate(Instant now);
  Instant DueAt(Instant arrival) const {
    return pacing_ ? pace_start_ + (arrival - pace_first_) / kCatchUpSpeed : Instant{};
  }
  std::uint16_t LogSequence(std::size_t index) const;
  void LeaveList();

  LiveView* const view_;
  std::uint64_t position_ = 0;
  std::uint64_t fired_at_ = PacketLog::kNone;  // position at the last visit
  const LogChunk* chunk_ = nullptr;            // that held the cursor when last looked
  std::uint64_t chunk_first_ = 0;              // its first position; tells whether it still lives
  bool awaiting_ = false;                      // an access point, not before await_from_
  bool located_ = false;                       // pace and numbering are set for the cursor
  bool pacing_ = false;                        // until the tail is met
  bool numbered_ = false;                      // has sent under this SSRC: numbers go on
  bool resuming_ = false;                      // the next packet follows a pause
  std::uint64_t await_from_ = 0;
  Instant awaiting_since_{};
  std::uint64_t resume_at_ = 0;  // where the last pause left the cursor
  Instant pace_start_{}, pace_first_{};
  Instant burst_at_{};
  std::uint32_t burst_left_ = 0;
  std::uint32_t jumps_ = 0;
  std::uint32_t ssrc_ = 0;  // 0: the stream's own
  std::uint16_t sequence_offset_ = 0;
};

}  // namespace millrace
