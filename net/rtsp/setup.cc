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
bool CanServe(const TransportSpec& spec, const Endpoint& peer, bool same_connection) {
  if (!spec.supported || spec.multicast || spec.append) return false;
  if (!spec.mode.empty() && spec.mode != "PLAY" && spec.mode != "play") return false;
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

}  // namespace

void RequestHandler::SetUp(Exchange& x) {
  Session* session = nullptr;
  if (!x.message.Value(HeaderId::kSession).empty()) {
    session = NeedSession(x);
    if (session == nullptr) return;
    if (x.path != session->presentation().path) return Respond(x, 459);
    x.presentation = session->presentation_ref();
  } else {
    if (x.path.empty()) return Respond(x, 404);
    if (!NeedPresentation(x)) return;
  }
  const std::size_t streams = x.presentation->streams.size();
  if (!x.stream && streams > 1) return Respond(x, 459);
  const std::size_t stream = x.stream.value_or(0);
  if (stream >= streams) return Respond(x, 404);
  if (session != nullptr && session->state() == Session::State::kPlaying) return Respond(x, 455);
  SetUpStream(x, stream, session);
}

void RequestHandler::SetUpStream(Exchange& x, std::size_t stream, Session* session) {
  const HeaderField* transport = x.message.Find(HeaderId::kTransport);
  if (transport == nullptr) return Respond(x, 461);
  // Every set-up keeps its URL for RTP-Info.
  if (x.message.uri.size() > kUrlBytesMax) return Respond(x, 414);
  if (session != nullptr && session->setups().size() >= limits_->tracks_per_session) {
    return Respond(x, 503);
  }
  TransportReader reader(transport->value);
  TransportSpec spec;
  bool found = false;
  for (;;) {
    const auto result = reader.Next(&spec);
    if (result == TransportReader::Result::kMalformed) return Respond(x, 400);
    if (result == TransportReader::Result::kEnd) break;
    found = CanServe(spec, x.peer, x.connection != nullptr);
    if (found) break;
  }
  if (!found) return Respond(x, 461);

  std::optional<ChannelPair> channels;
  if (spec.lower == LowerTransport::kTcp) {
    // Channels of an earlier set-up of this stream are free again.
    if (session != nullptr) x.connection->FreeChannelsOf(session->self(), stream);
    channels = x.connection->FreeChannels(spec.interleaved);
    if (!channels) return Respond(x, 461);
  }
  if (session == nullptr) {
    if (x.connection->sessions().size() >= limits_->sessions_per_connection) {
      return Respond(x, 503);
    }
    session = server_->CreateSession(x.presentation, x.peer, x.reply);
    if (session == nullptr) return Respond(x, 503);
    x.connection->AddSession(session->id());
  }
  if (channels) return AddInterleaved(x, stream, *session, *channels);
  AddUdp(x, stream, *session, spec);
}

void RequestHandler::AddInterleaved(Exchange& x, std::size_t stream, Session& session,
                                    ChannelPair channels) {
  const Session::Setup& setup =
      session.AddInterleaved(stream, std::string(x.message.uri), &x.connection->output(), channels);
  x.connection->UseChannels(channels, session.self(), stream);
  Answer answer(server_, x, 200);
  answer.Add("Session", session.id().ToString(),
             ";timeout=", limits_->session_timeout / std::chrono::seconds(1));
  answer.Add("Transport", "RTP/AVP/TCP;unicast;interleaved=", int{channels.rtp}, "-",
             int{channels.rtcp}, ";ssrc=", Hex(setup.sender->ssrc()));
}

void RequestHandler::AddUdp(Exchange& x, std::size_t stream, Session& session,
                            const TransportSpec& spec) {
  const Session::Setup& setup =
      session.AddUdp(stream, std::string(x.message.uri), x.peer.WithPort(spec.client_port->rtp),
                     x.peer.WithPort(spec.client_port->rtcp));
  if (x.connection != nullptr) x.connection->FreeChannelsOf(session.self(), stream);
  Answer answer(server_, x, 200);
  answer.Add("Session", session.id().ToString(),
             ";timeout=", limits_->session_timeout / std::chrono::seconds(1));
  answer.Add("Transport", "RTP/AVP;unicast;client_port=", spec.client_port->rtp, "-",
             spec.client_port->rtcp, ";server_port=", server_->rtp_port(), "-",
             server_->rtp_port() + 1, ";ssrc=", Hex(setup.sender->ssrc()));
}

}  // namespace millrace::rtsp
