#include "net/rtsp/vod_session.h"

#include <algorithm>
#include <cmath>
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
// What Scale and Speed (RFC 2326 sections 12.34 and 12.35) may ask for; what is beyond is brought
// within.
constexpr double kScaleMin = 0.25, kScaleMax = 64;
constexpr double kSpeedMin = 0.5, kSpeedMax = 4;
// So fast that only the connection and the pacer bound it.
constexpr double kUncontrolledSpeed = 1000;
// How far one stream may be ahead of another then.
constexpr Duration kStepMax = 500ms;
// How far such a viewer may fall behind normal speed.
constexpr Duration kDownloadLateMax = 60s;
// What is shorter is not worth looping.
constexpr Duration kTurnMin = 100ms;

bool CanTurn(const Presentation& presentation) {
  return presentation.duration >= kTurnMin && !presentation.growing();
}

VodSender& Vod(const PlaySession::Setup& setup) { return static_cast<VodSender&>(*setup.sender); }

}  // namespace

VodSession::VodSession(SessionHandle self, SessionHost* host, const SessionId& id, std::string path,
                       PresentationRef presentation, const AssetMeaning& meaning,
                       const Endpoint& peer, const ReplyTo& owner)
    : PlaySession(self, host, id, peer, owner),
      path_(std::move(path)),
      presentation_(std::move(presentation)),
      loops_(meaning.wish.loop && CanTurn(*presentation_)),
      channel_(CanTurn(*presentation_) ? meaning.channel : std::nullopt),
      origin_(std::min(meaning.wish.start, presentation_->end())),
      origin_resolved_(origin_ == 0s),
      position_(origin_) {}

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

Duration VodSession::MediaPosition() const {
  if (state_ != State::kPlaying) return position_;
  const bool forward = clock_.scale > 0;
  Duration position = clock_.MediaAt(shard().now());
  // A viewer who runs late stands where his next packet is, not where the clock is.
  for (const Setup& setup : setups_) {
    if (setup.sender->state() != Sender::State::kPlaying) continue;
    const Duration reached = Vod(setup).reached();
    position = forward ? std::min(position, reached) : std::max(position, reached);
  }
  if (clock_.turn > 0s) return std::max(position, range_start_);
  const Duration end = range_end();
  return forward ? std::clamp(position, range_start_, std::max(range_start_, end))
                 : std::clamp(position, std::min(range_start_, end), range_start_);
}

Duration VodSession::FurthestInStep() const {
  Duration slowest = Duration::max() - kStepMax;
  for (const Setup& setup : setups_) {
    if (setup.sender->state() != Sender::State::kPlaying) continue;
    slowest = std::min(slowest, Vod(setup).reached());
  }
  return slowest + kStepMax;
}

Duration VodSession::InMedia(Duration media) const {
  return loops_ && media >= presentation_->duration ? media % presentation_->duration : media;
}

Duration VodSession::Npt(Duration media) const {
  const Duration npt = InMedia(media) - origin_;
  // What lies before his zero comes after the turn.
  return loops_ && npt < 0s ? npt + presentation_->duration : npt;
}

bool VodSession::PlaysLead() const {
  return std::ranges::any_of(setups_, [this](const Setup& s) { return IsLead(s) && !s.gone; });
}

double VodSession::UsableScale(double scale) const {
  const Codec lead = presentation_->streams[presentation_->lead_stream()].track.codec;
  // The pictures of a whole transport stream cannot be told apart, and it has a clock of its own.
  const bool has_pictures = KindOf(lead) == MediaKind::kVideo && lead != Codec::kMpegTs;
  if (!has_pictures || !PlaysLead() || channel_) return 1;
  return scale > 0 ? std::clamp(scale, kScaleMin, kScaleMax) : std::clamp(scale, -kScaleMax, -1.0);
}

double VodSession::ScaleFor(const PlayRequest& request) const {
  if (request.scale) return UsableScale(*request.scale);
  const bool goes_on = !request.start && state_ == State::kPlaying;
  return goes_on ? UsableScale(clock_.scale) : 1;
}

bool VodSession::CanSpeedUp() const {
  return !channel_ &&
         std::ranges::all_of(setups_, [](const Setup& s) { return s.interleaved != nullptr; });
}

bool VodSession::PlayOn(const PlayRequest& request, double speed) {
  const bool playing = state_ == State::kPlaying;
  if (channel_) {
    if (playing) range_start_ = MediaPosition();
    return playing;
  }
  if (request.start || (!playing && (state_ != State::kReady || !can_resume_))) return false;
  if (ScaleFor(request) != clock_.scale) return false;
  if (request.end && (clock_.turn > 0s || clock_.scaled())) return false;
  const bool same_speed = !request.speed && request.rate_control == rate_control_;
  if (playing && same_speed) {
    if (request.end) PauseAt(*request.end);
    range_start_ = MediaPosition();
    return true;
  }
  if (playing) {
    if (clock_.scaled()) return false;
    Pause();
  }
  if (request.end) clock_.end = *request.end + origin_;
  clock_.speed = speed;
  clock_.in_step = !request.rate_control;
  ResumeHere();
  return true;
}

double VodSession::SpeedFor(const PlayRequest& request) const {
  if (channel_) return 1;
  if (!request.rate_control) return kUncontrolledSpeed;
  return std::clamp(std::abs(request.speed.value_or(1)), kSpeedMin, kSpeedMax);
}

Duration VodSession::StartFor(const PlayRequest& request) const {
  if (channel_) return channel_->At(shard().now(), presentation_->duration);
  if (request.start) return InMedia(*request.start + origin_);
  // After a goodbye it begins anew; after a SETUP in between it goes on at the pause point.
  const bool anew = goodbye_sent_ && state_ != State::kPlaying;
  return anew ? origin_ : InMedia(MediaPosition());
}

bool VodSession::Play(PlayRequest request, PendingAnswer answer) {
  if (resolver_ != nullptr) resolver_->Abandon();
  request.rate_control = request.rate_control || !CanSpeedUp();
  const double speed = SpeedFor(request);
  const bool plays_on = PlayOn(request, speed);
  rate_control_ = request.rate_control;
  if (plays_on) return true;
  const Duration from = StartFor(request);
  pending_clock_ = PlayClock();
  pending_clock_.scale = ScaleFor(request);
  pending_clock_.speed = speed;
  pending_clock_.in_step = !request.rate_control;
  if (request.end && !channel_) pending_clock_.end = *request.end + origin_;
  if (pending_clock_.scale < 0 && !pending_clock_.end) pending_clock_.end = origin_;
  if (loops_ && !pending_clock_.end && !pending_clock_.scaled()) {
    pending_clock_.turn = presentation_->duration;
  }
  pending_at_origin_ = !channel_ && from == origin_ && !origin_resolved_;
  pending_streams_ = Streams();
  if (resolver_ == nullptr) {
    StartResolver::Observer* const self = this;
    resolver_ = std::make_unique<StartResolver>(host_->senders()->blocks, self);
  }
  if (resolver_->Begin(presentation_, pending_streams_, from)) {
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
  clock_ = pending_clock_;
  clock_.epoch = now;
  clock_.start = range_start;
  if (std::exchange(pending_at_origin_, false)) {
    if (clock_.end) *clock_.end += range_start - origin_;
    origin_ = range_start;
  }
  origin_resolved_ = true;
  EnterPlaying();
  for (std::size_t i = 0; i < points.size(); ++i) {
    // One of them may have been torn down meanwhile.
    const auto found = std::ranges::find(setups_, pending_streams_[i], &Setup::stream);
    if (found == setups_.end()) continue;
    Setup& setup = *found;
    if ((goodbye_sent_ || setup.gone) && setup.sender->packets_sent() > 0) {
      Vod(setup).ChangeSsrc(NewSsrc());
    }
    setup.gone = false;
    const auto offset =
        static_cast<std::uint32_t>(Vod(setup).rtp_stream().track.ClockFromDuration(shift_));
    if (clock_.scaled() && !IsLead(setup)) {
      Vod(setup).KeepTime(clock_, offset);
      continue;
    }
    Vod(setup).Start(std::move(points[i]), clock_, offset, now);
  }
  resolver_.reset();
  EndAgainIfAllEnded();
  SayHello();
}

void VodSession::ResumeHere() {
  const Instant now = shard().now();
  range_start_ = position_;
  clock_.epoch = now;
  clock_.start = position_;
  EnterPlaying();
  for (Setup& setup : setups_) {
    if (!setup.gone) Vod(setup).Resume(clock_, now);
  }
  EndAgainIfAllEnded();
  SayHello();
}

// A sender that had nothing to send may have ended before others began.
void VodSession::EndAgainIfAllEnded() {
  shard().timers().Cancel(&end_timer_);
  EndIfAllEnded();
}

// Before the senders start: one that has nothing to send ends at once and is heard.
void VodSession::EnterPlaying() {
  state_ = State::kPlaying;
  can_resume_ = false;
  shard().timers().Cancel(&end_timer_);
}

void VodSession::NoteShown(const Setup& setup) {
  const std::optional<Duration> sent = Vod(setup).max_shown();
  if (sent) shown_ = std::max(shown_.value_or(*sent + shift_), *sent + shift_);
}

void VodSession::Pause() {
  if (resolver_ != nullptr) resolver_->Abandon();
  if (state_ != State::kPlaying) return;
  position_ = MediaPosition();
  StopSenders();
  shard().timers().Cancel(&end_timer_);
  state_ = State::kReady;
  can_resume_ = !clock_.scaled() && !channel_;
  StopReports();
}

void VodSession::PauseAt(Duration npt) {
  const Duration at = npt + origin_;
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
  if (clock_.scaled() && !PlaysLead()) return Pause();  // the others are silent
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
  can_resume_ = range_ended && !clock_.scaled();
  StopReports();
  if (!range_ended) {
    SendReports(/*bye=*/true);
    goodbye_sent_ = true;
    return;
  }
  clock_.end = std::nullopt;  // what follows a range that was played to its end is open
}

// All wait together, so that they stay in sync.
void VodSession::OnSenderDelayed(Sender*, Duration by) {
  clock_.epoch += by;
  for (const Setup& setup : setups_) Vod(setup).Delay(by);
}

void VodSession::OnSenderFailed(Sender* sender, const absl::Status& status) {
  // All viewers of a file fail alike.
  thread_local LogLimiter limiter(5);
  if (limiter.Allow(shard().now())) {
    LogError("{}: stream {} cannot be read any further: {}; {} more like it not shown",
             presentation_->file(), sender->stream(), std::string(status.message()),
             limiter.suppressed());
  }
  host_->EndLater(self_, EndReason::kMediaFailed);
}

void VodSession::LookAfterLateness(Instant now) {
  for (const Setup& setup : setups_) {
    if (setup.interleaved == nullptr || setup.sender->state() != Sender::State::kPlaying) continue;
    if (rate_control_ && setup.sender->Lateness(now) <= host_->limits().late_limit) continue;
    // Who takes it at his own speed need not keep up, but has to get on.
    const Duration media = Vod(setup).reached() - clock_.start;
    if (!rate_control_ && now - clock_.epoch - media <= kDownloadLateMax) continue;
    LogWarn("{}: a viewer over TCP is more than {} s late and is closed", peer_.ToString(),
            ToSeconds(rate_control_ ? host_->limits().late_limit : kDownloadLateMax));
    host_->EndLater(self_, EndReason::kTimeout);
    return;
  }
}

bool VodSession::FillTimes(const Setup& setup, Instant now, rtcp::SenderInfo* info) {
  info->ntp = rtcp::NtpFromWall(shard().wall());
  // At his own speed, he is where his packets are.
  // No more can he be further than what is written.
  const bool by_clock = rate_control_ && !presentation_->growing();
  const Duration media = by_clock ? clock_.MediaAt(now) : MediaPosition();
  info->rtp_timestamp = Vod(setup).TimestampAt(media);
  return true;
}

void VodSession::AppendRange(RangeUnit unit, std::string* out) const {
  if (channel_) {
    out->append("npt=now-");
    return;
  }
  const Duration start = Npt(range_start_);
  const bool open = clock_.turn > 0s || (presentation_->growing() && !clock_.end);
  const auto end =
      open ? std::nullopt : std::optional(std::max(range_end() - origin_, Duration(0)));
  if (unit == RangeUnit::kSmpte30Drop || unit == RangeUnit::kSmpte25) {
    AppendSmpteRange(out, unit, start, end);
  } else {
    AppendNptRange(out, start, end);
  }
}

std::optional<std::uint32_t> VodSession::StartTimestamp(const Setup& setup) const {
  if (clock_.scaled() && !IsLead(setup)) return std::nullopt;
  return Vod(setup).TimestampAt(range_start_);
}

void VodSession::Close(bool bye) {
  if (resolver_ != nullptr) resolver_->Abandon();
  PlaySession::Close(bye);
  shard().timers().Cancel(&end_timer_);
}

}  // namespace millrace::rtsp
