// Request URIs (RFC 2326 section 3.2): taken apart into views, and percent-decoding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millrace::rtsp {

struct RequestUri {
  bool asterisk = false;       // "*"
  std::string_view scheme;     // "rtsp", "rtspu", "rtsps"; as sent
  std::string_view authority;  // "host:port"; a user and password before it are left out
  std::string_view path;       // still percent-encoded, without leading slash, without query
  std::string_view query;      // without '?'; empty when absent
};
// Nothing when it is neither "*" nor absolute with a host nor an absolute path, or holds a control
// character. "/path" alone is accepted as some clients send it, and so are blanks in the path:
// players send file names as they were typed.
std::optional<RequestUri> ParseUri(std::string_view uri);

// Replaces `out` by `encoded` with every %XX decoded and nothing else changed. False, with `out`
// unspecified, for a bad escape or a NUL.
bool PercentDecode(std::string_view encoded, std::string* out);

}  // namespace millrace::rtsp
