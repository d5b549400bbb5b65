#include "net/rtsp/uri.h"

#include <algorithm>
#include <cstddef>

#include "net/rtsp/chars.h"

namespace millrace::rtsp {
namespace {

constexpr std::string_view kAuthorityMark = "://";

bool IsScheme(std::string_view scheme) {
  return !scheme.empty() && IsAlpha(scheme.front()) &&
         std::all_of(scheme.begin(), scheme.end(), [](char c) {
           return IsAlpha(c) || IsDigit(c) || c == '+' || c == '-' || c == '.';
         });
}

// host [":" [port]]; a host that is an IPv6 address stands in brackets.
bool IsHostPort(std::string_view authority) {
  std::size_t host_end = 0;
  if (!authority.empty() && authority.front() == '[') {
    host_end = authority.find(']');
    if (host_end == std::string_view::npos || host_end == 1) return false;
    ++host_end;
  } else {
    host_end = std::min(authority.find(':'), authority.size());
  }
  if (host_end == 0) return false;
  std::string_view port = authority.substr(host_end);
  if (port.empty()) return true;
  if (port.front() != ':') return false;
  port.remove_prefix(1);
  return port.empty() || (IsAllDigits(port) && port.size() <= 5);
}

void SplitQuery(std::string_view path_and_query, RequestUri* uri) {
  const std::size_t mark = path_and_query.find('?');
  uri->path = path_and_query.substr(0, mark);
  if (mark != std::string_view::npos) uri->query = path_and_query.substr(mark + 1);
  if (!uri->path.empty() && uri->path.front() == '/') uri->path.remove_prefix(1);
}

// The value of a hexadecimal digit; -1 for any other character.
int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::optional<RequestUri> ParseUri(std::string_view text) {
  RequestUri uri;
  if (text == "*") {
    uri.asterisk = true;
    return uri;
  }
  if (std::any_of(text.begin(), text.end(), [](char c) { return IsControl(c); })) {
    return std::nullopt;
  }
  if (!text.empty() && text.front() == '/') {
    SplitQuery(text, &uri);
    return uri;
  }
  const std::size_t mark = text.find(kAuthorityMark);
  if (mark == std::string_view::npos) return std::nullopt;
  uri.scheme = text.substr(0, mark);
  text.remove_prefix(mark + kAuthorityMark.size());
  const std::size_t authority_end = std::min(text.find_first_of("/?"), text.size());
  uri.authority = text.substr(0, authority_end);
  const std::size_t at = uri.authority.rfind('@');
  if (at != std::string_view::npos) uri.authority.remove_prefix(at + 1);
  if (!IsScheme(uri.scheme) || !IsHostPort(uri.authority) ||
      uri.authority.find(' ') != std::string_view::npos) {
    return std::nullopt;
  }
  SplitQuery(text.substr(authority_end), &uri);
  return uri;
}

bool PercentDecode(std::string_view encoded, std::string* out) {
  out->clear();
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    char c = encoded[i];
    if (c == '%') {
      if (encoded.size() - i < 3) return false;
      const int high = HexValue(encoded[i + 1]), low = HexValue(encoded[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high << 4 | low);
      i += 2;
    }
    if (c == '\0') return false;
    out->push_back(c);
  }
  return true;
}

}  // namespace millrace::rtsp
