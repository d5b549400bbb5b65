// An RTSP session (RFC 2326 appendix A): Init -> Ready -> Playing, for one viewer of one
// presentation.
//
// The way of the data: SETUP adds a stream with its transport; PLAY resolves the range to packets
// and starts a sender per stream on one clock; PAUSE stops them where they are; the end of the
// range leads back to Ready, the end of the media to RTCP BYE as well.
//
// The viewer's timeline is continuous: media time plus `shift_` never goes back, whatever he seeks
// (RFC 2326 appendix B), and all streams share the shift, so they stay in sync.
//
// Shard: home's only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/shard.h"
#include "core/slot_map.h"
#include "core/timer_wheel.h"
#include "net/rtsp/headers.h"
#include "net/rtsp/session_id.h"
#include "rtp/interleaved_sender.h"
#include "rtp/presentation.h"
#include "rtp/start_resolver.h"
#include "rtp/udp_sender.h"

namespace millrace::rtsp {

class Connection;
class Session;
using ConnectionHandle = Handle<Connection>;
using SessionHandle = Handle<Session>;

// The connection that asked, wherever it lives.
struct ReplyTo {
  std::uint32_t shard = 0;
  ConnectionHandle connection;
  friend bool operator==(const ReplyTo&, const ReplyTo&) = default;
};

// What an answer needs of its request when it comes later.
struct PendingAnswer {
  ReplyTo reply;
  std::string cseq;
  std::string timestamp;
  bool scale = false, speed = false;  // asked for, so the one used is said
  bool close = false;                 // the connection, after the answer
  std::optional<SessionId> owns;      // what the asking connection, elsewhere, now controls
};

enum class EndReason : std::uint8_t {
  kTeardown,
  kTimeout,
  kConnectionLost,
  kGoodbye,
  kMediaFailed,
  kServerStops
};

// What a session needs of the server it lives in.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  virtual Shard& shard() = 0;
  virtual SenderContext* senders() = 0;
  virtual const Limits& limits() const = 0;
  virtual std::string_view cname() const = 0;
  // A compound towards a UDP viewer; sent with this tick's batch.
  virtual void SendRtcp(const Endpoint& to, std::span<const std::uint8_t> compound) = 0;
  // Receiver reports from that address are this stream's, until the session's end.
  virtual void WatchRtcp(const Endpoint& from, SessionHandle session, std::size_t stream) = 0;
  virtual void UnwatchRtcp(const Endpoint& from, SessionHandle session, std::size_t stream) = 0;
  // PLAY is resolved; `status` as StartResolver gives it.
  virtual void OnPlayResolved(Session& session, const PendingAnswer& answer,
                              const absl::Status& status) = 0;
  // Ends the session once the current event is over.
  virtual void EndLater(SessionHandle session, EndReason reason) = 0;
};

class Session final : private SenderObserver, private StartResolver::Observer {
 public:
  using HandleType = SessionHandle;
  enum class State : std::uint8_t { kInit, kReady, kPlaying };

  // One SETUP.
  struct Setup {
    std::size_t stream = 0;  // of the presentation
    LowerTransport lower = LowerTransport::kUdp;
    std::string url;  // as the client named it; RTP-Info repeats it
    std::unique_ptr<Sender> sender;
    UdpSender* udp = nullptr;  // one of the two
    InterleavedSender* interleaved = nullptr;
    std::uint8_t rtcp_channel = 0;
    Endpoint rtcp_from;  // where a UDP viewer's reports come from
    bool gone = false;   // its receiver said goodbye
  };

  Session(HandleType self, SessionHost* host, const SessionId& id, PresentationRef presentation,
          const Endpoint& peer, const ReplyTo& owner);
  ~Session() override;

  // --- SETUP. An earlier set-up of the same stream is replaced.
  Setup& AddUdp(std::size_t stream, std::string url, const Endpoint& rtp, const Endpoint& rtcp);
  Setup& AddInterleaved(std::size_t stream, std::string url, InterleavedOutput* output,
                        ChannelPair channels);
  // TEARDOWN of one stream. False when it is not set up.
  bool RemoveStream(std::size_t stream);

  // --- PLAY. `start` empty: from where it stands. Answers at once (true), or later through
  // SessionHost::OnPlayResolved with `answer`.
  bool Play(std::optional<Duration> start, std::optional<Duration> end, PendingAnswer answer);
  // --- PAUSE, now or when media time reaches `at`.
  void Pause();
  void PauseAt(Duration at);

  // --- Reports. `stream` is the one whose RTCP port or channel it came to.
  void OnRtcp(std::size_t stream, std::span<const std::uint8_t> compound);
  // Sender reports of every stream, with BYE behind them when `bye`.
  void SendReports(bool bye);

  // --- Life
  void Touch() { last_alive_ = host_->shard().now(); }
  // Its connection is gone; a UDP session goes on while reports come. `Adopt` ends that.
  void Orphan();
  void Adopt(const ReplyTo& owner);
  bool orphaned() const { return orphaned_; }
  // Says BYE and lets go of everything; then it only waits to be erased.
  void Close(bool bye);

  // --- Queries
  HandleType self() const { return self_; }
  const SessionId& id() const { return id_; }
  State state() const { return state_; }
  const Presentation& presentation() const { return *presentation_; }
  const PresentationRef& presentation_ref() const { return presentation_; }
  const Endpoint& peer() const { return peer_; }
  const ReplyTo& owner() const { return owner_; }
  std::vector<Setup>& setups() { return setups_; }
  bool uses_interleaved() const;
  // npt where it stands.
  Duration Position() const;
  // Range of the stretch being played (or last played), for the answer.
  Duration range_start() const { return range_start_; }
  Duration range_end() const { return clock_.end.value_or(presentation_->duration); }
  // The PLAY whose answer is still to come; it comes from the caller now.
  PendingAnswer TakePendingAnswer() {
    resolver_->Abandon();
    return std::exchange(pending_answer_, {});
  }
  bool play_pending() const { return resolver_ != nullptr && resolver_->pending(); }
  std::uint32_t RtpInfoTimestamp(const Setup& setup) const {
    return setup.sender->TimestampAt(range_start_);
  }

 private:
  void OnSenderEnded(Sender* sender) override;
  void OnSenderFailed(Sender* sender, const absl::Status& status) override;
  void OnStartResolved(const absl::Status& status) override;
  void OnTimeoutTimer(Instant now);
  void OnReportTimer(Instant now);
  void OnEndTimer(Instant now);

  SenderObserver* observer() { return this; }
  Setup& Add(Setup setup);
  void Release(Setup& setup);
  void StopSenders();
  void StartFrom(Duration range_start, std::vector<StartPoint> points);
  void ResumeHere();
  void EnterPlaying();
  void SayHello();
  void EndIfAllEnded();
  void NoteShown(const Setup& setup);
  std::uint32_t NewSsrc();
  void SendReport(Setup& setup, bool bye, Instant now, std::uint64_t ntp);
  void ArmReportTimer(bool initial);
  std::vector<std::size_t> Streams() const;

  const HandleType self_;
  SessionHost* const host_;
  const SessionId id_;
  const PresentationRef presentation_;
  const Endpoint peer_;
  ReplyTo owner_;
  bool orphaned_ = false;
  bool goodbye_sent_ = false;  // since the last start
  bool can_resume_ = false;    // PLAY without Range goes on where the senders stand
  State state_ = State::kInit;
  std::vector<Setup> setups_;

  PlayClock clock_;
  Duration range_start_{};
  Duration position_{};            // while not playing
  Duration shift_{};               // viewer's timeline minus media time
  std::optional<Duration> shown_;  // latest time sent before this stretch, on his timeline

  std::unique_ptr<StartResolver> resolver_;
  PendingAnswer pending_answer_;
  std::optional<Duration> pending_end_;

  Instant last_alive_{};
  MemberTimer<Session, &Session::OnTimeoutTimer> timeout_timer_{this};
  MemberTimer<Session, &Session::OnReportTimer> report_timer_{this};
  MemberTimer<Session, &Session::OnEndTimer> end_timer_{this};
};

}  // namespace millrace::rtsp
