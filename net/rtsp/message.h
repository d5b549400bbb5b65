// RTSP messages (RFC 2326 sections 4 to 7) as views into the received bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace millrace::rtsp {

enum class Method : std::uint8_t {
  kOptions,
  kDescribe,
  kAnnounce,
  kSetup,
  kPlay,
  kPause,
  kTeardown,
  kGetParameter,
  kSetParameter,
  kRecord,
  kRedirect,
  kUnknown,  // the text is in Message::method_text
};

// "SETUP"; "?" for kUnknown.
std::string_view MethodName(Method method);
// Methods are case-sensitive (RFC 2326 section 6.1): "setup" is kUnknown.
Method MethodOf(std::string_view name);

// Headers the server reads; all others are kOther and found by name.
enum class HeaderId : std::uint8_t {
  kOther,
  kAccept,
  kAuthorization,
  kBlocksize,
  kConnection,
  kContentLength,
  kContentType,
  kCSeq,
  kProxyRequire,
  kRange,
  kRateControl,  // of ONVIF's streaming specification, section 6.5.3
  kRequire,
  kScale,
  kSession,
  kSpeed,
  kTimestamp,
  kTransport,
  kUserAgent,
};

// Names are case-insensitive (RFC 2326 section 4.2).
HeaderId HeaderIdOf(std::string_view name);

struct HeaderField {
  HeaderId id = HeaderId::kOther;
  std::string_view name;  // as sent
  // Without surrounding white space. A folded value (RFC 2326 section 4.2 by way of HTTP/1.1 2.2)
  // keeps its inner line breaks.
  std::string_view value;
};

enum class MessageKind : std::uint8_t {
  kRequest,
  kResponse,
  kInterleaved,  // '$' channel, length, bytes (RFC 2326 section 10.12)
};

struct Message {
  static constexpr std::size_t kHeadersMax = 100;

  MessageKind kind = MessageKind::kRequest;
  // Request.
  Method method = Method::kUnknown;
  std::string_view method_text;
  std::string_view uri;
  // "RTSP/1.0" as major 1, minor 0.
  std::uint16_t version_major = 0, version_minor = 0;
  // Response.
  std::uint16_t status = 0;
  // Interleaved.
  std::uint8_t channel = 0;

  // Of requests and responses: the entity; of interleaved frames: the RTP or RTCP packet.
  std::string_view body;
  std::size_t header_count = 0;
  std::array<HeaderField, kHeadersMax> header_storage;

  std::span<const HeaderField> headers() const { return {header_storage.data(), header_count}; }
  // The first header of that id; nullptr when absent.
  const HeaderField* Find(HeaderId id) const;
  // The first header of that name in any case, for those that have no id; nullptr when absent.
  const HeaderField* Find(std::string_view name) const;
  // Its value, or empty.
  std::string_view Value(HeaderId id) const;
};

}  // namespace millrace::rtsp
