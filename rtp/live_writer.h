// Turns what a publisher sends into what readers get: one copy of each packet into the log, under
// the presentation's own numbering.
//
// The way of the data: Receiver (in order, checked) → OnPacket: split when it is too large, header
// rewritten (SSRC, sequence number, timestamp) → log; at the marker bit, or 4 ms after the
// first packet of a frame that is still coming, the frame is committed with this tick.
//
// A presentation may outlive its publisher. The next writer goes on from the last sequence number
// and timestamp, a wall clock's time later, with the first packet of an access point; until the
// writer before has let go, what comes is dropped.
//
// Shard: the publisher's home.
// Invariants
//  1. Within one publisher a step in his sequence numbers is the same step in ours, so readers see
//     his losses; a packet split in n makes n - 1 more.
//  2. Every stream's access point goes with that of the leading stream: the last packet that came
//     before it, or the first after it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/clock.h"
#include "rtp/live_hub.h"
#include "rtp/live_presentation.h"
#include "rtp/pacer.h"
#include "rtp/packet_view.h"
#include "rtp/payload/stream_inspector.h"
#include "rtp/rtcp.h"

namespace millrace {

// RTP packets of publishers up to this pass as they are: what fits one Ethernet frame over IPv4.
inline constexpr std::size_t kLivePacketBytesMax = 1472;

class LiveWriter final : private PacedTask {
 public:
  // `ticket` names a published path.
  LiveWriter(LiveHub* hub, const PublisherTicket& ticket);
  ~LiveWriter() override;

  // The next packet of a stream, in the publisher's order.
  void OnPacket(std::size_t stream, const PacketView& view, std::span<const std::uint8_t> packet,
                Instant arrival);
  // Maps the stream's clock to the publisher's wall clock.
  void OnSenderReport(std::size_t stream, const rtcp::SenderInfo& info, Instant now);
  // Shows readers all whole frames; by the hub, once per tick in which there are any.
  void Commit(Instant now);

 private:
  struct Stream {
    std::unique_ptr<StreamInspector> inspector;  // null: not understood
    std::optional<Codec> codec;
    bool video = false;
    bool any = false;                              // this source has sent of it
    std::uint32_t source = 0;                      // his SSRC
    std::optional<rtcp::SenderInfo> early_report;  // came before his first packet
    Instant early_report_at{};
    bool unit_is_access = false;  // of the access unit being written
    bool oversize_told = false;
    std::uint16_t sequence_shift = 0;  // ours minus his
    std::uint32_t timestamp_shift = 0;
    std::uint64_t unit_first = 0;  // position
    std::uint64_t whole = 0;       // positions below are of whole frames
    std::uint64_t sets_changed = 0;
    // Of a unit that may be the access point that is waited for.
    std::vector<Bytes> unit_so_far;
    std::uint32_t unit_timestamp = 0;
  };
  class Pieces;

  bool WaitsForAccess(std::size_t index, const PacketView& view,
                      std::span<const std::uint8_t> packet, bool access, Instant arrival);
  void Begin(std::size_t index, const PacketView& view, Instant arrival);
  void Write(std::size_t index, const PacketView& view, std::span<const std::uint8_t> packet,
             bool access, Instant arrival);
  std::uint8_t* AddPacket(std::size_t index, const PacketView& view, std::size_t payload_bytes,
                          std::int64_t timestamp, bool marker, Instant arrival);
  std::uint16_t FlagsOf(std::size_t index, bool marker) const;
  void WriteParameterSets(std::size_t index, const PacketView& view, std::int64_t timestamp,
                          Instant arrival);
  void NoteUnit(std::size_t index, Stream& stream, std::int64_t timestamp, bool access);
  void SetAccess(std::size_t lead);
  void Append(std::size_t index, const PacketView& view, std::span<const std::uint8_t> packet,
              std::int64_t timestamp, Instant arrival);
  void NoteSets(std::size_t index, Stream& stream);
  void EndUnit(Stream& stream, LiveStream& out, bool marker, Instant now);
  void MarkDirty();
  void OnDue(Instant now) override;

  LiveHub* const hub_;
  const LiveRef live_;
  const std::uint64_t ticket_;
  const std::shared_ptr<const LiveDescription> announced_;
  bool claimed_ = false;
  bool dirty_ = false;
  bool flush_all_ = false;
  Instant started_ = kNever;
  std::vector<Stream> streams_;
};

}  // namespace millrace
