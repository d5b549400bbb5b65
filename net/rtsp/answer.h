// An answer under way: the status line and what every answer repeats; it is sent home when it goes
// out of scope.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "net/rtsp/chars.h"
#include "net/rtsp/headers.h"
#include "net/rtsp/request_handler.h"
#include "net/rtsp/response_writer.h"
#include "net/rtsp/server.h"

namespace millrace::rtsp {

inline bool AsksToClose(const Message& request) {
  bool close = false;
  ForEachListItem(request.Value(HeaderId::kConnection),
                  [&close](std::string_view token) { close |= EqualsIgnoreCase(token, "close"); });
  return close;
}

class Answer {
 public:
  Answer(Server* server, const Exchange& x, int status)
      : server_(server),
        reply_(x.reply),
        writer_(&text_, status, x.message.Value(HeaderId::kCSeq)) {
    const std::string_view timestamp = x.message.Value(HeaderId::kTimestamp);
    if (!timestamp.empty()) writer_.Add("Timestamp", timestamp);
    notes_.close = AsksToClose(x.message);
    notes_.owns = x.owns;
    server_->shard().counters().requests.Add();
    if (status >= 400) server_->shard().counters().requests_failed.Add();
  }
  ~Answer() {
    if (!finished_) writer_.Finish();
    server_->Deliver(reply_, std::move(text_), notes_);
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  ResponseWriter& writer() { return writer_; }
  Server::AnswerNotes& notes() { return notes_; }
  template <typename... Pieces>
  Answer& Add(std::string_view name, const Pieces&... pieces) {
    writer_.Add(name, pieces...);
    return *this;
  }
  void Finish(std::string_view body, std::string_view type) {
    writer_.Finish(body, type);
    finished_ = true;
  }

 private:
  Server* const server_;
  const ReplyTo reply_;
  std::string text_;
  ResponseWriter writer_;
  Server::AnswerNotes notes_;
  bool finished_ = false;
};

}  // namespace millrace::rtsp
