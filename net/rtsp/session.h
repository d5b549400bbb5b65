// An RTSP session (RFC 2326 appendix A): what one client has set up, and how long it lives.
//
//   PlaySession     Init -> Ready -> Playing: a viewer, of a file (VodSession) or of a publisher's
//                   stream (LiveSession)
//   PublishSession  Init -> Ready -> Recording: a publisher
//
// Shard: home's only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/block_pool.h"
#include "core/limits.h"
#include "core/shard.h"
#include "core/slot_map.h"
#include "core/timer_wheel.h"
#include "net/rtsp/range_header.h"
#include "net/rtsp/session_id.h"
#include "rtp/live_hub.h"
#include "rtp/sender.h"

namespace millrace::rtsp {

class Connection;
class PlaySession;
class PublishSession;
class Session;
class VodSession;
struct SessionSlot;
using ConnectionHandle = Handle<Connection>;
using SessionHandle = Handle<SessionSlot>;

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
  // Asked for, so the one used is said.
  bool scale = false, speed = false, rate_control = false;
  RangeUnit range_unit = RangeUnit::kNpt;
  bool close = false;             // the connection, after the answer
  std::optional<SessionId> owns;  // what the asking connection, elsewhere, now controls
};

enum class EndReason : std::uint8_t {
  kTeardown,
  kTimeout,
  kConnectionLost,
  kGoodbye,
  kMediaFailed,
  kPublisherGone,  // a live viewer's
  kTakenOver,      // a publisher's path, by another
  kServerStops
};

// What a session needs of the server it lives in.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  virtual Shard& shard() = 0;
  virtual SenderContext* senders() = 0;
  virtual LiveHub& live_hub() = 0;
  // For packets of publishers that wait for one that is missing.
  virtual BlockPool* reorder_blocks() = 0;
  virtual const Limits& limits() const = 0;
  virtual std::string_view cname() const = 0;
  // A compound towards a UDP peer; sent with this tick's batch.
  virtual void SendRtcp(const Endpoint& to, std::span<const std::uint8_t> compound) = 0;
  // RTCP from that address is this stream's, until the session's end.
  virtual void WatchRtcp(const Endpoint& from, SessionHandle session, std::size_t stream) = 0;
  virtual void UnwatchRtcp(const Endpoint& from, SessionHandle session, std::size_t stream) = 0;
  // The same for RTP, of publishers.
  virtual void WatchRtp(const Endpoint& from, SessionHandle session, std::size_t stream) = 0;
  virtual void UnwatchRtp(const Endpoint& from, SessionHandle session, std::size_t stream) = 0;
  // Reads nothing more from that connection until then.
  virtual void HoldReading(const ReplyTo& connection, Instant until) = 0;
  // PLAY is resolved; `status` as StartResolver gives it.
  virtual void OnPlayResolved(VodSession& session, const PendingAnswer& answer,
                              const absl::Status& status) = 0;
  // Ends the session once the current event is over.
  virtual void EndLater(SessionHandle session, EndReason reason) = 0;
};

class Session {
 public:
  enum class State : std::uint8_t { kInit, kReady, kPlaying, kRecording };

  Session(SessionHandle self, SessionHost* host, const SessionId& id, const Endpoint& peer,
          const ReplyTo& owner);
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // What it is, or null.
  virtual PlaySession* player() { return nullptr; }
  virtual PublishSession* publisher() { return nullptr; }

  virtual const std::string& path() const = 0;
  virtual std::size_t stream_count() const = 0;  // of what it plays or publishes
  virtual std::size_t setup_count() const = 0;
  virtual bool uses_interleaved() const = 0;
  // What its packets may not exceed because the client asked for it; 0: the usual.
  virtual std::size_t packet_bytes() const { return 0; }

  // --- What comes from the peer. `stream` is the one whose port or channel it came to.
  virtual void OnRtp(std::size_t, std::span<const std::uint8_t>) {}
  virtual void OnRtcp(std::size_t stream, std::span<const std::uint8_t> compound) = 0;
  // PAUSE without a time.
  virtual void Pause() = 0;
  // TEARDOWN of one stream. False when it is not set up.
  virtual bool RemoveStream(std::size_t stream) = 0;

  // --- Life
  void Touch() { last_alive_ = host_->shard().now(); }
  // Its connection is gone; a UDP session goes on while reports come. `Adopt` ends that.
  void Orphan();
  void Adopt(const ReplyTo& owner);
  bool orphaned() const { return orphaned_; }
  // Says BYE when `bye` and lets go of everything; then it only waits to be erased.
  virtual void Close(bool bye);

  // --- Queries
  SessionHandle self() const { return self_; }
  const SessionId& id() const { return id_; }
  State state() const { return state_; }
  const Endpoint& peer() const { return peer_; }
  const ReplyTo& owner() const { return owner_; }

 protected:
  Shard& shard() const { return host_->shard(); }

  const SessionHandle self_;
  SessionHost* const host_;
  const SessionId id_;
  const Endpoint peer_;
  ReplyTo owner_;
  State state_ = State::kInit;

 private:
  void OnTimeoutTimer(Instant now);
  void ArmTimeout(Duration limit);  // since last_alive_

  bool orphaned_ = false;
  Instant last_alive_{};
  MemberTimer<Session, &Session::OnTimeoutTimer> timeout_timer_{this};
};

// A session's place in the server's table.
struct SessionSlot {
  using HandleType = SessionHandle;
  template <typename Make>
  SessionSlot(HandleType self, Make&& make) : session(make(self)) {}

  const std::unique_ptr<Session> session;
};

}  // namespace millrace::rtsp
