// RTSP and SDP read by the tests' own code, independent of net/rtsp: just enough for a player, and
// strict, since what it reads comes from the server under test.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"

namespace millrace::sim {

struct RtspResponse {
  Instant arrival{};
  int status = 0;
  std::string reason;
  int cseq = -1;  // -1: none
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  // Names in any case; empty when absent.
  std::string Header(std::string_view name) const;
  bool Has(std::string_view name) const;
  // The session id without its parameters.
  std::string SessionId() const;
};

struct RtpInfoEntry {
  std::string url;
  std::optional<std::uint16_t> seq;
  std::optional<std::uint32_t> rtptime;
};
std::vector<RtpInfoEntry> ParseRtpInfo(const std::string& value);

struct NptRange {
  Duration start{};
  std::optional<Duration> end;
};
// "npt=1.500-10.000"; nothing for anything else.
std::optional<NptRange> ParseNptRange(const std::string& value);

// "a;b=c;d" → the value of "b"; nothing when absent.
std::optional<std::string> Parameter(const std::string& value, std::string_view name);

struct SdpMedia {
  std::string kind;  // "video"
  int payload_type = -1;
  std::string encoding;  // "H264"
  std::uint32_t clock_rate = 0;
  std::string control;  // as written
  std::string fmtp;
};
struct Sdp {
  std::vector<SdpMedia> media;
  std::string control;  // session level
  std::optional<NptRange> range;
};
// Nothing when a line is not "x=…" or does not end in CRLF.
std::optional<Sdp> ParseSdp(const std::string& text);

// Cuts a connection's bytes into responses and interleaved frames.
class RtspStream {
 public:
  enum class Result : std::uint8_t { kMore, kResponse, kFrame, kBroken };

  void Append(std::string_view bytes) { buffer_.append(bytes); }
  // The next item; kBroken once something is neither a response nor a frame.
  Result Next();
  RtspResponse& response() { return response_; }
  std::uint8_t channel() const { return channel_; }
  std::span<const std::uint8_t> frame() const {
    return {reinterpret_cast<const std::uint8_t*>(frame_.data()), frame_.size()};
  }
  const std::string& error() const { return error_; }
  // Bytes that belong to an item not yet whole.
  std::size_t unfinished() const { return buffer_.size() - at_; }
  void Clear();

 private:
  Result Broken(const std::string& what);
  Result ReadResponse();

  std::string buffer_;
  std::size_t at_ = 0;
  RtspResponse response_;
  std::uint8_t channel_ = 0;
  std::string frame_;
  std::string error_;
};

}  // namespace millrace::sim
