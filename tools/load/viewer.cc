#include "tools/load/viewer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace millrace::load {
namespace {

constexpr Duration kAnswerWithin = 10s;
constexpr Duration kKeepAliveEvery = 20s;
constexpr Duration kPauseFor = 1s;

// So little that the server soon has nowhere to put its packets.
constexpr int kDeafReceiveBytes = 4096;

// Socket numbers: the control connection, then RTP and RTCP of each track.
constexpr unsigned kControlSocket = 0;
unsigned RtpSocket(std::size_t track) { return static_cast<unsigned>(1 + 2 * track); }

const char* Name(Viewer::State state) {
  static constexpr const char* kNames[] = {"not started", "connecting", "DESCRIBE", "SETUP",
                                           "PLAY",        "playing",    "PAUSE",    "paused",
                                           "PLAY again",  "TEARDOWN",   "done"};
  return kNames[static_cast<std::size_t>(state)];
}

// "6970-6971" or "6970".
std::pair<unsigned, unsigned> PortRange(std::string_view text) {
  const std::size_t dash = text.find('-');
  const unsigned first = ParseNumber(text.substr(0, dash)).value_or(0);
  if (dash == std::string_view::npos) return {first, first + 1};
  return {first, ParseNumber(text.substr(dash + 1)).value_or(0)};
}

}  // namespace

struct Viewer::Sink {
  Viewer& viewer;
  void OnFrame(unsigned channel, std::span<const std::uint8_t> packet, Instant arrived) {
    viewer.OnFrame(channel, packet, arrived);
  }
  void OnAnswer(const Response& response) { viewer.OnAnswer(response); }
};

Viewer::Viewer(const ViewerPlan& plan, std::uint32_t id, WorkerContext* context)
    : context_(*context),
      id_(id),
      tally_(&context->tally.Of(plan.transport)),
      plan_(plan),
      random_(std::uint64_t{id} << 8 | 1) {}

Viewer::~Viewer() { Close(); }

void Viewer::Start() {
  state_ = State::kConnecting;
  answer_by_ = context_.clock.Now() + kAnswerWithin;
  if (!client_.Connect(plan_.server, plan_.source ? &*plan_.source : nullptr,
                       plan_.reads_nothing ? kDeafReceiveBytes : 0)) {
    return FailErrno("connect");
  }
  output_watched_ = true;
  Watch(client_.fd(), kControlSocket, EPOLLIN | EPOLLOUT);
}

void Viewer::Watch(int fd, unsigned socket, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = std::uint64_t{id_} << 8 | socket;
  if (epoll_ctl(context_.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
    epoll_ctl(context_.epoll_fd, EPOLL_CTL_MOD, fd, &event);
  }
}

void Viewer::OnSocket(unsigned socket) {
  if (done()) return;
  if (socket != kControlSocket) {
    const std::size_t track = (socket - 1) / 2;
    if (track < tracks_.size()) ReadMedia(tracks_[track], socket != RtpSocket(track));
    return;
  }
  if (state_ == State::kConnecting) {
    if (!client_.FinishConnect()) return FailErrno("connect");
    describe_sent_at_ = context_.clock.Now();
    Request(State::kDescribe, "DESCRIBE", plan_.url, "Accept: application/sdp\r\n");
  }
  if (!done() && !client_.Flush()) return FailErrno("send");
  WatchOutput();
  ReadControl();
}

void Viewer::Request(State next, std::string_view method, std::string_view url,
                     std::string_view headers) {
  state_ = next;
  answer_by_ = context_.clock.Now() + kAnswerWithin;
  if (!client_.Request(method, url, headers)) return FailErrno("send");
  WatchOutput();
}

void Viewer::WatchOutput() {
  if (done() || output_watched_ == client_.has_output()) return;
  output_watched_ = client_.has_output();
  Watch(client_.fd(), kControlSocket, output_watched_ ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void Viewer::ReadControl() {
  if (done()) return;
  switch (client_.Read(context_.stream, context_.arrivals, Sink{*this})) {
    case RtspClient::ReadResult::kOk:
      return;
    case RtspClient::ReadResult::kClosed:
      return Fail(std::string("the server closed the connection: ") + Name(state_));
    case RtspClient::ReadResult::kFailed:
      return FailErrno("receive");
    case RtspClient::ReadResult::kNotRtsp:
      return Fail("bytes that are neither a response nor an interleaved frame");
    case RtspClient::ReadResult::kNotAsked:
      return Fail("an answer to no question");
  }
}

void Viewer::OnAnswer(const Response& response) {
  answer_by_ = kNever;
  if (state_ == State::kTeardown) {
    // What came before the answer is still to be counted.
    for (Track& track : tracks_) {
      if (IsUdp()) ReadMedia(track, false);
    }
    return Close();
  }
  if (response.status != 200) {
    char status[16];
    std::snprintf(status, sizeof(status), "%d ", response.status);
    return Fail(
        std::string(Name(state_)).append(" answered ").append(status).append(response.reason));
  }
  const Instant now = context_.clock.Now();
  switch (state_) {
    case State::kDescribe:
      return OnDescribed(response);
    case State::kSetup:
      return OnSetUp(response);
    case State::kPlay:
      return OnPlayStarted(response);
    case State::kPausing:
      state_ = State::kPaused;
      paused_at_ = now;
      if (!plan_.pauses_at_first) resume_at_ = Jittered(now, kPauseFor);
      return;
    case State::kMoving:
      Land(response);
      state_ = State::kPlaying;
      return;
    default:
      return;  // a keep-alive's
  }
}

void Viewer::OnDescribed(const Response& response) {
  Description description = ParseDescription(response, plan_.url);
  if (description.tracks.empty()) return Fail("DESCRIBE answered with no track");
  aggregate_url_ = description.aggregate_url;
  seconds_ = description.seconds;
  tracks_ = std::vector<Track>(description.tracks.size());
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    tracks_[i].description = std::move(description.tracks[i]);
  }
  SetupNext();
}

void Viewer::SetupNext() {
  const std::size_t index = tracks_set_up_;
  Track& track = tracks_[index];
  std::string header = "Transport: RTP/AVP";
  if (IsUdp()) {
    if (!track.ports.Open(client_.LocalAddress())) return FailErrno("no pair of UDP ports");
    // Edge-triggered, for what waits is always taken to the last.
    Watch(track.ports.rtp(), RtpSocket(index), EPOLLIN | EPOLLET);
    Watch(track.ports.rtcp(), RtpSocket(index) + 1, EPOLLIN | EPOLLET);
    header.append(";unicast;client_port=")
        .append(std::to_string(track.ports.port()) + "-" + std::to_string(track.ports.port() + 1));
  } else {
    track.channel = static_cast<unsigned>(2 * index);
    header.append("/TCP;unicast;interleaved=")
        .append(std::to_string(track.channel) + "-" + std::to_string(track.channel + 1));
  }
  Request(State::kSetup, "SETUP", track.description.url, header + "\r\n");
}

void Viewer::OnSetUp(const Response& response) {
  Track& track = tracks_[tracks_set_up_];
  if (!client_.TakeSession(response)) return Fail("SETUP gave no session");
  const std::string_view transport = response.Header("Transport");
  std::optional<std::uint32_t> ssrc;
  if (const auto text = Parameter(transport, "ssrc")) ssrc = ParseNumber(*text, 16);
  track.check.Expect(track.description, ssrc, plan_.settle);
  if (IsUdp()) {
    const auto [rtp, rtcp] = PortRange(Parameter(transport, "server_port").value_or(""));
    if (rtp == 0) return Fail("SETUP gave no server_port");
    track.server_rtp = WithPort(plan_.server, static_cast<std::uint16_t>(rtp));
    track.server_rtcp = WithPort(plan_.server, static_cast<std::uint16_t>(rtcp));
    track.ports_known = true;
  } else {
    const auto channels = Parameter(transport, "interleaved");
    if (!channels) return Fail("SETUP gave no channels");
    track.channel = PortRange(*channels).first;
  }
  if (++tracks_set_up_ < tracks_.size()) return SetupNext();
  play_sent_at_ = context_.clock.Now();
  Request(State::kPlay, "PLAY", aggregate_url_, plan_.range);
}

void Viewer::OnPlayStarted(const Response& response) {
  Land(response);
  state_ = State::kPlaying;
  const Instant now = context_.clock.Now();
  play_answered_at_ = now;
  if (plan_.reads_nothing) return StopReading();
  keep_alive_at_ = now + kKeepAliveEvery;
  if (plan_.report_every > 0s) report_at_ = now + plan_.report_every;
  if (plan_.seek_every > 0s) seek_at_ = Jittered(now, plan_.seek_every);
  if (plan_.pause_every > 0s) pause_at_ = Jittered(now, plan_.pause_every);
}

void Viewer::Land(const Response& response) {
  const std::string_view header = response.Header("RTP-Info");
  for (Track& track : tracks_) track.check.Land(FindRtpInfo(header, track.description.url));
}

Instant Viewer::Jittered(Instant now, Duration every) {
  return now + Duration(static_cast<Duration::rep>(static_cast<double>(every.count()) *
                                                   (0.5 + random_.Unit())));
}

void Viewer::Seek() {
  // Not so near the end that it comes before the next seek.
  const double last = std::max(0.0, seconds_ - 1.5 * ToSeconds(plan_.seek_every) - 2);
  char range[64];
  std::snprintf(range, sizeof(range), "Range: npt=%.3f-\r\n", random_.Unit() * last);
  for (Track& track : tracks_) track.check.Depart();
  ++tally_->seeks;
  Request(State::kMoving, "PLAY", aggregate_url_, range);
}

void Viewer::Pause() {
  for (Track& track : tracks_) track.check.Depart();
  ++tally_->pauses;
  Request(State::kPausing, "PAUSE", aggregate_url_, "");
}

void Viewer::OnTimer(Instant now) {
  if (done() || state_ == State::kWaiting) return;
  if (now >= answer_by_) return Fail(std::string("no answer in 10 s: ") + Name(state_));
  if (!Plays()) return;
  if (now >= report_at_) {
    report_at_ = now + plan_.report_every;
    SendReceiverReports();
  }
  if (!done() && !client_.answer_due()) MoveOnTime(now);
}

void Viewer::MoveOnTime(Instant now) {
  if (now >= keep_alive_at_) {
    keep_alive_at_ = now + kKeepAliveEvery;
    return Request(state_, "GET_PARAMETER", aggregate_url_, "");
  }
  if (state_ == State::kPaused) {
    if (now < resume_at_) return;
    resume_at_ = paused_at_ = kNever;
    return Request(State::kMoving, "PLAY", aggregate_url_, "");
  }
  if (state_ != State::kPlaying || !first_packet_came_) return;
  if (plan_.pauses_at_first) return Pause();
  if (now >= pause_at_) {
    pause_at_ = Jittered(now, plan_.pause_every);
    Pause();
  } else if (now >= seek_at_) {
    seek_at_ = Jittered(now, plan_.seek_every);
    Seek();
  }
}

void Viewer::Finish(Instant now) {
  if (done()) return;
  if (!Plays()) return Fail(std::string("did not get to play: ") + Name(state_));
  if (plan_.reads_nothing) return Leave();
  if (!first_packet_came_) return Fail("PLAY was answered and no packet came");
  // While it pauses or moves there is nothing to wait for.
  for (const Track& track : tracks_) {
    if (state_ == State::kPlaying) {
      result_.behind = std::max(result_.behind, track.check.Behind(play_sent_at_, now));
    }
  }
  Request(State::kTeardown, "TEARDOWN", aggregate_url_, "");
}

ViewerResult Viewer::Result() const {
  ViewerResult result = result_;
  for (const Track& track : tracks_) {
    result.counts.Add(track.check.counts());
    if (track.check.went_back()) {
      ++result.tracks_excluded;
    } else if (track.check.told_lateness()) {
      ++result.tracks_measured;
    }
  }
  return result;
}

void Viewer::StopReading() {
  epoll_ctl(context_.epoll_fd, EPOLL_CTL_DEL, client_.fd(), nullptr);
  ++context_.tally.joined;
  first_packet_came_ = true;
}

void Viewer::Leave() {
  tcp_info info{};
  socklen_t bytes = sizeof(info);
  getsockopt(client_.fd(), IPPROTO_TCP, TCP_INFO, &info, &bytes);
  closed_by_server_ = info.tcpi_state != TCP_ESTABLISHED;
  Close();
}

void Viewer::Close() {
  state_ = State::kDone;
  client_.Close();
  for (Track& track : tracks_) {
    result_.buffer_drops += track.ports.Drops();
    track.ports.Close();
  }
}

void Viewer::Fail(std::string_view why) {
  if (done()) return;
  failure_ = why;
  if (!first_packet_came_) ++context_.tally.failed;
  Close();
}

void Viewer::FailErrno(std::string_view what) {
  const int error = errno;
  Fail(std::string(what) + ": " + std::strerror(error));
}

}  // namespace millrace::load
