// A viewer's media and RTCP: from datagrams and frames to its checks and tallies.
#include <algorithm>

#include "tools/load/rtcp.h"
#include "tools/load/stamped_stream.h"
#include "tools/load/viewer.h"

namespace millrace::load {
namespace {

// Packets that were under way when PAUSE was answered have this long.
constexpr Duration kPauseGrace = 500ms;

}  // namespace

void Viewer::ReadMedia(Track& track, bool rtcp) {
  context_.datagrams.Drain(
      rtcp ? track.ports.rtcp() : track.ports.rtp(), context_.arrivals,
      [&](const DatagramTrain& train) {
        if (done()) return;
        const sockaddr_storage& server = rtcp ? track.server_rtcp : track.server_rtp;
        if (track.ports_known && !SameEndpoint(server, train.from)) {
          result_.strangers += train.packets();
        } else if (!rtcp) {
          OnTrain(track, train);
        } else {
          for (std::size_t at = 0; at < train.bytes.size() && !done(); at += train.segment_bytes) {
            OnRtcp(train.bytes.subspan(at, std::min(train.segment_bytes, train.bytes.size() - at)));
          }
        }
      });
}

void Viewer::OnTrain(Track& track, const DatagramTrain& train) {
  if (context_.tally.InWindow(train.arrived)) ++tally_->trains;
  if (plan_.trains != nullptr) {
    plan_.trains->Add(train.arrived, static_cast<std::size_t>(&track - tracks_.data()),
                      train.packets(), train.segment_bytes, train.bytes.size());
  }
  for (std::size_t at = 0; at < train.bytes.size() && !done(); at += train.segment_bytes) {
    OnMedia(track, train.bytes.subspan(at, std::min(train.segment_bytes, train.bytes.size() - at)),
            train.arrived);
  }
}

void Viewer::OnFrame(unsigned channel, std::span<const std::uint8_t> packet, Instant arrived) {
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    if (tracks_[i].channel + 1 == channel) return OnRtcp(packet);
    if (tracks_[i].channel != channel) continue;
    if (plan_.trains != nullptr) {
      plan_.trains->Add(arrived, i, 1, packet.size(), packet.size());
    }
    return OnMedia(tracks_[i], packet, arrived);
  }
  if (!tracks_.empty()) tracks_.front().check.OnMalformed();
}

void Viewer::OnMedia(Track& track, std::span<const std::uint8_t> packet, Instant arrived) {
  const bool first = !track.check.started();
  const std::optional<Duration> late = track.check.OnPacket(packet, arrived);
  if (!first_packet_came_) OnFirstPacket(arrived);
  context_.tally.bytes += packet.size();
  if (context_.tally.InWindow(arrived)) {
    ++tally_->packets;
    tally_->bytes += packet.size();
    if (late) tally_->lateness.Add(*late);
  }
  if (state_ == State::kPaused && arrived - paused_at_ > kPauseGrace) ++result_.while_paused;
  if (plan_.live) {
    OnLivePacket(static_cast<std::size_t>(&track - tracks_.data()), packet, first, arrived);
  }
}

void Viewer::OnFirstPacket(Instant arrived) {
  first_packet_came_ = true;
  ++context_.tally.joined;
  result_.to_first_packet = arrived - play_sent_at_;
  tally_->play_to_first_packet.Add(result_.to_first_packet);
  tally_->describe_to_first_packet.Add(arrived - describe_sent_at_);
}

void Viewer::OnLivePacket(std::size_t track, std::span<const std::uint8_t> packet, bool first,
                          Instant arrived) {
  if (first && track == kStampedVideo && !StartsKeyFrame(packet)) {
    return Fail("the first video packet does not start a key frame");
  }
  const std::optional<Instant> sent_at = SentAt(track, packet);
  if (!sent_at) {
    ++result_.unstamped;
    return;
  }
  // What was there before the viewer joined tells nothing of the delay.
  if (*sent_at < play_answered_at_) return;
  if (*sent_at - play_answered_at_ < plan_.settle) {
    tally_->delays.joining.Add(arrived - *sent_at);
  } else if (context_.tally.InWindow(arrived)) {
    tally_->delays.live.Add(arrived - *sent_at);
  }
}

void Viewer::OnRtcp(std::span<const std::uint8_t> packet) {
  const RtcpContents contents = ReadRtcp(packet);
  result_.sender_reports += contents.sender_reports;
  if (contents.bye && Plays()) {
    Fail("BYE before the time was up (is the clip longer than the run?)");
  }
}

void Viewer::SendReceiverReports() {
  for (std::size_t i = 0; i < tracks_.size() && !done(); ++i) {
    Track& track = tracks_[i];
    if (!track.check.started()) continue;
    const auto own_ssrc = static_cast<std::uint32_t>(0x10000000 + id_ * 16 + i);
    const auto report = BuildReceiverReport(own_ssrc, track.check);
    if (IsUdp()) {
      // Lost or refused is no matter: the next one follows.
      sendto(track.ports.rtcp(), report.data(), report.size(), MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(&track.server_rtcp),
             AddressBytes(track.server_rtcp));
      continue;
    }
    std::array<std::uint8_t, kFramePrefixBytes + kReceiverReportBytes> frame;
    PutFramePrefix(frame.data(), track.channel + 1, kReceiverReportBytes);
    std::copy(report.begin(), report.end(), frame.begin() + kFramePrefixBytes);
    if (!client_.Send({reinterpret_cast<const char*>(frame.data()), frame.size()})) {
      return FailErrno("send");
    }
    WatchOutput();
  }
}

}  // namespace millrace::load
