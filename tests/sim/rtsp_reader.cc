#include "tests/sim/rtsp_reader.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace millrace::sim {
namespace {

bool SameName(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) ==
                  std::tolower(static_cast<unsigned char>(y));
         });
}

template <typename T>
std::optional<T> Number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string Trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return std::string(text);
}

std::optional<Duration> NptTime(std::string_view text) {
  const std::size_t dot = text.find('.');
  const auto seconds = Number<std::int64_t>(text.substr(0, dot));
  if (!seconds || *seconds < 0) return std::nullopt;
  Duration time = std::chrono::seconds(*seconds);
  if (dot == std::string_view::npos) return time;
  std::string fraction(text.substr(dot + 1));
  if (fraction.empty() || fraction.size() > 9) return std::nullopt;
  fraction.resize(9, '0');
  const auto nanoseconds = Number<std::int64_t>(fraction);
  if (!nanoseconds || *nanoseconds < 0) return std::nullopt;
  return time + Duration(*nanoseconds);
}

}  // namespace

std::string RtspResponse::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (SameName(key, name)) return value;
  }
  return {};
}

bool RtspResponse::Has(std::string_view name) const {
  return std::any_of(headers.begin(), headers.end(),
                     [name](const auto& h) { return SameName(h.first, name); });
}

std::string RtspResponse::SessionId() const {
  const std::string value = Header("Session");
  return value.substr(0, value.find(';'));
}

std::optional<std::string> Parameter(const std::string& value, std::string_view name) {
  for (const std::string& part : Split(value, ';')) {
    const std::size_t equals = part.find('=');
    if (SameName(Trimmed(part.substr(0, equals)), name)) {
      return equals == std::string::npos ? std::string() : part.substr(equals + 1);
    }
  }
  return std::nullopt;
}

std::vector<RtpInfoEntry> ParseRtpInfo(const std::string& value) {
  std::vector<RtpInfoEntry> entries;
  if (value.empty()) return entries;
  for (const std::string& part : Split(value, ',')) {
    RtpInfoEntry entry;
    const std::string text = Trimmed(part);
    entry.url = Parameter(text, "url").value_or("");
    if (const auto seq = Parameter(text, "seq")) entry.seq = Number<std::uint16_t>(*seq);
    if (const auto time = Parameter(text, "rtptime")) entry.rtptime = Number<std::uint32_t>(*time);
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::optional<NptRange> ParseNptRange(const std::string& value) {
  if (value.rfind("npt=", 0) != 0) return std::nullopt;
  const std::string text = value.substr(4);
  const std::size_t dash = text.find('-');
  if (dash == std::string::npos) return std::nullopt;
  const auto start = NptTime(std::string_view(text).substr(0, dash));
  if (!start) return std::nullopt;
  NptRange range{*start, std::nullopt};
  if (dash + 1 < text.size()) {
    range.end = NptTime(std::string_view(text).substr(dash + 1));
    if (!range.end) return std::nullopt;
  }
  return range;
}

std::optional<Sdp> ParseSdp(const std::string& text) {
  Sdp sdp;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find("\r\n", at);
    if (end == std::string::npos || end < at + 2 || text[at + 1] != '=') return std::nullopt;
    const std::string value = text.substr(at + 2, end - at - 2);
    const char type = text[at];
    at = end + 2;
    if (type == 'm') {
      const std::vector<std::string> fields = Split(value, ' ');
      if (fields.size() < 4) return std::nullopt;
      SdpMedia& media = sdp.media.emplace_back();
      media.kind = fields[0];
      media.payload_type = Number<int>(fields[3]).value_or(-1);
    } else if (type == 'a') {
      const std::size_t colon = value.find(':');
      const std::string name = value.substr(0, colon);
      const std::string rest = colon == std::string::npos ? "" : value.substr(colon + 1);
      if (sdp.media.empty()) {
        if (name == "control") sdp.control = rest;
        if (name == "range") sdp.range = ParseNptRange(rest);
        continue;
      }
      SdpMedia& media = sdp.media.back();
      if (name == "control") media.control = rest;
      if (name == "fmtp") media.fmtp = rest;
      if (name == "rtpmap") {
        const std::size_t space = rest.find(' ');
        if (space == std::string::npos) return std::nullopt;
        const std::vector<std::string> map = Split(rest.substr(space + 1), '/');
        media.encoding = map[0];
        if (map.size() > 1) media.clock_rate = Number<std::uint32_t>(map[1]).value_or(0);
      }
    }
  }
  return sdp;
}

RtspStream::Result RtspStream::Broken(const std::string& what) {
  error_ = what;
  return Result::kBroken;
}

void RtspStream::Clear() {
  buffer_.clear();
  at_ = 0;
  error_.clear();
}

RtspStream::Result RtspStream::Next() {
  if (!error_.empty()) return Result::kBroken;
  if (at_ > (64 << 10) || at_ == buffer_.size()) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  if (at_ == buffer_.size()) return Result::kMore;
  if (buffer_[at_] != '$') return ReadResponse();
  if (buffer_.size() - at_ < 4) return Result::kMore;
  const auto byte = [this](std::size_t i) { return static_cast<std::uint8_t>(buffer_[at_ + i]); };
  const std::size_t length = static_cast<std::size_t>(byte(2) << 8 | byte(3));
  if (buffer_.size() - at_ < 4 + length) return Result::kMore;
  channel_ = byte(1);
  frame_.assign(buffer_, at_ + 4, length);
  at_ += 4 + length;
  return Result::kFrame;
}

RtspStream::Result RtspStream::ReadResponse() {
  static constexpr std::string_view kVersion = "RTSP/1.0 ";
  const std::size_t have = std::min(kVersion.size(), buffer_.size() - at_);
  if (buffer_.compare(at_, have, kVersion, 0, have) != 0) {
    return Broken("neither a response nor a frame: " + buffer_.substr(at_, 40));
  }
  const std::size_t end = buffer_.find("\r\n\r\n", at_);
  if (end == std::string::npos) return Result::kMore;
  RtspResponse response;
  std::vector<std::string> lines = Split(buffer_.substr(at_, end - at_), '\n');
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i + 1 < lines.size()) {
      if (lines[i].empty() || lines[i].back() != '\r') return Broken("a line ended by LF alone");
      lines[i].pop_back();
    }
    if (i == 0) continue;
    const std::size_t colon = lines[i].find(':');
    if (colon == std::string::npos || colon == 0) return Broken("no header: " + lines[i]);
    response.headers.emplace_back(lines[i].substr(0, colon), Trimmed(lines[i].substr(colon + 1)));
  }
  const auto status = Number<int>(std::string_view(lines[0]).substr(kVersion.size(), 3));
  if (!status || *status < 100 || lines[0].size() < kVersion.size() + 4) {
    return Broken("no status line: " + lines[0]);
  }
  response.status = *status;
  response.reason = lines[0].substr(kVersion.size() + 4);
  if (response.Has("CSeq")) response.cseq = Number<int>(response.Header("CSeq")).value_or(-1);
  std::size_t length = 0;
  if (response.Has("Content-Length")) {
    const auto value = Number<std::size_t>(response.Header("Content-Length"));
    if (!value) return Broken("a Content-Length that is no number");
    length = *value;
  }
  if (buffer_.size() - end - 4 < length) return Result::kMore;
  response.body = buffer_.substr(end + 4, length);
  at_ = end + 4 + length;
  response_ = std::move(response);
  return Result::kResponse;
}

}  // namespace millrace::sim
