// One stream of a publisher: takes its packets as they arrive, gives them on in their order, and
// keeps the statistics that a receiver report tells.
//
// The data's way: datagram or interleaved frame -> checked view -> source and sequence believed ->
// (UDP) held until what is missing before it has come, or for kReorderDelay -> sink. A packet that
// is next in order, the usual case, goes through without a copy; one held back is copied into a
// block of the pool.
//
// The source is the SSRC of the first sound packet. Another one is foreign, unless the source has
// been silent for kSourceSilence or kTakeoverPackets running came from the other and none from the
// source: the publisher has started again. Then what is held is given on first, and everything
// begins as for a new stream. Sequence numbers are believed as RFC 3550 A.1 says, without the
// probation of a first packet: a jump beyond kDropoutMax or kMisorderMax needs a second packet
// right behind the first (which is lost by it), then counting starts afresh from there.
//
// Shard: the home of the publisher.
// Limits: kReorderPackets sequence numbers in the window, so one fewer blocks held; a packet
// larger than a block, or one for which no block is free, gives up on what is missing before it.
//
// Invariants
//   1. Within a source, and from one resynchronisation to the next, the sink sees each sequence
//      number at most once, in rising order.
//   2. No packet is held for longer than kReorderDelay, if OnDeadline is called at deadline().
//   3. deadline() == kNever exactly when nothing is held; without `reorder`, always.
//   4. Nothing is allocated but by the pool. Every block is back by the end of the destructor.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/block_pool.h"
#include "core/clock.h"
#include "rtp/packet_view.h"
#include "rtp/rtcp.h"
#include "rtp/sequence.h"

namespace millrace {

class ReceivedPacketSink {
 public:
  virtual ~ReceivedPacketSink() = default;
  // `packet` is the whole RTP packet and `view` what it says; both end with the call. `arrival` is
  // when it came, which for a packet held back is earlier than now. A step of more than one in
  // view.sequence is loss. Must not call the receiver.
  virtual void OnPacket(const PacketView& view, std::span<const std::uint8_t> packet,
                        Instant arrival) = 0;
};

class Receiver {
 public:
  // Two frame times at 100 frames a second, four audio packets: reordering on a path is shorter.
  static constexpr Duration kReorderDelay = 20ms;
  // What 25 Mbit/s sends in that time, rounded up to a power of two.
  static constexpr std::size_t kReorderPackets = 64;
  // Of the pool: an Ethernet frame and some. Larger ones come only over loopback or as fragments.
  static constexpr std::size_t kBlockBytes = 2048;

  static constexpr Duration kSourceSilence = 2s;
  static constexpr std::uint32_t kTakeoverPackets = 16;
  static constexpr std::int32_t kDropoutMax = 3000;  // MAX_DROPOUT of RFC 3550 A.1
  static constexpr std::int32_t kMisorderMax = 100;  // MAX_MISORDER

  struct Options {
    std::uint32_t clock_rate = 90000;  // Hz; 0 unknown: jitter is then not measured
    bool reorder = true;               // false for TCP: in order as it comes, or dropped
    std::bitset<128> payload_types;    // those of the description; others are foreign
  };

  // Of the receiver's whole life, over all its sources. Each packet taken counts once in packets,
  // late, duplicates, jumps, malformed or foreign (or is held still).
  struct Stats {
    std::uint64_t packets = 0;     // given to the sink
    std::uint64_t reordered = 0;   // came after one with a higher number, yet in time
    std::uint64_t lost = 0;        // numbers given up on
    std::uint64_t late = 0;        // came when they had been given up
    std::uint64_t duplicates = 0;  // had come before
    std::uint64_t jumps = 0;       // too far off to be believed alone
    std::uint64_t malformed = 0;
    std::uint64_t foreign = 0;  // another payload type or source
    std::uint64_t sources = 0;  // SSRCs latched
  };

  // `pool` (blocks of kBlockBytes, may be shared with other receivers of the shard) and `sink`
  // outlive the receiver.
  Receiver(const Options& options, BlockPool* pool, ReceivedPacketSink* sink);
  ~Receiver();  // gives nothing to the sink
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // A datagram or an interleaved frame. `now` never goes back.
  void OnPacket(std::span<const std::uint8_t> bytes, Instant now);

  // When OnDeadline has to be called.
  Instant deadline() const { return held_ == 0 ? kNever : held_since_ + kReorderDelay; }
  // Gives up on what is missing before packets held for kReorderDelay. With kNever: empties the
  // window, for the end of the stream.
  void OnDeadline(Instant now);

  // Ignored when it is from another source.
  void OnSenderReport(const rtcp::SenderInfo& info, Instant now);

  // The source's SSRC; nothing before its first packet.
  std::optional<std::uint32_t> ssrc() const { return ssrc_; }
  // RFC 3550 section 6.4.1, computed as A.3 and A.8 do: the fraction is of the time since the last
  // call, duplicates and late packets count as received. Only when there is an ssrc().
  rtcp::ReportBlock MakeReportBlock(Instant now);

  const Stats& stats() const { return stats_; }
  std::size_t held() const { return held_; }

 private:
  static constexpr std::size_t kHistory = 128;  // a power of two beyond kMisorderMax

  struct Slot {
    std::byte* block = nullptr;  // null: empty
    std::uint32_t length = 0;
    Instant arrival;
  };

  bool IsFromSource(std::uint32_t ssrc, Instant now);
  void Latch(std::uint32_t ssrc);
  bool BelievesSequence(std::uint16_t sequence);
  void StartSequence(std::uint16_t sequence);
  bool NoteSeen(std::int64_t number, std::int64_t highest_before);
  void MeasureJitter(std::uint32_t timestamp, Instant now);
  void Order(std::int64_t number, const PacketView& view, std::span<const std::uint8_t> bytes,
             Instant now);
  bool Hold(std::int64_t number, std::span<const std::uint8_t> bytes, Instant now);
  void Deliver(const PacketView& view, std::span<const std::uint8_t> bytes, Instant arrival);
  void DeliverHeld();
  void DeliverRun();
  void GiveUpTo(std::int64_t number);
  Slot& SlotOf(std::int64_t number) {
    return slots_[static_cast<std::size_t>(number) % kReorderPackets];
  }

  const Options options_;
  BlockPool* const pool_;
  ReceivedPacketSink* const sink_;
  Stats stats_;

  // The source, and the one that may replace it.
  std::optional<std::uint32_t> ssrc_;
  Instant last_arrival_;
  std::uint32_t rival_ssrc_ = 0;
  std::uint32_t rival_run_ = 0;

  // Its numbering, since the last resynchronisation.
  ExtendedSequence sequence_;
  std::int64_t next_ = 0;              // that the sink gets next
  std::bitset<kHistory> seen_;         // numbers up to the highest, by their last bits
  std::optional<std::uint16_t> jump_;  // what would confirm the last jump

  // The window: numbers in [next_, next_ + kReorderPackets), next_ itself missing while any is
  // held.
  std::array<Slot, kReorderPackets> slots_;
  std::size_t held_ = 0;
  Instant held_since_;  // the earliest arrival of those held

  // Reports (RFC 3550 A.3, A.8).
  std::int64_t base_ = 0;  // the first number
  std::int64_t received_ = 0;
  std::int64_t expected_prior_ = 0;
  std::int64_t received_prior_ = 0;
  std::optional<std::uint32_t> transit_;
  std::uint64_t jitter_ = 0;  // times 16
  std::optional<rtcp::SenderInfo> sender_info_;
  Instant sender_info_arrival_;
};

}  // namespace millrace
