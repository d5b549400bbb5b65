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

namespace millrace::load {

struct Url {
  std::string text;  // as given
  std::string host;  // without brackets
  std::string port;  // "554" when left out
};

// rtsp://HOST[:PORT]/PATH; nothing when it is not that.
std::optional<Url> ParseUrl(std::string_view text);

enum class ParseResult { kComplete, kIncomplete, kInvalid };

// A response, kept with its text. Reading one response after another into the same object
// allocates nothing once it has grown; views into it are valid until the next.
class Response {
 public:
  Response() = default;
  Response(const Response&) = delete;
  Response& operator=(const Response&) = delete;

  int status = 0;
  std::string_view reason;
  std::string_view body;

  // Of the first header so named, letter case apart; empty when there is none.
  std::string_view Header(std::string_view name) const;

 private:
  friend ParseResult ParseResponse(std::string_view bytes, Response& response,
                                   std::size_t& consumed);
  std::string text_;
  std::string body_;
  std::vector<std::pair<std::string_view, std::string_view>> headers_;
};

// A response at the start of `bytes`; `consumed` is set when it is complete.
ParseResult ParseResponse(std::string_view bytes, Response& response, std::size_t& consumed);

enum class MediaKind { kVideo, kAudio, kOther };

struct TrackDescription {
  std::string url;
  MediaKind kind = MediaKind::kOther;
  int payload_type = -1;
  unsigned clock_rate = 90000;
};

struct Description {
  std::string aggregate_url;
  double seconds = 0;  // of a=range:npt (RFC 2326 appendix C.1.5); 0: not told, or live
  std::vector<TrackDescription> tracks;
};

// The SDP of a DESCRIBE answer; control attributes are resolved against Content-Base, or else
// against the URL that was asked for (RFC 2326 appendix C.1.1).
Description ParseDescription(const Response& response, const std::string& request_url);

// `name` of a header such as "RTP/AVP;unicast;server_port=6970-6971"; nothing when it is not there.
std::optional<std::string_view> Parameter(std::string_view header, std::string_view name);
std::optional<std::uint32_t> ParseNumber(std::string_view text, int base = 10);

// Where the media of one track go on after PLAY (RFC 2326 section 12.33).
struct RtpInfo {
  std::optional<std::uint16_t> sequence;
  std::optional<std::uint32_t> timestamp;
};

// What the header gives for a track; nothing is set when it does not speak of it.
RtpInfo FindRtpInfo(std::string_view header, const std::string& track_url);

}  // namespace millrace::load
