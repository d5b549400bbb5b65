#include "net/rtsp/response_writer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>

#include "net/rtsp/parser.h"

namespace millrace::rtsp {
namespace {

// Where the tests do not look: the Server line changes with the version.
std::string WithoutServer(const std::string& text) {
  const std::size_t begin = text.find("Server: Millrace/");
  EXPECT_NE(begin, std::string::npos);
  return text.substr(0, begin) + text.substr(text.find("\r\n", begin) + 2);
}

TEST(ResponseWriter, WritesStatusCSeqServerAndHeaders) {
  std::string out;
  ResponseWriter response(&out, 200, "00042");
  response.Add("Session", std::string("abc"), ";timeout=", 60);
  response.Finish();
  EXPECT_EQ(WithoutServer(out),
            "RTSP/1.0 200 OK\r\nCSeq: 00042\r\nSession: abc;timeout=60\r\n\r\n");
}

TEST(ResponseWriter, LeavesOutACSeqTheRequestDidNotHave) {
  std::string out;
  ResponseWriter(&out, 400, "").Finish();
  EXPECT_EQ(WithoutServer(out), "RTSP/1.0 400 Bad Request\r\n\r\n");
}

TEST(ResponseWriter, AppendsBehindWhatIsAlreadyThere) {
  std::string out = "$...";
  ResponseWriter(&out, 200, "1").Finish();
  ResponseWriter(&out, 454, "2").Finish();
  EXPECT_EQ(out.find("$...RTSP/1.0 200 OK\r\n"), 0u);
  EXPECT_NE(out.find("\r\n\r\nRTSP/1.0 454 Session Not Found\r\n"), std::string::npos);
}

TEST(ResponseWriter, GivesABodyItsTypeAndExactLength) {
  std::string out;
  ResponseWriter response(&out, 200, "3");
  response.Finish("v=0\r\n\0x", "application/sdp");
  EXPECT_EQ(WithoutServer(out),
            "RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n"
            "\r\nv=0\r\n");
}

TEST(ResponseWriter, WritesEveryKindOfInteger) {
  std::string out;
  ResponseWriter response(&out, 200, "");
  response.Add("A", std::uint16_t{65535}, ",", std::uint32_t{4294967295}, ",", INT64_MIN, ",",
               UINT64_MAX, ",", std::uint8_t{255}, ",", -1);
  response.Finish();
  EXPECT_NE(
      out.find("\r\nA: 65535,4294967295,-9223372036854775808,18446744073709551615,255,-1\r\n"),
      std::string::npos)
      << out;
}

TEST(ResponseWriter, WritesTheDateGiven) {
  std::string out;
  ResponseWriter response(&out, 200, "1");
  response.AddDate(WallTime(784111777s));
  response.Finish();
  EXPECT_NE(out.find("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"), std::string::npos) << out;
}

TEST(ResponseWriter, EndsAResponseThatNobodyFinished) {
  std::string out;
  { const ResponseWriter response(&out, 200, "1"); }
  EXPECT_EQ(out.substr(out.size() - 4), "\r\n\r\n");
  const std::size_t size = out.size();
  {
    ResponseWriter response(&out, 200, "1");
    response.Finish();
  }
  EXPECT_EQ(out.size(), 2 * size) << "a finished one is not ended twice";
}

TEST(ResponseWriter, NoValueCanEndItsLine) {
  std::string out;
  ResponseWriter response(&out, 200, "1\r\nSet: a");
  response.Add("Timestamp", "1\r\nX-Evil: 2\n\nRTSP/1.0 200 OK", std::string_view("\0\x7f", 2));
  response.Add("Na\r\nme", "tab\tstays");
  response.Finish("body", "a/b\r\n\r\nc");
  EXPECT_EQ(WithoutServer(out),
            "RTSP/1.0 200 OK\r\nCSeq: 1  Set: a\r\n"
            "Timestamp: 1  X-Evil: 2  RTSP/1.0 200 OK  \r\nNa  me: tab\tstays\r\n"
            "Content-Type: a/b    c\r\nContent-Length: 4\r\n\r\nbody");
}

TEST(ResponseWriter, IsReadBackByTheParser) {
  std::string out;
  ResponseWriter response(&out, 551, "77");
  response.Add("Unsupported", "funky-a, funky-b");
  response.Finish("text", "text/parameters");
  const auto message = std::make_unique<Message>();
  Parser parser;
  const ParseResult result = parser.Parse(out, message.get());
  ASSERT_EQ(result.status, ParseStatus::kMessage);
  EXPECT_EQ(result.consumed, out.size());
  EXPECT_EQ(message->kind, MessageKind::kResponse);
  EXPECT_EQ(message->status, 551);
  EXPECT_EQ(message->Value(HeaderId::kCSeq), "77");
  EXPECT_EQ(message->body, "text");
  ASSERT_NE(message->Find("Unsupported"), nullptr);
  EXPECT_EQ(message->Find("Unsupported")->value, "funky-a, funky-b");
}

TEST(ReasonPhrase, KnowsTheStatusesOfRfc2326) {
  for (const int status :
       {100, 200, 201, 250, 300, 301, 302, 303, 304, 305, 400, 401, 402, 403, 404,
        405, 406, 407, 408, 410, 411, 412, 413, 414, 415, 451, 452, 453, 454, 455,
        456, 457, 458, 459, 460, 461, 462, 500, 501, 502, 503, 504, 505, 551}) {
    const std::string_view phrase = ReasonPhrase(status);
    EXPECT_NE(phrase, ReasonPhrase(status / 100 * 100 + 99)) << status << " has a name of its own";
  }
  EXPECT_EQ(ReasonPhrase(200), "OK");
  EXPECT_EQ(ReasonPhrase(454), "Session Not Found");
  EXPECT_EQ(ReasonPhrase(505), "RTSP Version Not Supported");
  EXPECT_EQ(ReasonPhrase(551), "Option Not Supported");
}

TEST(ReasonPhrase, NamesTheClassOfOthers) {
  EXPECT_EQ(ReasonPhrase(199), "Informational");
  EXPECT_EQ(ReasonPhrase(299), "Success");
  EXPECT_EQ(ReasonPhrase(399), "Redirection");
  EXPECT_EQ(ReasonPhrase(499), "Client Error");
  EXPECT_EQ(ReasonPhrase(599), "Server Error");
  EXPECT_EQ(ReasonPhrase(0), "Unknown");
  EXPECT_EQ(ReasonPhrase(999), "Unknown");
}

}  // namespace
}  // namespace millrace::rtsp
