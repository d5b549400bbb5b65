#include "tools/load/rtsp_text.h"

#include <algorithm>
#include <charconv>

namespace millrace::load {
namespace {

constexpr std::size_t kHeadMax = 64 * 1024;

char Lower(char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool SameWord(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

std::string_view Trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// Takes what stands before `separator` off the front of `text`; all of it when there is none.
std::string_view Take(std::string_view& text, char separator) {
  const std::size_t at = text.find(separator);
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return head;
}

std::string Resolve(const std::string& base, std::string_view control) {
  if (control.empty() || control == "*") return base;
  if (control.starts_with("rtsp://")) return std::string(control);
  std::string url = base;
  if (!url.ends_with('/')) url += '/';
  return url.append(control);
}

MediaKind KindOf(std::string_view media) {
  if (media == "video") return MediaKind::kVideo;
  return media == "audio" ? MediaKind::kAudio : MediaKind::kOther;
}

double ParseSeconds(std::string_view text) {
  double seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return seconds;
}

}  // namespace

std::optional<Url> ParseUrl(std::string_view text) {
  constexpr std::string_view kScheme = "rtsp://";
  if (!text.starts_with(kScheme)) return std::nullopt;
  std::string_view rest = text.substr(kScheme.size());
  std::string_view authority = rest.substr(0, rest.find('/'));
  Url url{std::string(text), "", "554"};
  std::string_view after_host;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    url.host = authority.substr(1, end - 1);
    after_host = authority.substr(end + 1);
  } else {
    url.host = authority.substr(0, authority.find(':'));
    after_host = authority.substr(url.host.size());
  }
  if (url.host.empty()) return std::nullopt;
  if (!after_host.empty()) {
    url.port = after_host.substr(1);
    const std::optional<std::uint32_t> port = ParseNumber(url.port);
    if (after_host[0] != ':' || !port || *port == 0 || *port > 65535) return std::nullopt;
  }
  return url;
}

std::string_view Response::Header(std::string_view name) const {
  for (const auto& [key, value] : headers_) {
    if (SameWord(key, name)) return value;
  }
  return {};
}

ParseResult ParseResponse(std::string_view bytes, Response& response, std::size_t& consumed) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    return bytes.size() > kHeadMax ? ParseResult::kInvalid : ParseResult::kIncomplete;
  }
  response.text_.assign(bytes.substr(0, end));
  response.headers_.clear();
  response.body = {};
  std::string_view head = response.text_;
  std::string_view status_line = Take(head, '\n');
  if (Take(status_line, ' ') != "RTSP/1.0") return ParseResult::kInvalid;
  const std::optional<std::uint32_t> status = ParseNumber(Take(status_line, ' '));
  if (!status) return ParseResult::kInvalid;
  response.status = static_cast<int>(*status);
  response.reason = Trim(status_line);
  while (!head.empty()) {
    std::string_view value = Take(head, '\n');
    const std::string_view key = Trim(Take(value, ':'));
    response.headers_.emplace_back(key, Trim(value));
  }
  const std::string_view length = response.Header("Content-Length");
  const std::optional<std::uint32_t> body_bytes = ParseNumber(length.empty() ? "0" : length);
  if (!body_bytes || *body_bytes > kHeadMax) return ParseResult::kInvalid;
  if (bytes.size() < end + 4 + *body_bytes) return ParseResult::kIncomplete;
  response.body_.assign(bytes.substr(end + 4, *body_bytes));
  response.body = response.body_;
  consumed = end + 4 + *body_bytes;
  return ParseResult::kComplete;
}

Description ParseDescription(const Response& response, const std::string& request_url) {
  const std::string_view content_base = response.Header("Content-Base");
  const std::string base = content_base.empty() ? request_url : std::string(content_base);
  Description description;
  description.aggregate_url = base;
  std::string_view rest = response.body;
  while (!rest.empty()) {
    std::string_view line = Trim(Take(rest, '\n'));
    if (line.starts_with("m=")) {
      // m=video 0 RTP/AVP 96
      TrackDescription track;
      track.url = base;
      track.kind = KindOf(Take(line, ' ').substr(2));
      Take(line, ' ');
      Take(line, ' ');
      track.payload_type = static_cast<int>(ParseNumber(Take(line, ' ')).value_or(0xff));
      description.tracks.push_back(std::move(track));
    } else if (line.starts_with("a=control:")) {
      const std::string url = Resolve(base, line.substr(10));
      (description.tracks.empty() ? description.aggregate_url : description.tracks.back().url) =
          url;
    } else if (line.starts_with("a=range:npt=") && description.seconds == 0) {
      // a=range:npt=0-60.5
      Take(line, '-');
      description.seconds = ParseSeconds(line);
    } else if (line.starts_with("a=rtpmap:") && !description.tracks.empty()) {
      // a=rtpmap:97 mpeg4-generic/48000/2
      Take(line, '/');
      description.tracks.back().clock_rate = ParseNumber(Take(line, '/')).value_or(90000);
    }
  }
  return description;
}

std::optional<std::string_view> Parameter(std::string_view header, std::string_view name) {
  while (!header.empty()) {
    std::string_view value = Take(header, ';');
    if (SameWord(Trim(Take(value, '=')), name)) return Trim(value);
  }
  return std::nullopt;
}

std::optional<std::uint32_t> ParseNumber(std::string_view text, int base) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

RtpInfo FindRtpInfo(std::string_view header, const std::string& track_url) {
  while (!header.empty()) {
    const std::string_view entry = Take(header, ',');
    if (Parameter(entry, "url") != std::string_view(track_url)) continue;
    RtpInfo info;
    const std::optional<std::uint32_t> sequence = ParseNumber(Parameter(entry, "seq").value_or(""));
    if (sequence && *sequence <= 0xffff) info.sequence = static_cast<std::uint16_t>(*sequence);
    info.timestamp = ParseNumber(Parameter(entry, "rtptime").value_or(""));
    return info;
  }
  return {};
}

}  // namespace millrace::load
