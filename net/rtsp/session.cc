#include "net/rtsp/session.h"

namespace millrace::rtsp {

Session::Session(SessionHandle self, SessionHost* host, const SessionId& id, const Endpoint& peer,
                 const ReplyTo& owner)
    : self_(self), host_(host), id_(id), peer_(peer), owner_(owner) {
  Touch();
  ArmTimeout(host_->limits().session_timeout);
}

void Session::OnTimeoutTimer(Instant now) {
  const Limits& limits = host_->limits();
  const Duration limit = orphaned_ ? limits.orphan_timeout : limits.session_timeout;
  if (now - last_alive_ >= limit) {
    host_->EndLater(self_, EndReason::kTimeout);
    return;
  }
  ArmTimeout(limit);
}

void Session::ArmTimeout(Duration limit) {
  shard().timers().Arm(&timeout_timer_, TimerWheel::Loosely(last_alive_ + limit));
}

void Session::Orphan() {
  orphaned_ = true;
  owner_ = {};
  Touch();
  ArmTimeout(host_->limits().orphan_timeout);
}

void Session::Adopt(const ReplyTo& owner) {
  orphaned_ = false;
  owner_ = owner;
  Touch();
}

void Session::Close(bool) { shard().timers().Cancel(&timeout_timer_); }

}  // namespace millrace::rtsp
