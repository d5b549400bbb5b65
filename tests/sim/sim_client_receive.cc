// What a simulated player makes of what it receives.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "tests/sim/sim_client.h"

namespace millrace::sim {
namespace {

// "5000-5001" → both numbers.
std::optional<std::pair<int, int>> Pair(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  int first = 0, second = 0;
  const char* const end = text->data() + text->size();
  const auto a = std::from_chars(text->data(), end, first);
  if (a.ec != std::errc() || a.ptr == end || *a.ptr != '-') return std::nullopt;
  const auto b = std::from_chars(a.ptr + 1, end, second);
  if (b.ec != std::errc() || b.ptr != end) return std::nullopt;
  return std::make_pair(first, second);
}

// RFC 2326 C.1.1: absolute, "*" or relative to the base.
std::string Resolve(const std::string& base, const std::string& control) {
  if (control.find("://") != std::string::npos) return control;
  if (control.empty() || control == "*") return base;
  return base.substr(0, base.rfind('/') + 1) + control;
}

}  // namespace

void SimClient::ReadStream(std::size_t max) {
  std::string bytes;
  while (fd_ >= 0 && max > 0) {
    const int n = network_->Read(fd_, std::min<std::size_t>(max, 64 << 10), &bytes);
    if (n == -EAGAIN) return;
    if (n <= 0) return EndConnection(n < 0);
    max -= static_cast<std::size_t>(n);
    stream_.Append(bytes);
    for (RtspStream::Result r = stream_.Next(); r != RtspStream::Result::kMore;
         r = stream_.Next()) {
      if (r == RtspStream::Result::kBroken) {
        Fault("RTSP: " + stream_.error());
        return Reset();
      }
      if (r == RtspStream::Result::kResponse) {
        OnResponse(std::move(stream_.response()));
      } else {
        OnFrame(stream_.channel(), stream_.frame());
      }
    }
  }
}

void SimClient::OnResponse(RtspResponse response) {
  response.arrival = clock_->Now();
  const auto it = outstanding_.find(response.cseq);
  if (it != outstanding_.end()) {
    const Outstanding request = it->second;
    if (it != outstanding_.begin()) Fault("a response before that of an earlier request");
    outstanding_.erase(it);
    if (response.status == 200) {
      if (request.method == "DESCRIBE") OnDescribed(response);
      if (request.method == "SETUP") OnSetUp(response, request.track);
      if (request.method == "PLAY") OnPlaying(response, request);
    }
  }
  responses_.push_back(std::move(response));
}

const RtspResponse* SimClient::ResponseTo(int cseq) const {
  for (const RtspResponse& response : responses_) {
    if (response.cseq == cseq) return &response;
  }
  return nullptr;
}

int SimClient::StatusOf(int cseq) const {
  const RtspResponse* response = ResponseTo(cseq);
  return response == nullptr ? 0 : response->status;
}

void SimClient::OnDescribed(const RtspResponse& response) {
  const auto sdp = ParseSdp(response.body);
  if (!sdp) return Fault("the description is no SDP");
  std::string base = response.Header("Content-Base");
  if (base.empty()) base = response.Header("Content-Location");
  if (base.empty()) base = url_;
  for (const ClientTrack& track : tracks_) {
    if (track.set_up) return;  // described again while set up: what is playing stays
  }
  MakeTracks(*sdp, base);
  url_ = Resolve(base, sdp->control);
}

void SimClient::MakeTracks(const Sdp& sdp, const std::string& base) {
  tracks_.clear();
  for (const auto& [fd, track] : std::exchange(track_of_fd_, {})) network_->Close(fd, false);
  for (const SdpMedia& media : sdp.media) {
    ClientTrack& track = tracks_.emplace_back();
    track.sdp = media;
    track.url = Resolve(base, media.control);
    NewChecker(tracks_.size() - 1);
  }
}

void SimClient::OnLivePlaying(const RtspResponse& response) {
  if (response.Header("Range") != "npt=now-") Fault("PLAY answered with another range than now");
  const auto entries = ParseRtpInfo(response.Header("RTP-Info"));
  for (ClientTrack& track : tracks_) {
    if (!track.set_up) continue;
    const auto entry = std::find_if(entries.begin(), entries.end(),
                                    [&track](const auto& e) { return e.url == track.url; });
    track.starts.push_back(entry == entries.end() ? std::nullopt : std::optional(*entry));
  }
}

void SimClient::NewChecker(std::size_t index) {
  ClientTrack& track = tracks_[index];
  if (track.checker != nullptr) track.earlier.push_back(std::move(track.checker));
  CheckerOptions options;
  options.media = media_;
  options.track = index;
  options.payload_type = static_cast<std::uint8_t>(track.sdp.payload_type);
  options.packet_bytes_max = options_.packet_bytes_max;
  options.loss_allowed = options_.loss_allowed && track.lower == Lower::kUdp;
  track.checker = std::make_unique<StreamChecker>(options);
  track.bye = false;
  track.packets = track.octets = 0;
  track.highest_sequence = -1;
}

void SimClient::OnSetUp(const RtspResponse& response, std::size_t index) {
  ClientTrack& track = tracks_[index];
  session_ = response.SessionId();
  if (session_.empty()) Fault("SETUP without a Session in its answer");
  const std::string transport = response.Header("Transport");
  if (const auto ssrc = Parameter(transport, "ssrc")) {
    std::uint32_t value = 0;
    const auto end = ssrc->data() + ssrc->size();
    if (ssrc->size() != 8 || std::from_chars(ssrc->data(), end, value, 16).ptr != end) {
      Fault("ssrc is not 8 hexadecimal digits");
    }
    track.ssrc = value;
  }
  if (track.lower == Lower::kUdp) {
    const auto ports = Pair(Parameter(transport, "server_port"));
    const auto own = Pair(Parameter(transport, "client_port"));
    if (!ports) return Fault("SETUP over UDP without server_port: " + transport);
    if (!own || own->first != track.client_port) Fault("another client_port: " + transport);
    track.server_rtp = options_.server.WithPort(static_cast<std::uint16_t>(ports->first));
    track.server_rtcp = options_.server.WithPort(static_cast<std::uint16_t>(ports->second));
  } else {
    const auto channels = Pair(Parameter(transport, "interleaved"));
    if (!channels) return Fault("SETUP over TCP without interleaved: " + transport);
    track.rtp_channel = channels->first;
    track.rtcp_channel = channels->second;
  }
  track.set_up = true;
  track.checker->options().ssrc = track.ssrc;
  track.checker->options().loss_allowed = options_.loss_allowed && track.lower == Lower::kUdp;
}

void SimClient::OnPlaying(const RtspResponse& response, const Outstanding& request) {
  played_ = true;
  if (options_.live) return OnLivePlaying(response);
  const auto range = ParseNptRange(response.Header("Range"));
  if (!range) return Fault("PLAY answered without a Range in npt");
  const auto entries = ParseRtpInfo(response.Header("RTP-Info"));
  for (std::size_t t = 0; t < tracks_.size(); ++t) {
    ClientTrack& track = tracks_[t];
    if (!track.set_up) continue;
    const auto entry = std::find_if(entries.begin(), entries.end(),
                                    [&track](const auto& e) { return e.url == track.url; });
    if (entry == entries.end() || !entry->seq) {
      Fault("RTP-Info says nothing of " + track.url + ": " + response.Header("RTP-Info"));
      continue;
    }
    if (track.bye) NewChecker(t);  // a stream that has said goodbye starts anew
    Segment segment;
    segment.from = request.from;
    segment.start = range->start;
    segment.end = range->end;
    segment.first_sequence = *entry->seq;
    segment.rtptime = entry->rtptime;
    segment.asked = request.sent;
    track.checker->AddSegment(segment);
  }
}

void SimClient::OnFrame(std::uint8_t channel, std::span<const std::uint8_t> bytes) {
  for (std::size_t t = 0; t < tracks_.size(); ++t) {
    if (!tracks_[t].set_up || tracks_[t].lower != Lower::kTcp) continue;
    if (channel == tracks_[t].rtp_channel) return OnRtp(t, bytes);
    if (channel == tracks_[t].rtcp_channel) return OnRtcp(t, bytes);
  }
  Fault("a frame on channel " + std::to_string(channel));
}

void SimClient::ReadDatagrams(int fd) {
  const auto it = track_of_fd_.find(fd);
  Datagram datagram;
  while (network_->ReceiveFrom(fd, &datagram)) {
    if (it == track_of_fd_.end()) continue;
    const ClientTrack& track = tracks_[it->second];
    const bool rtp = fd == track.rtp_fd;
    const Endpoint& expected = rtp ? track.server_rtp : track.server_rtcp;
    if (!track.set_up || !(datagram.from == expected)) {
      Fault("a datagram from " + datagram.from.ToString());
    } else if (rtp) {
      OnRtp(it->second, datagram.bytes);
    } else {
      OnRtcp(it->second, datagram.bytes);
    }
  }
}

void SimClient::OnRtp(std::size_t index, std::span<const std::uint8_t> bytes) {
  ClientTrack& track = tracks_[index];
  track.last_packet = clock_->Now();
  if (options_.on_rtp) options_.on_rtp(index, bytes);
  const RtpPacket packet{clock_->Now(), Bytes(bytes.begin(), bytes.end())};
  const bool sound = !packet.Fault();
  if (track.bye && sound) {
    // Another SSRC is a new stream that overtook the answer to its PLAY.
    if (packet.ssrc() == track.checker->options().ssrc) {
      ++track.packets_after_bye;
    } else {
      NewChecker(index);
    }
  }
  track.checker->OnPacket(clock_->Now(), bytes);
  if (!sound) return;
  if (!track.checker->options().ssrc) track.checker->options().ssrc = packet.ssrc();
  ++track.packets;
  track.octets += static_cast<std::uint32_t>(bytes.size() - 12);
  if (track.highest_sequence < 0) {
    track.highest_sequence = track.first_sequence = packet.sequence();
  }
  const auto step = static_cast<std::int16_t>(packet.sequence() -
                                              static_cast<std::uint16_t>(track.highest_sequence));
  if (step > 0) track.highest_sequence += step;
}

void SimClient::OnRtcp(std::size_t index, std::span<const std::uint8_t> bytes) {
  ClientTrack& track = tracks_[index];
  RtcpCompound compound = ReadRtcp(bytes);
  if (!compound.fault.empty()) return Fault("RTCP: " + compound.fault);
  const auto ssrc = track.checker->options().ssrc;
  if (!compound.sender) ++track.receiver_reports;
  if (compound.sender) {
    compound.sender->arrival = clock_->Now();
    compound.sender->packets_before = track.packets;
    compound.sender->octets_before = track.octets;
    if (ssrc && compound.sender->ssrc != *ssrc && !track.bye) Fault("RTCP of another SSRC");
    track.reports.push_back(*compound.sender);
  }
  for (const std::uint32_t bye : compound.bye) {
    if (ssrc && bye == *ssrc) track.bye = true;
  }
}

void SimClient::ExpectToTheEnd() {
  for (ClientTrack& track : tracks_) {
    if (track.set_up && !track.checker->segments().empty()) {
      track.checker->segments().back().to_the_end = true;
    }
  }
}

std::string SimClient::Verdict() const {
  std::string text;
  for (const std::string& fault : faults_) text += "  " + fault + "\n";
  for (std::size_t t = 0; t < tracks_.size(); ++t) {
    const ClientTrack& track = tracks_[t];
    // Where datagrams get lost and overtake each other, a goodbye may overtake the last of them.
    const bool overtaken = options_.loss_allowed && track.lower == Lower::kUdp;
    if (track.packets_after_bye != 0 && !overtaken) text += "  packets after BYE\n";
    const auto judge = [&text, t](const StreamChecker& checker) {
      if (checker.options().media == nullptr) return;
      const CheckReport report = checker.Verify();
      if (!report.ok()) text += "track " + std::to_string(t) + ": " + report.Text() + "\n";
    };
    for (const auto& checker : track.earlier) judge(*checker);
    if (track.checker != nullptr) judge(*track.checker);
  }
  return text;
}

}  // namespace millrace::sim
