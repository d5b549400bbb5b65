#include "tools/load/stamped_publisher.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

namespace millrace::load {
namespace {

constexpr Duration kReportEvery = 1s;
constexpr Duration kKeepAliveEvery = 20s;
constexpr Duration kNapMax = 20ms;
constexpr int kWithinMs = 10000;  // an answer, or room to write

std::string PortOrChannelPair(unsigned first) {
  return std::to_string(first) + "-" + std::to_string(first + 1);
}

}  // namespace

StampedPublisher::StampedPublisher(const Target& target, LowerTransport transport)
    : url_(Numbered(target.url.text, 0)), server_(target.address), transport_(transport) {}

bool StampedPublisher::Start() {
  if (!Connect() ||
      !Ask("ANNOUNCE", url_, "Content-Type: application/sdp\r\n", StampedStream::Sdp())) {
    return false;
  }
  for (std::size_t i = 0; i < kStampedTracks; ++i) {
    if (!SetUp(i)) return false;
  }
  if (!Ask("RECORD", url_, "Range: npt=0-\r\n", "")) return false;
  thread_ = std::thread([this] { Run(); });
  return true;
}

void StampedPublisher::Stop() {
  if (!thread_.joinable()) return;
  stop_ = true;
  thread_.join();
}

bool StampedPublisher::Connect() {
  if (client_.Connect(server_, nullptr, 0) && Await(POLLOUT) && client_.FinishConnect()) {
    return true;
  }
  FailErrno("connect");
  return false;
}

bool StampedPublisher::SetUp(std::size_t index) {
  Track& track = tracks_[index];
  std::string header = "Transport: RTP/AVP";
  if (transport_ == LowerTransport::kTcp) {
    header.append("/TCP;unicast;interleaved=")
        .append(PortOrChannelPair(static_cast<unsigned>(2 * index)));
  } else {
    if (!track.ports.Open(client_.LocalAddress())) {
      FailErrno("no pair of UDP ports");
      return false;
    }
    header.append(";unicast;client_port=").append(PortOrChannelPair(track.ports.port()));
  }
  header.append(";mode=record\r\n");
  if (!Ask("SETUP", url_ + "/streamid=" + std::to_string(index), header, "")) return false;
  if (transport_ == LowerTransport::kTcp) return true;
  const std::string_view ports = Parameter(transport_header_, "server_port").value_or("");
  const std::optional<std::uint32_t> rtp = ParseNumber(ports.substr(0, ports.find('-')));
  if (!rtp || *rtp == 0) {
    Fail("SETUP gave no server_port");
    return false;
  }
  track.server_rtp = WithPort(server_, static_cast<std::uint16_t>(*rtp));
  track.server_rtcp = WithPort(server_, static_cast<std::uint16_t>(*rtp + 1));
  return true;
}

bool StampedPublisher::Ask(std::string_view method, const std::string& url,
                           std::string_view headers, std::string_view body) {
  if (!client_.Request(method, url, headers, body)) FailErrno("send");
  while (failure_.empty() && client_.answer_due()) {
    if (client_.has_output()) {
      if (Await(POLLOUT) && !client_.Flush()) FailErrno("send");
    } else if (Await(POLLIN)) {
      Receive();
    }
  }
  if (!failure_.empty()) return false;
  if (status_ == 200) return true;
  Fail(std::string(method) + " answered " + std::to_string(status_) + " " + reason_);
  return false;
}

bool StampedPublisher::Await(short events) {
  pollfd wanted{client_.fd(), events, 0};
  if (poll(&wanted, 1, kWithinMs) > 0) return true;
  Fail("the server did nothing for 10 s");
  return false;
}

void StampedPublisher::Receive() {
  switch (client_.Read(buffer_, arrivals_, *this)) {
    case RtspClient::ReadResult::kOk:
      return;
    case RtspClient::ReadResult::kClosed:
      return Fail("the server closed the connection");
    case RtspClient::ReadResult::kFailed:
      return FailErrno("receive");
    case RtspClient::ReadResult::kNotRtsp:
    case RtspClient::ReadResult::kNotAsked:
      return Fail("bytes that are neither an answer nor a frame");
  }
}

void StampedPublisher::OnAnswer(const Response& response) {
  status_ = response.status;
  reason_ = response.reason;
  transport_header_ = response.Header("Transport");
  client_.TakeSession(response);
}

void StampedPublisher::Run() {
  const Instant start = clock_.Now();
  StampedStream stream(start);
  Instant report_at = start;
  Instant keep_alive_at = start + kKeepAliveEvery;
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
      if (!client_.Request("OPTIONS", url_, "", "")) FailErrno("send");
    }
    if (failure_.empty()) Receive();  // answers and reports, for which there is no use
    std::this_thread::sleep_for(std::clamp<Duration>(stream.next_due() - now, 0ns, kNapMax));
  }
  if (failure_.empty()) Ask("TEARDOWN", url_, "", "");
}

void StampedPublisher::SendUnit(const StampedStream::Unit& unit) {
  packets_ += unit.packets.size();
  if (transport_ == LowerTransport::kTcp) {
    std::size_t bytes = 0;
    for (std::span<std::uint8_t> packet : unit.packets) {
      PutFramePrefix(packet.data(), static_cast<unsigned>(2 * unit.track),
                     packet.size() - kFramePrefixBytes);
      bytes += packet.size();
    }
    return SendAll({unit.packets.front().data(), bytes});  // they lie end to end
  }
  const Track& track = tracks_[unit.track];
  for (std::span<std::uint8_t> packet : unit.packets) {
    const std::span<std::uint8_t> datagram = packet.subspan(kFramePrefixBytes);
    sendto(track.ports.rtp(), datagram.data(), datagram.size(), 0,
           reinterpret_cast<const sockaddr*>(&track.server_rtp), AddressBytes(track.server_rtp));
  }
}

void StampedPublisher::SendReports(const StampedStream& stream, Instant now) {
  for (std::size_t i = 0; i < kStampedTracks && failure_.empty(); ++i) {
    std::vector<std::uint8_t> report = stream.SenderReport(i, now, clock_.Wall());
    const Track& track = tracks_[i];
    if (transport_ == LowerTransport::kUdp) {
      sendto(track.ports.rtcp(), report.data(), report.size(), 0,
             reinterpret_cast<const sockaddr*>(&track.server_rtcp),
             AddressBytes(track.server_rtcp));
      continue;
    }
    const std::size_t bytes = report.size();
    report.insert(report.begin(), kFramePrefixBytes, 0);
    PutFramePrefix(report.data(), static_cast<unsigned>(2 * i + 1), bytes);
    SendAll(report);
  }
}

void StampedPublisher::SendAll(std::span<const std::uint8_t> bytes) {
  if (!client_.Send({reinterpret_cast<const char*>(bytes.data()), bytes.size()})) {
    return FailErrno("send");
  }
  while (client_.has_output() && failure_.empty()) {
    if (Await(POLLOUT) && !client_.Flush()) FailErrno("send");
  }
}

void StampedPublisher::Fail(std::string_view why) {
  if (failure_.empty()) failure_ = why;
}

void StampedPublisher::FailErrno(std::string_view what) {
  const int error = errno;
  Fail(std::string(what) + ": " + std::strerror(error));
}

}  // namespace millrace::load
