// A viewer's session: a sender per stream that he has set up, and the RTCP that goes with it.
//
// Shard: home's only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/rtsp/headers.h"
#include "net/rtsp/session.h"
#include "rtp/interleaved_output.h"
#include "rtp/udp_transport.h"

namespace millrace::rtsp {

class LiveSession;

class PlaySession : public Session, protected SenderObserver {
 public:
  // One SETUP.
  struct Setup {
    std::size_t stream = 0;  // of the presentation
    std::string url;         // as the client named it; RTP-Info repeats it
    std::unique_ptr<Sender> sender;
    UdpTransport* udp = nullptr;  // one of the two
    InterleavedTransport* interleaved = nullptr;
    std::uint8_t rtcp_channel = 0;
    Endpoint rtcp_from;  // where a UDP viewer's reports come from
    bool gone = false;   // its receiver said goodbye
    bool hello = false;  // has had the first report of this stretch
  };

  using Session::Session;

  PlaySession* player() override { return this; }
  virtual VodSession* vod() { return nullptr; }
  virtual LiveSession* live() { return nullptr; }

  // --- SETUP. An earlier set-up of the same stream is replaced.
  Setup& AddUdp(std::size_t stream, std::string url, const Endpoint& rtp, const Endpoint& rtcp);
  Setup& AddInterleaved(std::size_t stream, std::string url, InterleavedOutput* output,
                        ChannelPair channels);
  bool RemoveStream(std::size_t stream) override;

  void OnRtcp(std::size_t stream, std::span<const std::uint8_t> compound) override;
  // Sender reports of every stream, with BYE behind them when `bye`.
  void SendReports(bool bye);
  void Close(bool bye) override;

  // --- What the answer to PLAY says.
  virtual void AppendRange(RangeUnit unit, std::string* out) const = 0;
  // RTP timestamp of the start; nothing when it is not known yet (then neither is the sequence
  // number).
  virtual std::optional<std::uint32_t> StartTimestamp(const Setup& setup) const = 0;

  std::vector<Setup>& setups() { return setups_; }
  std::size_t setup_count() const override { return setups_.size(); }
  bool uses_interleaved() const override;

 protected:
  virtual std::unique_ptr<Sender> MakeSender(std::size_t stream,
                                             std::unique_ptr<Transport> transport) = 0;
  // Gives `sender` another SSRC than the one that has said goodbye.
  virtual void ChangeSsrc(Sender& sender, std::uint32_t ssrc) = 0;
  // Fills in the two times of a report: now, on the wall clock and on the stream's. False: nobody
  // knows yet how they go together.
  virtual bool FillTimes(const Setup& setup, Instant now, rtcp::SenderInfo* info) = 0;
  // A set-up is about to go.
  virtual void OnSetupRemoved(const Setup&) {}
  virtual void OnSetupAdded() {}
  // Some of the senders have stopped; perhaps all.
  virtual void EndIfAllEnded() = 0;
  // Once per report interval.
  virtual void LookAfterLateness(Instant) {}

  void OnSenderEnded(Sender*) override { EndIfAllEnded(); }
  std::uint32_t NewSsrc() { return shard().random().Next32() | 1; }
  // The first reports of a stretch, and the timer of the next.
  void SayHello();
  void StopReports() { shard().timers().Cancel(&report_timer_); }
  void StopSenders();

  std::vector<Setup> setups_;
  bool goodbye_sent_ = false;  // since the last start

 private:
  Setup& Add(Setup setup);
  void Release(Setup& setup);
  // False: it has to wait until the times are known.
  bool SendReport(Setup& setup, bool bye, Instant now);
  Duration DrawReportInterval(bool initial);
  void OnReportTimer(Instant now);

  Instant next_reports_{};  // of the streams that have had their first
  MemberTimer<PlaySession, &PlaySession::OnReportTimer> report_timer_{this};
};

}  // namespace millrace::rtsp
