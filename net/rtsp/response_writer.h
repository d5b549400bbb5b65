// Appends one RTSP/1.0 response (RFC 2326 section 7) to a connection's output.
//
//   ResponseWriter response(&out, 200, request.Value(HeaderId::kCSeq));
//   response.Add("Session", id, ";timeout=", 60);
//   response.Finish();
//
// No value can end its line: control characters in it, line breaks above all, become blanks, so
// what a client sent may be echoed as it came. Nothing is allocated but what `out` needs to grow.
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

#include "core/clock.h"

namespace millrace::rtsp {

// RFC 2326 section 7.1.1 and the few later statuses in use; for others the name of their class.
std::string_view ReasonPhrase(int status);

class ResponseWriter {
 public:
  // Writes the status line, CSeq (left out when empty, as when the request had none) and Server.
  // `status` has three digits. `out` must outlive the writer and be left alone until Finish.
  ResponseWriter(std::string* out, int status, std::string_view cseq);
  // Finishes a response without a body that was not finished, lest the next one run into it.
  ~ResponseWriter();
  ResponseWriter(const ResponseWriter&) = delete;
  ResponseWriter& operator=(const ResponseWriter&) = delete;

  // One header whose value is the pieces (text or integers) one behind the other.
  template <typename... Pieces>
  void Add(std::string_view name, const Pieces&... pieces) {
    Begin(name);
    (Append(pieces), ...);
    out_->append("\r\n");
  }
  void AddDate(WallTime now);

  // Ends the response; the body comes with its Content-Type and Content-Length.
  void Finish();
  void Finish(std::string_view body, std::string_view content_type);

 private:
  void Begin(std::string_view name);
  void Append(std::string_view text);
  template <std::integral Number>
  requires(!std::same_as<Number, bool> && !std::same_as<Number, char>) void Append(Number number) {
    char digits[24];
    out_->append(digits, std::to_chars(digits, digits + sizeof(digits), number).ptr);
  }

  std::string* const out_;
  bool finished_ = false;
};

}  // namespace millrace::rtsp
