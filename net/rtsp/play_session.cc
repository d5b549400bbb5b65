#include "net/rtsp/play_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "rtp/rtcp.h"

namespace millrace::rtsp {
namespace {

// Assumed for the RTCP interval when the container does not say (RFC 3550 section 6.2).
constexpr double kBandwidthUnknownBits = 1e6;
constexpr std::size_t kReportBytes = 100;
// While a stream that is played has not come from its publisher: until it has.
constexpr Duration kHelloRetry = 100ms;

// Takes from a viewer's compound what concerns one stream.
class ReportReader final : public rtcp::Visitor {
 public:
  explicit ReportReader(Sender* sender) : sender_(sender) {}
  bool bye() const { return bye_; }

 private:
  void OnReportBlock(std::uint32_t, const rtcp::ReportBlock& block) override {
    if (block.ssrc == sender_->ssrc()) sender_->set_report(block);
  }
  void OnSenderInfo(const rtcp::SenderInfo&) override {}
  void OnBye(std::uint32_t ssrc) override {
    if (ssrc != sender_->ssrc()) bye_ = true;  // our own name in it is a loop or a forgery
  }

  Sender* const sender_;
  bool bye_ = false;
};

}  // namespace

// --- SETUP

PlaySession::Setup& PlaySession::Add(Setup setup) {
  // An SSRC that has said goodbye does not come back (RFC 3550 section 6.6).
  if (RemoveStream(setup.stream)) ChangeSsrc(*setup.sender, NewSsrc());
  setups_.push_back(std::move(setup));
  if (state_ == State::kInit) state_ = State::kReady;
  OnSetupAdded();
  return setups_.back();
}

PlaySession::Setup& PlaySession::AddUdp(std::size_t stream, std::string url, const Endpoint& rtp,
                                        const Endpoint& rtcp) {
  const int family = shard().io().Family(host_->senders()->rtp_socket);
  auto transport = std::make_unique<UdpTransport>(host_->senders(), rtp.ForFamily(family),
                                                  rtcp.ForFamily(family));
  Setup setup;
  setup.stream = stream;
  setup.rtcp_from = rtcp;
  setup.url = std::move(url);
  setup.udp = transport.get();
  setup.sender = MakeSender(stream, std::move(transport));
  Setup& added = Add(std::move(setup));
  host_->WatchRtcp(rtcp, self_, stream);
  return added;
}

PlaySession::Setup& PlaySession::AddInterleaved(std::size_t stream, std::string url,
                                                InterleavedOutput* output, ChannelPair channels) {
  auto transport = std::make_unique<InterleavedTransport>(output, channels.rtp);
  Setup setup;
  setup.stream = stream;
  setup.url = std::move(url);
  setup.interleaved = transport.get();
  setup.sender = MakeSender(stream, std::move(transport));
  setup.rtcp_channel = channels.rtcp;
  return Add(std::move(setup));
}

void PlaySession::Release(Setup& setup) {
  if (setup.udp != nullptr) host_->UnwatchRtcp(setup.rtcp_from, self_, setup.stream);
  setup.sender->Stop();
}

bool PlaySession::RemoveStream(std::size_t stream) {
  const auto found = std::find_if(setups_.begin(), setups_.end(),
                                  [stream](const Setup& s) { return s.stream == stream; });
  if (found == setups_.end()) return false;
  if (found->sender->has_sent() && !goodbye_sent_) {
    SendReport(*found, /*bye=*/true, shard().now());
  }
  OnSetupRemoved(*found);
  Release(*found);
  setups_.erase(found);
  EndIfAllEnded();
  return true;
}

bool PlaySession::uses_interleaved() const {
  return std::any_of(setups_.begin(), setups_.end(),
                     [](const Setup& s) { return s.interleaved != nullptr; });
}

void PlaySession::StopSenders() {
  for (Setup& setup : setups_) setup.sender->Stop();
}

// --- RTCP

void PlaySession::SayHello() {
  goodbye_sent_ = false;
  // The first report comes with the first packets, so that players can map times at once.
  for (Setup& setup : setups_) setup.hello = false;
  next_reports_ = shard().now();
  OnReportTimer(next_reports_);
}

bool PlaySession::SendReport(Setup& setup, bool bye, Instant now) {
  rtcp::SenderInfo info;
  info.ssrc = setup.sender->ssrc();
  if (!FillTimes(setup, now, &info) && !bye) return false;
  info.packet_count = setup.sender->packets_sent();
  info.octet_count = setup.sender->octets_sent();
  std::array<std::uint8_t, rtcp::kCompoundBytesMax> buffer;
  const std::size_t length = rtcp::WriteSenderReport(buffer, info, host_->cname(), bye);
  const std::span<const std::uint8_t> compound(buffer.data(), length);
  if (setup.udp != nullptr) {
    host_->SendRtcp(setup.udp->rtcp_destination(), compound);
  } else {
    setup.interleaved->output()->WriteFrame(setup.rtcp_channel, compound, now);
  }
  shard().counters().rtcp_sent.Add();
  setup.hello = true;
  return true;
}

void PlaySession::SendReports(bool bye) {
  const Instant now = shard().now();
  for (Setup& setup : setups_) {
    if (!setup.gone) SendReport(setup, bye, now);
  }
}

// When those that have had a report get the next.
Duration PlaySession::DrawReportInterval(bool initial) {
  double bandwidth = 0;
  for (const Setup& setup : setups_) bandwidth += setup.sender->bit_rate();
  if (bandwidth <= 0) bandwidth = kBandwidthUnknownBits;
  return rtcp::ReportInterval(bandwidth, kReportBytes, initial, shard().random());
}

void PlaySession::OnReportTimer(Instant now) {
  if (state_ != State::kPlaying) return;
  const bool due = now >= next_reports_;
  bool first = false, all = true;
  for (Setup& setup : setups_) {
    if (setup.gone) continue;
    first |= !setup.hello;
    if (due || !setup.hello) SendReport(setup, /*bye=*/false, now);
    all &= setup.hello;
  }
  if (due) next_reports_ = now + DrawReportInterval(/*initial=*/first);
  shard().timers().Arm(&report_timer_,
                       all ? next_reports_ : std::min(next_reports_, now + kHelloRetry));
  if (!due) return;
  for (const Setup& setup : setups_) {
    // It takes what it is sent.
    if (setup.interleaved != nullptr && !setup.interleaved->output()->stalled_since()) Touch();
  }
  LookAfterLateness(now);
}

void PlaySession::OnRtcp(std::size_t stream, std::span<const std::uint8_t> compound) {
  const auto setup = std::find_if(setups_.begin(), setups_.end(),
                                  [stream](const Setup& s) { return s.stream == stream; });
  if (setup == setups_.end()) return;
  ReportReader reader(setup->sender.get());
  if (!rtcp::Read(compound, &reader)) {
    shard().counters().rtcp_malformed.Add();
    return;
  }
  shard().counters().rtcp_received.Add();
  Touch();
  if (!reader.bye() || setup->gone) return;
  setup->gone = true;
  setup->sender->Stop();
  if (std::all_of(setups_.begin(), setups_.end(), [](const Setup& s) { return s.gone; })) {
    host_->EndLater(self_, EndReason::kGoodbye);
  } else {
    EndIfAllEnded();
  }
}

void PlaySession::Close(bool bye) {
  if (bye && !goodbye_sent_) {
    for (Setup& setup : setups_) {
      if (!setup.gone && (state_ == State::kPlaying || setup.sender->has_sent())) {
        SendReport(setup, /*bye=*/true, shard().now());
      }
    }
  }
  for (Setup& setup : setups_) Release(setup);
  setups_.clear();
  StopReports();
  Session::Close(bye);
}

}  // namespace millrace::rtsp
