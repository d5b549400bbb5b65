// One TCP peer: bytes in, messages up, answers and media down.
//
// The way of the data: received bytes → parser → RequestHandler, one request at a time; an answer
// may come later (a file being opened, a block being read, another shard), and what is pipelined
// behind it waits here, so that answers keep the order of the requests (RFC 2326 section 9.1).
// Interleaved frames pass straight to the handler.
//
// Shard: home's only.
// Limits: input_bytes of unread requests (then receiving pauses), pipelining answers not yet taken,
// output_bytes of them, header_timeout, idle_timeout, write_stall.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/io_backend.h"
#include "core/limits.h"
#include "core/shard.h"
#include "core/slot_map.h"
#include "core/timer_wheel.h"
#include "net/rtsp/message.h"
#include "net/rtsp/parser.h"
#include "net/rtsp/session.h"
#include "net/rtsp/transport_header.h"
#include "rtp/interleaved_output.h"
#include "rtp/live_hub.h"
#include "rtp/presentation_store.h"

namespace millrace::rtsp {

// What becomes of a connection's messages.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual Shard& shard() = 0;
  virtual SenderContext* senders() = 0;
  virtual OutputQueue* outputs() = 0;
  virtual const Limits& limits() const = 0;
  virtual const ParserLimits& parser_limits() const = 0;
  // Shared scratch of the shard's parsers.
  virtual Message* scratch_message() = 0;

  // Answers with Connection::Answer, at once or later. `raw` are the message's own bytes.
  virtual void OnRequest(Connection& connection, const Message& request, std::string_view raw) = 0;
  virtual void OnInvalid(Connection& connection, const ParseResult& error) = 0;
  // What the connection announced came to nothing for too long.
  virtual void DropAnnouncement(Connection& connection) = 0;
  virtual void OnInterleaved(Connection& connection, std::uint8_t channel,
                             std::span<const std::uint8_t> packet) = 0;
  // Destroys the connection once the current event is over.
  virtual void CloseLater(ConnectionHandle connection) = 0;
};

// A channel of a connection that carries a session's RTP or RTCP.
struct ChannelUse {
  std::uint8_t channel = 0;
  SessionHandle session;
  std::size_t stream = 0;
  bool rtcp = false;
};

class Connection final : private StreamHandler, private OutputObserver {
 public:
  using HandleType = ConnectionHandle;

  Connection(HandleType self, ConnectionHost* host, SocketId socket);
  ~Connection() override;

  // The answer to the request in hand; the next one is read after it. `close`: nothing more is, and
  // the connection ends once the answer is out.
  void Answer(std::string_view response, bool close);

  HandleType self() const { return self_; }
  const Endpoint& peer() const { return peer_; }
  const Endpoint& local() const { return local_; }
  InterleavedOutput& output() { return output_; }

  // --- Sessions this connection made or took over, on whatever shard.
  void AddSession(const SessionId& id);
  void RemoveSession(const SessionId& id);
  const std::vector<SessionId>& sessions() const { return sessions_; }

  // --- Interleaved channels. Nothing when no pair is free.
  std::optional<ChannelPair> FreeChannels(std::optional<ChannelPair> wanted) const;
  void UseChannels(ChannelPair pair, SessionHandle session, std::size_t stream);
  void FreeChannelsOf(SessionHandle session, std::optional<std::size_t> stream);
  const ChannelUse* FindChannel(std::uint8_t channel) const;

  // --- A presentation being opened for the request in hand.
  struct PendingOpen;
  std::unique_ptr<PendingOpen> pending_open;
  // --- A publisher that the request in hand waits for.
  struct PendingLive;
  std::unique_ptr<PendingLive> pending_live;
  // --- What it has announced and not yet set up.
  struct Announcement {
    PublisherTicket ticket;
    std::string base_url;
    Instant at{};
  };
  std::optional<Announcement> announced;

  // Reads nothing until then.
  void HoldReading(Instant until);

 private:
  void OnReceived(std::span<const char> bytes) override;
  void OnReceiveEnd(int error) override;
  void OnWritable() override;
  void OnTimer(Instant now);

  // Reads messages from `bytes` while it may; returns how many bytes are done with.
  std::size_t Read(std::string_view bytes);
  void ReadOn();  // what was kept in input_
  bool MayRead() const;
  bool held() const;
  void HoldOrRelease();
  void LookAt(Instant when);
  void LookAfterLimits(Instant now);
  void EndWithPeer();
  void EndAfterOutput();
  void OnOutputFailed() override;
  void Close();

  const HandleType self_;
  ConnectionHost* const host_;
  const SocketId socket_;
  const Endpoint peer_;
  const Endpoint local_;
  Parser parser_;
  InterleavedOutput output_;

  std::string input_;       // bytes of a message that is not whole yet, or that waits for its turn
  bool busy_ = false;       // a request is in hand, its answer still to come
  bool reading_ = false;    // inside Read
  bool paused_ = false;     // receiving is stopped
  bool peer_done_ = false;  // the peer will send no more
  bool closing_ = false;    // ends once the output is out
  bool shut_ = false;       // our side is shut
  bool closed_ = false;     // CloseLater has been called
  std::vector<SessionId> sessions_;
  std::vector<ChannelUse> channels_;

  Instant last_request_{};
  Instant hold_until_{};
  Instant partial_since_ = kNever;  // first byte of a message that is not whole yet
  MemberTimer<Connection, &Connection::OnTimer> timer_{this};
};

// Re-runs the request when its presentation is there.
struct Connection::PendingOpen final : public PresentationWaiter {
  PendingOpen(Connection* owner, std::string_view request, void* receiver,
              void (*done)(void*, Connection&, std::string_view raw,
                           const absl::StatusOr<PresentationRef>&))
      : connection(owner), raw(request), receiver_(receiver), done_(done) {}

  Connection* const connection;
  const std::string raw;

 private:
  void OnPresentation(absl::StatusOr<PresentationRef> presentation) override {
    // The answer ends this waiter's life; keep it until the call is over.
    const std::unique_ptr<PendingOpen> self = std::move(connection->pending_open);
    done_(receiver_, *connection, raw, presentation);
  }

  void* const receiver_;
  void (*const done_)(void*, Connection&, std::string_view, const absl::StatusOr<PresentationRef>&);
};

// Re-runs the request when its path is published, or refuses it when that takes too long.
struct Connection::PendingLive final : public LiveWaiter {
  PendingLive(LiveHub* hub, Connection* owner, std::string_view request, void* receiver,
              void (*done)(void*, Connection&, std::string_view raw, LiveRef))
      : LiveWaiter(hub), connection(owner), raw(request), receiver_(receiver), done_(done) {}

  Connection* const connection;
  const std::string raw;

 private:
  void OnLive(LiveRef live) override {
    const std::unique_ptr<PendingLive> self = std::move(connection->pending_live);
    done_(receiver_, *connection, raw, std::move(live));
  }

  void* const receiver_;
  void (*const done_)(void*, Connection&, std::string_view, LiveRef);
};

}  // namespace millrace::rtsp
