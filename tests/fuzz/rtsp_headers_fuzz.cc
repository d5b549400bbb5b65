// Header values of any bytes: what is read obeys its rules, views lie inside the value, and what
// the writer makes of them parses back as one response.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "net/rtsp/headers.h"
#include "net/rtsp/parser.h"
#include "net/rtsp/response_writer.h"

namespace {

using namespace millrace::rtsp;  // NOLINT: the subject of the whole file

void Check(bool condition) {
  if (!condition) std::abort();
}

void CheckInside(std::string_view whole, std::string_view part) {
  if (part.empty()) return;
  Check(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void CheckTransport(std::string_view value) {
  TransportReader reader(value);
  TransportSpec spec;
  TransportReader::Result result;
  std::size_t specs = 0;
  while ((result = reader.Next(&spec)) == TransportReader::Result::kSpec) {
    Check(++specs <= value.size());
    CheckInside(value, spec.destination);
    CheckInside(value, spec.mode);
    if (spec.client_port) {
      Check(spec.client_port->rtp > 0 && spec.client_port->rtcp > spec.client_port->rtp);
    }
    if (spec.interleaved) Check(spec.interleaved->rtcp > spec.interleaved->rtp);
  }
  Check(reader.Next(&spec) == TransportReader::Result::kEnd);
}

void CheckRange(std::string_view value) {
  const std::optional<Range> range = ParseRange(value);
  if (!range || range->unit != RangeUnit::kNpt) return;
  Check(range->from_now || range->start || range->end);
  if (!range->start) return;
  if (range->end) Check(*range->end >= *range->start);
  std::string written;
  AppendNptRange(&written, *range->start, range->end);
  const std::optional<Range> again = ParseRange(written);
  Check(again && again->start && *again->start <= *range->start);
  Check(again->end.has_value() == range->end.has_value());
}

void CheckUri(std::string_view value) {
  const std::optional<RequestUri> uri = ParseUri(value);
  if (!uri || uri->asterisk) return;
  CheckInside(value, uri->scheme);
  CheckInside(value, uri->authority);
  CheckInside(value, uri->path);
  CheckInside(value, uri->query);
  std::string decoded;
  if (PercentDecode(uri->path, &decoded)) {
    Check(decoded.size() <= uri->path.size() && decoded.find('\0') == std::string::npos);
  }
}

// The same bytes as CSeq, header value, content type and body.
void CheckWriter(std::string_view value) {
  static const auto message = std::make_unique<Message>();
  std::string out;
  ResponseWriter response(&out, 200, value);
  response.Add("X-Echo", value, 7);
  response.Finish(value, value);
  ParserLimits limits;
  limits.headers_bytes = limits.body_bytes = out.size();
  Parser parser(limits);
  const ParseResult result = parser.Parse(out, message.get());
  Check(result.status == ParseStatus::kMessage && result.consumed == out.size());
  Check(message->kind == MessageKind::kResponse && message->body == value);
  Check(message->header_count == (value.empty() ? 4u : 5u));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::unique_ptr<char[]> copy(new char[size]);
  std::copy(data, data + size, copy.get());
  const std::string_view value(copy.get(), size);
  CheckTransport(value);
  CheckRange(value);
  CheckUri(value);
  CheckWriter(value);
  CheckInside(value, SessionIdOf(value));
  if (const std::optional<double> number = ParseDecimal(value)) Check(std::isfinite(*number));
  if (IsValidCSeq(value)) Check(!value.empty() && value.size() <= 20);
  std::size_t items = 0;
  ForEachListItem(value, [&](std::string_view item) {
    CheckInside(value, item);
    ++items;
  });
  Check(items <= size);
  if (items == 0) Check(AcceptsSdp(value));
  return 0;
}
