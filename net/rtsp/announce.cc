// ANNOUNCE, the publisher's SETUP, and RECORD (RFC 2326 sections 10.3, 10.4 and 10.11).
#include <string>
#include <utility>

#include "core/logging.h"
#include "net/rtsp/answer.h"
#include "net/rtsp/request_handler.h"
#include "rtp/live_description.h"

namespace millrace::rtsp {
namespace {

constexpr std::string_view kSdpType = "application/sdp";

// Without parameters such as charset.
std::string_view MediaType(std::string_view content_type) {
  return Trim(content_type.substr(0, content_type.find(';')));
}

// A client that tries for ever does not fill the log.
void LogRefusal(const Exchange& x, const absl::Status& status, Instant now) {
  thread_local LogLimiter limiter(5);
  if (!limiter.Allow(now)) return;
  LogInfo("{}: the announcement of '{}' is refused: {}; {} more like it not shown",
          x.peer.ToString(), x.path, std::string(status.message()), limiter.suppressed());
}

}  // namespace

void RequestHandler::Announce(Exchange& x) {
  LiveTable& table = server_->live_hub().table();
  const bool is_channel = x.meaning && x.meaning->channel;
  if (!table.MayPublish(x.path) || is_channel) return Respond(x, 405);
  if (!x.message.Value(HeaderId::kSession).empty()) return Respond(x, 455);
  const HeaderField* const type = x.message.Find(HeaderId::kContentType);
  if (type == nullptr) return Respond(x, 400);
  if (!EqualsIgnoreCase(MediaType(type->value), kSdpType)) return Respond(x, 415);
  auto description = ParseLiveDescription(x.message.body);
  if (!description.ok()) {
    LogRefusal(x, description.status(), server_->shard().now());
    return Respond(x, 400);
  }
  if (description->streams.size() > limits_->tracks_per_session) return Respond(x, 400);
  // An announcement of this connection that came to nothing.
  if (x.connection->announced) {
    server_->live_hub().Release(x.connection->announced->ticket);
    x.connection->announced.reset();
  }
  auto ticket = table.Announce(x.path, *std::move(description), server_->shard().index());
  if (!ticket.ok()) {
    LogRefusal(x, ticket.status(), server_->shard().now());
    return Respond(x, absl::IsAlreadyExists(ticket.status()) ? 455 : 503);
  }
  x.connection->announced = {*std::move(ticket), std::string(x.message.uri),
                             server_->shard().now()};
  Respond(x, 200);
}

void RequestHandler::SetUpPublisher(Exchange& x, PublishSession* session) {
  // Media comes over this connection or from its peer, so never by way of another shard.
  if (x.connection == nullptr) return Respond(x, 455);
  const auto& announced = x.connection->announced;
  if (session == nullptr && !announced) {
    return Respond(x, server_->live_hub().table().MayPublish(x.path) ? 455 : 461);
  }
  if (session == nullptr && x.connection->sessions().size() >= limits_->sessions_per_connection) {
    return Respond(x, 503);
  }
  if (session != nullptr && session->state() == Session::State::kRecording) return Respond(x, 455);
  const PublisherTicket& ticket = session != nullptr ? session->ticket() : announced->ticket;
  const auto stream = StreamOfUrl(*ticket.announced, x.message.uri,
                                  session != nullptr ? session->base_url() : announced->base_url);
  if (!stream) return Respond(x, 404);
  const std::optional<TransportSpec> spec = ChooseTransport(x, /*record=*/true);
  if (!spec) return;
  std::optional<ChannelPair> channels;
  const Endpoint rtp = x.peer.WithPort(spec->client_port ? spec->client_port->rtp : 0);
  if (spec->lower == LowerTransport::kTcp) {
    channels = ChooseChannels(x, *stream, session, *spec);
    if (!channels) return;
  } else if (!server_->RtpIsFree(rtp, session, *stream)) {
    return Respond(x, 461);  // another publisher at that address has the port
  }
  if (session == nullptr) {
    session = server_->CreatePublishSession(&*x.connection->announced, x.peer, x.reply);
    if (session == nullptr) return Respond(x, 503);
    x.connection->announced.reset();
    x.connection->AddSession(session->id());
  }
  if (channels) {
    session->AddInterleaved(*stream, &x.connection->output(), *channels);
    x.connection->UseChannels(*channels, session->self(), *stream);
  } else {
    session->AddUdp(*stream, rtp, x.peer.WithPort(spec->client_port->rtcp));
    x.connection->FreeChannelsOf(session->self(), *stream);
  }
  AnswerSetUp(x, *session, *spec, channels, ";mode=record");
}

void RequestHandler::Record(Exchange& x) {
  const bool named = !x.message.Value(HeaderId::kSession).empty();
  if (!named) return Respond(x, server_->live_hub().table().MayPublish(x.path) ? 455 : 405);
  Session* const session = NeedSession(x);
  if (session == nullptr || !CheckTarget(x, *session)) return;
  PublishSession* const publisher = session->publisher();
  if (publisher == nullptr || publisher->setup_count() < publisher->stream_count() ||
      !publisher->Record()) {
    return Respond(x, 455);
  }
  Answer answer(server_, x, 200);
  answer.Add("Session", session->id().ToString());
}

}  // namespace millrace::rtsp
