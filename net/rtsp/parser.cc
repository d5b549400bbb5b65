#include "net/rtsp/parser.h"

#include <algorithm>
#include <cstring>
#include <optional>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "net/rtsp/chars.h"
#include "net/rtsp/headers.h"

namespace millrace::rtsp {
namespace {

constexpr std::string_view kProtocol = "RTSP/";
constexpr std::size_t kInterleavedPrefixBytes = 4;

struct Fault {
  std::size_t offset = 0;
  std::uint16_t status = 400;
  const char* error = nullptr;
};

constexpr bool StopsScan(char c) { return IsControl(c) && c != '\t'; }

// Offset of the first control character other than HTAB at or behind `from`; the size when none.
// In a valid head that is the next line break, so one look at each byte finds the lines and proves
// that nothing else is hidden in them.
std::size_t FindControl(std::string_view s, std::size_t from) {
  const char* const data = s.data();
  std::size_t i = from;
#if defined(__SSE2__)
  const __m128i highest_control = _mm_set1_epi8(0x1f);
  const __m128i del = _mm_set1_epi8(0x7f);
  const __m128i tab = _mm_set1_epi8('\t');
  for (; i + 16 <= s.size(); i += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + i));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, highest_control), bytes);
    const __m128i control = _mm_or_si128(low, _mm_cmpeq_epi8(bytes, del));
    const __m128i stops = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control);
    const int mask = _mm_movemask_epi8(stops);
    if (mask != 0) return i + static_cast<std::size_t>(__builtin_ctz(static_cast<unsigned>(mask)));
  }
#endif
  while (i < s.size() && !StopsScan(data[i])) ++i;
  return i;
}

// Past the LF at or behind `from`; the caller knows that there is one.
std::size_t PastLineFeed(std::string_view s, std::size_t from) {
  const void* feed = std::memchr(s.data() + from, '\n', s.size() - from);
  return static_cast<std::size_t>(static_cast<const char*>(feed) - s.data()) + 1;
}

// End of the header field at `from`: past its line and past those folded into it.
std::size_t PastField(std::string_view head, std::size_t from) {
  std::size_t next = PastLineFeed(head, from);
  while (next < head.size() && IsBlank(head[next])) next = PastLineFeed(head, next);
  return next;
}

ParseResult Invalid(const Fault& fault, std::string_view cseq = {}) {
  ParseResult result;
  result.status = ParseStatus::kInvalid;
  result.error_offset = fault.offset;
  result.error_status = fault.status;
  result.error = fault.error;
  result.cseq = cseq;
  return result;
}

// The first valid CSeq in the lines of `head` from `from` on, whatever else is wrong there. `head`
// ends in LF.
std::string_view FindCSeq(std::string_view head, std::size_t from) {
  constexpr std::string_view kName = "CSeq:";
  while (from < head.size()) {
    const std::size_t next = PastField(head, from);
    const std::string_view field = head.substr(from, next - from);
    if (EqualsIgnoreCase(field.substr(0, kName.size()), kName)) {
      const std::string_view value = Trim(field.substr(kName.size()));
      if (IsValidCSeq(value)) return value;
    }
    from = next;
  }
  return {};
}

// Reads "1*DIGIT" up to 65535; a greater number stays there, being no version the server knows.
std::size_t ReadVersionNumber(std::string_view s, std::size_t at, std::uint16_t* number) {
  std::uint32_t value = 0;
  while (at < s.size() && IsDigit(s[at])) {
    value = std::min<std::uint32_t>(value * 10 + static_cast<std::uint32_t>(s[at] - '0'), 65535);
    ++at;
  }
  *number = static_cast<std::uint16_t>(value);
  return at;
}

// Reads "RTSP/" 1*DIGIT "." 1*DIGIT at `at`. True with `end` behind it, else `end` at the byte that
// cannot be right.
bool ReadVersion(std::string_view line, std::size_t at, Message* message, std::size_t* end) {
  for (const char expected : kProtocol) {
    if (at >= line.size() || line[at] != expected) {
      *end = at;
      return false;
    }
    ++at;
  }
  *end = ReadVersionNumber(line, at, &message->version_major);
  if (*end == at || *end == line.size() || line[*end] != '.') return false;
  const std::size_t minor = *end + 1;
  *end = ReadVersionNumber(line, minor, &message->version_minor);
  return *end != minor;
}

// Status-Line (RFC 2326 section 7.1); the reason may be left out, as some peers do.
std::optional<Fault> ReadStatusLine(std::string_view line, Message* message) {
  message->kind = MessageKind::kResponse;
  message->method = Method::kUnknown;
  message->method_text = {};
  message->uri = {};
  std::size_t at = 0;
  if (!ReadVersion(line, 0, message, &at) || at == line.size() || line[at] != ' ') {
    return Fault{at, 400, "bad version in a status line"};
  }
  std::uint16_t status = 0;
  const std::size_t code_end = ++at + 3;
  for (; at < code_end; ++at) {
    if (at >= line.size() || !IsDigit(line[at])) return Fault{at, 400, "bad status code"};
    status = static_cast<std::uint16_t>(status * 10 + (line[at] - '0'));
  }
  if (at < line.size() && line[at] != ' ') return Fault{at, 400, "bad status code"};
  message->status = status;
  return std::nullopt;
}

// Request-Line (RFC 2326 section 6.1). Offsets are from the start of `line`.
std::optional<Fault> ReadRequestLine(std::string_view line, Message* message) {
  message->kind = MessageKind::kRequest;
  message->status = 0;
  std::size_t at = 0;
  while (at < line.size() && IsTokenChar(line[at])) ++at;
  if (at == line.size() || line[at] != ' ') return Fault{at, 400, "no method"};
  message->method_text = line.substr(0, at);
  message->method = MethodOf(message->method_text);

  // Players send file names as they were typed, blanks and all: the URI ends at the last blank.
  const std::size_t uri = ++at;
  at = line.rfind(' ');
  if (at <= uri) return Fault{line.size(), 400, "no URI"};
  if (line[uri] == ' ') return Fault{uri, 400, "no URI"};
  if (line[at - 1] == ' ') return Fault{at, 400, "not RTSP/x.y"};
  const std::size_t tab = line.find('\t');
  if (tab < at) return Fault{tab, 400, "a tab in the URI"};
  message->uri = line.substr(uri, at - uri);

  if (!ReadVersion(line, at + 1, message, &at) || at != line.size()) {
    return Fault{at, 400, "not RTSP/x.y"};
  }
  return std::nullopt;
}

// Content-Length (12.14): digits; a value no machine can hold is malformed rather than too large.
std::optional<std::uint64_t> ReadLength(std::string_view value) {
  if (!IsAllDigits(value)) return std::nullopt;
  constexpr std::uint64_t kMax = INT64_MAX;
  std::uint64_t length = 0;
  for (const char c : value) {
    const std::uint64_t digit = static_cast<std::uint64_t>(c - '0');
    if (length > (kMax - digit) / 10) return std::nullopt;
    length = length * 10 + digit;
  }
  return length;
}

struct BodyLength {
  std::uint64_t bytes = 0;
  std::size_t offset = 0;  // of the value that says so; 0 when absent

  std::optional<Fault> Read(std::string_view value, std::size_t value_offset) {
    const std::optional<std::uint64_t> length = ReadLength(value);
    if (!length) return Fault{value_offset, 400, "bad Content-Length"};
    if (offset != 0 && *length != bytes) {
      return Fault{value_offset, 400, "contradictory Content-Length"};
    }
    bytes = *length;
    offset = value_offset;
    return std::nullopt;
  }
};

// Fills the headers of `message` from the lines of `head` behind `at`. The scan has shown that they
// hold no control characters and that the last one ends in LF.
std::optional<Fault> ReadHeaders(std::string_view head, std::size_t at, Message* message,
                                 BodyLength* body) {
  const char* const data = head.data();
  std::size_t count = 0;
  while (at < head.size()) {
    std::size_t colon = at;
    while (IsTokenChar(data[colon])) ++colon;  // stops at LF at the latest
    if (colon == at || data[colon] != ':') return Fault{colon, 400, "bad header name"};
    if (count == Message::kHeadersMax) return Fault{at, 431, "too many headers"};

    const std::size_t next = PastField(head, colon);
    std::size_t begin = colon + 1, end = next;
    while (end > begin && IsWhitespace(data[end - 1])) --end;
    while (begin < end && IsWhitespace(data[begin])) ++begin;

    HeaderField& field = message->header_storage[count++];
    field.name = std::string_view(data + at, colon - at);
    field.value = std::string_view(data + begin, end - begin);
    field.id = HeaderIdOf(field.name);
    if (field.id == HeaderId::kContentLength) {
      if (std::optional<Fault> fault = body->Read(field.value, begin)) return fault;
    }
    at = next;
  }
  message->header_count = count;
  return std::nullopt;
}

}  // namespace

Parser::Parser(const ParserLimits& limits) : limits_(limits) {
  constexpr std::size_t kOffsetMax = 1 << 30;  // keeps the head's offsets within 32 bits
  limits_.request_line_bytes = std::min(limits_.request_line_bytes, kOffsetMax);
  limits_.headers_bytes = std::min(limits_.headers_bytes, kOffsetMax);
}

ParseResult Parser::Parse(std::string_view buffer, Message* message) {
  if (buffer.size() < wanted_) return {};
  const ParseResult result = Advance(buffer, message);
  if (result.status != ParseStatus::kIncomplete) Reset();
  return result;
}

void Parser::Reset() {
  start_ = headers_ = line_ = 0;
  state_ = State::kStart;
  scanned_ = wanted_ = 0;
}

ParseResult Parser::Advance(std::string_view buffer, Message* message) {
  if (state_ == State::kStart) {
    while (scanned_ < buffer.size() && IsLineBreak(buffer[scanned_])) ++scanned_;
    if (scanned_ > limits_.request_line_bytes) {
      return Invalid({limits_.request_line_bytes, 400, "too many empty lines"});
    }
    if (scanned_ == buffer.size()) return {};
    const char first = buffer[scanned_];
    if (first == '$') return ReadInterleaved(buffer, message);
    if (!IsTokenChar(first)) return Invalid({scanned_, 400, "not RTSP"});
    start_ = line_ = static_cast<std::uint32_t>(scanned_);
    state_ = State::kHead;
  }
  if (state_ == State::kHead) {
    ParseResult result;
    if (!ScanHead(buffer, &result)) return result;
  }
  return ReadMessage(buffer, message);
}

ParseResult Parser::ReadInterleaved(std::string_view buffer, Message* message) {
  wanted_ = scanned_ + kInterleavedPrefixBytes;
  if (buffer.size() < wanted_) return {};
  const auto* prefix = reinterpret_cast<const unsigned char*>(buffer.data() + scanned_);
  const std::size_t length = static_cast<std::size_t>(prefix[2]) << 8 | prefix[3];
  wanted_ += length;
  if (buffer.size() < wanted_) return {};
  message->kind = MessageKind::kInterleaved;
  message->method = Method::kUnknown;
  message->method_text = message->uri = {};
  message->version_major = message->version_minor = message->status = 0;
  message->header_count = 0;
  message->channel = prefix[1];
  message->body = buffer.substr(scanned_ + kInterleavedPrefixBytes, length);
  ParseResult result;
  result.status = ParseStatus::kMessage;
  result.consumed = wanted_;
  return result;
}

bool Parser::ScanHead(std::string_view buffer, ParseResult* result) {
  for (;;) {
    const std::size_t stop = FindControl(buffer, scanned_);
    const bool in_headers = headers_ != 0;
    const std::size_t limit =
        in_headers ? headers_ + limits_.headers_bytes : start_ + limits_.request_line_bytes;
    // The empty line may lie beyond the limit; a byte of any other line may not.
    const std::size_t first_beyond = std::max<std::size_t>(limit, line_);
    if (stop > first_beyond) {
      *result = in_headers ? Invalid({first_beyond, 431, "headers too long"},
                                     FindCSeq(buffer.substr(0, line_), headers_))
                           : Invalid({first_beyond, 414, "request line too long"});
      return false;
    }
    std::size_t feed = stop;
    if (stop < buffer.size() && buffer[stop] == '\r') ++feed;
    if (feed >= buffer.size()) {
      scanned_ = stop;
      return false;
    }
    if (buffer[feed] != '\n') {
      const std::string_view cseq =
          in_headers ? FindCSeq(buffer.substr(0, line_), headers_) : std::string_view();
      *result = Invalid({stop, 400, "control character"}, cseq);
      return false;
    }
    scanned_ = feed + 1;
    if (stop == line_) return true;
    line_ = static_cast<std::uint32_t>(scanned_);
    if (!in_headers) headers_ = line_;
  }
}

ParseResult Parser::ReadMessage(std::string_view buffer, Message* message) {
  const std::string_view head = buffer.substr(0, line_);
  std::size_t line_end = headers_ - 1;
  if (head[line_end - 1] == '\r') --line_end;
  const std::string_view line = head.substr(start_, line_end - start_);

  BodyLength body;
  const bool response = line.substr(0, kProtocol.size()) == kProtocol;
  std::optional<Fault> fault =
      response ? ReadStatusLine(line, message) : ReadRequestLine(line, message);
  if (fault) {
    fault->offset += start_;
  } else {
    fault = ReadHeaders(head, headers_, message, &body);
  }
  if (!fault && body.bytes > limits_.body_bytes) fault = Fault{body.offset, 413, "body too long"};
  if (fault) return Invalid(*fault, FindCSeq(head, headers_));

  const std::size_t length = static_cast<std::size_t>(body.bytes);
  if (buffer.size() - scanned_ < length) {
    // The message may be another connection's before the rest comes; it is filled again then.
    state_ = State::kBody;
    wanted_ = scanned_ + length;
    return {};
  }
  message->channel = 0;
  message->body = buffer.substr(scanned_, length);
  ParseResult result;
  result.status = ParseStatus::kMessage;
  result.consumed = scanned_ + length;
  return result;
}

}  // namespace millrace::rtsp
