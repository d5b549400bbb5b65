// A viewer of a file.
//
// The way of the data: PLAY resolves the range to packets and starts a sender per stream on one
// clock; PAUSE stops them where they are; the end of the range leads back to Ready, the end of the
// media to RTCP BYE as well.
//
// The viewer's timeline is continuous: media time plus `shift_` never goes back, whatever he seeks
// (RFC 2326 appendix B), and all streams share the shift, so they stay in sync.
//
// Shard: home's only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/rtsp/play_session.h"
#include "rtp/presentation.h"
#include "rtp/start_resolver.h"
#include "rtp/vod_sender.h"

namespace millrace::rtsp {

class VodSession final : public PlaySession, private StartResolver::Observer {
 public:
  VodSession(SessionHandle self, SessionHost* host, const SessionId& id,
             PresentationRef presentation, const Endpoint& peer, const ReplyTo& owner);
  ~VodSession() override;

  VodSession* vod() override { return this; }
  const std::string& path() const override { return presentation_->path; }
  std::size_t stream_count() const override { return presentation_->streams.size(); }

  // --- PLAY. `start` empty: from where it stands. Answers at once (true), or later through
  // SessionHost::OnPlayResolved with `answer`.
  bool Play(std::optional<Duration> start, std::optional<Duration> end, PendingAnswer answer);
  // --- PAUSE, now or when media time reaches `at`.
  void Pause() override;
  void PauseAt(Duration at);
  void Close(bool bye) override;

  const Presentation& presentation() const { return *presentation_; }
  // npt where it stands.
  Duration Position() const;
  // The PLAY whose answer is still to come; it comes from the caller now.
  PendingAnswer TakePendingAnswer() {
    resolver_->Abandon();
    return std::exchange(pending_answer_, {});
  }
  bool play_pending() const { return resolver_ != nullptr && resolver_->pending(); }

  // Range of the stretch being played (or last played).
  void AppendRange(std::string* out) const override;
  std::optional<std::uint32_t> StartTimestamp(const Setup& setup) const override;

 private:
  std::unique_ptr<Sender> MakeSender(std::size_t stream,
                                     std::unique_ptr<Transport> transport) override;
  void ChangeSsrc(Sender& sender, std::uint32_t ssrc) override;
  bool FillTimes(const Setup& setup, Instant now, rtcp::SenderInfo* info) override;
  void OnSetupRemoved(const Setup& setup) override { NoteShown(setup); }
  // A stream that has not played cannot go on.
  void OnSetupAdded() override { can_resume_ = false; }
  void EndIfAllEnded() override;
  void LookAfterLateness(Instant now) override;
  void OnSenderFailed(Sender* sender, const absl::Status& status) override;
  void OnStartResolved(const absl::Status& status) override;
  void OnEndTimer(Instant now);

  Duration range_end() const { return clock_.end.value_or(presentation_->duration); }
  void StartFrom(Duration range_start, std::vector<StartPoint> points);
  void ResumeHere();
  void EnterPlaying();
  void NoteShown(const Setup& setup);
  std::vector<std::size_t> Streams() const;

  const PresentationRef presentation_;
  bool can_resume_ = false;  // PLAY without Range goes on where the senders stand

  PlayClock clock_;
  Duration range_start_{};
  Duration position_{};            // while not playing
  Duration shift_{};               // viewer's timeline minus media time
  std::optional<Duration> shown_;  // latest time sent before this stretch, on his timeline

  std::unique_ptr<StartResolver> resolver_;
  PendingAnswer pending_answer_;
  std::optional<Duration> pending_end_;
  MemberTimer<VodSession, &VodSession::OnEndTimer> end_timer_{this};
};

}  // namespace millrace::rtsp
