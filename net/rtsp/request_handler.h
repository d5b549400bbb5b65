// The methods of RFC 2326 section 10: what each request means and what it is answered.
//
// Every request gets exactly one answer, at once or when what it waits for has come: a presentation
// (DESCRIBE, SETUP), a publisher (DESCRIBE) or the first packets of a range (PLAY).
//
// Shard: home's only. A request for another shard's session is handled there.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/limits.h"
#include "net/rtsp/connection.h"
#include "net/rtsp/headers.h"
#include "net/rtsp/message.h"
#include "net/rtsp/response_writer.h"
#include "net/rtsp/server.h"
#include "net/rtsp/session.h"

namespace millrace::rtsp {

// A request and where it came from.
struct Exchange {
  const Message& message;
  std::string_view raw;  // the message's bytes, to be handled again or elsewhere
  ReplyTo reply{};
  Endpoint peer{}, local{};
  Connection* connection = nullptr;  // null when it came from another shard
  // Opened for it: a file, or what somebody publishes.
  PresentationRef presentation{};
  LiveRef live{};

  // Filled in by Handle.
  RequestUri uri{};
  std::string path{};  // decoded, without the control part
  // What path and query ask for, if it is a file; nothing when that is malformed.
  std::optional<AssetMeaning> meaning{};
  std::size_t packet_bytes = 0;         // what SETUP's Blocksize asks for; 0: the usual
  std::optional<std::size_t> stream{};  // named by the URL's control part
  std::optional<SessionId> session_id{};
  // The session that the asking connection, on another shard, controls from now on.
  std::optional<SessionId> owns{};
};

class RequestHandler {
 public:
  RequestHandler(Server* server, const Limits* limits) : server_(server), limits_(limits) {}

  void Handle(Exchange& x);
  // The answer to a PLAY whose range has been resolved.
  void FinishPlay(PlaySession& session, const PendingAnswer& answer, const absl::Status& status);
  // The answer to a PLAY that will never be resolved.
  void RefusePlay(const PendingAnswer& answer, int status);

 private:
  // What can be answered without looking at the method; 0 to go on.
  int Check(Exchange& x);
  bool CheckRequire(Exchange& x);
  void Dispatch(Exchange& x);
  void Options(Exchange& x);
  void Describe(Exchange& x);
  void SetUp(Exchange& x);
  void Play(Exchange& x);
  void Pause(Exchange& x);
  void Teardown(Exchange& x);
  // announce.cc
  void Announce(Exchange& x);
  void Record(Exchange& x);
  void SetUpPublisher(Exchange& x, PublishSession* session);
  void Parameter(Exchange& x);

  // Opens x.path; true when x.live or x.presentation is there. False: answered later, or just now.
  bool NeedMedia(Exchange& x);
  static void OnOpened(void* handler, Connection& connection, std::string_view raw,
                       const absl::StatusOr<PresentationRef>& presentation);
  static void OnLive(void* handler, Connection& connection, std::string_view raw, LiveRef live);
  // The request that `raw` holds, to be handled once more.
  Exchange Again(Connection& connection, std::string_view raw);
  void PlayFile(Exchange& x, VodSession& session);
  // False: the range cannot be meant.
  bool PauseFile(Exchange& x, VodSession& session);
  // The session a request may control; answers 454 and gives null when there is none.
  Session* NeedSession(Exchange& x);
  // False, answered, when the URL names another presentation or stream than the session holds.
  bool CheckTarget(Exchange& x, Session& session);
  // The first transport offered that can be served; nothing, answered, when there is none.
  std::optional<TransportSpec> ChooseTransport(Exchange& x, bool record);
  // Channels for `stream`; nothing, answered, when none is free.
  std::optional<ChannelPair> ChooseChannels(Exchange& x, std::size_t stream, Session* session,
                                            const TransportSpec& spec);
  void SetUpStream(Exchange& x, std::size_t stream, PlaySession* session);
  void AddUdp(Exchange& x, std::size_t stream, PlaySession& session, const TransportSpec& spec);
  void AddInterleaved(Exchange& x, std::size_t stream, PlaySession& session, ChannelPair channels);
  void AnswerSetUp(Exchange& x, const Session& session, const TransportSpec& spec,
                   std::optional<ChannelPair> channels, std::string_view tail);
  std::string_view methods(const Exchange& x) const;
  void WritePlayAnswer(PlaySession& session, std::string* out, const PendingAnswer& answer);

  void Respond(Exchange& x, int status);
  std::string BaseUrl(const Exchange& x) const;
  std::string DescribeFile(const Exchange& x, const std::string& base_url) const;

  Server* const server_;
  const Limits* const limits_;
};

}  // namespace millrace::rtsp
