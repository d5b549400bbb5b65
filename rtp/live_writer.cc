#include "rtp/live_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/logging.h"
#include "rtp/big_endian.h"
#include "rtp/payload/repacker.h"
#include "rtp/sequence.h"

namespace millrace {
namespace {

// A frame that is still coming is shown this long after its first packet. Nobody can decode half of
// one, and its rest would need trains of its own: with 1 ms, key frames to 1200 viewers left in
// three parts, and the last came 5 ms later.
constexpr Duration kFlushAfter = 4ms;
// Packets in front of the slices of an access unit: delimiter, parameter sets, SEI messages.
constexpr std::size_t kUnitHeadPacketsMax = 16;
// ISO 14496-3: samples of an access unit of AAC-LC; RFC 3640 streams may say otherwise, rarely.
constexpr std::uint32_t kAacUnitSamples = 1024;

}  // namespace

LiveWriter::LiveWriter(LiveHub* hub, const PublisherTicket& ticket)
    : hub_(hub),
      live_(ticket.live),
      ticket_(ticket.id),
      announced_(ticket.announced),
      streams_(ticket.live->stream_count()) {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    const LiveStreamDescription& description = live_->description().streams[i];
    streams_[i].codec = description.codec;
    streams_[i].video = description.media == "video";
    if (description.codec) {
      streams_[i].inspector = std::make_unique<StreamInspector>(*description.codec);
    }
  }
}

LiveWriter::~LiveWriter() {
  if (dirty_) hub_->RemoveDirty(this);
  if (!claimed_) return;
  const Instant now = hub_->shard().now();
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    PacketLog& log = live_->stream(i).log;
    // Nobody joins at the last frames of one who is gone.
    log.SetAccess(PacketLog::kNone);
    log.CommitAll(now);
  }
  hub_->Ring(*live_);
  live_->Unclaim();
}

// Whether what this publisher begins with is not there yet; keeps what may turn out to be part of
// it.
bool LiveWriter::WaitsForAccess(std::size_t index, const PacketView& view,
                                std::span<const std::uint8_t> packet, bool access,
                                Instant arrival) {
  Stream& stream = streams_[index];
  if (started_ == kNever) started_ = arrival;
  if (!stream.unit_so_far.empty() && stream.unit_timestamp != view.timestamp) {
    stream.unit_so_far.clear();
  }
  if (!live_->stream(index).writer.any || index != live_->lead_stream() ||
      !live_->has_access_points() || access || arrival - started_ >= LiveSender::kAccessWait) {
    return false;
  }
  stream.unit_timestamp = view.timestamp;
  if (stream.unit_so_far.size() < kUnitHeadPacketsMax) {
    stream.unit_so_far.emplace_back(packet.begin(), packet.end());
  }
  return true;
}

// The first packet of this publisher: fixes how his numbers become ours.
void LiveWriter::Begin(std::size_t index, const PacketView& view, Instant arrival) {
  Stream& stream = streams_[index];
  LiveStream& out = live_->stream(index);
  LiveStream::WriterState& before = out.writer;
  stream.any = true;
  stream.source = view.ssrc;
  stream.sequence_shift = static_cast<std::uint16_t>(before.next_sequence - view.sequence);
  std::int64_t timestamp = before.last_timestamp;
  if (before.any) {
    // At least a tick, lest two units have one timestamp.
    const std::int64_t ticks = TicksFromDuration(arrival - before.last_arrival,
                                                 live_->description().streams[index].clock_rate);
    timestamp += std::max<std::int64_t>(ticks, 1);
  }
  before.last_timestamp = timestamp;
  stream.timestamp_shift = static_cast<std::uint32_t>(timestamp) - view.timestamp;
  stream.unit_first = out.log.end();
  stream.unit_is_access = false;
  if (stream.early_report && stream.early_report->ssrc == view.ssrc) {
    return OnSenderReport(index, *std::exchange(stream.early_report, std::nullopt),
                          stream.early_report_at);
  }
  ClockMapping clock;  // until his sender report comes
  clock.ntp = rtcp::NtpFromWall(hub_->shard().wall());
  clock.at = hub_->shard().now();
  clock.rtp_timestamp = static_cast<std::uint32_t>(timestamp);
  clock.valid = 1;
  out.clock.Write(clock);
}

void LiveWriter::SetAccess(std::size_t lead) {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    PacketLog& log = live_->stream(i).log;
    if (i == lead) {
      log.SetAccess(streams_[i].unit_first);
    } else {
      log.SetAccess(streams_[i].any && log.end() > 0 ? log.end() - 1 : PacketLog::kNone);
    }
  }
}

void LiveWriter::NoteSets(std::size_t index, Stream& stream) {
  const StreamInspector& inspector = *stream.inspector;
  if (inspector.changed() == stream.sets_changed) return;
  stream.sets_changed = inspector.changed();
  live_->SetParameterSets(index, {inspector.vps(), inspector.sps(), inspector.pps()});
}

void LiveWriter::OnPacket(std::size_t index, const PacketView& view,
                          std::span<const std::uint8_t> packet, Instant arrival) {
  Stream& stream = streams_[index];
  ShardCounters& counters = hub_->shard().counters();
  const bool access = stream.inspector != nullptr && stream.inspector->Inspect(view.payload);
  if (stream.inspector != nullptr) NoteSets(index, stream);
  if (!claimed_) claimed_ = live_->Claim(ticket_);
  if (stream.any && stream.source != view.ssrc) {  // he has started again, with other numbers
    stream.any = false;
    started_ = arrival;
  }
  if (!claimed_ || (!stream.any && WaitsForAccess(index, view, packet, access, arrival))) {
    counters.live_packets_dropped.Add();
    return;
  }
  if (!stream.any) {
    for (const Bytes& head : std::exchange(stream.unit_so_far, {})) {
      Write(index, *PacketView::Parse(head), head, false, arrival);
    }
  }
  Write(index, view, packet, access, arrival);
}

void LiveWriter::Write(std::size_t index, const PacketView& view,
                       std::span<const std::uint8_t> packet, bool access, Instant arrival) {
  Stream& stream = streams_[index];
  LiveStream& out = live_->stream(index);
  if (!stream.any) Begin(index, view, arrival);
  hub_->shard().counters().live_packets_received.Add();
  LiveStream::WriterState& state = out.writer;
  const auto timestamp32 = view.timestamp + stream.timestamp_shift;
  const std::int64_t timestamp =
      state.last_timestamp +
      TimestampDistance(static_cast<std::uint32_t>(state.last_timestamp), timestamp32);
  const bool starts_access = access && !stream.unit_is_access;
  NoteUnit(index, stream, timestamp, access);
  if (starts_access && stream.unit_is_access && live_->sets_vary()) {
    WriteParameterSets(index, view, timestamp, arrival);
  }
  Append(index, view, packet, timestamp, arrival);
  state.any = true;
  state.last_timestamp = timestamp;
  state.last_arrival = arrival;
  EndUnit(stream, out, view.marker, arrival);
  if (out.log.wanted_access() == PacketLog::kNone &&
      live_->stream(live_->lead_stream()).log.wanted_access() != PacketLog::kNone) {
    out.log.SetAccess(out.log.end() - 1);  // the leading access point came before all of it
  }
}

// Room for a payload behind a finished header, in the place of (a part of) the publisher's `view`.
std::uint8_t* LiveWriter::AddPacket(std::size_t index, const PacketView& view,
                                    std::size_t payload_bytes, std::int64_t timestamp, bool marker,
                                    Instant arrival) {
  LiveStream& out = live_->stream(index);
  const auto sequence = static_cast<std::uint16_t>(view.sequence + streams_[index].sequence_shift);
  std::uint8_t* const to =
      out.log.Append(kRtpHeaderBytes + payload_bytes, timestamp, FlagsOf(index, marker), arrival);
  to[0] = 0x80;
  to[1] = static_cast<std::uint8_t>((marker ? 0x80 : 0) | view.payload_type);
  StoreBe16(to + 2, sequence);
  StoreBe32(to + 4, static_cast<std::uint32_t>(timestamp));
  StoreBe32(to + 8, out.ssrc);
  out.writer.next_sequence = static_cast<std::uint16_t>(sequence + 1);
  return to + kRtpHeaderBytes;
}

// Of the packet to be appended.
std::uint16_t LiveWriter::FlagsOf(std::size_t index, bool marker) const {
  const bool starts = live_->stream(index).log.end() == streams_[index].unit_first;
  return static_cast<std::uint16_t>((starts ? kPacketUnitStart : 0) | (marker ? kPacketMarker : 0));
}

// Readers may have an earlier publisher's description; what this one announced instead of sending
// it in band goes in front of every access point (RFC 6184 section 8.4, RFC 7798 section 7.1).
void LiveWriter::WriteParameterSets(std::size_t index, const PacketView& view,
                                    std::int64_t timestamp, Instant arrival) {
  Stream& stream = streams_[index];
  const LiveStreamDescription& own = announced_->streams[index];
  if (!stream.codec || *stream.codec == Codec::kAac) return;
  for (const std::vector<Bytes>* sets : {&own.vps, &own.sps, &own.pps}) {
    for (const Bytes& set : *sets) {
      if (set.empty() || set.size() > kLivePacketBytesMax - kRtpHeaderBytes) continue;
      std::uint8_t* const to =
          AddPacket(index, view, set.size(), timestamp, /*marker=*/false, arrival);
      ++stream.sequence_shift;  // of what follows
      std::memcpy(to, set.data(), set.size());
    }
  }
}

// Whether a new access unit begins, and whether decoding can start at it.
void LiveWriter::NoteUnit(std::size_t index, Stream& stream, std::int64_t timestamp, bool access) {
  LiveStream& out = live_->stream(index);
  if (out.log.end() == stream.unit_first || timestamp != out.writer.last_timestamp) {
    stream.whole = out.log.end();  // a unit without a marker ends here
    stream.unit_first = out.log.end();
    stream.unit_is_access = false;
  }
  if (!access || stream.unit_is_access || index != live_->lead_stream() ||
      !live_->has_access_points()) {
    return;
  }
  stream.unit_is_access = true;
  SetAccess(index);
}

// The parts of a packet that is too large, each a packet of its own.
class LiveWriter::Pieces final : public RepackSink {
 public:
  Pieces(LiveWriter* writer, std::size_t index, const PacketView& view, std::int64_t timestamp,
         Instant arrival)
      : writer_(writer), index_(index), view_(view), timestamp_(timestamp), arrival_(arrival) {}

 private:
  void OnPayload(std::span<const std::uint8_t> head, std::span<const std::uint8_t> body,
                 bool marker, std::uint32_t units_before) override {
    if (!first_) ++writer_->streams_[index_].sequence_shift;
    const std::int64_t timestamp = timestamp_ + std::int64_t{units_before} * kAacUnitSamples;
    std::uint8_t* const to =
        writer_->AddPacket(index_, view_, head.size() + body.size(), timestamp, marker, arrival_);
    std::memcpy(to, head.data(), head.size());
    std::memcpy(to + head.size(), body.data(), body.size());
    first_ = false;
  }

  LiveWriter* const writer_;
  const std::size_t index_;
  const PacketView& view_;
  const std::int64_t timestamp_;
  const Instant arrival_;
  bool first_ = true;
};

void LiveWriter::Append(std::size_t index, const PacketView& view,
                        std::span<const std::uint8_t> packet, std::int64_t timestamp,
                        Instant arrival) {
  Stream& stream = streams_[index];
  LiveStream& out = live_->stream(index);
  if (packet.size() > kLivePacketBytesMax) {
    Pieces pieces(this, index, view, timestamp, arrival);
    if (Repack(stream.codec, view.payload, view.marker, kLivePacketBytesMax - kRtpHeaderBytes,
               &pieces)) {
      return;
    }
    if (!std::exchange(stream.oversize_told, true)) {
      LogWarn(
          "{}: stream {} has packets of {} bytes that cannot be split; over UDP the network "
          "may lose them: let the publisher send at most {}",
          live_->path(), index, packet.size(), kLivePacketBytesMax);
    }
  }
  std::uint8_t* const to =
      out.log.Append(packet.size(), timestamp, FlagsOf(index, view.marker), arrival);
  const auto sequence = static_cast<std::uint16_t>(view.sequence + stream.sequence_shift);
  std::memcpy(to, packet.data(), packet.size());
  StoreBe16(to + 2, sequence);
  StoreBe32(to + 4, static_cast<std::uint32_t>(timestamp));
  StoreBe32(to + 8, out.ssrc);
  out.writer.next_sequence = static_cast<std::uint16_t>(sequence + 1);
}

void LiveWriter::EndUnit(Stream& stream, LiveStream& out, bool marker, Instant now) {
  // Of streams beside video a marker says little; their packets are whole by themselves.
  if (marker || !stream.video) stream.whole = out.log.end();
  if (stream.whole > out.log.committed()) MarkDirty();
  if (stream.whole < out.log.end() && !scheduled())
    hub_->pacer()->Schedule(this, now + kFlushAfter);
}

void LiveWriter::MarkDirty() {
  if (std::exchange(dirty_, true)) return;
  hub_->AddDirty(this);
}

void LiveWriter::OnDue(Instant) {
  flush_all_ = true;
  MarkDirty();
}

void LiveWriter::Commit(Instant now) {
  dirty_ = false;
  bool open = false;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    PacketLog& log = live_->stream(i).log;
    log.Commit(flush_all_ ? log.end() : streams_[i].whole, now);
    open |= log.committed() < log.end();
  }
  flush_all_ = false;
  if (!open) hub_->pacer()->Cancel(this);
  hub_->Ring(*live_);
}

void LiveWriter::OnSenderReport(std::size_t index, const rtcp::SenderInfo& info, Instant now) {
  Stream& stream = streams_[index];
  if (!stream.any) {  // how his numbers become ours is not known yet
    stream.early_report = info;
    stream.early_report_at = now;
    return;
  }
  live_->stream(index).clock.Write({info.ntp, now, info.rtp_timestamp + stream.timestamp_shift, 1});
}

}  // namespace millrace
