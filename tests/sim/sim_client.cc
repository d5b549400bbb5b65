// Connection, requests and script of a simulated player; what it receives is in
// sim_client_receive.cc.
#include "tests/sim/sim_client.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace millrace::sim {

SimClient::SimClient(SimNetwork* network, const Clock* clock, Random* random,
                     const Options& options)
    : network_(network),
      clock_(clock),
      random_(random),
      options_(options),
      reporter_ssrc_(random->Next32()) {
  if (options_.report_interval > 0ns) next_report_ = clock->Now() + options_.report_interval;
}

SimClient::~SimClient() {
  Close();
  for (const auto& [fd, track] : track_of_fd_) network_->Close(fd, false);
}

// --- The connection

void SimClient::Connect() {
  Close();
  ended_ = was_reset_ = false;
  stream_.Clear();
  out_.clear();
  outstanding_.clear();
  if (next_report_ == kNever && options_.report_interval > 0ns) {
    next_report_ = clock_->Now() + options_.report_interval;
  }
  const auto local = Endpoint::Parse(options_.address, 0);
  fd_ = network_->Connect(options_.host, *local, options_.server, this);
}

void SimClient::Close() {
  if (fd_ >= 0) network_->Close(std::exchange(fd_, -1), false);
}

void SimClient::Reset() {
  if (fd_ >= 0) network_->Close(std::exchange(fd_, -1), true);
}

void SimClient::HalfClose() {
  if (fd_ >= 0) network_->ShutdownSend(fd_);
}

void SimClient::StallReading(bool stalled) {
  stalled_ = stalled;
  if (!stalled) ReadStream(SIZE_MAX);
}

void SimClient::ReadSome(std::size_t bytes) { ReadStream(bytes); }

void SimClient::EndConnection(bool reset) {
  ended_ = true;
  was_reset_ = reset;
  outstanding_.clear();  // they will never be answered
  if (stream_.unfinished() != 0) Fault("the connection ended within a message");
  Close();
}

void SimClient::Fault(const std::string& what) {
  if (faults_.size() < 20) faults_.push_back(what);
}

void SimClient::Flush() {
  while (!out_.empty() && fd_ >= 0) {
    const int n = network_->Send(fd_, out_);
    if (n == -EAGAIN) return;
    if (n < 0) {
      out_.clear();
      return;  // reading tells why
    }
    out_.erase(0, static_cast<std::size_t>(n));
  }
}

void SimClient::SendRaw(std::string_view bytes) {
  out_.append(bytes);
  Flush();
}

void SimClient::OnSocketEvent(int fd) {
  stirred_ = true;
  if (fd != fd_) return ReadDatagrams(fd);
  Flush();
  if (!stalled_) ReadStream(SIZE_MAX);
}

// --- Requests

int SimClient::Request(std::string_view method, const std::string& url, std::string_view headers,
                       std::string_view body) {
  const int cseq = next_cseq_++;
  std::string text(method);
  text += " " + url + " RTSP/1.0\r\nCSeq: " + std::to_string(cseq) + "\r\n";
  text += headers;
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  text += "\r\n";
  text += body;
  Outstanding& request = outstanding_[cseq];
  request.method = method;
  request.sent = clock_->Now();
  SendRaw(text);
  return cseq;
}

std::string SimClient::SessionHeader() const {
  return session_.empty() ? std::string() : "Session: " + session_ + "\r\n";
}

int SimClient::AskOptions(std::string_view headers) {
  const std::string url = url_.empty() ? "rtsp://" + options_.server_name + "/" : url_;
  return Request("OPTIONS", url, SessionHeader() + std::string(headers));
}

int SimClient::Describe(const std::string& path, std::string_view headers) {
  url_ = "rtsp://" + options_.server_name + "/" + path;
  return Request("DESCRIBE", url_, "Accept: application/sdp\r\n" + std::string(headers));
}

void SimClient::OpenPorts(ClientTrack* track) {
  if (track->rtp_fd >= 0) return;
  const auto index = static_cast<std::size_t>(track - tracks_.data());
  track->client_port = next_port_;
  next_port_ = static_cast<std::uint16_t>(next_port_ + 2);
  for (int* fd : {&track->rtp_fd, &track->rtcp_fd}) {
    const int offset = fd == &track->rtcp_fd ? 1 : 0;
    const auto local =
        Endpoint::Parse(options_.address, static_cast<std::uint16_t>(track->client_port + offset));
    const auto bound = network_->BindUdp(options_.host, *local, 1 << 20, this);
    if (!bound.ok()) return Fault("the player's port is taken");
    *fd = *bound;
    track_of_fd_[*fd] = index;
  }
}

int SimClient::Setup(std::size_t track_index, Lower lower, std::string_view headers) {
  if (track_index >= tracks_.size()) {
    Fault("SETUP of a track that was not described");
    return -1;
  }
  ClientTrack& track = tracks_[track_index];
  track.lower = lower;
  std::string transport = "Transport: ";
  if (lower == Lower::kUdp) {
    OpenPorts(&track);
    transport += "RTP/AVP;unicast;client_port=" + std::to_string(track.client_port) + "-" +
                 std::to_string(track.client_port + 1);
  } else {
    transport += "RTP/AVP/TCP;unicast;interleaved=" + std::to_string(2 * track_index) + "-" +
                 std::to_string(2 * track_index + 1);
  }
  if (publishing_) transport += ";mode=record";
  transport += "\r\n" + SessionHeader();
  const int cseq = Request("SETUP", track.url, transport + std::string(headers));
  outstanding_[cseq].track = track_index;
  return cseq;
}

int SimClient::Announce(const std::string& path, const std::string& sdp) {
  publishing_ = true;
  session_.clear();
  url_ = "rtsp://" + options_.server_name + "/" + path;
  if (const auto parsed = ParseSdp(sdp)) MakeTracks(*parsed, url_ + "/");
  return Request("ANNOUNCE", url_, "Content-Type: application/sdp\r\n", sdp);
}

int SimClient::Record() { return Request("RECORD", url_, SessionHeader() + "Range: npt=0-\r\n"); }

void SimClient::SendFrame(int channel, std::span<const std::uint8_t> bytes) {
  std::string frame = {'$', static_cast<char>(channel), static_cast<char>(bytes.size() >> 8),
                       static_cast<char>(bytes.size())};
  frame.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (fd_ >= 0) SendRaw(frame);
}

bool SimClient::SendRtp(std::size_t track_index, std::span<const std::uint8_t> packet) {
  const ClientTrack& track = tracks_[track_index];
  if (!track.set_up) return false;
  if (track.lower == Lower::kUdp) {
    return network_->SendTo(track.rtp_fd, track.server_rtp, packet, 0) >= 0;
  }
  SendFrame(track.rtp_channel, packet);
  return true;
}

int SimClient::Play(std::string_view range, std::optional<Segment::From> from,
                    std::string_view headers) {
  std::string lines = SessionHeader();
  if (!range.empty()) lines += "Range: " + std::string(range) + "\r\n";
  const int cseq = Request("PLAY", url_, lines + std::string(headers));
  outstanding_[cseq].from =
      from.value_or(!played_ || !range.empty() ? Segment::From::kSeek : Segment::From::kContinue);
  return cseq;
}

int SimClient::Pause(std::string_view headers) {
  return Request("PAUSE", url_, SessionHeader() + std::string(headers));
}

int SimClient::Teardown(std::string_view headers) {
  return Request("TEARDOWN", url_, SessionHeader() + std::string(headers));
}

int SimClient::GetParameter(std::string_view headers) {
  return Request("GET_PARAMETER", url_, SessionHeader() + std::string(headers));
}

void SimClient::SendRtcpRaw(std::size_t track_index, std::span<const std::uint8_t> bytes) {
  const ClientTrack& track = tracks_[track_index];
  if (!track.set_up) return;
  if (track.lower == Lower::kUdp) {
    network_->SendTo(track.rtcp_fd, track.server_rtcp, bytes, 0);
    return;
  }
  SendFrame(track.rtcp_channel, bytes);
}

void SimClient::SendReceiverReport(std::size_t track_index, bool bye) {
  const ClientTrack& track = tracks_[track_index];
  ReceiverReport report;
  report.reporter = reporter_ssrc_;
  report.source = track.checker->options().ssrc.value_or(0);
  report.bye = bye;
  if (track.highest_sequence >= 0) {
    const std::int64_t expected = track.highest_sequence - track.first_sequence + 1;
    report.lost = static_cast<std::int32_t>(expected - track.packets);
    report.highest_sequence = static_cast<std::uint32_t>(track.highest_sequence);
  }
  if (!track.reports.empty()) {
    const SenderReport& sr = track.reports.back();
    report.last_sr = static_cast<std::uint32_t>(sr.ntp >> 16);
    report.delay = static_cast<std::uint32_t>(ToSeconds(clock_->Now() - sr.arrival) * 65536);
  }
  const Bytes bytes = WriteReceiverReport(report);
  SendRtcpRaw(track_index, bytes);
}

// --- Script and timers

SimClient& SimClient::Then(std::function<void()> step) {
  script_.push_back({std::move(step), nullptr, 0ns});
  stirred_ = true;
  return *this;
}

SimClient& SimClient::ThenWait(Duration time) {
  if (time > 0ns) script_.push_back({nullptr, nullptr, time});
  stirred_ = true;
  return *this;
}

SimClient& SimClient::ThenUntil(std::function<bool()> condition) {
  script_.push_back({nullptr, std::move(condition), 0ns});
  stirred_ = true;
  return *this;
}

Instant SimClient::next_timer() const {
  if (stirred_ && !script_.empty()) return Instant{};
  return std::min(next_report_, waiting_ ? wait_until_ : kNever);
}

void SimClient::Step(Instant now) {
  if (now >= next_report_) {
    next_report_ = options_.report_interval > 0ns ? now + options_.report_interval : kNever;
    for (std::size_t t = 0; t < tracks_.size(); ++t) SendReceiverReport(t);
  }
  stirred_ = false;
  while (!script_.empty() && outstanding_.empty()) {
    ScriptStep& front = script_.front();
    if (front.wait > 0ns) {
      if (!std::exchange(waiting_, true)) wait_until_ = now + front.wait;
      if (now < wait_until_) return;
      waiting_ = false;
      script_.pop_front();
    } else if (front.condition) {
      if (!front.condition()) return;
      script_.pop_front();
    } else {
      const std::function<void()> action = std::move(front.action);
      script_.pop_front();
      action();
    }
  }
}

}  // namespace millrace::sim
