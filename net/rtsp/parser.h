// The RTSP parser: a small state machine over received bytes that allocates nothing.
//
// Bytes → Parse(buffer) → kIncomplete (call again with the same bytes and more behind them), or a
// message as views into the buffer and the number of bytes it took, or kInvalid with the offset of
// the first byte that cannot be right and the status to answer with.
//
// However the bytes are split, the messages are the same. Between calls the parser remembers only
// how far it has looked (a few words), so a connection that waits costs nothing and a message that
// comes a byte at a time is still read in linear time.
//
// Lines end in CRLF or bare LF (RFC 2326 section 4). Empty lines before a message are skipped.
//
// When a fault is reported depends on the bytes before it only, never on how they arrived:
// 1. At once: a first byte that cannot begin a message, a control character or bare CR in the head,
//    a request line or headers beyond their limit. A peer that speaks TLS, or ends its lines in CR
//    alone, is not left waiting for an empty line that never comes.
// 2. When the head is complete: everything else in it, so that the answer can carry its CSeq.
//
// Limits: ParserLimits, each with its own status; Message::kHeadersMax headers, 431 beyond.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "net/rtsp/message.h"

namespace millrace::rtsp {

// The line breaks that end the request line and the last header are not counted.
struct ParserLimits {
  std::size_t request_line_bytes = 8 << 10;  // 414 beyond; as many empty bytes before it, else 400
  std::size_t headers_bytes = 32 << 10;      // all headers together; 431 beyond
  std::size_t body_bytes = 64 << 10;         // 413 beyond, as soon as the header says so
};

enum class ParseStatus : std::uint8_t { kIncomplete, kMessage, kInvalid };

struct ParseResult {
  ParseStatus status = ParseStatus::kIncomplete;
  // kMessage: bytes of the message, leading empty lines included. Else 0.
  std::size_t consumed = 0;
  // kInvalid: offset of the offending byte.
  std::size_t error_offset = 0;
  // kInvalid: 400, 413, 414, 431 or 505.
  std::uint16_t error_status = 0;
  // kInvalid: what is wrong, a literal for the log.
  const char* error = nullptr;
  // kInvalid: the CSeq of the request, when it was readable, so that the answer can carry it. For
  // faults of kind 1 above it is read from the lines before the fault.
  std::string_view cseq;
};

class Parser {
 public:
  explicit Parser(const ParserLimits& limits = {});

  // `buffer` starts at the end of the previous message. On kMessage `message` is filled and the
  // parser is ready for what follows. `message` is scratch that may be shared by many parsers.
  // After kInvalid nothing that follows in the stream can be trusted; the parser itself starts
  // afresh.
  ParseResult Parse(std::string_view buffer, Message* message);

  // A lower bound of the bytes needed before Parse can say more than kIncomplete; 0 when unknown.
  std::size_t bytes_wanted() const { return wanted_; }

 private:
  enum class State : std::uint8_t { kStart, kHead, kBody };

  ParseResult Advance(std::string_view buffer, Message* message);
  ParseResult ReadInterleaved(std::string_view buffer, Message* message);
  // True once the empty line is found, which is then at line_; else `result` says why not.
  bool ScanHead(std::string_view buffer, ParseResult* result);
  ParseResult ReadMessage(std::string_view buffer, Message* message);
  void Reset();

  ParserLimits limits_;
  // Offsets into the buffer; the limits keep those of the head far below 4 GiB.
  std::uint32_t start_ = 0;    // first byte of the request line
  std::uint32_t headers_ = 0;  // first byte behind the request line; 0: not seen yet
  std::uint32_t line_ = 0;     // first byte of the line being scanned
  State state_ = State::kStart;
  std::size_t scanned_ = 0;  // bytes of the buffer already looked at; the whole head in kBody
  std::size_t wanted_ = 0;
};

static_assert(sizeof(Parser) <= 64, "every connection has one");

}  // namespace millrace::rtsp
