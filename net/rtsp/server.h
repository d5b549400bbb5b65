// A shard's RTSP server: its connections, its sessions, its one RTP/RTCP port pair, and the tick
// that moves them.
//
// Accepting is shard 0's alone: it hands each new connection to the shard that has the fewest,
// since RTSP connections live long and a kernel hash would leave some shards idle and others full.
//
// A request for a session of another shard (RFC 2326 12.37: a session is not bound to a connection)
// travels there as its own bytes and comes back as an answer.
//
// Shard: home's only; other shards reach it by mail.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/block_pool.h"
#include "core/io/send_batch.h"
#include "core/limits.h"
#include "core/shard.h"
#include "core/shard_group.h"
#include "core/slot_map.h"
#include "net/rtsp/asset_rules.h"
#include "net/rtsp/connection.h"
#include "net/rtsp/live_session.h"
#include "net/rtsp/publish_session.h"
#include "net/rtsp/session.h"
#include "net/rtsp/vod_session.h"
#include "rtp/live_hub.h"
#include "rtp/live_table.h"
#include "rtp/pacer.h"
#include "rtp/packet_cache.h"
#include "rtp/presentation_store.h"
#include "rtp/rtcp.h"

namespace millrace::rtsp {

class RequestHandler;

// What all shards' servers share. Outlives them.
struct ServerShared {
  Limits limits;
  ShardGroup* group = nullptr;
  PresentationStore* presentations = nullptr;
  PacketCache* cache = nullptr;
  LiveTable* live = nullptr;
  AssetRules assets;
  Endpoint bind;           // port 0: any; see `port`
  std::string cname;       // of every stream (RFC 3550 section 6.5.1)
  std::uint16_t port = 0;  // written by shard 0 when it listens
};

class Server final : public LiveService,
                     public SessionHost,
                     private PublisherHost,
                     public ConnectionHost,
                     private AcceptHandler {
 public:
  // Binds the port pair, and on shard 0 listens.
  static absl::StatusOr<std::unique_ptr<Server>> Create(Shard& shard, ServerShared* shared);
  ~Server() override;

  // --- For the request handler.
  Session* FindSession(const SessionId& id);
  // Null when the shard is full.
  VodSession* CreateVodSession(const std::string& path, PresentationRef presentation,
                               const AssetMeaning& meaning, const Endpoint& peer,
                               const ReplyTo& owner);
  LiveSession* CreateLiveSession(const LiveRef& live, const Endpoint& peer, const ReplyTo& owner);
  // Takes the announcement over; leaves it alone when the shard is full.
  PublishSession* CreatePublishSession(Connection::Announcement* announced, const Endpoint& peer,
                                       const ReplyTo& owner);
  void EndSession(SessionHandle handle, EndReason reason);
  // Sends the answer home, whichever shard that is. `owns`: the asking connection now holds that
  // session; `drops`: it no longer does.
  struct AnswerNotes {
    bool close = false;
    std::optional<SessionId> owns, drops;
  };
  void Deliver(const ReplyTo& reply, std::string text, const AnswerNotes& notes);
  void Forward(Connection& connection, std::string_view raw, std::size_t shard);
  // Whether no publisher but that session's stream sends from there.
  bool RtpIsFree(const Endpoint& from, const Session* session, std::size_t stream);
  const AssetRules& asset_rules() const { return shared_->assets; }
  PresentationClient& presentations() { return presentations_; }
  std::size_t shard_count() const { return shared_->group->size(); }
  std::uint16_t rtp_port() const { return rtp_port_; }
  std::size_t session_count() const { return sessions_.size(); }
  std::size_t connection_count() const { return connections_.size(); }

  // --- ShardService
  void OnTick(Instant now) override;
  Instant NextDeadline() const override;
  void OnStop(Instant now) override;

  // --- SessionHost and ConnectionHost
  Shard& shard() override { return shard_; }
  SenderContext* senders() override { return &senders_; }
  OutputQueue* outputs() override { return &outputs_; }
  LiveHub& live_hub() override { return live_hub_; }
  BlockPool* reorder_blocks() override { return &reorder_blocks_; }
  const Limits& limits() const override { return shared_->limits; }
  const ParserLimits& parser_limits() const override { return parser_limits_; }
  std::string_view cname() const override { return shared_->cname; }
  Message* scratch_message() override { return &scratch_message_; }
  void SendRtcp(const Endpoint& to, std::span<const std::uint8_t> compound) override;
  void WatchRtcp(const Endpoint& from, SessionHandle session, std::size_t stream) override;
  void UnwatchRtcp(const Endpoint& from, SessionHandle session, std::size_t stream) override;
  void WatchRtp(const Endpoint& from, SessionHandle session, std::size_t stream) override;
  void UnwatchRtp(const Endpoint& from, SessionHandle session, std::size_t stream) override;
  void HoldReading(const ReplyTo& connection, Instant until) override;
  void OnPlayResolved(VodSession& session, const PendingAnswer& answer,
                      const absl::Status& status) override;
  void EndLater(SessionHandle session, EndReason reason) override;
  void OnRequest(Connection& connection, const Message& request, std::string_view raw) override;
  void OnInvalid(Connection& connection, const ParseResult& error) override;
  void OnInterleaved(Connection& connection, std::uint8_t channel,
                     std::span<const std::uint8_t> packet) override;
  void DropAnnouncement(Connection& connection) override;
  void CloseLater(ConnectionHandle connection) override;

 private:
  // Datagrams on the port pair: RTCP on the odd port, what publishers send on the even one.
  class RtcpPort final : public DatagramHandler {
   public:
    explicit RtcpPort(Server* server) : server_(server) {}
    void OnDatagram(const Endpoint& from, std::span<const std::uint8_t> bytes) override {
      server_->OnRtcpDatagram(from, bytes);
    }

   private:
    Server* const server_;
  };
  class RtpPort final : public DatagramHandler {
   public:
    explicit RtpPort(Server* server) : server_(server) {}
    void OnDatagram(const Endpoint& from, std::span<const std::uint8_t> bytes) override {
      server_->OnRtpDatagram(from, bytes);
    }

   private:
    Server* const server_;
  };
  // Nobody waits for a report's fate: the next one says it all again.
  class RtcpSent final : public TrainOwner {
   public:
    void OnTrainSent(std::int32_t, bool) override {}
  };
  // Compounds towards UDP viewers wait here for the tick's batch: handlers do not send.
  struct QueuedRtcp {
    Endpoint to;
    std::uint16_t length = 0;
    std::array<std::uint8_t, rtcp::kCompoundBytesMax> bytes;
  };
  // Whose datagrams come from an address.
  struct Watch {
    SessionHandle session;
    std::size_t stream = 0;
    friend bool operator==(const Watch&, const Watch&) = default;
  };
  using Watches = absl::flat_hash_map<Endpoint, Watch>;
  struct ForwardedRequest;
  struct ForwardedAnswer;

  Server(Shard& shard, ServerShared* shared);
  absl::Status BindPorts();
  absl::Status Listen();

  void OnAccepted(int descriptor) override;
  void OnAcceptStopped(int error) override;
  void OnAcceptTimer(Instant now);
  void AdoptConnection(int descriptor);
  void OnRtpDatagram(const Endpoint& from, std::span<const std::uint8_t> bytes);
  void OnRtcpDatagram(const Endpoint& from, std::span<const std::uint8_t> bytes);
  template <typename Kind, typename... Args>
  Kind* CreateSession(const Endpoint& peer, const ReplyTo& owner, Args&&... args);
  Session* Find(SessionHandle handle);
  static void Unwatch(Watches* watches, const Endpoint& from, const Watch& watch);
  void OnEvicted(std::uint64_t ticket) override;
  void OnOwnerGone(const SessionId& id, const ReplyTo& owner);
  void CloseConnection(ConnectionHandle handle);
  void FinishEnded();
  void SendQueuedRtcp();

  static void OnAdoptMail(void* receiver, const struct millrace::Message& mail);
  static void OnRequestMail(void* receiver, const struct millrace::Message& mail);
  static void OnAnswerMail(void* receiver, const struct millrace::Message& mail);
  static void OnDropMail(void* receiver, const struct millrace::Message& mail);
  static void OnOwnerGoneMail(void* receiver, const struct millrace::Message& mail);

  Shard& shard_;
  ServerShared* const shared_;
  const ParserLimits parser_limits_;
  Pacer pacer_;
  SendBatch batch_;
  OutputQueue outputs_;
  BlockClient blocks_;
  PresentationClient presentations_;
  SenderContext senders_;
  LiveHub live_hub_;
  BlockPool reorder_blocks_;
  Message scratch_message_;
  std::unique_ptr<RequestHandler> handler_;

  SocketId rtp_socket_ = kNoSocket;
  SocketId rtcp_socket_ = kNoSocket;
  std::uint16_t rtp_port_ = 0;
  RtcpPort rtcp_handler_{this};
  RtpPort rtp_handler_{this};
  RtcpSent rtcp_sent_;
  std::vector<QueuedRtcp> rtcp_queue_;
  Watches rtp_watches_, rtcp_watches_;

  SlotMap<SessionSlot> sessions_;
  absl::flat_hash_map<SessionId, SessionHandle> session_ids_;
  absl::flat_hash_map<std::uint64_t, SessionHandle> publishers_;  // by ticket
  SlotMap<Connection> connections_;
  // Mail about a session and the connection that controls it.
  struct Control {
    SessionId id;
    ReplyTo owner;
  };
  struct Ending {
    SessionHandle session;
    EndReason reason;
  };
  std::vector<Ending> ending_;
  std::vector<ConnectionHandle> closing_;

  // Shard 0.
  SocketId listener_ = kNoSocket;
  std::vector<std::uint64_t> assigned_;  // connections handed to each shard
  MemberTimer<Server, &Server::OnAcceptTimer> accept_timer_{this};
};

}  // namespace millrace::rtsp
