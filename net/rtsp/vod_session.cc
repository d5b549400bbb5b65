#include "net/rtsp/vod_session.h"

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

VodSender& Vod(const PlaySession::Setup& setup) { return static_cast<VodSender&>(*setup.sender); }

}  // namespace

VodSession::VodSession(SessionHandle self, SessionHost* host, const SessionId& id,
                       PresentationRef presentation, const Endpoint& peer, const ReplyTo& owner)
    : PlaySession(self, host, id, peer, owner), presentation_(std::move(presentation)) {}

VodSession::~VodSession() { Close(false); }

std::unique_ptr<Sender> VodSession::MakeSender(std::size_t stream,
                                               std::unique_ptr<Transport> transport) {
  SenderObserver* const self = this;
  return std::make_unique<VodSender>(host_->senders(), presentation_, stream, self,
                                     std::move(transport));
}

void VodSession::ChangeSsrc(Sender& sender, std::uint32_t ssrc) {
  static_cast<VodSender&>(sender).ChangeSsrc(ssrc);
}

std::vector<std::size_t> VodSession::Streams() const {
  std::vector<std::size_t> streams;
  for (const Setup& setup : setups_) streams.push_back(setup.stream);
  return streams;
}

Duration VodSession::Position() const {
  if (state_ != State::kPlaying) return position_;
  Duration position = clock_.MediaAt(shard().now());
  // A viewer who runs late stands where his next packet is, not where the clock is.
  for (const Setup& setup : setups_) {
    const std::optional<Duration> due = Vod(setup).next_due();
    if (due && setup.sender->state() == Sender::State::kPlaying)
      position = std::min(position, *due);
  }
  return std::clamp(position, range_start_, std::max(range_start_, range_end()));
}

bool VodSession::Play(std::optional<Duration> start, std::optional<Duration> end,
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

void VodSession::OnStartResolved(const absl::Status& status) {
  if (status.ok()) StartFrom(resolver_->range_start(), resolver_->TakePoints());
  host_->OnPlayResolved(*this, std::exchange(pending_answer_, {}), status);
}

void VodSession::StartFrom(Duration range_start, std::vector<StartPoint> points) {
  const Instant now = shard().now();
  // Where the viewer's timeline has got to; it goes on from there.
  for (const Setup& setup : setups_) NoteShown(setup);
  if (shown_) shift_ = *shown_ + kStretchGap - range_start;
  range_start_ = range_start;
  clock_ = {now, range_start, pending_end_};
  EnterPlaying();
  for (std::size_t i = 0; i < setups_.size() && i < points.size(); ++i) {
    Setup& setup = setups_[i];
    if ((goodbye_sent_ || setup.gone) && setup.sender->packets_sent() > 0) {
      Vod(setup).ChangeSsrc(NewSsrc());
    }
    setup.gone = false;
    const auto offset =
        static_cast<std::uint32_t>(Vod(setup).rtp_stream().track.ClockFromDuration(shift_));
    Vod(setup).Start(std::move(points[i]), clock_, offset, now);
  }
  resolver_.reset();
  SayHello();
}

void VodSession::ResumeHere() {
  const Instant now = shard().now();
  range_start_ = position_;
  clock_ = {now, position_, clock_.end};
  EnterPlaying();
  for (Setup& setup : setups_) {
    if (!setup.gone) Vod(setup).Resume(clock_, now);
  }
  SayHello();
}

// Before the senders start: one that has nothing to send ends at once and is heard.
void VodSession::EnterPlaying() {
  state_ = State::kPlaying;
  can_resume_ = false;
  shard().timers().Cancel(&end_timer_);
}

void VodSession::NoteShown(const Setup& setup) {
  const std::optional<Duration> sent = Vod(setup).max_time_sent();
  if (sent) shown_ = std::max(shown_.value_or(*sent + shift_), *sent + shift_);
}

void VodSession::Pause() {
  if (resolver_ != nullptr) resolver_->Abandon();
  if (state_ != State::kPlaying) return;
  position_ = Position();
  StopSenders();
  shard().timers().Cancel(&end_timer_);
  state_ = State::kReady;
  can_resume_ = true;
  StopReports();
}

void VodSession::PauseAt(Duration at) {
  clock_.end = at;
  const Instant now = shard().now();
  for (Setup& setup : setups_) {
    if (setup.sender->state() == Sender::State::kEndOfRange) {
      Vod(setup).Resume(clock_, now);  // it had met the old end
    } else {
      Vod(setup).set_end(at);
    }
  }
  shard().timers().Cancel(&end_timer_);
  EndIfAllEnded();
}

void VodSession::EndIfAllEnded() {
  if (state_ != State::kPlaying) return;
  bool media_over = false;
  for (const Setup& setup : setups_) {
    if (setup.sender->state() == Sender::State::kPlaying) return;
    media_over |= setup.sender->state() == Sender::State::kEndOfMedia;
  }
  const Instant now = shard().now();
  shard().timers().Arm(&end_timer_, media_over ? now + kGoodbyeDelay : now);
}

void VodSession::OnEndTimer(Instant) {
  if (state_ != State::kPlaying) return;
  bool range_ended = false;
  for (const Setup& setup : setups_) {
    range_ended |= setup.sender->state() == Sender::State::kEndOfRange;
  }
  state_ = State::kReady;
  position_ = range_end();
  can_resume_ = range_ended;
  StopReports();
  if (!range_ended) {
    SendReports(/*bye=*/true);
    goodbye_sent_ = true;
    return;
  }
  clock_.end = std::nullopt;  // what follows a range that was played to its end is open
}

void VodSession::OnSenderFailed(Sender* sender, const absl::Status& status) {
  // All viewers of a file fail alike.
  thread_local LogLimiter limiter(5);
  if (limiter.Allow(shard().now())) {
    LogError("{}: stream {} cannot be read any further: {}; {} more like it not shown",
             presentation_->path, sender->stream(), std::string(status.message()),
             limiter.suppressed());
  }
  host_->EndLater(self_, EndReason::kMediaFailed);
}

void VodSession::LookAfterLateness(Instant now) {
  for (const Setup& setup : setups_) {
    if (setup.interleaved == nullptr) continue;
    if (setup.sender->Lateness(now) <= host_->limits().late_limit) continue;
    LogWarn("{}: a viewer over TCP is more than {} s late and is closed", peer_.ToString(),
            ToSeconds(host_->limits().late_limit));
    host_->EndLater(self_, EndReason::kTimeout);
    return;
  }
}

bool VodSession::FillTimes(const Setup& setup, Instant now, rtcp::SenderInfo* info) {
  info->ntp = rtcp::NtpFromWall(shard().wall());
  info->rtp_timestamp = Vod(setup).TimestampAt(clock_.MediaAt(now));
  return true;
}

void VodSession::AppendRange(std::string* out) const {
  AppendNptRange(out, range_start_, range_end());
}

std::optional<std::uint32_t> VodSession::StartTimestamp(const Setup& setup) const {
  return Vod(setup).TimestampAt(range_start_);
}

void VodSession::Close(bool bye) {
  if (resolver_ != nullptr) resolver_->Abandon();
  PlaySession::Close(bye);
  shard().timers().Cancel(&end_timer_);
}

}  // namespace millrace::rtsp
