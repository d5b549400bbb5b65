#include "net/rtsp/session.h"

#include <algorithm>
#include <utility>

#include "core/logging.h"
#include "rtp/rtcp.h"

namespace millrace::rtsp {
namespace {

// Between the last unit of one stretch and the first of the next, on the viewer's timeline: longer
// than any unit (a packet may hold 100 ms of audio), so that no timestamp comes twice.
constexpr Duration kStretchGap = 100ms;
// From the last packet to the BYE: players read RTCP before RTP and would drop what lies between.
constexpr Duration kGoodbyeDelay = 500ms;
// Assumed for the RTCP interval when the container does not say (RFC 3550 section 6.2).
constexpr double kBandwidthUnknownBits = 1e6;
constexpr std::size_t kReportBytes = 100;

}  // namespace

Session::Session(HandleType self, SessionHost* host, const SessionId& id,
                 PresentationRef presentation, const Endpoint& peer, const ReplyTo& owner)
    : self_(self),
      host_(host),
      id_(id),
      presentation_(std::move(presentation)),
      peer_(peer),
      owner_(owner) {
  Touch();
  host_->shard().timers().Arm(&timeout_timer_, last_alive_ + host_->limits().session_timeout);
}

Session::~Session() { Close(false); }

// --- SETUP

Session::Setup& Session::Add(Setup setup) {
  // An SSRC that has said goodbye does not come back (RFC 3550 section 6.6).
  if (RemoveStream(setup.stream)) setup.sender->ChangeSsrc(NewSsrc());
  setups_.push_back(std::move(setup));
  if (state_ == State::kInit) state_ = State::kReady;
  can_resume_ = false;  // a stream that has not played cannot go on
  return setups_.back();
}

Session::Setup& Session::AddUdp(std::size_t stream, std::string url, const Endpoint& rtp,
                                const Endpoint& rtcp) {
  const int family = host_->shard().io().Family(host_->senders()->rtp_socket);
  auto sender = std::make_unique<UdpSender>(host_->senders(), presentation_, stream, observer(),
                                            rtp.ForFamily(family), rtcp.ForFamily(family));
  Setup setup;
  setup.stream = stream;
  setup.lower = LowerTransport::kUdp;
  setup.rtcp_from = rtcp;
  setup.url = std::move(url);
  setup.udp = sender.get();
  setup.sender = std::move(sender);
  Setup& added = Add(std::move(setup));
  host_->WatchRtcp(rtcp, self_, stream);
  return added;
}

Session::Setup& Session::AddInterleaved(std::size_t stream, std::string url,
                                        InterleavedOutput* output, ChannelPair channels) {
  auto sender = std::make_unique<InterleavedSender>(host_->senders(), presentation_, stream,
                                                    observer(), output, channels.rtp);
  Setup setup;
  setup.stream = stream;
  setup.lower = LowerTransport::kTcp;
  setup.url = std::move(url);
  setup.interleaved = sender.get();
  setup.sender = std::move(sender);
  setup.rtcp_channel = channels.rtcp;
  return Add(std::move(setup));
}

void Session::Release(Setup& setup) {
  if (setup.udp != nullptr) host_->UnwatchRtcp(setup.rtcp_from, self_, setup.stream);
  if (setup.interleaved != nullptr) setup.interleaved->Withdraw();
  setup.sender->Stop();
}

std::uint32_t Session::NewSsrc() { return host_->shard().random().Next32() | 1; }

bool Session::RemoveStream(std::size_t stream) {
  const auto found = std::find_if(setups_.begin(), setups_.end(),
                                  [stream](const Setup& s) { return s.stream == stream; });
  if (found == setups_.end()) return false;
  if (found->sender->has_sent() && !goodbye_sent_) {
    const WallTime wall = host_->shard().wall();
    SendReport(*found, /*bye=*/true, host_->shard().now(), rtcp::NtpFromWall(wall));
  }
  NoteShown(*found);
  Release(*found);
  setups_.erase(found);
  EndIfAllEnded();
  return true;
}

bool Session::uses_interleaved() const {
  return std::any_of(setups_.begin(), setups_.end(),
                     [](const Setup& s) { return s.interleaved != nullptr; });
}

std::vector<std::size_t> Session::Streams() const {
  std::vector<std::size_t> streams;
  for (const Setup& setup : setups_) streams.push_back(setup.stream);
  return streams;
}

// --- PLAY and PAUSE

Duration Session::Position() const {
  if (state_ != State::kPlaying) return position_;
  Duration position = clock_.MediaAt(host_->shard().now());
  // A viewer who runs late stands where his next packet is, not where the clock is.
  for (const Setup& setup : setups_) {
    const std::optional<Duration> due = setup.sender->next_due();
    if (due && setup.sender->state() == Sender::State::kPlaying)
      position = std::min(position, *due);
  }
  return std::clamp(position, range_start_, std::max(range_start_, range_end()));
}

bool Session::Play(std::optional<Duration> start, std::optional<Duration> end,
                   PendingAnswer answer) {
  if (!start && state_ == State::kReady && can_resume_) {
    clock_.end = end ? end : clock_.end;
    ResumeHere();
    return true;
  }
  if (!start && state_ == State::kPlaying) {
    if (end) PauseAt(*end);
    range_start_ = Position();
    return true;
  }
  pending_end_ = end;
  if (resolver_ == nullptr) {
    StartResolver::Observer* const self = this;
    resolver_ = std::make_unique<StartResolver>(host_->senders()->blocks, self);
  }
  // After a goodbye it begins anew; after a SETUP in between it goes on at the pause point.
  const Duration from = start.value_or(goodbye_sent_ ? 0s : position_);
  if (resolver_->Begin(presentation_, Streams(), from)) {
    StartFrom(resolver_->range_start(), resolver_->TakePoints());
    return true;
  }
  pending_answer_ = std::move(answer);
  return false;
}

void Session::OnStartResolved(const absl::Status& status) {
  if (status.ok()) StartFrom(resolver_->range_start(), resolver_->TakePoints());
  host_->OnPlayResolved(*this, std::exchange(pending_answer_, {}), status);
}

void Session::StartFrom(Duration range_start, std::vector<StartPoint> points) {
  const Instant now = host_->shard().now();
  // Where the viewer's timeline has got to; it goes on from there.
  for (const Setup& setup : setups_) NoteShown(setup);
  if (shown_) shift_ = *shown_ + kStretchGap - range_start;
  range_start_ = range_start;
  clock_ = {now, range_start, pending_end_};
  EnterPlaying();
  for (std::size_t i = 0; i < setups_.size() && i < points.size(); ++i) {
    Setup& setup = setups_[i];
    if ((goodbye_sent_ || setup.gone) && setup.sender->packets_sent() > 0) {
      setup.sender->ChangeSsrc(NewSsrc());
    }
    setup.gone = false;
    const auto offset =
        static_cast<std::uint32_t>(setup.sender->rtp_stream().track.ClockFromDuration(shift_));
    if (setup.interleaved != nullptr) setup.interleaved->Withdraw();
    setup.sender->Start(std::move(points[i]), clock_, offset, now);
  }
  resolver_.reset();
  SayHello();
}

void Session::ResumeHere() {
  const Instant now = host_->shard().now();
  range_start_ = position_;
  clock_ = {now, position_, clock_.end};
  EnterPlaying();
  for (Setup& setup : setups_) {
    if (!setup.gone) setup.sender->Resume(clock_, now);
  }
  SayHello();
}

// Before the senders start: one that has nothing to send ends at once and is heard.
void Session::EnterPlaying() {
  state_ = State::kPlaying;
  can_resume_ = false;
  host_->shard().timers().Cancel(&end_timer_);
}

void Session::SayHello() {
  goodbye_sent_ = false;
  // The first report comes with the first packets, so that players can map times at once.
  SendReports(/*bye=*/false);
  ArmReportTimer(/*initial=*/true);
}

void Session::NoteShown(const Setup& setup) {
  const std::optional<Duration> sent = setup.sender->max_time_sent();
  if (sent) shown_ = std::max(shown_.value_or(*sent + shift_), *sent + shift_);
}

void Session::StopSenders() {
  for (Setup& setup : setups_) {
    if (setup.interleaved != nullptr) setup.interleaved->Withdraw();
    setup.sender->Stop();
  }
  host_->shard().timers().Cancel(&end_timer_);
}

void Session::Pause() {
  if (resolver_ != nullptr) resolver_->Abandon();
  if (state_ != State::kPlaying) return;
  position_ = Position();
  StopSenders();
  state_ = State::kReady;
  can_resume_ = true;
  host_->shard().timers().Cancel(&report_timer_);
}

void Session::PauseAt(Duration at) {
  clock_.end = at;
  const Instant now = host_->shard().now();
  for (Setup& setup : setups_) {
    if (setup.sender->state() == Sender::State::kEndOfRange) {
      setup.sender->Resume(clock_, now);  // it had met the old end
    } else {
      setup.sender->set_end(at);
    }
  }
  host_->shard().timers().Cancel(&end_timer_);
  EndIfAllEnded();
}

void Session::OnSenderEnded(Sender*) { EndIfAllEnded(); }

void Session::EndIfAllEnded() {
  if (state_ != State::kPlaying) return;
  bool media_over = false;
  for (const Setup& setup : setups_) {
    if (setup.sender->state() == Sender::State::kPlaying) return;
    media_over |= setup.sender->state() == Sender::State::kEndOfMedia;
  }
  const Instant now = host_->shard().now();
  host_->shard().timers().Arm(&end_timer_, media_over ? now + kGoodbyeDelay : now);
}

void Session::OnEndTimer(Instant) {
  if (state_ != State::kPlaying) return;
  bool range_ended = false;
  for (const Setup& setup : setups_) {
    range_ended |= setup.sender->state() == Sender::State::kEndOfRange;
  }
  state_ = State::kReady;
  position_ = range_end();
  can_resume_ = range_ended;
  host_->shard().timers().Cancel(&report_timer_);
  if (!range_ended) {
    SendReports(/*bye=*/true);
    goodbye_sent_ = true;
    return;
  }
  clock_.end = std::nullopt;  // what follows a range that was played to its end is open
}

void Session::OnSenderFailed(Sender* sender, const absl::Status& status) {
  // All viewers of a file fail alike.
  thread_local LogLimiter limiter(5);
  if (limiter.Allow(host_->shard().now())) {
    LogError("{}: stream {} cannot be read any further: {}; {} more like it not shown",
             presentation_->path, sender->stream(), std::string(status.message()),
             limiter.suppressed());
  }
  host_->EndLater(self_, EndReason::kMediaFailed);
}

// --- RTCP

void Session::SendReport(Setup& setup, bool bye, Instant now, std::uint64_t ntp) {
  rtcp::SenderInfo info;
  info.ssrc = setup.sender->ssrc();
  info.ntp = ntp;
  info.rtp_timestamp = setup.sender->TimestampAt(clock_.MediaAt(now));
  info.packet_count = setup.sender->packets_sent();
  info.octet_count = setup.sender->octets_sent();
  std::array<std::uint8_t, rtcp::kCompoundBytesMax> buffer;
  const std::size_t length = rtcp::WriteSenderReport(buffer, info, host_->cname(), bye);
  const std::span<const std::uint8_t> compound(buffer.data(), length);
  if (setup.udp != nullptr) {
    host_->SendRtcp(setup.udp->rtcp_destination(), compound);
  } else {
    setup.interleaved->output()->WriteFrame(setup.rtcp_channel, compound, now);
  }
  host_->shard().counters().rtcp_sent.Add();
}

void Session::SendReports(bool bye) {
  const Instant now = host_->shard().now();
  const std::uint64_t ntp = rtcp::NtpFromWall(host_->shard().wall());
  for (Setup& setup : setups_) {
    if (!setup.gone) SendReport(setup, bye, now, ntp);
  }
}

void Session::ArmReportTimer(bool initial) {
  double bandwidth = 0;
  for (const Setup& setup : setups_) bandwidth += setup.sender->rtp_stream().track.bit_rate;
  if (bandwidth <= 0) bandwidth = kBandwidthUnknownBits;
  Shard& shard = host_->shard();
  shard.timers().Arm(&report_timer_, shard.now() + rtcp::ReportInterval(bandwidth, kReportBytes,
                                                                        initial, shard.random()));
}

void Session::OnReportTimer(Instant now) {
  if (state_ != State::kPlaying) return;
  SendReports(/*bye=*/false);
  ArmReportTimer(/*initial=*/false);
  for (const Setup& setup : setups_) {
    if (setup.interleaved == nullptr) continue;
    if (!setup.interleaved->output()->stalled_since()) Touch();  // it takes what it is sent
    if (setup.interleaved->Lateness(now) > host_->limits().late_limit) {
      LogWarn("{}: a viewer over TCP is more than {} s late and is closed", peer_.ToString(),
              ToSeconds(host_->limits().late_limit));
      host_->EndLater(self_, EndReason::kTimeout);
      return;
    }
  }
}

namespace {

// Takes from a viewer's compound what concerns one stream.
class ReportReader final : public rtcp::Visitor {
 public:
  explicit ReportReader(Sender* sender) : sender_(sender) {}
  bool bye() const { return bye_; }

 private:
  void OnReportBlock(std::uint32_t, const rtcp::ReportBlock& block) override {
    if (block.ssrc == sender_->ssrc()) sender_->set_report(block);
  }
  void OnSenderInfo(const rtcp::SenderInfo&) override {}
  void OnBye(std::uint32_t ssrc) override {
    if (ssrc != sender_->ssrc()) bye_ = true;  // our own name in it is a loop or a forgery
  }

  Sender* const sender_;
  bool bye_ = false;
};

}  // namespace

void Session::OnRtcp(std::size_t stream, std::span<const std::uint8_t> compound) {
  const auto setup = std::find_if(setups_.begin(), setups_.end(),
                                  [stream](const Setup& s) { return s.stream == stream; });
  if (setup == setups_.end()) return;
  ReportReader reader(setup->sender.get());
  if (!rtcp::Read(compound, &reader)) {
    host_->shard().counters().rtcp_malformed.Add();
    return;
  }
  host_->shard().counters().rtcp_received.Add();
  Touch();
  if (!reader.bye() || setup->gone) return;
  setup->gone = true;
  if (setup->interleaved != nullptr) setup->interleaved->Withdraw();
  setup->sender->Stop();
  if (std::all_of(setups_.begin(), setups_.end(), [](const Setup& s) { return s.gone; })) {
    host_->EndLater(self_, EndReason::kGoodbye);
  } else {
    EndIfAllEnded();
  }
}

// --- Life

void Session::OnTimeoutTimer(Instant now) {
  const Limits& limits = host_->limits();
  const Duration limit = orphaned_ ? limits.orphan_timeout : limits.session_timeout;
  if (now - last_alive_ >= limit) {
    host_->EndLater(self_, EndReason::kTimeout);
    return;
  }
  host_->shard().timers().Arm(&timeout_timer_, last_alive_ + limit);
}

void Session::Orphan() {
  orphaned_ = true;
  owner_ = {};
  Touch();
  host_->shard().timers().Arm(&timeout_timer_, last_alive_ + host_->limits().orphan_timeout);
}

void Session::Adopt(const ReplyTo& owner) {
  orphaned_ = false;
  owner_ = owner;
  Touch();
}

void Session::Close(bool bye) {
  if (bye && !goodbye_sent_) {
    for (Setup& setup : setups_) {
      if (!setup.gone && (state_ == State::kPlaying || setup.sender->has_sent())) {
        SendReport(setup, /*bye=*/true, host_->shard().now(),
                   rtcp::NtpFromWall(host_->shard().wall()));
      }
    }
  }
  if (resolver_ != nullptr) resolver_->Abandon();
  for (Setup& setup : setups_) Release(setup);
  setups_.clear();
  TimerWheel& timers = host_->shard().timers();
  timers.Cancel(&timeout_timer_);
  timers.Cancel(&report_timer_);
  timers.Cancel(&end_timer_);
}

}  // namespace millrace::rtsp
