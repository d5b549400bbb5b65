#include "tools/load_check/viewer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tools/load_check/live_stream.h"

namespace millrace::load_check {
namespace {

constexpr Duration kAnswerWithin = 10s;
constexpr Duration kKeepAliveEvery = 20s;
constexpr Duration kReportEvery = 5s;

// So little that the server soon has nowhere to put its packets.
constexpr int kDeafReceiveBytes = 4096;

constexpr std::uint8_t kSenderReport = 200;
constexpr std::uint8_t kReceiverReport = 201;
constexpr std::uint8_t kSourceDescription = 202;
constexpr std::uint8_t kBye = 203;

// Socket numbers: the control connection, then RTP and RTCP of each track.
constexpr unsigned kControlSocket = 0;
unsigned RtpSocket(std::size_t track) { return static_cast<unsigned>(1 + 2 * track); }

void Put32(std::uint8_t* p, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) p[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

// RR with one block, then SDES with a CNAME of four characters (RFC 3550 sections 6.4.2 and 6.5).
constexpr std::size_t kReportBytes = 32 + 16;
std::array<std::uint8_t, kReportBytes> BuildReport(std::uint32_t own_ssrc,
                                                   const StreamCheck& check) {
  std::array<std::uint8_t, kReportBytes> report{};
  report[0] = 0x81;
  report[1] = kReceiverReport;
  report[3] = 7;
  Put32(&report[4], own_ssrc);
  Put32(&report[8], check.ssrc());
  Put32(&report[12],
        static_cast<std::uint32_t>(std::min<std::uint64_t>(check.counts().lost, 0x7fffff)));
  Put32(&report[16], check.highest_sequence());
  report[32] = 0x81;
  report[33] = kSourceDescription;
  report[35] = 3;
  Put32(&report[36], own_ssrc);
  report[40] = 1;
  report[41] = 4;
  std::memcpy(&report[42], "load", 4);
  return report;
}

const char* Name(Viewer::State state) {
  switch (state) {
    case Viewer::State::kWaiting:
      return "not started";
    case Viewer::State::kConnecting:
      return "connecting";
    case Viewer::State::kDescribe:
      return "DESCRIBE";
    case Viewer::State::kSetup:
      return "SETUP";
    case Viewer::State::kPlay:
      return "PLAY";
    case Viewer::State::kPlaying:
      return "playing";
    case Viewer::State::kTeardown:
      return "TEARDOWN";
    case Viewer::State::kDone:
      break;
  }
  return "done";
}

// "6970-6971" or "6970".
std::pair<unsigned, unsigned> PortRange(std::string_view text) {
  const std::size_t dash = text.find('-');
  const unsigned first = ParseNumber(text.substr(0, dash)).value_or(0);
  if (dash == std::string_view::npos) return {first, first + 1};
  return {first, ParseNumber(text.substr(dash + 1)).value_or(0)};
}

}  // namespace

Viewer::Viewer(const Target& target, const ViewerRole& role, std::uint32_t id, int epoll_fd)
    : target_(target), role_(role), id_(id), epoll_fd_(epoll_fd) {}

Viewer::~Viewer() { Close(); }

void Viewer::Start(Instant now) {
  state_ = State::kConnecting;
  answer_by_ = now + kAnswerWithin;
  fd_ = socket(target_.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return FailErrno("socket");
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  StampArrivals(fd_);
  if (role_.reads_nothing) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &kDeafReceiveBytes, sizeof(kDeafReceiveBytes));
  }
  const auto* address = reinterpret_cast<const sockaddr*>(&target_.address);
  if (connect(fd_, address, AddressBytes(target_.address)) != 0 && errno != EINPROGRESS) {
    return FailErrno("connect");
  }
  output_watched_ = true;
  Watch(fd_, kControlSocket, EPOLLIN | EPOLLOUT);
}

void Viewer::Watch(int fd, unsigned socket, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = std::uint64_t{id_} << 8 | socket;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);
  }
}

void Viewer::OnSocket(unsigned socket, Scratch& scratch, Instant now) {
  if (done()) return;
  if (socket != kControlSocket) {
    const std::size_t track = (socket - 1) / 2;
    if (track < tracks_.size()) {
      ReadMedia(tracks_[track], socket != RtpSocket(track), scratch, now);
    }
    return;
  }
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t bytes = sizeof(error);
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &bytes);
    if (error != 0) {
      errno = error;
      return FailErrno("connect");
    }
    state_ = State::kDescribe;
    Request("DESCRIBE", target_.url.text, "Accept: application/sdp\r\n", now);
  }
  FlushOutput();
  if (!done()) ReadControl(scratch, now);
}

void Viewer::Request(std::string_view method, const std::string& url, std::string_view headers,
                     Instant now) {
  std::string text(method);
  text.append(" ").append(url).append(" RTSP/1.0\r\nCSeq: ").append(std::to_string(++cseq_));
  if (!session_.empty()) text.append("\r\nSession: ").append(session_);
  text.append("\r\nUser-Agent: millrace load_check\r\n").append(headers).append("\r\n");
  answer_due_ = true;
  answer_by_ = now + kAnswerWithin;
  Send(text);
}

void Viewer::Send(std::string_view bytes) {
  output_.append(bytes);
  FlushOutput();
}

void Viewer::FlushOutput() {
  while (!output_.empty()) {
    const ssize_t sent = send(fd_, output_.data(), output_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return FailErrno("send");
    if (sent <= 0) break;
    output_.erase(0, static_cast<std::size_t>(sent));
  }
  if (output_watched_ != !output_.empty()) {
    output_watched_ = !output_.empty();
    Watch(fd_, kControlSocket, output_watched_ ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
}

void Viewer::ReadControl(Scratch& scratch, Instant now) {
  // What was left over goes in front, so that a message is always in one piece.
  std::vector<std::uint8_t>& buffer = scratch.stream;
  const std::size_t kept = input_.size();
  std::memcpy(buffer.data(), input_.data(), kept);
  iovec rest{buffer.data() + kept, buffer.size() - kept};
  std::array<std::uint64_t, 8> control;
  msghdr header{};
  header.msg_iov = &rest;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = sizeof(control);
  const ssize_t count = recvmsg(fd_, &header, MSG_DONTWAIT);
  if (count == 0) return Fail(std::string("the server closed the connection: ") + Name(state_));
  if (count < 0) return errno == EAGAIN ? void() : FailErrno("receive");
  const std::string_view bytes(reinterpret_cast<const char*>(buffer.data()),
                               kept + static_cast<std::size_t>(count));
  const std::size_t taken = TakeMessages(bytes, scratch, now - WaitedInSocket(&header));
  if (!done()) input_.assign(bytes.substr(taken));
}

std::size_t Viewer::TakeMessages(std::string_view bytes, Scratch& scratch, Instant now) {
  std::size_t taken = 0;
  while (taken < bytes.size() && !done()) {
    const std::string_view rest = bytes.substr(taken);
    if (rest[0] == '$') {
      if (rest.size() < 4) break;
      const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(rest[i]); };
      const std::size_t length = std::size_t{byte(2)} << 8 | byte(3);
      if (rest.size() < 4 + length) break;
      OnFrame(byte(1), rest.substr(4, length), now);
      taken += 4 + length;
      continue;
    }
    Response response;
    std::size_t consumed = 0;
    const ParseResult result = ParseResponse(rest, response, consumed);
    if (result == ParseResult::kIncomplete) break;
    if (result == ParseResult::kInvalid) {
      Fail("bytes that are neither a response nor an interleaved frame");
      break;
    }
    taken += consumed;
    OnResponse(response, scratch, now);
  }
  return taken;
}

void Viewer::OnFrame(unsigned channel, std::string_view payload, Instant now) {
  const std::span<const std::uint8_t> packet(reinterpret_cast<const std::uint8_t*>(payload.data()),
                                             payload.size());
  for (Track& track : tracks_) {
    if (track.channel == channel) return OnMedia(track, packet, now);
    if (track.channel + 1 == channel) return OnRtcp(packet);
  }
  if (!tracks_.empty()) tracks_.front().check.OnMalformed();
}

void Viewer::OnMedia(Track& track, std::span<const std::uint8_t> packet, Instant now) {
  const bool first = !track.check.started();
  track.check.OnPacket(packet, now);
  if (!role_.live) return;
  const auto index = static_cast<std::size_t>(&track - tracks_.data());
  if (first && index == kLiveVideo && !StartsKeyFrame(packet)) {
    return Fail("the first video packet does not start a key frame");
  }
  const std::optional<Instant> sent_at = SentAt(index, packet);
  if (!sent_at) {
    ++result_.unstamped;
    return;
  }
  // What was there before the viewer joined tells nothing of the delay.
  if (*sent_at < play_answered_at_) return;
  const bool settled = *sent_at - play_answered_at_ >= role_.settle;
  (settled ? role_.delays->live : role_.delays->joining).Add(now - *sent_at);
}

void Viewer::OnRtcp(std::span<const std::uint8_t> packet) {
  bool bye = false;
  while (packet.size() >= 4) {
    const std::size_t bytes = (std::size_t{packet[2]} << 8 | packet[3]) * 4 + 4;
    if (packet[0] >> 6 != 2 || bytes > packet.size()) break;
    if (packet[1] == kSenderReport) ++result_.sender_reports;
    if (packet[1] == kBye) bye = true;
    packet = packet.subspan(bytes);
  }
  if (bye && state_ == State::kPlaying) {
    Fail("BYE before the time was up (is the clip longer than the run?)");
  }
}

void Viewer::ReadMedia(Track& track, bool rtcp, Scratch& scratch, Instant now) {
  const std::optional<sockaddr_storage>& server = rtcp ? track.server_rtcp : track.server_rtp;
  scratch.datagrams.Drain(
      rtcp ? track.ports.rtcp() : track.ports.rtp(),
      [&](std::span<const std::uint8_t> packet, const sockaddr_storage& from, Duration waited) {
        if (done()) return;
        if (server && !SameEndpoint(*server, from)) {
          ++result_.strangers;
        } else if (rtcp) {
          OnRtcp(packet);
        } else {
          OnMedia(track, packet, now - waited);
        }
      });
}

void Viewer::OnResponse(const Response& response, Scratch& scratch, Instant now) {
  const std::optional<std::uint32_t> cseq = ParseNumber(response.Header("CSeq"));
  const auto asked = static_cast<std::uint32_t>(cseq_);
  // The keep-alive's answer may cross TEARDOWN.
  if (state_ == State::kTeardown && cseq && *cseq + 1 == asked) return;
  if (!answer_due_ || cseq != asked) return Fail("an answer to no question");
  answer_due_ = false;
  answer_by_ = kNever;
  if (state_ == State::kTeardown) {
    // What came before the answer is still to be counted.
    for (Track& track : tracks_) {
      if (role_.transport == LowerTransport::kUdp) ReadMedia(track, false, scratch, now);
    }
    return Close();
  }
  if (response.status != 200) {
    return Fail(std::string(Name(state_)) + " answered " + std::to_string(response.status) + " " +
                response.reason);
  }
  switch (state_) {
    case State::kDescribe:
      return OnDescribed(response, now);
    case State::kSetup:
      return OnSetUp(response, now);
    case State::kPlay:
      return OnPlayStarted(response, now);
    default:  // a keep-alive
      return;
  }
}

void Viewer::OnDescribed(const Response& response, Instant now) {
  Description description = ParseDescription(response, target_.url.text);
  if (description.tracks.empty()) return Fail("an SDP without media");
  aggregate_url_ = std::move(description.aggregate_url);
  for (TrackDescription& track : description.tracks) {
    tracks_.emplace_back().description = std::move(track);
  }
  state_ = State::kSetup;
  SetupNext(now);
}

void Viewer::SetupNext(Instant now) {
  const std::size_t index = tracks_set_up_;
  Track& track = tracks_[index];
  std::string header = "Transport: RTP/AVP";
  if (role_.transport == LowerTransport::kTcp) {
    track.channel = static_cast<unsigned>(2 * index);
    header.append("/TCP;unicast;interleaved=")
        .append(std::to_string(track.channel) + "-" + std::to_string(track.channel + 1));
  } else {
    sockaddr_storage local{};
    socklen_t bytes = sizeof(local);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&local), &bytes);
    if (!track.ports.Open(local)) return FailErrno("no pair of UDP ports");
    Watch(track.ports.rtp(), RtpSocket(index), EPOLLIN);
    Watch(track.ports.rtcp(), RtpSocket(index) + 1, EPOLLIN);
    header.append(";unicast;client_port=")
        .append(std::to_string(track.ports.port()) + "-" + std::to_string(track.ports.port() + 1));
  }
  Request("SETUP", track.description.url, header + "\r\n", now);
}

void Viewer::OnSetUp(const Response& response, Instant now) {
  Track& track = tracks_[tracks_set_up_];
  const std::string_view session = response.Header("Session");
  session_ = session.substr(0, session.find(';'));
  if (session_.empty()) return Fail("SETUP gave no session");

  const std::string_view transport = response.Header("Transport");
  std::optional<std::uint32_t> ssrc;
  if (const auto text = Parameter(transport, "ssrc")) ssrc = ParseNumber(*text, 16);
  track.check.Expect(track.description.payload_type, track.description.clock_rate, ssrc);
  if (role_.transport == LowerTransport::kTcp) {
    const auto channels = Parameter(transport, "interleaved");
    if (!channels) return Fail("SETUP gave no channels");
    track.channel = PortRange(*channels).first;
  } else {
    const auto [rtp, rtcp] = PortRange(Parameter(transport, "server_port").value_or(""));
    if (rtp == 0) return Fail("SETUP gave no server_port");
    track.server_rtp = WithPort(target_.address, static_cast<std::uint16_t>(rtp));
    track.server_rtcp = WithPort(target_.address, static_cast<std::uint16_t>(rtcp));
  }
  if (++tracks_set_up_ < tracks_.size()) return SetupNext(now);
  state_ = State::kPlay;
  play_sent_at_ = now;
  Request("PLAY", aggregate_url_, role_.live ? "Range: npt=now-\r\n" : "Range: npt=0-\r\n", now);
}

void Viewer::OnPlayStarted(const Response& response, Instant now) {
  const std::string_view rtp_info = response.Header("RTP-Info");
  for (Track& track : tracks_) {
    const std::optional<std::uint16_t> sequence = FirstSequence(rtp_info, track.description.url);
    if (sequence) track.check.ExpectFirst(*sequence);
  }
  state_ = State::kPlaying;
  play_answered_at_ = now;
  if (role_.reads_nothing) return StopReading();
  keep_alive_at_ = now + kKeepAliveEvery;
  report_at_ = now + kReportEvery;
}

void Viewer::OnTimer(Instant now) {
  if (done() || state_ == State::kWaiting) return;
  if (now >= answer_by_) return Fail(std::string("no answer in 10 s: ") + Name(state_));
  if (state_ != State::kPlaying) return;
  if (now >= keep_alive_at_ && !answer_due_) {
    keep_alive_at_ = now + kKeepAliveEvery;
    Request("GET_PARAMETER", aggregate_url_, "", now);
  }
  if (now >= report_at_ && !done()) {
    report_at_ = now + kReportEvery;
    SendReceiverReports();
  }
}

void Viewer::SendReceiverReports() {
  for (std::size_t i = 0; i < tracks_.size() && !done(); ++i) {
    Track& track = tracks_[i];
    if (!track.check.started()) continue;
    const auto own_ssrc = static_cast<std::uint32_t>(0x10000000 + id_ * 16 + i);
    const auto report = BuildReport(own_ssrc, track.check);
    if (role_.transport == LowerTransport::kUdp) {
      // Lost or refused is no matter: the next one follows.
      sendto(track.ports.rtcp(), report.data(), report.size(), MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(&*track.server_rtcp),
             AddressBytes(*track.server_rtcp));
      continue;
    }
    std::string frame = {'$', static_cast<char>(track.channel + 1), 0, kReportBytes};
    frame.append(reinterpret_cast<const char*>(report.data()), report.size());
    Send(frame);
  }
}

void Viewer::Finish(Instant now) {
  if (done()) return;
  if (state_ != State::kPlaying) return Fail(std::string("did not get to play: ") + Name(state_));
  if (role_.reads_nothing) return Leave();
  Duration first = Duration::max();
  for (const Track& track : tracks_) {
    result_.behind = std::max(result_.behind, track.check.Behind(play_sent_at_, now));
    if (track.check.started()) first = std::min(first, track.check.first_at() - play_sent_at_);
  }
  if (first == Duration::max()) return Fail("PLAY was answered and no packet came");
  result_.to_first_packet = first;
  state_ = State::kTeardown;
  Request("TEARDOWN", aggregate_url_, "", now);
}

std::uint64_t Viewer::media_bytes() const {
  std::uint64_t bytes = 0;
  for (const Track& track : tracks_) bytes += track.check.counts().bytes;
  return bytes;
}

ViewerResult Viewer::Result() const {
  ViewerResult result = result_;
  for (const Track& track : tracks_) result.counts.Add(track.check.counts());
  return result;
}

void Viewer::StopReading() {
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd_, nullptr);
  keep_alive_at_ = report_at_ = kNever;
}

void Viewer::Leave() {
  tcp_info info{};
  socklen_t bytes = sizeof(info);
  getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &bytes);
  closed_by_server_ = info.tcpi_state != TCP_ESTABLISHED;
  Close();
}

void Viewer::Close() {
  state_ = State::kDone;
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  for (Track& track : tracks_) track.ports.Close();
}

void Viewer::Fail(std::string_view why) {
  if (done()) return;
  failure_ = why;
  Close();
}

void Viewer::FailErrno(std::string_view what) {
  const int error = errno;
  Fail(std::string(what) + ": " + std::strerror(error));
}

}  // namespace millrace::load_check
