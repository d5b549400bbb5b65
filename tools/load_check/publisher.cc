#include "tools/load_check/publisher.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace millrace::load_check {
namespace {

constexpr Duration kReportEvery = 1s;
constexpr Duration kKeepAliveEvery = 20s;
constexpr Duration kNapMax = 20ms;
constexpr timeval kWithin = {10, 0};  // an answer, or room to write

std::string TrackUrl(const Target& target, std::size_t index) {
  return target.url.text + "/streamid=" + std::to_string(index);
}

void FillPrefix(std::span<std::uint8_t> frame, std::size_t channel) {
  const std::size_t bytes = frame.size() - LiveStream::kPrefixBytes;
  frame[0] = '$';
  frame[1] = static_cast<std::uint8_t>(channel);
  frame[2] = static_cast<std::uint8_t>(bytes >> 8);
  frame[3] = static_cast<std::uint8_t>(bytes);
}

}  // namespace

Publisher::Publisher(const Target& target, LowerTransport transport)
    : target_(target), transport_(transport) {}

Publisher::~Publisher() {
  Stop();
  if (fd_ >= 0) close(fd_);
}

bool Publisher::Start() {
  Response response;
  if (!Connect() || !Ask("ANNOUNCE", target_.url.text, "Content-Type: application/sdp\r\n",
                         LiveStream::Sdp(), response)) {
    return false;
  }
  for (std::size_t i = 0; i < kLiveTracks; ++i) {
    if (!SetUp(i)) return false;
  }
  if (!Ask("RECORD", target_.url.text, "Range: npt=0-\r\n", "", response)) return false;
  thread_ = std::thread([this] { Run(); });
  return true;
}

void Publisher::Stop() {
  if (!thread_.joinable()) return;
  stop_ = true;
  thread_.join();
}

bool Publisher::Connect() {
  fd_ = socket(target_.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kWithin, sizeof(kWithin));
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &kWithin, sizeof(kWithin));
  const auto* address = reinterpret_cast<const sockaddr*>(&target_.address);
  if (connect(fd_, address, AddressBytes(target_.address)) == 0) return true;
  Fail(std::string("connect: ") + std::strerror(errno));
  return false;
}

bool Publisher::SetUp(std::size_t index) {
  Track& track = tracks_[index];
  std::string header = "Transport: RTP/AVP";
  if (transport_ == LowerTransport::kTcp) {
    header.append("/TCP;unicast;interleaved=")
        .append(std::to_string(2 * index) + "-" + std::to_string(2 * index + 1));
  } else {
    sockaddr_storage local{};
    socklen_t bytes = sizeof(local);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&local), &bytes);
    if (!track.ports.Open(local)) {
      Fail(std::string("no pair of UDP ports: ") + std::strerror(errno));
      return false;
    }
    header.append(";unicast;client_port=")
        .append(std::to_string(track.ports.port()) + "-" + std::to_string(track.ports.port() + 1));
  }
  Response response;
  if (!Ask("SETUP", TrackUrl(target_, index), header + ";mode=record\r\n", "", response)) {
    return false;
  }
  const std::string_view session = response.Header("Session");
  session_ = session.substr(0, session.find(';'));
  if (transport_ == LowerTransport::kTcp) return true;
  const std::string_view ports =
      Parameter(response.Header("Transport"), "server_port").value_or("");
  const std::optional<std::uint32_t> rtp = ParseNumber(ports.substr(0, ports.find('-')));
  if (!rtp || *rtp == 0) {
    Fail("SETUP gave no server_port");
    return false;
  }
  track.server_rtp = WithPort(target_.address, static_cast<std::uint16_t>(*rtp));
  track.server_rtcp = WithPort(target_.address, static_cast<std::uint16_t>(*rtp + 1));
  return true;
}

bool Publisher::Ask(std::string_view method, const std::string& url, std::string_view headers,
                    std::string_view body, Response& response) {
  Request(method, url, headers, body);
  return Await(method, response);
}

void Publisher::Request(std::string_view method, const std::string& url, std::string_view headers,
                        std::string_view body) {
  std::string text(method);
  text.append(" ").append(url).append(" RTSP/1.0\r\nCSeq: ").append(std::to_string(++cseq_));
  if (!session_.empty()) text.append("\r\nSession: ").append(session_);
  text.append("\r\nUser-Agent: millrace load_check\r\n").append(headers);
  if (!body.empty()) text.append("Content-Length: " + std::to_string(body.size()) + "\r\n");
  text.append("\r\n").append(body);
  SendAll({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

bool Publisher::Await(std::string_view method, Response& response) {
  while (!TakeMessages(response)) {
    Receive(0);
    if (!failure_.empty()) return false;
  }
  if (response.status == 200) return true;
  Fail(std::string(method) + " answered " + std::to_string(response.status) + " " +
       response.reason);
  return false;
}

void Publisher::Receive(int flags) {
  char buffer[4096];
  const ssize_t count = recv(fd_, buffer, sizeof(buffer), flags);
  if (count == 0) return Fail("the server closed the connection");
  if (count > 0) {
    input_.append(buffer, static_cast<std::size_t>(count));
  } else if ((flags & MSG_DONTWAIT) == 0 || errno != EAGAIN) {
    Fail(std::string("receive: ") + std::strerror(errno));
  }
}

bool Publisher::TakeMessages(Response& answer) {
  std::size_t taken = 0;
  bool answered = false;
  while (!answered && taken < input_.size()) {
    const std::string_view rest = std::string_view(input_).substr(taken);
    if (rest[0] == '$') {
      if (rest.size() < LiveStream::kPrefixBytes) break;
      const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(rest[i]); };
      const std::size_t bytes = LiveStream::kPrefixBytes + (std::size_t{byte(2)} << 8 | byte(3));
      if (rest.size() < bytes) break;
      taken += bytes;
      continue;
    }
    std::size_t consumed = 0;
    const ParseResult result = ParseResponse(rest, answer, consumed);
    if (result == ParseResult::kInvalid) Fail("bytes that are neither an answer nor a frame");
    if (result != ParseResult::kComplete) break;
    taken += consumed;
    answered = answer.Header("CSeq") == std::to_string(cseq_);
  }
  input_.erase(0, taken);
  return answered;
}

void Publisher::Run() {
  const Instant start = clock_.Now();
  LiveStream stream(start);
  Instant report_at = start;
  Instant keep_alive_at = start + kKeepAliveEvery;
  Response response;
  while (!stop_ && failure_.empty()) {
    Instant now = clock_.Now();
    for (; failure_.empty() && stream.next_due() <= now; now = clock_.Now()) {
      late_max_ = std::max(late_max_, now - stream.next_due());
      SendUnit(stream.Next(now));
    }
    if (now >= report_at) {
      report_at = now + kReportEvery;
      SendReports(stream, now);
    }
    if (now >= keep_alive_at) {
      keep_alive_at = now + kKeepAliveEvery;
      Request("OPTIONS", target_.url.text, "", "");
    }
    if (failure_.empty()) Receive(MSG_DONTWAIT);
    TakeMessages(response);  // answers and reports, for which there is no use
    std::this_thread::sleep_for(std::clamp<Duration>(stream.next_due() - now, 0ns, kNapMax));
  }
  if (failure_.empty()) Ask("TEARDOWN", target_.url.text, "", "", response);
}

void Publisher::SendUnit(const LiveStream::Unit& unit) {
  packets_ += unit.packets.size();
  if (transport_ == LowerTransport::kTcp) {
    std::size_t bytes = 0;
    for (std::span<std::uint8_t> packet : unit.packets) {
      FillPrefix(packet, 2 * unit.track);
      bytes += packet.size();
    }
    return SendAll({unit.packets.front().data(), bytes});  // they lie end to end
  }
  const Track& track = tracks_[unit.track];
  for (std::span<std::uint8_t> packet : unit.packets) {
    const std::span<std::uint8_t> datagram = packet.subspan(LiveStream::kPrefixBytes);
    sendto(track.ports.rtp(), datagram.data(), datagram.size(), 0,
           reinterpret_cast<const sockaddr*>(&track.server_rtp), AddressBytes(track.server_rtp));
  }
}

void Publisher::SendReports(const LiveStream& stream, Instant now) {
  for (std::size_t i = 0; i < kLiveTracks && failure_.empty(); ++i) {
    std::vector<std::uint8_t> report = stream.SenderReport(i, now, clock_.Wall());
    const Track& track = tracks_[i];
    if (transport_ == LowerTransport::kUdp) {
      sendto(track.ports.rtcp(), report.data(), report.size(), 0,
             reinterpret_cast<const sockaddr*>(&track.server_rtcp),
             AddressBytes(track.server_rtcp));
      continue;
    }
    report.insert(report.begin(), LiveStream::kPrefixBytes, 0);
    FillPrefix(report, 2 * i + 1);
    SendAll(report);
  }
}

void Publisher::SendAll(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty() && failure_.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return Fail(std::string("send: ") + std::strerror(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

void Publisher::Fail(std::string_view why) {
  if (failure_.empty()) failure_ = why;
}

}  // namespace millrace::load_check
