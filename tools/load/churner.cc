#include "tools/load/churner.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tools/load/address.h"

namespace millrace::load {
namespace {

constexpr Duration kAnswerWithin = 10s;
constexpr Duration kPacketsWithin = 1s;
constexpr Duration kBreathe = 20ms;
// Steps at which a session may be cut: connect, DESCRIBE, two SETUPs, PLAY, the first packets.
constexpr std::uint64_t kSteps = 6;
constexpr unsigned kLoopbackSources = 200;
// Reports nobody reads must not fill the kernel's memory.
constexpr std::uint64_t kSessionsPerRtcpDrain = 64;

constexpr unsigned kControlSocket = 0;

}  // namespace

void Churner::Start(std::uint64_t number) {
  began_at_ = context_.clock.Now();
  give_up_at_ = began_at_ + kAnswerWithin;
  tracks_set_up_ = track_count_ = 0;
  first_came_ = false;
  for (Track& track : tracks_) track.expected = track.came = false;
  steps_to_cut_.reset();
  if (context_.random.Chance(context_.reset_share)) {
    steps_to_cut_ = static_cast<unsigned>(context_.random.Below(kSteps));
  }
  if (++started_ % kSessionsPerRtcpDrain == 0) {
    for (Track& track : tracks_) {
      context_.datagrams.Drain(track.ports.rtcp(), context_.arrivals, [](const DatagramTrain&) {});
    }
  }
  url_ = Numbered(context_.target.url.text, number);
  state_ = State::kDescribe;
  if (!Connect()) return FailErrno("connect");
  // Not yet connected is no matter: then it waits with the output.
  if (!client_.Request("DESCRIBE", url_, "Accept: application/sdp\r\n")) {
    return FailErrno("connect");
  }
  output_watched_ = client_.has_output();
  Watch(client_.fd(), kControlSocket, EPOLLIN | EPOLLET | (output_watched_ ? EPOLLOUT : 0u));
  CutHere();
}

bool Churner::Connect() {
  while (true) {
    const sockaddr_storage from = LoopbackV4(source_);
    if (client_.Connect(context_.target.address, source_ > 0 ? &from : nullptr, 0)) return true;
    // The ports of this address all rest in TIME_WAIT.
    if (errno != EADDRNOTAVAIL || !IsLoopbackV4(context_.target.address) ||
        source_ == kLoopbackSources) {
      return false;
    }
    ++source_;
    tracks_.clear();  // media comes to the address of the connection
  }
}

void Churner::Watch(int fd, unsigned socket, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = std::uint64_t{slot_} << 8 | socket;
  if (epoll_ctl(context_.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
    epoll_ctl(context_.epoll_fd, EPOLL_CTL_MOD, fd, &event);
  }
}

void Churner::OnSocket(unsigned socket) {
  if (state_ == State::kIdle) return;
  if (socket != kControlSocket) {
    if (socket <= tracks_.size()) ReadMedia(tracks_[socket - 1]);
    return;
  }
  if (output_watched_) {
    if (!client_.FinishConnect()) return FailErrno("connect");
    if (!client_.Flush()) return FailErrno("send");
    output_watched_ = client_.has_output();
  }
  switch (client_.Read(context_.stream, context_.arrivals, *this)) {
    case RtspClient::ReadResult::kOk:
      return;
    case RtspClient::ReadResult::kClosed:
      return Fail("the server closed the connection");
    case RtspClient::ReadResult::kFailed:
      return FailErrno("receive");
    case RtspClient::ReadResult::kNotRtsp:
      return Fail("bytes that are neither a response nor an interleaved frame");
    case RtspClient::ReadResult::kNotAsked:
      return Fail("an answer to no question");
  }
}

void Churner::Request(State next, std::string_view method, std::string_view url,
                      std::string_view headers) {
  state_ = next;
  if (!client_.Request(method, url, headers)) return FailErrno("send");
  if (client_.has_output() && !output_watched_) {
    output_watched_ = true;
    Watch(client_.fd(), kControlSocket, EPOLLIN | EPOLLOUT | EPOLLET);
  }
}

bool Churner::CutHere() {
  if (!steps_to_cut_) return false;
  if (*steps_to_cut_ > 0) {
    --*steps_to_cut_;
    return false;
  }
  Leave(true);
  return true;
}

void Churner::OnAnswer(const Response& response) {
  if (state_ == State::kTeardown) return Leave(false);
  if (response.status != 200) {
    static constexpr const char* kNames[] = {"", "DESCRIBE", "SETUP", "PLAY", "PLAY", "TEARDOWN"};
    return Fail(std::string(kNames[static_cast<std::size_t>(state_)])
                    .append(" answered ")
                    .append(std::to_string(response.status))
                    .append(" ")
                    .append(response.reason));
  }
  if (CutHere()) return;
  switch (state_) {
    case State::kDescribe:
      return OnDescribed(response);
    case State::kSetup:
      return OnSetUp(response);
    case State::kPlay:
      state_ = State::kMedia;
      give_up_at_ = context_.clock.Now() + kPacketsWithin;
      return EndIfAllCame();
    default:
      return;
  }
}

void Churner::OnDescribed(const Response& response) {
  Description description = ParseDescription(response, url_);
  if (description.tracks.empty()) return Fail("DESCRIBE answered with no track");
  aggregate_url_ = std::move(description.aggregate_url);
  track_count_ = description.tracks.size();
  for (std::size_t i = 0; i < track_count_; ++i) {
    if (i >= tracks_.size() && !PrepareTrack(i)) return FailErrno("no pair of UDP ports");
    tracks_[i].url = std::move(description.tracks[i].url);
    tracks_[i].expected = false;
  }
  SetupNext();
}

bool Churner::PrepareTrack(std::size_t index) {
  Track& track = tracks_.emplace_back();
  unsigned first = static_cast<unsigned>(2 * index);
  if (IsUdp()) {
    if (!track.ports.Open(client_.LocalAddress())) {
      tracks_.pop_back();
      return false;
    }
    Watch(track.ports.rtp(), static_cast<unsigned>(index + 1), EPOLLIN | EPOLLET);
    first = track.ports.port();
  }
  track.transport.append("Transport: RTP/AVP")
      .append(IsUdp() ? ";unicast;client_port=" : "/TCP;unicast;interleaved=")
      .append(std::to_string(first) + "-" + std::to_string(first + 1) + "\r\n");
  return true;
}

void Churner::SetupNext() {
  const Track& track = tracks_[tracks_set_up_];
  Request(State::kSetup, "SETUP", track.url, track.transport);
}

void Churner::OnSetUp(const Response& response) {
  Track& track = tracks_[tracks_set_up_];
  if (!client_.TakeSession(response)) return Fail("SETUP gave no session");
  const std::string_view transport = response.Header("Transport");
  track.ssrc.reset();
  if (const auto text = Parameter(transport, "ssrc")) track.ssrc = ParseNumber(*text, 16);
  if (const auto channels = Parameter(transport, "interleaved")) {
    track.channel = ParseNumber(channels->substr(0, channels->find('-'))).value_or(0);
  }
  if (++tracks_set_up_ < track_count_) return SetupNext();
  for (std::size_t i = 0; i < track_count_; ++i) tracks_[i].expected = true;
  Request(State::kPlay, "PLAY", aggregate_url_, "Range: npt=0-\r\n");
}

void Churner::OnFrame(unsigned channel, std::span<const std::uint8_t> packet, Instant arrived) {
  for (std::size_t i = 0; i < track_count_; ++i) {
    if (tracks_[i].channel == channel) return OnPacket(tracks_[i], packet, arrived);
  }
}

void Churner::ReadMedia(Track& track) {
  context_.datagrams.Drain(track.ports.rtp(), context_.arrivals, [&](const DatagramTrain& train) {
    OnPacket(track, train.bytes.first(std::min(train.bytes.size(), train.segment_bytes)),
             train.arrived);
  });
}

void Churner::OnPacket(Track& track, std::span<const std::uint8_t> packet, Instant arrived) {
  ++context_.packets;
  if (!track.expected || track.came || packet.size() < 12) return;
  const std::uint32_t ssrc = std::uint32_t{packet[8]} << 24 | std::uint32_t{packet[9]} << 16 |
                             std::uint32_t{packet[10]} << 8 | packet[11];
  if (track.ssrc && *track.ssrc != ssrc) return;  // of a session before
  track.came = true;
  if (!first_came_) {
    first_came_ = true;
    context_.describe_to_first_packet.Add(arrived - began_at_);
  }
  EndIfAllCame();
}

void Churner::EndIfAllCame() {
  if (state_ != State::kMedia) return;
  for (std::size_t i = 0; i < track_count_; ++i) {
    if (!tracks_[i].came) return;
  }
  if (!CutHere()) TearDown();
}

void Churner::TearDown() {
  for (Track& track : tracks_) track.expected = false;
  give_up_at_ = context_.clock.Now() + kAnswerWithin;
  Request(State::kTeardown, "TEARDOWN", aggregate_url_, "");
}

void Churner::OnTimer(Instant now) {
  if (state_ == State::kIdle || now < give_up_at_) return;
  if (state_ != State::kMedia) return Fail("no answer in 10 s");
  ++context_.failures["not a packet of every track within 1 s of PLAY"];
  TearDown();
}

void Churner::Leave(bool cut) {
  state_ = State::kIdle;
  ++context_.sessions;
  if (cut) {
    ++context_.resets;
    client_.Reset();
  } else {
    client_.Close();
    context_.session.Add(context_.clock.Now() - began_at_);
  }
}

void Churner::Fail(std::string_view why) {
  if (state_ == State::kIdle) return;
  state_ = State::kIdle;
  client_.Close();
  ++context_.failures[std::string(why)];
  next_start_ = context_.clock.Now() + kBreathe;
}

void Churner::FailErrno(std::string_view what) {
  const int error = errno;
  Fail(std::string(what) + ": " + std::strerror(error));
}

}  // namespace millrace::load
