// A viewer of a file.
//
// The way of the data: PLAY resolves the range to packets and starts a sender per stream on one
// clock; PAUSE stops them where they are; the end of the range leads back to Ready, the end of the
// media to RTCP BYE as well.
//
// Played faster than normal, or backwards, only the lead stream's key frames are sent; slower than
// normal, only the lead stream. A channel always plays where it is by the clock of all, whatever
// range is asked for.
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

#include "net/rtsp/asset_rules.h"
#include "net/rtsp/play_session.h"
#include "rtp/presentation.h"
#include "rtp/start_resolver.h"
#include "rtp/vod_sender.h"

namespace millrace::rtsp {

class VodSession final : public PlaySession, private StartResolver::Observer {
 public:
  // What PLAY asks for, in the viewer's npt.
  struct PlayRequest {
    std::optional<Duration> start, end;
    std::optional<double> scale, speed;
    bool rate_control = true;  // false: as fast as it is taken, over TCP
  };

  // `path` is the URL's, which need not be the presentation's.
  VodSession(SessionHandle self, SessionHost* host, const SessionId& id, std::string path,
             PresentationRef presentation, const AssetMeaning& meaning, const Endpoint& peer,
             const ReplyTo& owner);
  ~VodSession() override;

  VodSession* vod() override { return this; }
  const std::string& path() const override { return path_; }
  std::size_t stream_count() const override { return presentation_->streams.size(); }
  std::size_t packet_bytes() const override { return presentation_->packet_bytes(); }

  // --- PLAY. Without a start: from where it stands. Answers at once (true), or later through
  // SessionHost::OnPlayResolved with `answer`.
  bool Play(PlayRequest request, PendingAnswer answer);
  // --- PAUSE, now or when the viewer's npt reaches that; not of one that loops.
  void Pause() override;
  void PauseAt(Duration npt);
  void Close(bool bye) override;

  const Presentation& presentation() const { return *presentation_; }
  // The viewer's npt where it stands, and at the end of the media.
  Duration Position() const { return Npt(MediaPosition()); }
  Duration duration() const { return presentation_->end() - (loops_ ? Duration(0) : origin_); }
  // The scale at which that request would be played.
  double ScaleFor(const PlayRequest& request) const;
  bool is_channel() const { return channel_.has_value(); }
  bool endless() const { return loops_; }
  // Of the stretch being played (or last played).
  double scale() const { return clock_.scale; }
  double speed() const { return rate_control_ ? clock_.speed : 1; }
  bool rate_control() const { return rate_control_; }
  // The PLAY whose answer is still to come; it comes from the caller now.
  PendingAnswer TakePendingAnswer() {
    resolver_->Abandon();
    return std::exchange(pending_answer_, {});
  }
  bool play_pending() const { return resolver_ != nullptr && resolver_->pending(); }

  // Range of the stretch being played (or last played).
  void AppendRange(RangeUnit unit, std::string* out) const override;
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
  void EndAgainIfAllEnded();
  void LookAfterLateness(Instant now) override;
  Duration FurthestInStep() const override;
  void OnSenderDelayed(Sender* sender, Duration by) override;
  void OnSenderFailed(Sender* sender, const absl::Status& status) override;
  void OnStartResolved(const absl::Status& status) override;
  void OnEndTimer(Instant now);

  Duration range_end() const {
    return clock_.end.value_or(clock_.scale < 0 ? origin_ : presentation_->end());
  }
  // Media time where it stands; beyond the media's length after a turn.
  Duration MediaPosition() const;
  Duration InMedia(Duration media) const;
  Duration Npt(Duration media) const;
  // What can be done of what is asked.
  double UsableScale(double scale) const;
  double SpeedFor(const PlayRequest& request) const;
  Duration StartFor(const PlayRequest& request) const;
  bool CanSpeedUp() const;
  bool PlaysLead() const;
  bool IsLead(const Setup& setup) const { return setup.stream == presentation_->lead_stream(); }
  // Goes on with another speed or end; true when that is all the request changes.
  bool PlayOn(const PlayRequest& request, double speed);
  void StartFrom(Duration range_start, std::vector<StartPoint> points);
  void ResumeHere();
  void EnterPlaying();
  void NoteShown(const Setup& setup);
  std::vector<std::size_t> Streams() const;

  const std::string path_;
  const PresentationRef presentation_;
  const bool loops_;
  const std::optional<ChannelPlace> channel_;
  Duration origin_;       // media time of the viewer's npt 0
  bool origin_resolved_;  // it is where something can start
  bool rate_control_ = true;
  bool can_resume_ = false;  // PLAY without Range goes on where the senders stand

  PlayClock clock_;
  Duration range_start_{};
  Duration position_{};            // while not playing
  Duration shift_{};               // viewer's timeline minus media time
  std::optional<Duration> shown_;  // latest time sent before this stretch, on his timeline

  std::unique_ptr<StartResolver> resolver_;
  PendingAnswer pending_answer_;
  PlayClock pending_clock_;  // of the PLAY that is being resolved
  std::vector<std::size_t> pending_streams_;
  bool pending_at_origin_ = false;  // it asks for npt 0
  MemberTimer<VodSession, &VodSession::OnEndTimer> end_timer_{this};
};

}  // namespace millrace::rtsp
