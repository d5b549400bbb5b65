// A viewer's stream: his own numbering and statistics, over a cursor that its kinds bring.
//
// The way of the data: the pacer fires when the packet at the cursor is due; the transport takes
// the due run out of shared memory, sends it, and advances the cursor by what the kernel took.
// Nothing is queued per viewer: a sender that may not send simply stays where it is.
//
//   what is sent  VodSender: blocks of a file, on a clock. LiveSender: a publisher's log, as it
//   grows how it leaves UdpTransport: GSO trains. InterleavedTransport: frames of the viewer's
//   connection
//
// Shard: home's only.
// Invariant: a viewer whose numbering is that of the shared packets sends their bytes untouched
// (patch is the identity).
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "core/clock.h"
#include "core/counters.h"
#include "core/io/memory_hold.h"
#include "core/io/send_batch.h"
#include "core/limits.h"
#include "rtp/header_patch.h"
#include "rtp/pacer.h"
#include "rtp/packet_block.h"
#include "rtp/rtcp.h"

namespace millrace {

class BlockClient;
class Sender;

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

class SenderObserver {
 public:
  virtual ~SenderObserver() = default;
  // The cursor met the end of the range or of the media. Called from within a send: note it, act
  // later.
  virtual void OnSenderEnded(Sender* sender) = 0;
  // A live viewer fell out of the window. From within a send.
  virtual void OnSenderJumped(Sender*) {}
  // Media time beyond which a sender must not be ahead of its session's others: asked only by one
  // on a clock of `in_step`.
  virtual Duration FurthestInStep() const { return Duration::max(); }
  // What the sender is to send next was written so late that all of its session is due later.
  virtual void OnSenderDelayed(Sender*, Duration) {}
  // The media cannot be read any more. From the mailbox.
  virtual void OnSenderFailed(Sender* sender, const absl::Status& status) = 0;
};

// How a sender's packets leave.
class Transport {
 public:
  virtual ~Transport() = default;
  // Sends what is due of its sender, now or with this tick's batch.
  virtual void OnDue(Instant now) = 0;
  // The sender stops: nothing of it waits here any more.
  virtual void Withdraw() {}

 protected:
  Sender& sender() const { return *sender_; }

 private:
  friend class Sender;
  Sender* sender_ = nullptr;
};

class Sender : public PacedTask {
 public:
  enum class State : std::uint8_t { kStopped, kPlaying, kEndOfRange, kEndOfMedia };

  Sender(SenderContext* context, std::size_t stream, SenderObserver* observer,
         std::unique_ptr<Transport> transport);

  // PAUSE: stays where it is and lets go of what it holds.
  virtual void Stop() = 0;

  // --- Queries.
  State state() const { return state_; }
  std::size_t stream() const { return stream_; }
  virtual std::uint32_t ssrc() const = 0;
  virtual std::uint32_t clock_rate() const = 0;
  // bit/s as the description says, 0 unknown.
  virtual std::uint32_t bit_rate() const = 0;
  bool has_sent() const { return has_sent_; }
  // Of the next packet, once started; what RTP-Info says.
  std::uint16_t next_sequence() const { return next_sequence_; }
  std::uint32_t packets_sent() const { return packets_sent_; }
  std::uint32_t octets_sent() const { return octets_sent_; }
  // How late the packet at the cursor is.
  virtual Duration Lateness(Instant now) const = 0;

  // Last receiver report.
  const rtcp::ReportBlock& report() const { return report_; }
  void set_report(const rtcp::ReportBlock& report) { report_ = report; }

  // --- For the transports.
  // A run of packets that may leave together: contiguous in memory, equal in length but for a
  // shorter last one, all due.
  struct Run {
    const std::uint8_t* memory = nullptr;  // entries' offsets count from here
    const PacketEntry* packets = nullptr;
    std::uint32_t first = 0;  // index of packets[0] where it lies
    std::uint32_t count = 0;
    std::uint32_t bytes = 0;
    HeaderPatch patch;
  };
  // The run at the cursor; count is 0 when nothing is due. `equal_sizes` asks for a GSO train,
  // which keeps the conditions [2] to [5] of SendBatch.
  virtual Run Due(Instant now, std::uint32_t packets_max, bool equal_sizes) = 0;
  // Whether the packet behind `run` is so late that it should leave in the same visit, although a
  // send of its own is needed.
  virtual bool LateBehind(const Run& run, Instant now) const = 0;
  // `count` packets of `run` have left.
  virtual void Advance(const Run& run, std::uint32_t count) = 0;
  // Keeps the run's bytes where they are, for a zero-copy send.
  virtual MemoryHold Hold(const Run& run) const = 0;
  // Puts the next packet into the calendar, or waits for it, or ends.
  virtual void Reschedule(Instant not_before) = 0;

 protected:
  // The longest run from `packets` on, of at most `available`; the first is in it.
  static void Gather(const PacketEntry* packets, std::uint32_t available, bool equal_sizes,
                     Run* run);
  // What Advance does for every kind.
  void CountSent(const Run& run, std::uint32_t count);
  Transport& transport() { return *transport_; }

  SenderContext* const context_;
  SenderObserver* const observer_;
  State state_ = State::kStopped;
  bool has_sent_ = false;
  std::uint16_t next_sequence_ = 0;
  std::uint32_t packets_sent_ = 0;
  std::uint32_t octets_sent_ = 0;

 private:
  void OnDue(Instant now) override { transport_->OnDue(now); }

  const std::unique_ptr<Transport> transport_;
  const std::uint16_t stream_;
  rtcp::ReportBlock report_;
};

}  // namespace millrace
