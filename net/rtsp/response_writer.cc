#include "net/rtsp/response_writer.h"

#include <algorithm>

#include "net/rtsp/chars.h"
#include "net/rtsp/headers.h"

#ifndef MILLRACE_VERSION
#define MILLRACE_VERSION "0.1"
#endif

namespace millrace::rtsp {
namespace {

struct Reason {
  int status;
  std::string_view phrase;
};

// In the order of the statuses.
constexpr Reason kReasons[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {250, "Low on Storage Space"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Moved Temporarily"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Time-out"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Request Entity Too Large"},
    {414, "Request-URI Too Large"},
    {415, "Unsupported Media Type"},
    {431, "Request Header Fields Too Large"},  // RFC 6585
    {451, "Parameter Not Understood"},
    {452, "Conference Not Found"},
    {453, "Not Enough Bandwidth"},
    {454, "Session Not Found"},
    {455, "Method Not Valid in This State"},
    {456, "Header Field Not Valid for Resource"},
    {457, "Invalid Range"},
    {458, "Parameter Is Read-Only"},
    {459, "Aggregate Operation Not Allowed"},
    {460, "Only Aggregate Operation Allowed"},
    {461, "Unsupported Transport"},
    {462, "Destination Unreachable"},
    {463, "Destination Prohibited"},  // RFC 7826
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Time-out"},
    {505, "RTSP Version Not Supported"},
    {551, "Option Not Supported"},
};

constexpr std::string_view kClasses[] = {"Informational", "Success", "Redirection", "Client Error",
                                         "Server Error"};

}  // namespace

std::string_view ReasonPhrase(int status) {
  const Reason* reason = std::lower_bound(std::begin(kReasons), std::end(kReasons), status,
                                          [](const Reason& r, int s) { return r.status < s; });
  if (reason != std::end(kReasons) && reason->status == status) return reason->phrase;
  if (status < 100 || status >= 600) return "Unknown";
  return kClasses[status / 100 - 1];
}

ResponseWriter::ResponseWriter(std::string* out, int status, std::string_view cseq) : out_(out) {
  out_->append("RTSP/1.0 ");
  Append(status);
  out_->push_back(' ');
  out_->append(ReasonPhrase(status));
  out_->append("\r\n");
  if (!cseq.empty()) Add("CSeq", cseq);
  out_->append("Server: Millrace/" MILLRACE_VERSION "\r\n");
}

ResponseWriter::~ResponseWriter() {
  if (!finished_) Finish();
}

void ResponseWriter::AddDate(WallTime now) {
  Begin("Date");
  AppendHttpDate(out_, now);
  out_->append("\r\n");
}

void ResponseWriter::Finish() {
  out_->append("\r\n");
  finished_ = true;
}

void ResponseWriter::Finish(std::string_view body, std::string_view content_type) {
  Add("Content-Type", content_type);
  Add("Content-Length", body.size());
  Finish();
  out_->append(body);
}

void ResponseWriter::Begin(std::string_view name) {
  Append(name);
  out_->append(": ");
}

void ResponseWriter::Append(std::string_view text) {
  const std::size_t from = out_->size();
  out_->append(text);
  std::replace_if(
      out_->begin() + static_cast<std::ptrdiff_t>(from), out_->end(),
      [](char c) { return IsControl(c) && c != '\t'; }, ' ');
}

}  // namespace millrace::rtsp
