// As much of RTSP and SDP as a viewer needs, read leniently: this is the other side's check, so it
// shares no code with the server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::load_check {

struct Url {
  std::string text;  // as given
  std::string host;  // without brackets
  std::string port;  // "554" when left out
};

// rtsp://HOST[:PORT]/PATH; nothing when it is not that.
std::optional<Url> ParseUrl(std::string_view text);

struct Response {
  int status = 0;
  std::string reason;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  // Of the first header so named, letter case apart; empty when there is none.
  std::string_view Header(std::string_view name) const;
};

enum class ParseResult { kComplete, kIncomplete, kInvalid };

// A response at the start of `bytes`; `consumed` is set when it is complete.
ParseResult ParseResponse(std::string_view bytes, Response& response, std::size_t& consumed);

struct TrackDescription {
  std::string url;
  int payload_type = -1;
  unsigned clock_rate = 90000;
};

struct Description {
  std::string aggregate_url;
  std::vector<TrackDescription> tracks;
};

// The SDP of a DESCRIBE answer; control attributes are resolved against Content-Base, or else
// against the URL that was asked for (RFC 2326 appendix C.1.1).
Description ParseDescription(const Response& response, const std::string& request_url);

// `name` of a header such as "RTP/AVP;unicast;server_port=6970-6971"; nothing when it is not there.
std::optional<std::string_view> Parameter(std::string_view header, std::string_view name);
std::optional<std::uint32_t> ParseNumber(std::string_view text, int base = 10);

// The `seq` that RTP-Info gives for a track.
std::optional<std::uint16_t> FirstSequence(std::string_view rtp_info, const std::string& track_url);

}  // namespace millrace::load_check
