// SETUP (RFC 2326 section 10.4): a stream of a presentation gets its transport.
#include <algorithm>
#include <utility>

#include "net/rtsp/answer.h"
#include "net/rtsp/request_handler.h"

namespace millrace::rtsp {
namespace {

constexpr std::size_t kUrlBytesMax = 1024;

// Whether this server can do what the spec asks. Neither unicast nor multicast said is taken as
// unicast: RFC 2326 12.39 names multicast as the default, which no player means.
bool CanServe(const TransportSpec& spec, const Endpoint& peer, bool same_connection, bool record) {
  if (!spec.supported || spec.multicast || spec.append) return false;
  if (!spec.mode.empty() && (record ? !spec.record() : !EqualsIgnoreCase(spec.mode, "play"))) {
    return false;
  }
  if (spec.lower == LowerTransport::kTcp) return same_connection;
  if (!spec.client_port) return false;
  // Media goes to the address that asked for it and nowhere else.
  if (spec.destination.empty()) return true;
  const auto destination = Endpoint::Parse(spec.destination, 0);
  return destination && destination->SameAddress(peer);
}

std::string Hex(std::uint32_t value) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text(8, '0');
  for (int i = 7; i >= 0; --i, value >>= 4) text[static_cast<std::size_t>(i)] = kDigits[value & 15];
  return text;
}

// Whether the client means to send: the first transport says so.
bool AsksToRecord(const Message& request) {
  TransportSpec spec;
  TransportReader reader(request.Value(HeaderId::kTransport));
  return reader.Next(&spec) == TransportReader::Result::kSpec && spec.record();
}

}  // namespace

void RequestHandler::SetUp(Exchange& x) {
  PlaySession* session = nullptr;
  if (!x.message.Value(HeaderId::kSession).empty()) {
    Session* const found = NeedSession(x);
    if (found == nullptr) return;
    if (found->publisher() != nullptr) return SetUpPublisher(x, found->publisher());
    session = found->player();
    if (x.path != session->path()) return Respond(x, 459);
  } else {
    if (AsksToRecord(x.message)) return SetUpPublisher(x, nullptr);
    if (x.path.empty()) return Respond(x, 404);
    if (!NeedMedia(x)) return;
  }
  const std::size_t streams = session != nullptr  ? session->stream_count()
                              : x.live != nullptr ? x.live->stream_count()
                                                  : x.presentation->streams.size();
  if (!x.stream && streams > 1) return Respond(x, 459);
  const std::size_t stream = x.stream.value_or(0);
  if (stream >= streams) return Respond(x, 404);
  if (session != nullptr && session->state() == Session::State::kPlaying) return Respond(x, 455);
  SetUpStream(x, stream, session);
}

std::optional<TransportSpec> RequestHandler::ChooseTransport(Exchange& x, bool record) {
  const HeaderField* transport = x.message.Find(HeaderId::kTransport);
  if (transport == nullptr) {
    Respond(x, 461);
    return std::nullopt;
  }
  TransportReader reader(transport->value);
  TransportSpec spec;
  for (;;) {
    const auto result = reader.Next(&spec);
    if (result == TransportReader::Result::kSpec) {
      if (CanServe(spec, x.peer, x.connection != nullptr, record)) return spec;
      continue;
    }
    Respond(x, result == TransportReader::Result::kMalformed ? 400 : 461);
    return std::nullopt;
  }
}

std::optional<ChannelPair> RequestHandler::ChooseChannels(Exchange& x, std::size_t stream,
                                                          Session* session,
                                                          const TransportSpec& spec) {
  // Channels of an earlier set-up of this stream are free again.
  if (session != nullptr) x.connection->FreeChannelsOf(session->self(), stream);
  const std::optional<ChannelPair> channels = x.connection->FreeChannels(spec.interleaved);
  if (!channels) Respond(x, 461);
  return channels;
}

void RequestHandler::SetUpStream(Exchange& x, std::size_t stream, PlaySession* session) {
  // Every set-up keeps its URL for RTP-Info.
  if (x.message.uri.size() > kUrlBytesMax) return Respond(x, 414);
  if (session != nullptr && session->setup_count() >= limits_->tracks_per_session) {
    return Respond(x, 503);
  }
  const std::optional<TransportSpec> spec = ChooseTransport(x, /*record=*/false);
  if (!spec) return;
  std::optional<ChannelPair> channels;
  if (spec->lower == LowerTransport::kTcp) {
    channels = ChooseChannels(x, stream, session, *spec);
    if (!channels) return;
  }
  if (session == nullptr) {
    if (x.connection->sessions().size() >= limits_->sessions_per_connection) {
      return Respond(x, 503);
    }
    if (x.live != nullptr) {
      session = server_->CreateLiveSession(x.live, x.peer, x.reply);
    } else {
      session = server_->CreateVodSession(x.path, x.presentation, *x.meaning, x.peer, x.reply);
    }
    if (session == nullptr) return Respond(x, 503);
    x.connection->AddSession(session->id());
  }
  if (channels) return AddInterleaved(x, stream, *session, *channels);
  AddUdp(x, stream, *session, *spec);
}

void RequestHandler::AnswerSetUp(Exchange& x, const Session& session, const TransportSpec& spec,
                                 std::optional<ChannelPair> channels, std::string_view tail) {
  Answer answer(server_, x, 200);
  const std::size_t packet_bytes = session.packet_bytes();
  if (packet_bytes != 0) answer.Add("Blocksize", packet_bytes - kRtpHeaderBytes);
  answer.Add("Session", session.id().ToString(),
             ";timeout=", limits_->session_timeout / std::chrono::seconds(1));
  if (channels) {
    answer.Add("Transport", "RTP/AVP/TCP;unicast;interleaved=", int{channels->rtp}, "-",
               int{channels->rtcp}, tail);
  } else {
    answer.Add("Transport", "RTP/AVP;unicast;client_port=", spec.client_port->rtp, "-",
               spec.client_port->rtcp, ";server_port=", server_->rtp_port(), "-",
               server_->rtp_port() + 1, tail);
  }
}

void RequestHandler::AddInterleaved(Exchange& x, std::size_t stream, PlaySession& session,
                                    ChannelPair channels) {
  const PlaySession::Setup& setup =
      session.AddInterleaved(stream, std::string(x.message.uri), &x.connection->output(), channels);
  x.connection->UseChannels(channels, session.self(), stream);
  AnswerSetUp(x, session, {}, channels, ";ssrc=" + Hex(setup.sender->ssrc()));
}

void RequestHandler::AddUdp(Exchange& x, std::size_t stream, PlaySession& session,
                            const TransportSpec& spec) {
  const PlaySession::Setup& setup =
      session.AddUdp(stream, std::string(x.message.uri), x.peer.WithPort(spec.client_port->rtp),
                     x.peer.WithPort(spec.client_port->rtcp));
  if (x.connection != nullptr) x.connection->FreeChannelsOf(session.self(), stream);
  AnswerSetUp(x, session, spec, std::nullopt, ";ssrc=" + Hex(setup.sender->ssrc()));
}

}  // namespace millrace::rtsp
