#include "net/rtsp/parser.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "tests/net/parser_transcript.h"

namespace millrace::rtsp {
namespace {

class ParserTest : public ::testing::Test {
 protected:
  ParseResult Parse(std::string_view buffer, const ParserLimits& limits = {}) {
    Parser parser(limits);
    return parser.Parse(buffer, &message());
  }
  // Of `text`, which must be one whole message. The views last until the next call.
  const Message& Read(std::string_view text) {
    text_ = text;
    const ParseResult result = Parse(text_);
    EXPECT_EQ(result.status, ParseStatus::kMessage) << text << '\n' << result.error_offset;
    EXPECT_EQ(result.consumed, text.size()) << text;
    return message();
  }
  void ExpectInvalid(std::string_view text, std::size_t offset, int status,
                     std::string_view cseq = "", const ParserLimits& limits = {}) {
    const ParseResult result = Parse(text, limits);
    EXPECT_EQ(result.status, ParseStatus::kInvalid) << text;
    EXPECT_EQ(result.error_offset, offset) << text;
    EXPECT_EQ(result.error_status, status) << text;
    EXPECT_EQ(result.cseq, cseq) << text;
    EXPECT_EQ(result.consumed, 0u) << text;
    EXPECT_NE(result.error, nullptr) << text;
  }
  void ExpectIncomplete(std::string_view text, const ParserLimits& limits = {}) {
    EXPECT_EQ(Parse(text, limits).status, ParseStatus::kIncomplete) << text;
  }
  Message& message() { return *message_; }

 private:
  std::string text_;
  std::unique_ptr<Message> message_ = std::make_unique<Message>();
};

TEST_F(ParserTest, ReadsARequest) {
  const Message& m = Read(
      "PLAY rtsp://h:8554/a.mp4/ RTSP/1.0\r\nCSeq: 835\r\nSession: 12345678\r\n"
      "Range: npt=10-15\r\nX-Other:v\r\n\r\n");
  EXPECT_EQ(m.kind, MessageKind::kRequest);
  EXPECT_EQ(m.method, Method::kPlay);
  EXPECT_EQ(m.method_text, "PLAY");
  EXPECT_EQ(m.uri, "rtsp://h:8554/a.mp4/");
  EXPECT_EQ(m.version_major, 1);
  EXPECT_EQ(m.version_minor, 0);
  EXPECT_EQ(m.body, "");
  ASSERT_EQ(m.header_count, 4u);
  EXPECT_EQ(m.Value(HeaderId::kCSeq), "835");
  EXPECT_EQ(m.Value(HeaderId::kSession), "12345678");
  EXPECT_EQ(m.Value(HeaderId::kRange), "npt=10-15");
  EXPECT_EQ(m.headers()[3].id, HeaderId::kOther);
  EXPECT_EQ(m.headers()[3].name, "X-Other");
  EXPECT_EQ(m.headers()[3].value, "v");
}

TEST_F(ParserTest, ReadsARequestWithoutHeaders) {
  const Message& m = Read("OPTIONS * RTSP/1.0\r\n\r\n");
  EXPECT_EQ(m.uri, "*");
  EXPECT_EQ(m.header_count, 0u);
}

TEST_F(ParserTest, UnknownAndLowerCaseMethodsAreRequestsOfUnknownMethod) {
  for (const std::string_view method : {"FROB", "options", "A", "!#$%&'*+-.^_`|~"}) {
    const Message& m = Read(std::string(method) + " rtsp://h/p RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    EXPECT_EQ(m.method, Method::kUnknown);
    EXPECT_EQ(m.method_text, method);
  }
}

struct VersionCase {
  std::string_view text;
  int major, minor;
};

TEST_F(ParserTest, AnyVersionOfDigitsParses) {
  for (const VersionCase& c :
       {VersionCase{"1.0", 1, 0}, VersionCase{"2.0", 2, 0}, VersionCase{"9.9", 9, 9},
        VersionCase{"01.10", 1, 10}, VersionCase{"65536.99999999999999999999", 65535, 65535}}) {
    const Message& m = Read("OPTIONS * RTSP/" + std::string(c.text) + "\r\nCSeq: 1\r\n\r\n");
    EXPECT_EQ(m.version_major, c.major) << c.text;
    EXPECT_EQ(m.version_minor, c.minor) << c.text;
  }
}

struct InvalidCase {
  std::string_view line;
  std::size_t offset;
};

TEST_F(ParserTest, BadRequestLinesAreInvalidAtTheirFirstWrongByte) {
  const InvalidCase cases[] = {
      {"GET / HTTP/1.1", 6},
      {"OPTIONS", 7},
      {"OPTIONS ", 8},
      {"OPTIONS *", 9},
      {"OPTIONS * ", 10},
      {"OPTIONS  * RTSP/1.0", 8},
      {"OPTIONS *  RTSP/1.0", 10},
      {"OPTIONS * rtsp/1.0", 10},
      {"OPTIONS * RTSP/1.0 ", 19},
      {"OPTIONS * RTSP/1.0 x", 19},
      {"OPTIONS * RTSP/1", 16},
      {"OPTIONS * RTSP/1.", 17},
      {"OPTIONS * RTSP/.0", 15},
      {"OPTIONS * RTSP/1.x", 17},
      {"OPTIONS * RTSP/1,0", 16},
      {"OPTIONS * RTSP/-1.0", 15},
      {"OPTIONS * RTSP", 14},
      {"OPTIONS a b", 10},
      {"OPTIONS a\tb RTSP/1.0", 9},
      {"OPTIONS\t* RTSP/1.0", 7},
      {"OPT(IONS * RTSP/1.0", 3},
      {"OPTIONS\x80 * RTSP/1.0", 7},
  };
  for (const InvalidCase& c : cases) {
    ExpectInvalid(std::string(c.line) + "\r\nCSeq: 7\r\n\r\n", c.offset, 400, "7");
    ExpectInvalid("\r\n" + std::string(c.line) + "\n\n", c.offset + 2, 400);
  }
}

TEST_F(ParserTest, TakesAFileNameWithBlanksAsItWasTyped) {
  EXPECT_EQ(Read("DESCRIBE rtsp://h/my own film.mp4 RTSP/1.0\r\nCSeq: 4\r\n\r\n").uri,
            "rtsp://h/my own film.mp4");
}

TEST_F(ParserTest, ReadsAResponse) {
  const Message& m = Read("RTSP/1.0 501 Not Implemented\r\nCSeq: 4\r\nContent-Length: 2\r\n\r\nab");
  EXPECT_EQ(m.kind, MessageKind::kResponse);
  EXPECT_EQ(m.status, 501);
  EXPECT_EQ(m.version_major, 1);
  EXPECT_EQ(m.method, Method::kUnknown);
  EXPECT_EQ(m.uri, "");
  EXPECT_EQ(m.Value(HeaderId::kCSeq), "4");
  EXPECT_EQ(m.body, "ab");
  EXPECT_EQ(Read("RTSP/2.0 200\n\n").status, 200);
  EXPECT_EQ(Read("RTSP/2.0 404 \n\n").status, 404);
}

TEST_F(ParserTest, BadStatusLinesAreInvalidAtTheirFirstWrongByte) {
  const InvalidCase cases[] = {
      {"RTSP/1.0", 8},         {"RTSP/1.0 ", 9},        {"RTSP/1.0  200 OK", 9},
      {"RTSP/1.0 20", 11},     {"RTSP/1.0 2x0 OK", 10}, {"RTSP/1.0 2000 OK", 12},
      {"RTSP/1.0 200,OK", 12}, {"RTSP/1 200 OK", 6},    {"RTSP/x.0 200 OK", 5},
      {"RTSP/1.0\t200 OK", 8}, {"RTSP/1.0 -20 OK", 9},
  };
  for (const InvalidCase& c : cases) {
    ExpectInvalid(std::string(c.line) + "\r\nCSeq: 7\r\n\r\n", c.offset, 400, "7");
  }
}

TEST_F(ParserTest, SkipsEmptyLinesBeforeAMessage) {
  const Message& m = Read("\r\n\r\n\n\rOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n");
  EXPECT_EQ(m.method, Method::kOptions);
  EXPECT_EQ(Read(std::string_view("\r\n$\x05\x00\x00", 6)).channel, 5);
  ExpectIncomplete("\r\n");
  ExpectIncomplete("");
}

TEST_F(ParserTest, EmptyLinesWithoutEndAreInvalid) {
  const ParserLimits limits = {.request_line_bytes = 40};
  ExpectIncomplete(std::string(40, '\n'), limits);
  ExpectInvalid(std::string(41, '\n'), 40, 400, "", limits);
}

TEST_F(ParserTest, LinesMayEndInBareLf) {
  const Message& m = Read("OPTIONS * RTSP/1.0\nCSeq: 1\r\nRequire: a\n\n");
  EXPECT_EQ(m.Value(HeaderId::kCSeq), "1");
  EXPECT_EQ(m.Value(HeaderId::kRequire), "a");
}

TEST_F(ParserTest, ABareCrIsInvalidAtOnce) {
  ExpectIncomplete("OPTIONS * RTSP/1.0\r");
  ExpectInvalid("OPTIONS * RTSP/1.0\rC", 18, 400);
  ExpectInvalid("OPTIONS * RTSP/1.0\r\r", 18, 400);
  ExpectInvalid("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nA: b\rc", 33, 400, "1");
  ExpectInvalid("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\rX", 29, 400, "1");
}

TEST_F(ParserTest, ControlCharactersAreInvalidAtOnceWhereverTheyStand) {
  const std::string head = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: someone of old\r\n\r\n";
  for (int c = 0; c < 128; ++c) {
    if ((c >= 0x20 && c != 0x7f) || c == '\t' || c == '\r' || c == '\n') continue;
    for (std::size_t at = 0; at + 4 <= head.size(); ++at) {
      if (head[at] == '\n') continue;  // behind a CR, which is then the offender
      std::string text = head.substr(0, at + 1);
      text[at] = static_cast<char>(c);
      const std::string_view cseq = at >= 29 ? "1" : "";
      ExpectInvalid(text, at, 400, cseq);
    }
  }
}

TEST_F(ParserTest, ACSeqWithANulIsInvalidAndNotReflected) {
  ExpectInvalid(std::string_view("PLAY rtsp://h/p RTSP/1.0\r\nCSeq: 1\0\r\n\r\n", 38), 33, 400);
}

TEST_F(ParserTest, TabsAndBytesBeyondAsciiMayStandInValues) {
  const Message& m = Read("OPTIONS * RTSP/1.0\r\nUser-Agent: a\tb\xc3\xa9\xff\r\n\r\n");
  EXPECT_EQ(m.Value(HeaderId::kUserAgent), "a\tb\xc3\xa9\xff");
}

TEST_F(ParserTest, AFirstByteThatCannotBeginAMessageIsInvalidAtOnce) {
  for (int c = 0; c < 256; ++c) {
    const std::string text(1, static_cast<char>(c));
    const bool begins =
        c != 0 && std::string_view("!#$%&'*+-.^_`|~\r\n").find(text) != std::string_view::npos;
    if (begins || (c < 128 && std::isalnum(c) != 0)) {
      ExpectIncomplete(text);
    } else {
      ExpectInvalid(text, 0, 400);
      ExpectInvalid("\r\n" + text, 2, 400);
    }
  }
}

TEST_F(ParserTest, ATlsHelloIsInvalidAtItsFirstByte) {
  ExpectInvalid(std::string_view("\x16\x03\x01\x02\x00\x01", 6), 0, 400);
}

TEST_F(ParserTest, HeaderNamesAreFoundInAnyCaseAndValuesTrimmed) {
  const Message& m =
      Read("OPTIONS * RTSP/1.0\r\ncSeQ:1\r\nSESSION: \t ab \t\r\ntransport:\r\nRange:  \r\n\r\n");
  EXPECT_EQ(m.Value(HeaderId::kCSeq), "1");
  EXPECT_EQ(m.headers()[0].name, "cSeQ");
  EXPECT_EQ(m.Value(HeaderId::kSession), "ab");
  ASSERT_NE(m.Find(HeaderId::kTransport), nullptr);
  EXPECT_EQ(m.Value(HeaderId::kTransport), "");
  ASSERT_NE(m.Find(HeaderId::kRange), nullptr);
  EXPECT_EQ(m.Value(HeaderId::kRange), "");
}

TEST_F(ParserTest, BadHeaderNamesAreInvalid) {
  const std::string line = "OPTIONS * RTSP/1.0\r\n";
  const InvalidCase cases[] = {{"cseq :1", 4}, {": x", 0},      {"CSeq", 4},      {"a b: c", 1},
                               {" folded", 0}, {"na(me: x", 2}, {"caf\xc3: x", 3}};
  for (const InvalidCase& c : cases) {
    ExpectInvalid(line + std::string(c.line) + "\r\nCSeq: 9\r\n\r\n", line.size() + c.offset, 400,
                  "9");
  }
}

TEST_F(ParserTest, FoldedLinesBelongToTheValueBeforeThem) {
  const Message& m = Read(
      "OPTIONS * RTSP/1.0\r\nRequire: a,\r\n b,\n\tc \r\n  \r\nRange:\r\n npt=0-\r\nCSeq: "
      "1\r\n\r\n");
  ASSERT_EQ(m.header_count, 3u);
  EXPECT_EQ(m.Value(HeaderId::kRequire), "a,\r\n b,\n\tc");
  EXPECT_EQ(m.Value(HeaderId::kRange), "npt=0-");
  EXPECT_EQ(m.Value(HeaderId::kCSeq), "1");
}

TEST_F(ParserTest, ReadsABodyOfTheGivenLength) {
  const std::string text =
      "SET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 005\r\n\r\nab\r\n$OPTIONS";
  const ParseResult result = Parse(text);
  ASSERT_EQ(result.status, ParseStatus::kMessage);
  EXPECT_EQ(message().body, "ab\r\n$");
  EXPECT_EQ(text.substr(result.consumed), "OPTIONS");
}

TEST_F(ParserTest, EqualContentLengthsAgree) {
  EXPECT_EQ(Read("A * RTSP/1.0\r\nContent-Length: 2\r\nContent-length: 02\r\n\r\nab").body, "ab");
}

TEST_F(ParserTest, ImpossibleContentLengthsAreInvalid) {
  const std::string head = "A * RTSP/1.0\r\nCSeq: 3\r\nContent-Length: ";
  for (const std::string_view value :
       {"-1", "abc", "+5", "5 5", "5,5", "0x5", "1.0", "5\r\n 5", "9223372036854775808",
        "18446744073709551616", "18446744073709551621", "99999999999999999999999999"}) {
    ExpectInvalid(head + std::string(value) + "\r\n\r\n", head.size(), 400, "3");
  }
  ExpectInvalid(head + "\r\n\r\n", head.size() - 1, 400, "3");  // right behind the colon
  const std::string twice = head + "5\r\nContent-Length: ";
  ExpectInvalid(twice + "6\r\n\r\n", twice.size(), 400, "3");
}

TEST_F(ParserTest, ABodyBeyondTheLimitIsRefusedByItsHeadAlone) {
  const std::string head = "A * RTSP/1.0\r\nCSeq: 3\r\nContent-Length: ";
  ExpectIncomplete(head + "65536\r\n\r\n");
  ExpectInvalid(head + "65537\r\n\r\n", head.size(), 413, "3");
  ExpectInvalid(head + "9223372036854775807\r\n\r\n", head.size(), 413, "3");
}

TEST_F(ParserTest, ReadsInterleavedFrames) {
  const std::string frame = std::string("$\x03\x00\x04", 4) + "\r\n$\x80";
  const Message& m = Read(frame);
  EXPECT_EQ(m.kind, MessageKind::kInterleaved);
  EXPECT_EQ(m.channel, 3);
  EXPECT_EQ(m.body, "\r\n$\x80");
  EXPECT_EQ(m.header_count, 0u);
  EXPECT_EQ(Read(std::string_view("$\xff\x00\x00", 4)).channel, 255);
}

TEST_F(ParserTest, AnInterleavedFrameMayBeAsLongAsItsLengthCanSay) {
  const ParserLimits limits = {.body_bytes = 10};
  const std::string frame = "$" + std::string(1, '\0') + "\xff\xff" + std::string(65535, 'x');
  const ParseResult result = Parse(frame, limits);
  EXPECT_EQ(result.consumed, frame.size());
  EXPECT_EQ(message().body.size(), 65535u);
  ExpectIncomplete(std::string_view(frame).substr(0, frame.size() - 1), limits);
}

TEST_F(ParserTest, SaysHowManyBytesItWaitsFor) {
  Parser parser;
  const std::string frame = std::string("$\0\0\x04", 4) + "abcd";
  EXPECT_EQ(parser.bytes_wanted(), 0u);
  EXPECT_EQ(parser.Parse(frame.substr(0, 1), &message()).status, ParseStatus::kIncomplete);
  EXPECT_EQ(parser.bytes_wanted(), 4u);
  EXPECT_EQ(parser.Parse(frame.substr(0, 4), &message()).status, ParseStatus::kIncomplete);
  EXPECT_EQ(parser.bytes_wanted(), 8u);
  EXPECT_EQ(parser.Parse(frame, &message()).status, ParseStatus::kMessage);
  EXPECT_EQ(parser.bytes_wanted(), 0u);

  const std::string request = "A * RTSP/1.0\nContent-Length: 3\n\nabc";
  EXPECT_EQ(parser.Parse(request.substr(0, request.size() - 3), &message()).status,
            ParseStatus::kIncomplete);
  EXPECT_EQ(parser.bytes_wanted(), request.size());
}

// The scratch message holds others' requests between two calls of one parser.
TEST_F(ParserTest, AMessageSharedWithAnotherParserIsFilledAnew) {
  const std::string request = "PLAY /p RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1\r\n\r\nx";
  for (const std::string_view other :
       {std::string_view("RTSP/2.0 404 Z\r\nA: b\r\n\r\n"), std::string_view("$\x07\0\0", 4)}) {
    Parser slow, quick;
    const std::string_view first_part = std::string_view(request).substr(0, request.size() - 1);
    ASSERT_EQ(slow.Parse(first_part, &message()).status, ParseStatus::kIncomplete);
    ASSERT_EQ(quick.Parse(other, &message()).status, ParseStatus::kMessage);
    ASSERT_EQ(slow.Parse(request, &message()).status, ParseStatus::kMessage);
    EXPECT_EQ(message().kind, MessageKind::kRequest);
    EXPECT_EQ(message().method, Method::kPlay);
    EXPECT_EQ(message().status, 0);
    EXPECT_EQ(message().channel, 0);
    EXPECT_EQ(message().version_major, 1);
    EXPECT_EQ(message().Value(HeaderId::kCSeq), "1");
    EXPECT_EQ(message().body, "x");
  }
}

TEST_F(ParserTest, ARequestLineAtTheLimitPassesAndOneByteMoreIs414) {
  const ParserLimits limits = {.request_line_bytes = 30};
  const std::string line = "OPTIONS " + std::string(13, 'u') + " RTSP/1.0";
  ASSERT_EQ(line.size(), 30u);
  for (const std::string_view end : {"\r\n\r\n", "\n\n"}) {
    EXPECT_EQ(Parse("\r\n" + line + std::string(end), limits).status, ParseStatus::kMessage);
    ExpectInvalid("\r\n" + line + "1" + std::string(end), 32, 414, "", limits);
  }
  ExpectIncomplete(line, limits);
  ExpectIncomplete(line + "\r", limits);
  ExpectInvalid(line + "1", 30, 414, "", limits);
  ExpectInvalid(std::string(31, 'A'), 30, 414, "", limits);
}

TEST_F(ParserTest, HeadersAtTheLimitPassAndOneByteMoreIs431) {
  const ParserLimits limits = {.headers_bytes = 40};
  const std::string line = "OPTIONS * RTSP/1.0\r\n", cseq = "CSeq: 12\r\n";
  const std::string last = "A: " + std::string(27, 'v');
  ASSERT_EQ(cseq.size() + last.size(), 40u);
  const std::string full = line + cseq + last;
  EXPECT_EQ(Parse(full + "\r\n\r\n", limits).status, ParseStatus::kMessage);
  EXPECT_EQ(Parse(full + "\n\n", limits).status, ParseStatus::kMessage);
  ExpectIncomplete(full + "\r\n\r", limits);
  ExpectInvalid(full + "w", full.size(), 431, "12", limits);
  ExpectInvalid(full + "w\r\n\r\n", full.size(), 431, "12", limits);
  ExpectInvalid(full + "\r\nB", full.size() + 2, 431, "12", limits);
  ExpectInvalid(full + "\r\n B: c\r\n\r\n", full.size() + 2, 431, "12", limits);
  ExpectInvalid(line + std::string(41, 'x'), line.size() + 40, 431, "", limits);
}

TEST_F(ParserTest, AHundredHeadersPassAndOneMoreIs431) {
  std::string text = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n";
  for (std::size_t i = 1; i < Message::kHeadersMax; ++i) text += "X: y\r\n";
  EXPECT_EQ(Read(text + "\r\n").header_count, 100u);
  ExpectInvalid(text + "X: y\r\n\r\n", text.size(), 431, "1");
}

TEST_F(ParserTest, TheDefaultLimitsAreThoseOfTheDesign) {
  const std::string line = "A " + std::string((8 << 10) - 11, 'u') + " RTSP/1.0";
  ASSERT_EQ(line.size(), 8u << 10);
  EXPECT_EQ(Parse(line + "\r\n\r\n").status, ParseStatus::kMessage);
  ExpectInvalid(line + "1", line.size(), 414);
  const std::string headers = "A: " + std::string((32 << 10) - 3, 'v');
  EXPECT_EQ(Parse("A * RTSP/1.0\n" + headers + "\r\n\r\n").status, ParseStatus::kMessage);
  ExpectInvalid("A * RTSP/1.0\n" + headers + "v", 13 + headers.size(), 431);
}

TEST_F(ParserTest, AnInvalidMessageCarriesOnlyAValidCSeq) {
  const std::string head = "GET / HTTP/1.1\r\n";
  for (const std::string_view bad : {"CSeq: abc", "CSeq:", "CSeq: -1", "CSeq : 1", "CSeqs: 1",
                                     "XCSeq: 1", "CSeq: 1\r\n 2", "X: y\r\n CSeq: 1"}) {
    ExpectInvalid(head + std::string(bad) + "\r\n\r\n", 6, 400, "");
    ExpectInvalid(head + std::string(bad) + "\r\ncseq:\t5 \r\nCSeq: 6\n\n", 6, 400, "5");
  }
  ExpectInvalid(head + "CSeq: " + std::string(400, '1') + "\r\n\r\n", 6, 400, "");
}

TEST_F(ParserTest, StartsAfreshAfterAnInvalidMessage) {
  Parser parser;
  EXPECT_EQ(parser.Parse("A * RTSP/1.0\r\nX: y\x01", &message()).status, ParseStatus::kInvalid);
  EXPECT_EQ(parser.Parse("B rtsp://h/p RTSP/1.0\r\nCSeq: 1\r\n\r\n", &message()).status,
            ParseStatus::kMessage);
  EXPECT_EQ(message().method_text, "B");
  EXPECT_EQ(message().header_count, 1u);
}

TEST_F(ParserTest, TenPipelinedRequestsComeInOrder) {
  std::string stream;
  for (int i = 0; i < 10; ++i) {
    stream += "OPTIONS rtsp://h/" + std::to_string(i) + " RTSP/1.0\r\nCSeq: " + std::to_string(i) +
              "\r\nContent-Length: 3\r\n\r\nabc";
    stream += std::string("$\0\0\x02zz", 6);
  }
  Parser parser;
  std::string_view rest = stream;
  for (int i = 0; i < 20; ++i) {
    const ParseResult result = parser.Parse(rest, &message());
    ASSERT_EQ(result.status, ParseStatus::kMessage) << i;
    if (i % 2 == 0) {
      EXPECT_EQ(message().Value(HeaderId::kCSeq), std::to_string(i / 2));
      EXPECT_EQ(message().body, "abc");
    } else {
      EXPECT_EQ(message().body, "zz");
    }
    rest.remove_prefix(result.consumed);
  }
  EXPECT_EQ(rest, "");
  EXPECT_EQ(parser.Parse(rest, &message()).status, ParseStatus::kIncomplete);
}

// Streams of which every split must give the same. The limits are tight, so that they matter too.
constexpr ParserLimits kTight = {.request_line_bytes = 48, .headers_bytes = 120, .body_bytes = 20};

std::vector<std::string> SplitCorpus() {
  const auto bytes = [](std::string_view s) { return std::string(s); };
  std::vector<std::string> corpus = {
      "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
      "\r\n\n\rOPTIONS * RTSP/1.0\nCSeq: 1\n\nDESCRIBE rtsp://h/p RTSP/1.0\r\nCSeq: 2\r\n\r\n\r\n",
      "SETUP rtsp://h/p/track=1 RTSP/1.0\r\nCSeq: 3\r\n"
      "Transport: RTP/AVP;unicast;\r\n client_port=5000-5001\r\n\r\n",
      "PLAY /p RTSP/1.0\r\nContent-Length: 5\r\nCSeq: 4\r\n\r\nab\r\n\nRTSP/1.0 200 OK\r\n\r\n",
      bytes({"$\x00\x00\x03"
             "abc$\x01\x00\x00PLAY * RTSP/1.0\n\n$\x02\x00\x01\n",
             33}),
      "GET / HTTP/1.1\r\nCSeq: 5\r\nHost: x\r\n\r\n",
      "PLAY * RTSP/2.0\r\ncseq :1\r\nCSeq: 6\r\n\r\n",
      "PLAY * RTSP/1.0\r\nCSeq: 7\r\nA: b\rc\r\n\r\n",
      "PLAY * RTSP/1.0\rCSeq: 7\r\r",
      bytes({"PLAY * RTSP/1.0\r\nCSeq: 1\0\r\n\r\n", 29}),
      "PLAY * RTSP/1.0\r\nCSeq: 8\r\nContent-Length: 21\r\n\r\nabc",
      "PLAY * RTSP/1.0\r\nCSeq: 9\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc",
      "PLAY * RTSP/1.0\r\nCSeq: 9\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
      "PLAY " + std::string(60, 'u') + " RTSP/1.0\r\nCSeq: 10\r\n\r\n",
      "PLAY " + std::string(34, 'u') + " RTSP/1.0\r\nCSeq: 10\r\n\r\n",
      "PLAY " + std::string(35, 'u') + " RTSP/1.0\r\nCSeq: 10\r\n\r\n",
      std::string(60, '\n') + "PLAY * RTSP/1.0\r\n\r\n",
      "PLAY * RTSP/1.0\r\n\r\n<html>",
      bytes({"PLAY * RTSP/1.0\r\n\r\n\x16\x03\x01", 22}),
      "RTSP/1.0 2x0 OK\r\n\r\n",
  };
  // Headers ending around their limit, in lines of either ending, with the fault before or behind.
  for (std::size_t size = 100; size < 112; ++size) {
    for (const std::string_view end :
         {"\r\n\r\n", "\n\n", "\r\r\n", "\r\nB: c\r\n\r\n", "\x01\r\n\r\n"}) {
      corpus.push_back("PLAY * RTSP/1.0\r\nCSeq: 11\r\nA: " + std::string(size, 'v') +
                       std::string(end));
    }
  }
  return corpus;
}

TEST(ParserSplits, EverySplitInTwoGivesTheSame) {
  for (const std::string& stream : SplitCorpus()) {
    const Transcript whole = Transcribe(stream, {}, kTight);
    EXPECT_TRUE(whole.views_inside) << stream;
    for (std::size_t at = 0; at <= stream.size(); ++at) {
      const std::size_t ends[] = {at};
      EXPECT_EQ(Transcribe(stream, ends, kTight).text, whole.text) << "split at " << at;
    }
  }
}

TEST(ParserSplits, AByteAtATimeGivesTheSame) {
  for (const std::string& stream : SplitCorpus()) {
    std::vector<std::size_t> ends(stream.size());
    std::iota(ends.begin(), ends.end(), std::size_t{0});
    const Transcript bytewise = Transcribe(stream, ends, kTight);
    EXPECT_EQ(bytewise.text, Transcribe(stream, {}, kTight).text);
    EXPECT_TRUE(bytewise.views_inside && bytewise.wanted_kept) << stream;
  }
}

TEST(ParserSplits, RandomSplitsGiveTheSame) {
  std::mt19937 random(2326);
  for (const std::string& stream : SplitCorpus()) {
    const Transcript whole = Transcribe(stream, {}, kTight);
    for (int round = 0; round < 60; ++round) {
      std::vector<std::size_t> ends;
      std::uniform_int_distribution<std::size_t> step(1, 40);
      for (std::size_t at = step(random); at < stream.size(); at += step(random))
        ends.push_back(at);
      EXPECT_EQ(Transcribe(stream, ends, kTight), whole) << stream;
    }
  }
}

// The corpus is worth splitting only while it holds messages and every kind of refusal.
TEST(ParserSplits, TheCorpusHoldsMessagesAndEveryRefusal) {
  std::string all;
  for (const std::string& stream : SplitCorpus()) all += Transcribe(stream, {}, kTight).text;
  for (const std::string_view part : {"kind 0", "kind 1", "kind 2", "status 400", "status 413",
                                      "status 414", "status 431", "left 0"}) {
    EXPECT_NE(all.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace millrace::rtsp
