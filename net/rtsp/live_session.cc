#include "net/rtsp/live_session.h"

#include <utility>

#include "core/logging.h"
#include "rtp/rtcp.h"

namespace millrace::rtsp {
namespace {

// From the last packet to the BYE: players read RTCP before RTP and would drop what lies between.
constexpr Duration kGoodbyeDelay = 200ms;

LiveSender& Live(const PlaySession::Setup& setup) {
  return static_cast<LiveSender&>(*setup.sender);
}

}  // namespace

LiveSession::LiveSession(SessionHandle self, SessionHost* host, const SessionId& id,
                         const LiveRef& live, const Endpoint& peer, const ReplyTo& owner)
    : PlaySession(self, host, id, peer, owner), view_(host->live_hub().Attach(live, this)) {
  if (view_->ended()) OnPresentationEnded();
}

LiveSession::~LiveSession() {
  Close(false);
  host_->live_hub().Detach(view_, this);
}

std::unique_ptr<Sender> LiveSession::MakeSender(std::size_t stream,
                                                std::unique_ptr<Transport> transport) {
  SenderObserver* const self = this;
  return std::make_unique<LiveSender>(host_->senders(), view_, stream, self, std::move(transport));
}

void LiveSession::ChangeSsrc(Sender& sender, std::uint32_t ssrc) {
  static_cast<LiveSender&>(sender).ChangeSsrc(ssrc);
}

void LiveSession::Play() {
  if (state_ == State::kPlaying) return;
  state_ = State::kPlaying;
  view_->Refresh();
  const Instant now = shard().now();
  for (Setup& setup : setups_) {
    if (setup.gone && setup.sender->packets_sent() > 0) ChangeSsrc(*setup.sender, NewSsrc());
    setup.gone = false;
    Live(setup).Start(now);
  }
  SayHello();
}

void LiveSession::Pause() {
  if (state_ != State::kPlaying) return;
  StopSenders();
  shard().timers().Cancel(&end_timer_);
  StopReports();
  state_ = State::kReady;
  if (view_->ended()) OnPresentationEnded();
}

void LiveSession::AppendRange(RangeUnit, std::string* out) const { out->append("npt=now-"); }

std::optional<std::uint32_t> LiveSession::StartTimestamp(const Setup& setup) const {
  return Live(setup).next_timestamp();
}

bool LiveSession::FillTimes(const Setup& setup, Instant now, rtcp::SenderInfo* info) {
  const ClockMapping clock = view_->live()->stream(setup.stream).clock.Read();
  if (clock.valid == 0) {  // nothing has come of this stream yet
    info->ntp = rtcp::NtpFromWall(shard().wall());
    return false;
  }
  // The moment `now`, on the publisher's own line of wall clock and RTP clock.
  const Duration since = std::max<Duration>(now - clock.at, 0s);
  info->ntp = clock.ntp + rtcp::NtpFromDuration(since);
  info->rtp_timestamp = clock.rtp_timestamp + static_cast<std::uint32_t>(TicksFromDuration(
                                                  since, setup.sender->clock_rate()));
  return true;
}

// Whoever plays gets the rest first.
void LiveSession::OnPresentationEnded() {
  if (state_ != State::kPlaying) host_->EndLater(self_, EndReason::kPublisherGone);
}

void LiveSession::OnSenderJumped(Sender*) {
  if (std::exchange(jump_told_, true)) return;
  LogInfo(
      "{}: took less than '{}' sends for longer than the window holds; goes on at the newest "
      "key frame",
      peer_.ToString(), path());
}

void LiveSession::EndIfAllEnded() {
  if (state_ != State::kPlaying) return;
  bool over = false;
  for (const Setup& setup : setups_) {
    if (setup.sender->state() == Sender::State::kPlaying) return;
    over |= setup.sender->state() == Sender::State::kEndOfMedia;
  }
  if (over) shard().timers().Arm(&end_timer_, shard().now() + kGoodbyeDelay);
}

void LiveSession::OnEndTimer(Instant) {
  for (const Setup& setup : setups_) {
    if (setup.sender->state() == Sender::State::kPlaying) return;  // it has not got the rest yet
  }
  host_->EndLater(self_, EndReason::kPublisherGone);
}

void LiveSession::Close(bool bye) {
  PlaySession::Close(bye);
  shard().timers().Cancel(&end_timer_);
}

}  // namespace millrace::rtsp
