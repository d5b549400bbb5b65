// Feeds a stream to a Parser in given pieces and writes down all it says, so that two ways of
// splitting the same stream can be compared. Used by the parser's tests and its fuzz target.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/rtsp/parser.h"

namespace millrace::rtsp {

struct Transcript {
  std::string text;
  bool views_inside = true;  // every view lay within the buffer it came from
  bool wanted_kept = true;   // no message came before the bytes the parser had asked for

  bool operator==(const Transcript&) const = default;
};

// One view as "offset+length:", so that a view to the right text at a wrong place is noticed.
inline void DescribeView(std::string_view buffer, std::string_view view, Transcript* out) {
  if (view.data() == nullptr) {
    out->text += "- ";
    return;
  }
  const bool inside =
      view.data() >= buffer.data() && view.data() + view.size() <= buffer.data() + buffer.size();
  out->views_inside = out->views_inside && inside;
  if (!inside) return;
  out->text += std::to_string(view.data() - buffer.data()) + '+' + std::to_string(view.size()) +
               ':' + std::string(view) + ' ';
}

inline void DescribeMessage(std::string_view buffer, const Message& m, Transcript* out) {
  out->text += "kind " + std::to_string(static_cast<int>(m.kind)) + " method " +
               std::string(MethodName(m.method)) + " version " + std::to_string(m.version_major) +
               '.' + std::to_string(m.version_minor) + " status " + std::to_string(m.status) +
               " channel " + std::to_string(m.channel) + '\n';
  DescribeView(buffer, m.method_text, out);
  DescribeView(buffer, m.uri, out);
  DescribeView(buffer, m.body, out);
  for (const HeaderField& field : m.headers()) {
    out->text += '\n' + std::to_string(static_cast<int>(field.id)) + ' ';
    DescribeView(buffer, field.name, out);
    DescribeView(buffer, field.value, out);
  }
}

inline void DescribeResult(std::string_view buffer, const ParseResult& result, const Message& m,
                           Transcript* out) {
  if (result.status == ParseStatus::kMessage) {
    out->text += "message of " + std::to_string(result.consumed) + ": ";
    DescribeMessage(buffer, m, out);
  } else {
    out->text += "invalid at " + std::to_string(result.error_offset) + " status " +
                 std::to_string(result.error_status) + ' ' + result.error + " cseq ";
    DescribeView(buffer, result.cseq, out);
  }
  out->text += '\n';
}

// `ends` are the offsets of `stream` up to which it has come, rising; its own end is implied. Each
// call of the parser gets its own copy of exactly the bytes it may read, for the sanitizer to
// guard.
inline Transcript Transcribe(std::string_view stream, std::span<const std::size_t> ends,
                             const ParserLimits& limits = {}) {
  Transcript out;
  Parser parser(limits);
  auto message = std::make_unique<Message>();
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= ends.size(); ++i) {
    const std::size_t end = i < ends.size() ? ends[i] : stream.size();
    for (;;) {
      const std::size_t size = end - begin;
      const std::unique_ptr<char[]> copy(new char[size]);
      std::memcpy(copy.get(), stream.data() + begin, size);
      const std::string_view buffer(copy.get(), size);
      const std::size_t wanted = parser.bytes_wanted();
      const ParseResult result = parser.Parse(buffer, message.get());
      if (result.status == ParseStatus::kIncomplete) break;
      out.wanted_kept = out.wanted_kept && size >= wanted;
      DescribeResult(buffer, result, *message, &out);
      if (result.status == ParseStatus::kInvalid) return out;
      begin += result.consumed;
    }
  }
  out.text += "left " + std::to_string(stream.size() - begin) + '\n';
  return out;
}

}  // namespace millrace::rtsp
