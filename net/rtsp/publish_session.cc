#include "net/rtsp/publish_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/logging.h"
#include "rtp/rtcp.h"

namespace millrace::rtsp {
namespace {

// For the RTCP interval: a publisher's stream is at least this (RFC 3550 section 6.2).
constexpr double kBandwidthAssumedBits = 1e6;
constexpr std::size_t kReportBytes = 100;
// What a packet costs besides its bytes, as if they were bytes.
constexpr std::size_t kPacketCostBytes = 200;
// A flooding connection is not read for so long.
constexpr Duration kFloodPause = 20ms;

// Takes from a publisher's compound what concerns one stream.
class ReportReader final : public rtcp::Visitor {
 public:
  ReportReader(Receiver* receiver, LiveWriter* writer, std::size_t stream, Instant now)
      : receiver_(receiver), writer_(writer), stream_(stream), now_(now) {}

 private:
  void OnReportBlock(std::uint32_t, const rtcp::ReportBlock&) override {}
  void OnSenderInfo(const rtcp::SenderInfo& info) override {
    receiver_->OnSenderReport(info, now_);
    // The first one comes before the first packet.
    if (writer_ != nullptr && receiver_->ssrc().value_or(info.ssrc) == info.ssrc) {
      writer_->OnSenderReport(stream_, info, now_);
    }
  }
  // What ends a publisher is his TEARDOWN, his connection or his silence: encoders that start a
  // stream again say BYE for the old SSRC.
  void OnBye(std::uint32_t) override {}

  Receiver* const receiver_;
  LiveWriter* const writer_;
  const std::size_t stream_;
  const Instant now_;
};

}  // namespace

void PublishSession::Track::OnPacket(const PacketView& view, std::span<const std::uint8_t> packet,
                                     Instant arrival) {
  session->writer_->OnPacket(stream, view, packet, arrival);
}

PublishSession::PublishSession(SessionHandle self, SessionHost* host, const SessionId& id,
                               PublisherTicket ticket, std::string base_url, const Endpoint& peer,
                               const ReplyTo& owner)
    : Session(self, host, id, peer, owner),
      ticket_(std::move(ticket)),
      base_url_(std::move(base_url)),
      reporter_ssrc_(host->shard().random().Next32() | 1) {
  // Whoever does not come to the point does not keep the path from others.
  last_packet_ = shard().now();
  shard().timers().Arm(&silence_timer_, last_packet_ + host_->limits().publisher_silence);
}

PublishSession::~PublishSession() { Close(false); }

// --- SETUP

PublishSession::Track* PublishSession::Find(std::size_t stream) {
  for (const auto& track : tracks_) {
    if (track->stream == stream) return track.get();
  }
  return nullptr;
}

PublishSession::Track& PublishSession::Add(std::size_t stream, bool reorder) {
  RemoveStream(stream);
  const LiveStreamDescription& description = ticket_.live->description().streams[stream];
  auto track = std::make_unique<Track>();
  track->session = this;
  track->stream = stream;
  Receiver::Options options;
  options.clock_rate = description.clock_rate;
  options.reorder = reorder;
  for (const std::uint8_t type : description.payload_types) options.payload_types.set(type);
  track->receiver = std::make_unique<Receiver>(options, host_->reorder_blocks(), track.get());
  tracks_.push_back(std::move(track));
  if (state_ == State::kInit) state_ = State::kReady;
  return *tracks_.back();
}

void PublishSession::AddUdp(std::size_t stream, const Endpoint& rtp, const Endpoint& rtcp) {
  Track& track = Add(stream, /*reorder=*/true);
  track.rtp_from = rtp;
  track.rtcp_from = rtcp;
  track.rtcp_to = rtcp.ForFamily(shard().io().Family(host_->senders()->rtcp_socket));
  host_->WatchRtp(rtp, self_, stream);
  host_->WatchRtcp(rtcp, self_, stream);
}

void PublishSession::AddInterleaved(std::size_t stream, InterleavedOutput* output,
                                    ChannelPair channels) {
  Track& track = Add(stream, /*reorder=*/false);
  track.output = output;
  track.rtcp_channel = channels.rtcp;
}

void PublishSession::Release(Track& track) {
  if (track.output != nullptr) return;
  host_->UnwatchRtp(track.rtp_from, self_, track.stream);
  host_->UnwatchRtcp(track.rtcp_from, self_, track.stream);
}

bool PublishSession::RemoveStream(std::size_t stream) {
  const auto found = std::find_if(tracks_.begin(), tracks_.end(),
                                  [stream](const auto& track) { return track->stream == stream; });
  if (found == tracks_.end()) return false;
  Release(**found);
  tracks_.erase(found);
  return true;
}

// --- RECORD

bool PublishSession::Record() {
  if (state_ == State::kRecording) return true;
  const Instant now = shard().now();
  LiveHub& hub = host_->live_hub();
  if (!published_) {
    PublisherTicket evicted;
    LiveRef ended;
    if (!hub.table().Publish(ticket_, &evicted, &ended)) return false;
    published_ = true;
    shard().counters().publishers_started.Add();
    if (ended != nullptr) hub.Ring(*ended);
    if (evicted.id != 0) hub.Evict(evicted);
    writer_ = std::make_unique<LiveWriter>(&hub, ticket_);
    hub.TellWaiters(path());
    LogInfo("{} publishes '{}'{}", peer_.ToString(), path(),
            evicted.id != 0 ? " in another's place" : "");
  }
  state_ = State::kRecording;
  last_packet_ = now;
  shard().timers().Arm(&silence_timer_, now + host_->limits().publisher_silence);
  ArmReportTimer(/*initial=*/true);
  return true;
}

void PublishSession::Pause() {
  if (state_ != State::kRecording) return;
  state_ = State::kReady;
  last_packet_ = shard().now();
  shard().timers().Arm(&silence_timer_, last_packet_ + host_->limits().session_timeout);
  shard().timers().Cancel(&report_timer_);
}

void PublishSession::OnSilenceTimer(Instant now) {
  const bool paused = published_ && state_ == State::kReady;
  const Duration limit =
      paused ? host_->limits().session_timeout : host_->limits().publisher_silence;
  if (now - last_packet_ < limit) {
    shard().timers().Arm(&silence_timer_, last_packet_ + limit);
    return;
  }
  LogInfo("{} sent nothing to '{}' for {} s: the path is free", peer_.ToString(), path(),
          ToSeconds(limit));
  host_->EndLater(self_, EndReason::kTimeout);
}

// --- Media

bool PublishSession::TakeFromAllowance(std::size_t bytes, Instant now, bool can_wait) {
  const auto per_second = static_cast<std::int64_t>(host_->limits().publish_bytes_per_second);
  const std::int64_t ms = (now - allowance_at_) / 1ms;
  if (ms > 0) {
    // One second's worth may be saved up.
    allowance_ =
        std::min(allowance_ + std::min<std::int64_t>(ms, 1000) * per_second / 1000, per_second);
    allowance_at_ += ms * Duration(1ms);
  }
  if (allowance_ > 0) {
    allowance_ -= static_cast<std::int64_t>(bytes);
    if (allowance_ > 0) return true;
    if (!std::exchange(flood_told_, true)) {
      LogWarn("{} sends more than {} MB/s to '{}' and is held to that", peer_.ToString(),
              per_second / 1'000'000, path());
    }
  }
  if (!can_wait) return false;
  host_->HoldReading(owner_, now + kFloodPause);
  return true;
}

void PublishSession::OnRtp(std::size_t stream, std::span<const std::uint8_t> packet) {
  Track* const track = Find(stream);
  if (track == nullptr) return;
  const Instant now = shard().now();
  if (!TakeFromAllowance(packet.size() + kPacketCostBytes, now, track->output != nullptr)) {
    shard().counters().live_packets_dropped.Add();
    return;
  }
  if (state_ != State::kRecording) return;
  last_packet_ = now;
  Touch();
  track->receiver->OnPacket(packet, now);
  const Instant deadline = track->receiver->deadline();
  if (deadline != kNever && (!reorder_timer_.armed() || reorder_timer_.deadline() > deadline)) {
    shard().timers().Arm(&reorder_timer_, deadline);
  }
}

void PublishSession::OnReorderTimer(Instant now) {
  Instant next = kNever;
  for (const auto& track : tracks_) {
    if (track->receiver->deadline() <= now) track->receiver->OnDeadline(now);
    next = std::min(next, track->receiver->deadline());
  }
  if (next != kNever) shard().timers().Arm(&reorder_timer_, next);
}

// --- RTCP

void PublishSession::OnRtcp(std::size_t stream, std::span<const std::uint8_t> compound) {
  Track* const track = Find(stream);
  if (track == nullptr || !TakeFromAllowance(compound.size() + kPacketCostBytes, shard().now(),
                                             track->output != nullptr)) {
    return;
  }
  ReportReader reader(track->receiver.get(), writer_.get(), stream, shard().now());
  if (!rtcp::Read(compound, &reader)) {
    shard().counters().rtcp_malformed.Add();
    return;
  }
  shard().counters().rtcp_received.Add();
}

void PublishSession::ArmReportTimer(bool initial) {
  shard().timers().Arm(&report_timer_,
                       shard().now() + rtcp::ReportInterval(kBandwidthAssumedBits, kReportBytes,
                                                            initial, shard().random()));
}

void PublishSession::OnReportTimer(Instant now) {
  if (state_ != State::kRecording) return;
  SendReports(now);
  ArmReportTimer(/*initial=*/false);
}

void PublishSession::SendReports(Instant now) {
  for (const auto& track : tracks_) {
    if (!track->receiver->ssrc()) continue;
    const std::array<rtcp::ReportBlock, 1> blocks = {track->receiver->MakeReportBlock(now)};
    std::array<std::uint8_t, rtcp::ReceiverReportBytesMax(1)> buffer;
    const std::size_t length =
        rtcp::WriteReceiverReport(buffer, reporter_ssrc_, blocks, host_->cname());
    const std::span<const std::uint8_t> compound(buffer.data(), length);
    if (track->output != nullptr) {
      track->output->WriteFrame(track->rtcp_channel, compound, now);
    } else {
      host_->SendRtcp(track->rtcp_to, compound);
    }
    shard().counters().rtcp_sent.Add();
    const std::uint64_t lost = track->receiver->stats().lost;
    shard().counters().live_packets_lost.Add(lost - std::exchange(track->lost_told, lost));
  }
}

// --- The end

void PublishSession::Close(bool bye) {
  if (std::exchange(released_, true)) return;
  TimerWheel& timers = shard().timers();
  timers.Cancel(&report_timer_);
  timers.Cancel(&reorder_timer_);
  timers.Cancel(&silence_timer_);
  for (const auto& track : tracks_) {
    if (writer_ != nullptr) track->receiver->OnDeadline(kNever);  // what it holds is all there is
    Release(*track);
  }
  tracks_.clear();
  writer_.reset();
  if (published_) {
    shard().counters().publishers_ended.Add();
    LogInfo("{} publishes '{}' no more", peer_.ToString(), path());
  }
  host_->live_hub().Release(ticket_);
  Session::Close(bye);
}

}  // namespace millrace::rtsp
