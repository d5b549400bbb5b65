#include "net/rtsp/request_handler.h"

#include <charconv>
#include <utility>

#include "net/rtsp/answer.h"
#include "rtp/session_description.h"

namespace millrace::rtsp {
namespace {

constexpr std::string_view kMethods =
    "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";
constexpr std::string_view kMethodsWithPublishing =
    "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, TEARDOWN, GET_PARAMETER, "
    "SET_PARAMETER";
constexpr std::string_view kControlPrefix = "trackID=";
constexpr int kRetryAfterSeconds = 10;

int StatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kInvalidArgument:
      return 415;
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

// "trackID=2" names stream 1 (session_description.h: ControlName).
std::optional<std::size_t> StreamOfControl(std::string_view control) {
  if (!control.starts_with(kControlPrefix)) return std::nullopt;
  control.remove_prefix(kControlPrefix.size());
  std::size_t number = 0;
  const char* end = control.data() + control.size();
  const auto result = std::from_chars(control.data(), end, number);
  if (result.ec != std::errc() || result.ptr != end || number == 0) return std::nullopt;
  return number - 1;
}

PendingAnswer AnswerTo(const Exchange& x) {
  PendingAnswer answer;
  answer.reply = x.reply;
  answer.cseq = x.message.Value(HeaderId::kCSeq);
  answer.timestamp = x.message.Value(HeaderId::kTimestamp);
  answer.scale = x.message.Find(HeaderId::kScale) != nullptr;
  answer.speed = x.message.Find(HeaderId::kSpeed) != nullptr;
  answer.rate_control = x.message.Find(HeaderId::kRateControl) != nullptr;
  if (const auto range = ParseRange(x.message.Value(HeaderId::kRange))) {
    answer.range_unit = range->unit;
  }
  answer.close = AsksToClose(x.message);
  answer.owns = x.owns;
  return answer;
}

// Time codes fit media whose pictures they count (RFC 2326 section 3.5).
bool IsUnitOf(RangeUnit unit, const Presentation& presentation) {
  if (unit == RangeUnit::kNpt) return true;
  const FrameRate rate = presentation.streams[presentation.lead_stream()].track.frame_rate;
  const auto is = [rate](std::uint64_t numerator, std::uint64_t denominator) {
    return rate.numerator * denominator == rate.denominator * numerator;
  };
  return unit == RangeUnit::kSmpte25       ? is(25, 1)
         : unit == RangeUnit::kSmpte30Drop ? is(30000, 1001)
                                           : false;
}

// False: the range cannot be played. An end that is the media's is left out, for it is said with
// BYE. What lies beyond the end of a growing file is still to come.
bool FitRange(const VodSession& session, VodSession::PlayRequest* request) {
  const bool backwards = session.ScaleFor(*request) < 0;
  const Duration duration = session.duration();
  if (session.presentation().growing()) {
    const bool never = request->start && request->end && *request->start > duration;
    if (never && !backwards) return false;
    if (request->start) request->start = std::min(*request->start, duration);
  } else {
    if (request->start && *request->start > duration) return false;
    if (request->end && *request->end >= duration && !backwards) request->end.reset();
  }
  if (!request->end) return true;
  if (request->start) {
    return backwards ? *request->end <= *request->start : *request->end >= *request->start;
  }
  const Duration here = session.Position();
  return backwards ? *request->end < here : *request->end > here;
}

bool IsChannel(const Exchange& x) { return x.meaning && x.meaning->channel; }

// "2.0", "0.5", "-64.0".
std::string DecimalText(double value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  std::string decimal(text, end);
  if (decimal.find('.') == std::string::npos) decimal.append(".0");
  return decimal;
}

// Takes "/trackID=n" off the end of `text`, if it is there.
std::optional<std::size_t> TakeControl(std::string_view* text) {
  const std::size_t slash = text->rfind('/');
  const std::size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
  const auto stream = StreamOfControl(text->substr(begin));
  if (stream) *text = text->substr(0, slash == std::string_view::npos ? 0 : slash);
  return stream;
}

std::string_view WithoutTrailingSlash(std::string_view text) {
  while (!text.empty() && text.back() == '/') text.remove_suffix(1);
  return text;
}

}  // namespace

// --- Answers

// For every path when none is named.
std::string_view RequestHandler::methods(const Exchange& x) const {
  const LiveTable& table = server_->live_hub().table();
  const bool publishing = x.uri.asterisk || x.path.empty()
                              ? table.options().publish != LiveOptions::Publish::kOff
                              : table.MayPublish(x.path);
  return publishing ? kMethodsWithPublishing : kMethods;
}

void RequestHandler::Respond(Exchange& x, int status) {
  Answer answer(server_, x, status);
  if (status == 405 || status == 455 || status == 501) answer.Add("Allow", methods(x));
  if (status == 503) answer.Add("Retry-After", kRetryAfterSeconds);
}

std::string RequestHandler::BaseUrl(const Exchange& x) const {
  std::string url("rtsp://");
  url.append(x.uri.authority.empty() ? std::string_view(x.local.ToString()) : x.uri.authority);
  std::string_view path = WithoutTrailingSlash(x.uri.path);
  TakeControl(&path);
  url.push_back('/');
  url.append(path);
  if (!path.empty()) url.push_back('/');
  return url;
}

// --- What holds for every request

int RequestHandler::Check(Exchange& x) {
  const Message& m = x.message;
  if (m.version_major != 1 || m.version_minor != 0) return 505;
  if (m.method == Method::kUnknown) return 501;
  const auto uri = ParseUri(m.uri);
  if (!uri) return 400;
  x.uri = *uri;
  if (EqualsIgnoreCase(x.uri.scheme, "rtspu")) return 501;
  // Nor rtsps: this port is not encrypted.
  if (!x.uri.scheme.empty() && !EqualsIgnoreCase(x.uri.scheme, "rtsp")) return 400;
  std::string_view path = WithoutTrailingSlash(x.uri.path);
  x.stream = TakeControl(&path);
  // Players that append the control to the URL put it behind the query.
  std::string_view query = x.uri.query;
  if (const auto stream = TakeControl(&query); stream && !x.stream) x.stream = stream;
  x.uri.query = WithoutTrailingSlash(query);
  if (!PercentDecode(WithoutTrailingSlash(path), &x.path)) return 400;
  x.meaning = server_->asset_rules().Resolve(x.path, x.uri.query);
  if (const HeaderField* field = m.Find(HeaderId::kBlocksize);
      field && m.method == Method::kSetup) {
    const auto bytes = ParseDecimal(field->value);
    if (!bytes || *bytes < 1) return 400;
    x.packet_bytes = PacketBytesFor(static_cast<std::size_t>(std::min(*bytes, 65536.0)));
  }
  const std::string_view session = m.Value(HeaderId::kSession);
  if (!session.empty()) x.session_id = SessionId::Parse(SessionIdOf(session));
  return 0;
}

bool RequestHandler::CheckRequire(Exchange& x) {
  // No extension is known, so whatever is required is unsupported (RFC 2326 section 12.32).
  std::string unsupported;
  for (const HeaderField& field : x.message.headers()) {
    if (field.id != HeaderId::kRequire && field.id != HeaderId::kProxyRequire) continue;
    ForEachListItem(field.value, [&unsupported](std::string_view token) {
      if (!unsupported.empty()) unsupported.append(", ");
      unsupported.append(token);
    });
  }
  if (unsupported.empty()) return true;
  Answer(server_, x, 551).Add("Unsupported", unsupported);
  return false;
}

void RequestHandler::Handle(Exchange& x) {
  if (!IsValidCSeq(x.message.Value(HeaderId::kCSeq))) {
    std::string text;
    ResponseWriter(&text, 400, {}).Finish();
    server_->shard().counters().requests.Add();
    server_->shard().counters().requests_failed.Add();
    return server_->Deliver(x.reply, std::move(text), {});
  }
  // Any request but TEARDOWN keeps its connection's sessions alive (RFC 2326 section 12.37).
  if (x.connection != nullptr && x.message.method != Method::kTeardown) {
    for (const SessionId& id : x.connection->sessions()) {
      if (Session* session = server_->FindSession(id)) session->Touch();
    }
  }
  const int status = Check(x);
  if (status != 0) return Respond(x, status);
  if (!CheckRequire(x)) return;
  // A session of another shard: the request is handled where the session is.
  if (x.connection != nullptr && x.session_id && x.message.method != Method::kDescribe &&
      x.session_id->shard != server_->shard().index()) {
    if (x.session_id->shard >= server_->shard_count()) return Respond(x, 454);
    return server_->Forward(*x.connection, x.raw, x.session_id->shard);
  }
  Dispatch(x);
}

void RequestHandler::Dispatch(Exchange& x) {
  if (x.uri.asterisk && x.message.method != Method::kOptions &&
      x.message.method != Method::kGetParameter && x.message.method != Method::kSetParameter) {
    return Respond(x, 400);
  }
  switch (x.message.method) {
    case Method::kOptions:
      return Options(x);
    case Method::kDescribe:
      return Describe(x);
    case Method::kSetup:
      return SetUp(x);
    case Method::kPlay:
      return Play(x);
    case Method::kPause:
      return Pause(x);
    case Method::kTeardown:
      return Teardown(x);
    case Method::kGetParameter:
    case Method::kSetParameter:
      return Parameter(x);
    case Method::kAnnounce:
      return Announce(x);
    case Method::kRecord:
      return Record(x);
    case Method::kRedirect:
    case Method::kUnknown:
      return Respond(x, 405);
  }
}

Session* RequestHandler::NeedSession(Exchange& x) {
  Session* session = x.session_id ? server_->FindSession(*x.session_id) : nullptr;
  // Only the connection that made it, or after that is gone one from the same address.
  if (session != nullptr && session->owner() != x.reply) {
    if (session->orphaned() && session->peer().SameAddress(x.peer)) {
      session->Adopt(x.reply);
      if (x.connection != nullptr) x.connection->AddSession(session->id());
    } else {
      session = nullptr;
    }
  }
  if (session == nullptr) {
    Respond(x, 454);
    return nullptr;
  }
  if (x.connection == nullptr) x.owns = session->id();
  session->Touch();
  return session;
}

bool RequestHandler::CheckTarget(Exchange& x, Session& session) {
  // A publisher names streams by his own controls.
  if (PublishSession* const publisher = session.publisher()) {
    x.stream = StreamOfUrl(*publisher->ticket().announced, x.message.uri, publisher->base_url());
    const bool named = x.stream.has_value();
    if (publisher->stream_count() == 1) x.stream.reset();
    if (named) return true;
  }
  const bool wrong_path = !x.uri.asterisk && x.path != session.path();
  const bool wrong_stream = x.stream && *x.stream >= session.stream_count();
  if (!wrong_path && !wrong_stream) return true;
  Respond(x, 404);
  return false;
}

// --- Methods without a session

void RequestHandler::Options(Exchange& x) {
  if (x.session_id && NeedSession(x) == nullptr) return;
  Answer(server_, x, 200).Add("Public", methods(x));
}

bool RequestHandler::NeedMedia(Exchange& x) {
  if (x.live == nullptr && x.presentation == nullptr && !IsChannel(x)) {
    x.live = server_->live_hub().table().Find(x.path);
  }
  if (x.live != nullptr || x.presentation != nullptr) return true;
  if (!x.meaning) {
    Respond(x, 400);
    return false;
  }
  if (x.connection == nullptr) {
    Respond(x, 454);  // only a session sends a request to another shard
    return false;
  }
  auto open = std::make_unique<Connection::PendingOpen>(x.connection, x.raw, this, &OnOpened);
  x.presentation = server_->presentations().Open(
      AssetName(x.meaning->file, x.meaning->wish.view, x.packet_bytes), server_->shard().now(),
      open.get());
  if (x.presentation != nullptr) return true;
  x.connection->pending_open = std::move(open);
  return false;
}

Exchange RequestHandler::Again(Connection& connection, std::string_view raw) {
  Parser parser(server_->parser_limits());
  Message* message = server_->scratch_message();
  parser.Parse(raw, message);  // whole and sound: it was parsed before
  Exchange x{*message, raw};
  x.reply = {static_cast<std::uint32_t>(server_->shard().index()), connection.self()};
  x.peer = connection.peer();
  x.local = connection.local();
  x.connection = &connection;
  return x;
}

void RequestHandler::OnOpened(void* handler, Connection& connection, std::string_view raw,
                              const absl::StatusOr<PresentationRef>& presentation) {
  auto* self = static_cast<RequestHandler*>(handler);
  Exchange x = self->Again(connection, raw);
  if (presentation.ok()) {
    x.presentation = *presentation;
    return self->Handle(x);
  }
  LiveHub& hub = self->server_->live_hub();
  if (self->Check(x) == 0 && (x.live = hub.table().Find(x.path)) != nullptr) {
    return self->Handle(x);  // published meanwhile
  }
  const Duration wait = hub.table().options().describe_wait;
  if (absl::IsNotFound(presentation.status()) && wait > 0s &&
      x.message.method == Method::kDescribe && hub.table().MayPublish(x.path)) {
    connection.pending_live =
        std::make_unique<Connection::PendingLive>(&hub, &connection, raw, self, &OnLive);
    return hub.Wait(connection.pending_live.get(), x.path, wait);
  }
  self->Respond(x, StatusOf(presentation.status()));
}

void RequestHandler::OnLive(void* handler, Connection& connection, std::string_view raw,
                            LiveRef live) {
  auto* self = static_cast<RequestHandler*>(handler);
  Exchange x = self->Again(connection, raw);
  if (live == nullptr) return self->Respond(x, 404);
  x.live = std::move(live);
  self->Handle(x);
}

void RequestHandler::Describe(Exchange& x) {
  const std::string_view accept = x.message.Value(HeaderId::kAccept);
  if (!accept.empty() && !AcceptsSdp(accept)) return Respond(x, 406);
  if (x.path.empty()) return Respond(x, 404);
  if (!NeedMedia(x)) return;
  const std::string base_url = BaseUrl(x);
  std::string description;
  if (x.live != nullptr) {
    const LivePresentation::Described described = x.live->described();
    description = DescribeLive(*described.description, x.live->sdp_session_id(), described.version,
                               x.local, described.sets);
  } else {
    if (x.meaning->wish.start > x.presentation->end()) return Respond(x, 457);
    description = DescribeFile(x, base_url);
  }
  Answer answer(server_, x, 200);
  answer.writer().AddDate(server_->shard().wall());
  answer.Add("Content-Base", base_url);
  answer.Finish(description, "application/sdp");
}

std::string RequestHandler::DescribeFile(const Exchange& x, const std::string& base_url) const {
  const AssetWish& wish = x.meaning->wish;
  PresentationView view;
  view.start = wish.start;
  view.endless = wish.loop;
  view.live = IsChannel(x);
  // What comes after a '?' gets lost when players put a relative control behind a URL, or before it
  // they put the control; so here controls are whole URLs.
  if (!x.uri.query.empty()) {
    view.control_prefix = base_url;
    view.control_suffix.append("?").append(x.uri.query);
  }
  return DescribePresentation(*x.presentation, x.local, view);
}

void RequestHandler::Parameter(Exchange& x) {
  // Without a session it is a ping of the connection, as some players send it.
  const bool named = !x.message.Value(HeaderId::kSession).empty();
  Session* session = nullptr;
  if (named) {
    session = NeedSession(x);
    if (session == nullptr) return;
  }
  if (x.message.body.empty()) {
    Answer answer(server_, x, 200);
    if (session != nullptr) answer.Add("Session", session->id().ToString());
    return;
  }
  // No parameter is known: all are named in the answer and nothing is changed (section 10.9).
  Answer answer(server_, x, 451);
  answer.Finish(x.message.body, "text/parameters");
}

// --- PLAY, PAUSE, TEARDOWN

void RequestHandler::Play(Exchange& x) {
  Session* session = NeedSession(x);
  if (session == nullptr || !CheckTarget(x, *session)) return;
  PlaySession* const player = session->player();
  if (player == nullptr || session->state() == Session::State::kInit ||
      session->setup_count() == 0) {
    return Respond(x, 455);
  }
  if (x.stream && session->setup_count() > 1) return Respond(x, 460);
  for (const HeaderId id : {HeaderId::kScale, HeaderId::kSpeed}) {
    const HeaderField* field = x.message.Find(id);
    if (field == nullptr) continue;
    const auto value = ParseDecimal(field->value);
    if (!value || *value == 0) return Respond(x, 400);
  }
  if (VodSession* const vod = player->vod()) return PlayFile(x, *vod);
  // There is only now; a range that says otherwise is not refused, since players send one always.
  if (const HeaderField* field = x.message.Find(HeaderId::kRange)) {
    if (!ParseRange(field->value)) return Respond(x, 457);
  }
  player->live()->Play();
  FinishPlay(*player, AnswerTo(x), absl::OkStatus());
}

void RequestHandler::PlayFile(Exchange& x, VodSession& session) {
  VodSession::PlayRequest request;
  if (const HeaderField* field = x.message.Find(HeaderId::kRange)) {
    const auto range = ParseRange(field->value);
    if (!range) return Respond(x, 457);
    if (!IsUnitOf(range->unit, session.presentation()) && !session.is_channel()) {
      return Respond(x, 456);
    }
    request.start = range->start;
    if (range->from_now && session.presentation().growing()) request.start = session.duration();
    request.end = range->end;
  }
  if (const HeaderField* field = x.message.Find(HeaderId::kScale)) {
    request.scale = ParseDecimal(field->value);
  }
  if (const HeaderField* field = x.message.Find(HeaderId::kSpeed)) {
    request.speed = ParseDecimal(field->value);
  }
  request.rate_control = !EqualsIgnoreCase(x.message.Value(HeaderId::kRateControl), "no");
  if (!session.is_channel() && !FitRange(session, &request)) return Respond(x, 457);
  const PendingAnswer answer = AnswerTo(x);
  if (session.Play(request, answer)) FinishPlay(session, answer, absl::OkStatus());
}

void RequestHandler::FinishPlay(PlaySession& session, const PendingAnswer& answer,
                                const absl::Status& status) {
  if (!status.ok()) return RefusePlay(answer, StatusOf(status));
  std::string text;
  server_->shard().counters().requests.Add();
  WritePlayAnswer(session, &text, answer);
  server_->Deliver(answer.reply, std::move(text), {answer.close, answer.owns, std::nullopt});
}

void RequestHandler::RefusePlay(const PendingAnswer& answer, int status) {
  std::string text;
  server_->shard().counters().requests.Add();
  server_->shard().counters().requests_failed.Add();
  ResponseWriter writer(&text, status, answer.cseq);
  if (!answer.timestamp.empty()) writer.Add("Timestamp", answer.timestamp);
  writer.Finish();
  server_->Deliver(answer.reply, std::move(text), {answer.close, answer.owns, std::nullopt});
}

void RequestHandler::WritePlayAnswer(PlaySession& session, std::string* out,
                                     const PendingAnswer& answer) {
  ResponseWriter writer(out, 200, answer.cseq);
  if (!answer.timestamp.empty()) writer.Add("Timestamp", answer.timestamp);
  writer.Add("Session", session.id().ToString());
  std::string value;
  session.AppendRange(answer.range_unit, &value);
  writer.Add("Range", value);
  const VodSession* const vod = session.vod();
  if (answer.scale) writer.Add("Scale", DecimalText(vod != nullptr ? vod->scale() : 1));
  if (answer.speed) writer.Add("Speed", DecimalText(vod != nullptr ? vod->speed() : 1));
  if (answer.rate_control) {
    writer.Add("Rate-Control", vod != nullptr && !vod->rate_control() ? "no" : "yes");
  }
  value.clear();
  for (const PlaySession::Setup& setup : session.setups()) {
    const std::optional<std::uint32_t> timestamp = session.StartTimestamp(setup);
    if (!timestamp) continue;
    if (!value.empty()) value.push_back(',');
    value.append("url=").append(setup.url);
    value.append(";seq=").append(std::to_string(setup.sender->next_sequence()));
    value.append(";rtptime=").append(std::to_string(*timestamp));
  }
  if (!value.empty()) writer.Add("RTP-Info", value);
  writer.Finish();
}

void RequestHandler::Pause(Exchange& x) {
  Session* session = NeedSession(x);
  if (session == nullptr || !CheckTarget(x, *session)) return;
  if (session->state() == Session::State::kInit) return Respond(x, 455);
  if (x.stream && session->setup_count() > 1) return Respond(x, 460);
  VodSession* const vod = session->player() != nullptr ? session->player()->vod() : nullptr;
  if (vod != nullptr) {
    if (!PauseFile(x, *vod)) return Respond(x, 457);
  } else {
    session->Pause();
  }
  Answer answer(server_, x, 200);
  answer.Add("Session", session->id().ToString());
  if (vod == nullptr) return;
  std::string range;
  AppendNptRange(&range, vod->Position(), std::nullopt);
  answer.Add("Range", range);
}

bool RequestHandler::PauseFile(Exchange& x, VodSession& session) {
  const HeaderField* const field = x.message.Find(HeaderId::kRange);
  if (field == nullptr) {
    session.Pause();
    return true;
  }
  const auto range = ParseRange(field->value);
  if (!range || range->unit != RangeUnit::kNpt || !range->start || session.endless()) return false;
  const Duration at = *range->start, here = session.Position();
  const bool beyond = at > session.duration() && !session.presentation().growing();
  if (beyond || (session.scale() > 0 ? at < here : at > here)) return false;
  if (session.state() == Session::State::kPlaying) session.PauseAt(at);
  return true;
}

void RequestHandler::Teardown(Exchange& x) {
  Session* session = NeedSession(x);
  if (session == nullptr || !CheckTarget(x, *session)) return;
  const SessionId id = session->id();
  if (x.stream && session->setup_count() > 1) {
    if (!session->RemoveStream(*x.stream)) return Respond(x, 404);
    if (x.connection != nullptr) x.connection->FreeChannelsOf(session->self(), *x.stream);
    Answer answer(server_, x, 200);
    answer.Add("Session", id.ToString());
    return;
  }
  server_->EndSession(session->self(), EndReason::kTeardown);
  x.owns.reset();
  Answer answer(server_, x, 200);
  answer.notes().drops = id;
}

}  // namespace millrace::rtsp
