#include "net/rtsp/server.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/logging.h"
#include "net/rtsp/request_handler.h"

namespace millrace::rtsp {
namespace {

constexpr int kPortTries = 200;
// Compounds of one tick: a thousand starts at once; more only cost an allocation.
constexpr std::size_t kRtcpQueueTypical = 1024;
// Even ports from here, below those that Linux gives to outgoing connections (32768 and up).
constexpr std::uint16_t kPortFirst = 20000;
constexpr std::uint16_t kPortPairs = 6384;
// A slab of publishers' packets that wait: 128 KiB.
constexpr std::size_t kReorderBlocksPerSlab = 64;

ParserLimits ParserLimitsOf(const Limits& limits) {
  return {limits.request_line_bytes, limits.headers_bytes, limits.body_bytes};
}

Server* ServerOf(void* receiver) {
  return static_cast<Server*>(static_cast<Shard*>(receiver)->service());
}

}  // namespace

// What travels between shards; the message carries the pointer and the receiver frees it.
struct Server::ForwardedRequest {
  ReplyTo reply;
  Endpoint peer, local;
  std::string raw;
};
struct Server::ForwardedAnswer {
  ConnectionHandle connection;
  std::string text;
  AnswerNotes notes;
};

absl::StatusOr<std::unique_ptr<Server>> Server::Create(Shard& shard, ServerShared* shared) {
  std::unique_ptr<Server> server(new Server(shard, shared));
  absl::Status status = server->BindPorts();
  if (status.ok() && shard.index() == 0) status = server->Listen();
  if (!status.ok()) return status;
  return server;
}

Server::Server(Shard& shard, ServerShared* shared)
    : shard_(shard),
      shared_(shared),
      parser_limits_(ParserLimitsOf(shared->limits)),
      pacer_(shard.now()),
      batch_(&shard.io(), shared->limits.batch_ops, shared->limits.batch_iovecs),
      outputs_(shared->limits.connections),
      blocks_(shared->cache, shard.index()),
      presentations_(shared->presentations, shard.index()),
      live_hub_(&shard, shared->group->size(), shared->live, &pacer_, this),
      reorder_blocks_(Receiver::kBlockBytes, kReorderBlocksPerSlab, shared->limits.reorder_blocks),
      handler_(std::make_unique<RequestHandler>(this, &shared->limits)),
      sessions_(shared->limits.sessions),
      connections_(shared->limits.connections),
      assigned_(shared->group->size()) {
  rtcp_queue_.reserve(kRtcpQueueTypical);
  senders_.pacer = &pacer_;
  senders_.batch = &batch_;
  senders_.blocks = &blocks_;
  senders_.counters = &shard.counters();
  senders_.limits = &shared->limits;
}

Server::~Server() {
  // Sessions hold senders that point into connections, so they go first.
  sessions_.ForEach([this](SessionHandle h, SessionSlot&) { sessions_.Erase(h); });
  connections_.ForEach([this](ConnectionHandle h, Connection&) { connections_.Erase(h); });
  for (const SocketId socket : {listener_, rtp_socket_, rtcp_socket_}) {
    if (socket != kNoSocket) shard_.io().Close(socket);
  }
}

absl::Status Server::BindPorts() {
  IoBackend& io = shard_.io();
  absl::Status status;
  for (int i = 0; i < kPortTries; ++i) {
    const auto port =
        static_cast<std::uint16_t>(kPortFirst + 2 * shard_.random().Below(kPortPairs));
    auto rtp = io.BindUdp(shared_->bind.WithPort(port), shared_->limits.udp_send_buffer_bytes);
    if (!rtp.ok()) {
      status = rtp.status();
      continue;
    }
    auto rtcp = io.BindUdp(shared_->bind.WithPort(static_cast<std::uint16_t>(port + 1)),
                           shared_->limits.udp_send_buffer_bytes);
    if (!rtcp.ok()) {
      status = rtcp.status();
      io.Close(*rtp);
      continue;
    }
    rtp_socket_ = senders_.rtp_socket = *rtp;
    rtcp_socket_ = senders_.rtcp_socket = *rtcp;
    rtp_port_ = port;
    io.StartReceiveDatagrams(rtp_socket_, &rtp_handler_);
    io.StartReceiveDatagrams(rtcp_socket_, &rtcp_handler_);
    return absl::OkStatus();
  }
  return status;
}

absl::Status Server::Listen() {
  auto listener = shard_.io().ListenTcp(shared_->bind);
  if (!listener.ok()) return listener.status();
  listener_ = *listener;
  shared_->port = shard_.io().LocalEndpoint(listener_).port();
  shard_.io().Accept(listener_, this);
  return absl::OkStatus();
}

// --- Connections

void Server::OnAccepted(int descriptor) {
  std::size_t best = 0;
  std::uint64_t best_load = UINT64_MAX;
  for (std::size_t i = 0; i < assigned_.size(); ++i) {
    const std::uint64_t load =
        assigned_[i] - shared_->group->shard(i).counters().connections_closed.Get();
    if (load < best_load) {
      best = i;
      best_load = load;
    }
  }
  if (best_load >= shared_->limits.connections) {
    shard_.io().Discard(descriptor);
    return;
  }
  ++assigned_[best];
  if (best == shard_.index()) {
    AdoptConnection(descriptor);
  } else {
    shard_.Post(best, millrace::Message::Make(&OnAdoptMail, descriptor));
  }
}

void Server::OnAdoptMail(void* receiver, const millrace::Message& mail) {
  ServerOf(receiver)->AdoptConnection(mail.As<int>());
}

void Server::AdoptConnection(int descriptor) {
  const SocketId socket = shard_.io().Adopt(descriptor);
  shard_.counters().connections_accepted.Add();
  if (socket == kNoSocket) {
    shard_.counters().connections_closed.Add();
    return;
  }
  if (!connections_.Emplace(this, socket)) {
    shard_.io().Close(socket, /*reset=*/true);
    shard_.counters().connections_closed.Add();
  }
}

void Server::OnAcceptStopped(int error) {
  LogWarn("accepting pauses for {} ms: {}; raise the descriptor limit (ulimit -n)",
          shared_->limits.accept_retry / 1ms, std::strerror(error));
  shard_.timers().Arm(&accept_timer_, shard_.now() + shared_->limits.accept_retry);
}

void Server::OnAcceptTimer(Instant) { shard_.io().Accept(listener_, this); }

void Server::CloseLater(ConnectionHandle connection) { closing_.push_back(connection); }

void Server::CloseConnection(ConnectionHandle handle) {
  Connection* connection = connections_.Find(handle);
  if (connection == nullptr) return;
  const ReplyTo owner{static_cast<std::uint32_t>(shard_.index()), handle};
  const std::vector<SessionId> held = connection->sessions();
  for (const SessionId& id : held) {
    if (id.shard == shard_.index()) {
      OnOwnerGone(id, owner);
    } else {
      shard_.Post(id.shard, millrace::Message::Make(&OnOwnerGoneMail, Control{id, owner}));
    }
  }
  DropAnnouncement(*connection);
  connections_.Erase(handle);
  shard_.counters().connections_closed.Add();
}

void Server::DropAnnouncement(Connection& connection) {
  if (!connection.announced) return;
  live_hub_.Release(connection.announced->ticket);
  connection.announced.reset();
}

void Server::OnOwnerGoneMail(void* receiver, const millrace::Message& mail) {
  const auto gone = mail.As<Control>();
  ServerOf(receiver)->OnOwnerGone(gone.id, gone.owner);
}

void Server::OnOwnerGone(const SessionId& id, const ReplyTo& owner) {
  Session* session = FindSession(id);
  if (session == nullptr || session->owner() != owner) return;
  if (session->uses_interleaved() || session->state() == Session::State::kInit) {
    EndSession(session->self(), EndReason::kConnectionLost);
  } else {
    session->Orphan();
  }
}

// --- Sessions

Session* Server::FindSession(const SessionId& id) {
  const auto found = session_ids_.find(id);
  return found == session_ids_.end() ? nullptr : Find(found->second);
}

Session* Server::Find(SessionHandle handle) {
  SessionSlot* const slot = sessions_.Find(handle);
  return slot == nullptr ? nullptr : slot->session.get();
}

template <typename Kind, typename... Args>
Kind* Server::CreateSession(const Endpoint& peer, const ReplyTo& owner, Args&&... args) {
  const SessionId id = SessionId::Make(shard_.random(), shard_.index());
  Kind* made = nullptr;
  const SessionHandle handle = sessions_.Emplace([&](SessionHandle self) {
    auto session = std::make_unique<Kind>(self, this, id, std::forward<Args>(args)..., peer, owner);
    made = session.get();
    return session;
  });
  if (!handle) return nullptr;
  session_ids_[id] = handle;
  shard_.counters().sessions_created.Add();
  return made;
}

VodSession* Server::CreateVodSession(const std::string& path, PresentationRef presentation,
                                     const AssetMeaning& meaning, const Endpoint& peer,
                                     const ReplyTo& owner) {
  return CreateSession<VodSession>(peer, owner, path, std::move(presentation), meaning);
}

LiveSession* Server::CreateLiveSession(const LiveRef& live, const Endpoint& peer,
                                       const ReplyTo& owner) {
  return CreateSession<LiveSession>(peer, owner, live);
}

PublishSession* Server::CreatePublishSession(Connection::Announcement* announced,
                                             const Endpoint& peer, const ReplyTo& owner) {
  PublishSession* const session =
      CreateSession<PublishSession>(peer, owner, announced->ticket, announced->base_url);
  if (session != nullptr) publishers_[announced->ticket.id] = session->self();
  return session;
}

void Server::OnEvicted(std::uint64_t ticket) {
  const auto found = publishers_.find(ticket);
  if (found != publishers_.end()) EndLater(found->second, EndReason::kTakenOver);
}

void Server::EndLater(SessionHandle session, EndReason reason) {
  ending_.push_back({session, reason});
}

void Server::EndSession(SessionHandle handle, EndReason reason) {
  Session* session = Find(handle);
  if (session == nullptr) return;
  const SessionId id = session->id();
  const ReplyTo owner = session->owner();
  std::optional<PendingAnswer> unanswered;
  VodSession* const vod = session->player() != nullptr ? session->player()->vod() : nullptr;
  if (vod != nullptr && vod->play_pending()) unanswered = vod->TakePendingAnswer();
  const bool publishing = session->publisher() != nullptr;
  if (PublishSession* const publisher = session->publisher()) {
    publishers_.erase(publisher->ticket().id);
  }
  session->Close(/*bye=*/reason != EndReason::kGoodbye);
  session_ids_.erase(id);
  sessions_.Erase(handle);
  shard_.counters().sessions_ended.Add();
  if (reason == EndReason::kTimeout) shard_.counters().sessions_timed_out.Add();
  if (owner.shard != shard_.index()) {
    shard_.Post(owner.shard, millrace::Message::Make(&OnDropMail, Control{id, owner}));
  } else if (Connection* connection = connections_.Find(owner.connection)) {
    connection->FreeChannelsOf(handle, std::nullopt);
    connection->RemoveSession(id);
    // A publisher who goes on sending would only waste his time and ours.
    if (publishing && reason != EndReason::kTeardown && connection->sessions().empty() &&
        !connection->announced) {
      CloseLater(owner.connection);
    }
  }
  // Last, because the answer may be to one who is being closed.
  if (unanswered) {
    unanswered->owns.reset();
    handler_->RefusePlay(*unanswered, 454);
  }
}

void Server::OnDropMail(void* receiver, const millrace::Message& mail) {
  const auto drop = mail.As<Control>();
  Server* server = ServerOf(receiver);
  if (Connection* connection = server->connections_.Find(drop.owner.connection)) {
    connection->RemoveSession(drop.id);
  }
}

void Server::FinishEnded() {
  // Ending a session may end nothing else; closing a connection may end sessions.
  for (std::size_t i = 0; i < ending_.size(); ++i) {
    EndSession(ending_[i].session, ending_[i].reason);
  }
  ending_.clear();
  for (std::size_t i = 0; i < closing_.size(); ++i) CloseConnection(closing_[i]);
  closing_.clear();
}

// --- Requests

void Server::OnRequest(Connection& connection, const Message& request, std::string_view raw) {
  Exchange exchange{request, raw};
  exchange.reply = {static_cast<std::uint32_t>(shard_.index()), connection.self()};
  exchange.peer = connection.peer();
  exchange.local = connection.local();
  exchange.connection = &connection;
  handler_->Handle(exchange);
}

void Server::OnInvalid(Connection& connection, const ParseResult& error) {
  LogDebug("{}: not RTSP at byte {}: {}", connection.peer().ToString(), error.error_offset,
           error.error);
  std::string text;
  ResponseWriter(&text, error.error_status, error.cseq).Finish();
  connection.Answer(text, /*close=*/true);
}

void Server::Forward(Connection& connection, std::string_view raw, std::size_t shard) {
  auto* request = new ForwardedRequest;
  request->reply = {static_cast<std::uint32_t>(shard_.index()), connection.self()};
  request->peer = connection.peer();
  request->local = connection.local();
  request->raw.assign(raw);
  shard_.Post(shard, millrace::Message::Make(&OnRequestMail, request));
}

void Server::OnRequestMail(void* receiver, const millrace::Message& mail) {
  const std::unique_ptr<ForwardedRequest> request(mail.As<ForwardedRequest*>());
  Server* server = ServerOf(receiver);
  Parser parser(server->parser_limits_);
  Message message;
  parser.Parse(request->raw, &message);  // was parsed at the other end, so it is whole and sound
  Exchange exchange{message, request->raw};
  exchange.reply = request->reply;
  exchange.peer = request->peer;
  exchange.local = request->local;
  server->handler_->Handle(exchange);
}

void Server::Deliver(const ReplyTo& reply, std::string text, const AnswerNotes& notes) {
  if (reply.shard != shard_.index()) {
    auto* answer = new ForwardedAnswer{reply.connection, std::move(text), notes};
    shard_.Post(reply.shard, millrace::Message::Make(&OnAnswerMail, answer));
    return;
  }
  Connection* connection = connections_.Find(reply.connection);
  if (connection == nullptr) {
    if (notes.owns && notes.owns->shard == shard_.index()) OnOwnerGone(*notes.owns, reply);
    return;
  }
  if (notes.owns) connection->AddSession(*notes.owns);
  if (notes.drops) connection->RemoveSession(*notes.drops);
  connection->Answer(text, notes.close);
}

void Server::OnAnswerMail(void* receiver, const millrace::Message& mail) {
  const std::unique_ptr<ForwardedAnswer> answer(mail.As<ForwardedAnswer*>());
  Server* server = ServerOf(receiver);
  const ReplyTo reply{static_cast<std::uint32_t>(server->shard_.index()), answer->connection};
  if (answer->notes.owns && server->connections_.Find(answer->connection) == nullptr) {
    // The connection went while its request was away: the session has no owner any more.
    server->shard_.Post(
        answer->notes.owns->shard,
        millrace::Message::Make(&OnOwnerGoneMail, Control{*answer->notes.owns, reply}));
    return;
  }
  server->Deliver(reply, std::move(answer->text), answer->notes);
}

void Server::OnPlayResolved(VodSession& session, const PendingAnswer& answer,
                            const absl::Status& status) {
  handler_->FinishPlay(session, answer, status);
}

// --- RTP and RTCP

void Server::OnInterleaved(Connection& connection, std::uint8_t channel,
                           std::span<const std::uint8_t> packet) {
  const ChannelUse* use = connection.FindChannel(channel);
  if (use == nullptr) return;
  Session* const session = Find(use->session);
  if (session == nullptr) return;
  if (use->rtcp) {
    session->OnRtcp(use->stream, packet);
  } else {
    session->OnRtp(use->stream, packet);
  }
}

void Server::OnRtpDatagram(const Endpoint& from, std::span<const std::uint8_t> bytes) {
  const auto watch = rtp_watches_.find(from);
  Session* const session = watch == rtp_watches_.end() ? nullptr : Find(watch->second.session);
  if (session != nullptr) session->OnRtp(watch->second.stream, bytes);
}

void Server::OnRtcpDatagram(const Endpoint& from, std::span<const std::uint8_t> bytes) {
  const auto watch = rtcp_watches_.find(from);
  Session* const session = watch == rtcp_watches_.end() ? nullptr : Find(watch->second.session);
  if (session == nullptr) {
    shard_.counters().rtcp_unknown_peer.Add();
    return;
  }
  session->OnRtcp(watch->second.stream, bytes);
}

bool Server::RtpIsFree(const Endpoint& from, const Session* session, std::size_t stream) {
  const auto found = rtp_watches_.find(from);
  if (found == rtp_watches_.end()) return true;
  const Session* const holder = Find(found->second.session);
  return holder == nullptr || (holder == session && found->second.stream == stream);
}

void Server::WatchRtp(const Endpoint& from, SessionHandle session, std::size_t stream) {
  rtp_watches_[from] = {session, stream};
}

void Server::WatchRtcp(const Endpoint& from, SessionHandle session, std::size_t stream) {
  rtcp_watches_[from] = {session, stream};
}

void Server::UnwatchRtp(const Endpoint& from, SessionHandle session, std::size_t stream) {
  Unwatch(&rtp_watches_, from, {session, stream});
}

void Server::UnwatchRtcp(const Endpoint& from, SessionHandle session, std::size_t stream) {
  Unwatch(&rtcp_watches_, from, {session, stream});
}

void Server::Unwatch(Watches* watches, const Endpoint& from, const Watch& watch) {
  const auto found = watches->find(from);
  if (found != watches->end() && found->second == watch) watches->erase(found);
}

void Server::HoldReading(const ReplyTo& connection, Instant until) {
  if (connection.shard != shard_.index()) return;
  if (Connection* found = connections_.Find(connection.connection)) found->HoldReading(until);
}

void Server::SendRtcp(const Endpoint& to, std::span<const std::uint8_t> compound) {
  rtcp_queue_.push_back({to, static_cast<std::uint16_t>(compound.size()), {}});
  std::memcpy(rtcp_queue_.back().bytes.data(), compound.data(), compound.size());
}

void Server::SendQueuedRtcp() {
  for (QueuedRtcp& queued : rtcp_queue_) {
    if (!batch_.HasRoom(1, 0)) batch_.Flush();
    iovec* iov = batch_.Iovecs(1);
    *iov = {queued.bytes.data(), queued.length};
    batch_.AddTrain(rtcp_socket_, &queued.to, {iov, 1}, 0, 1, &rtcp_sent_);
  }
}

// --- The tick

void Server::OnTick(Instant now) {
  shared_->cache->Pump();
  FinishEnded();
  // Reports before media: a player maps times by the first it sees.
  SendQueuedRtcp();
  pacer_.Sweep(now);
  // A commit may let go of chunks that trains of the sweep point into.
  if (live_hub_.dirty()) batch_.Flush();
  live_hub_.CommitAll(now);
  // Some live viewers in a tick, those over TCP in their turn; a few get all trains of a frame. The
  // next tick follows at once: who asks for something meanwhile does not wait for all viewers.
  std::size_t left = shared_->limits.live_tick_ops;
  do {
    const std::size_t some =
        std::min({left, shared_->limits.live_batch_ops, live_hub_.ready_count()});
    live_hub_.FireReady(some, now);
    outputs_.GatherAll(now);
    batch_.Flush();
    left -= some;
  } while (left > 0 && live_hub_.ready_count() > 0);
  rtcp_queue_.clear();
}

Instant Server::NextDeadline() const {
  if (!outputs_.empty() || !ending_.empty() || !closing_.empty() || !rtcp_queue_.empty() ||
      live_hub_.ready_count() > 0 || live_hub_.dirty()) {
    return shard_.now();
  }
  return pacer_.NextDue();
}

void Server::OnStop(Instant now) {
  if (listener_ != kNoSocket) shard_.io().StopAccept(listener_);
  sessions_.ForEach(
      [this](SessionHandle handle, SessionSlot&) { EndSession(handle, EndReason::kServerStops); });
  SendQueuedRtcp();
  outputs_.GatherAll(now);
  batch_.Flush();
  rtcp_queue_.clear();
}

}  // namespace millrace::rtsp
