// A viewer of what a publisher sends.
//
// PLAY starts at the newest access point (or the live edge), whatever range is asked for; PAUSE
// stops, and the next PLAY does the same, or goes on where it stopped when that is newer. When the
// publisher is gone for good, the viewer gets the rest, then BYE, and the session ends.
//
// Shard: home's only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "net/rtsp/play_session.h"
#include "rtp/live_hub.h"
#include "rtp/live_sender.h"

namespace millrace::rtsp {

class LiveSession final : public PlaySession, private LiveViewUser {
 public:
  LiveSession(SessionHandle self, SessionHost* host, const SessionId& id, const LiveRef& live,
              const Endpoint& peer, const ReplyTo& owner);
  ~LiveSession() override;

  LiveSession* live() override { return this; }
  const std::string& path() const override { return view_->live()->path(); }
  std::size_t stream_count() const override { return view_->live()->stream_count(); }

  void Play();
  void Pause() override;
  void Close(bool bye) override;

  void AppendRange(RangeUnit unit, std::string* out) const override;
  std::optional<std::uint32_t> StartTimestamp(const Setup& setup) const override;

 private:
  std::unique_ptr<Sender> MakeSender(std::size_t stream,
                                     std::unique_ptr<Transport> transport) override;
  void ChangeSsrc(Sender& sender, std::uint32_t ssrc) override;
  bool FillTimes(const Setup& setup, Instant now, rtcp::SenderInfo* info) override;
  void EndIfAllEnded() override;
  void OnPresentationEnded() override;
  void OnSenderFailed(Sender*, const absl::Status&) override {}  // a log cannot fail
  void OnSenderJumped(Sender* sender) override;
  void OnEndTimer(Instant now);

  LiveView* view_;
  bool jump_told_ = false;
  MemberTimer<LiveSession, &LiveSession::OnEndTimer> end_timer_{this};
};

}  // namespace millrace::rtsp
