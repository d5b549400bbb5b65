#include "net/rtsp/headers.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace millrace::rtsp {
namespace {

using Result = TransportReader::Result;

TransportSpec OneSpec(std::string_view value) {
  TransportReader reader(value);
  TransportSpec spec, next;
  EXPECT_EQ(reader.Next(&spec), Result::kSpec) << value;
  EXPECT_EQ(reader.Next(&next), Result::kEnd) << value;
  return spec;
}

Result FirstResult(std::string_view value) {
  TransportReader reader(value);
  TransportSpec spec;
  return reader.Next(&spec);
}

TEST(CSeqHeader, IsOneToTwentyDigits) {
  for (const std::string_view good :
       {"0", "1", "007", "2147483648", "4294967295", "18446744073709551616"}) {
    EXPECT_TRUE(IsValidCSeq(good)) << good;
  }
  const std::string long_number(400, '9');
  const std::string with_nul("1\0", 2);
  for (const std::string_view bad :
       {std::string_view(""), std::string_view("abc"), std::string_view("-1"),
        std::string_view("1 2"), std::string_view("+1"), std::string_view("0x1"),
        std::string_view("184467440737095516160"), std::string_view(long_number),
        std::string_view(with_nul)}) {
    EXPECT_FALSE(IsValidCSeq(bad)) << bad;
  }
}

TEST(SessionHeader, IsTheIdWithoutItsParameters) {
  EXPECT_EQ(SessionIdOf("12345678"), "12345678");
  EXPECT_EQ(SessionIdOf("12345678;timeout=60"), "12345678");
  EXPECT_EQ(SessionIdOf(" ab$-_.+9 ; timeout=60"), "ab$-_.+9");
  EXPECT_EQ(SessionIdOf("no/such!session"), "no/such!session");
}

TEST(SessionHeader, IsEmptyWhenMalformed) {
  for (const std::string_view bad : {"", ";", ";timeout=60", "  ", "ab cd", "ab\tcd", "a,b",
                                     "\"abc\"", "ab\r\n cd", "caf\xc3"}) {
    EXPECT_EQ(SessionIdOf(bad), "") << bad;
  }
}

TEST(TransportHeader, ReadsUdpWithAPortPair) {
  for (const std::string_view protocol : {"RTP/AVP", "RTP/AVP/UDP", "rtp/avp", "Rtp/Avp/uDP"}) {
    const TransportSpec spec = OneSpec(std::string(protocol) + ";unicast;client_port=5000-5001");
    EXPECT_TRUE(spec.supported);
    EXPECT_EQ(spec.lower, LowerTransport::kUdp);
    EXPECT_TRUE(spec.unicast);
    EXPECT_FALSE(spec.multicast);
    ASSERT_TRUE(spec.client_port);
    EXPECT_EQ(spec.client_port->rtp, 5000);
    EXPECT_EQ(spec.client_port->rtcp, 5001);
    EXPECT_FALSE(spec.interleaved);
    EXPECT_FALSE(spec.append);
    EXPECT_EQ(spec.destination, "");
    EXPECT_EQ(spec.mode, "");
  }
}

TEST(TransportHeader, ReadsTcpWithAChannelPair) {
  const TransportSpec spec = OneSpec("RTP/AVP/TCP;interleaved=4-5");
  EXPECT_TRUE(spec.supported);
  EXPECT_EQ(spec.lower, LowerTransport::kTcp);
  EXPECT_FALSE(spec.unicast);
  ASSERT_TRUE(spec.interleaved);
  EXPECT_EQ(spec.interleaved->rtp, 4);
  EXPECT_EQ(spec.interleaved->rtcp, 5);
  EXPECT_FALSE(spec.client_port);
}

TEST(TransportHeader, ASingleNumberMeansItAndTheNext) {
  EXPECT_EQ(OneSpec("RTP/AVP;client_port=5000").client_port->rtcp, 5001);
  EXPECT_EQ(OneSpec("RTP/AVP/TCP;interleaved=4").interleaved->rtcp, 5);
  EXPECT_EQ(OneSpec("RTP/AVP/TCP;interleaved=254").interleaved->rtcp, 255);
  EXPECT_EQ(OneSpec("RTP/AVP;client_port=65534").client_port->rtcp, 65535);
  EXPECT_EQ(FirstResult("RTP/AVP/TCP;interleaved=255"), Result::kMalformed);
  EXPECT_EQ(FirstResult("RTP/AVP;client_port=65535"), Result::kMalformed);
}

TEST(TransportHeader, ThePairNeedNotBeAdjacentButMustRise) {
  EXPECT_EQ(OneSpec("RTP/AVP;client_port=5000-6001").client_port->rtcp, 6001);
  EXPECT_EQ(OneSpec("RTP/AVP/TCP;interleaved=0-9").interleaved->rtcp, 9);
}

TEST(TransportHeader, ImpossiblePortsAreMalformed) {
  for (const std::string_view ports :
       {"0-0", "0-1", "1-0", "5001-5000", "5000-5000", "65535-65536", "65536", "65536-65537",
        "99999999999", "abc", "5000-abc", "5000-", "-5001", "-", "", "5000-5001-5002", "5e3",
        "+5000", "0x10"}) {
    const std::string value = "RTP/AVP;unicast;client_port=" + std::string(ports);
    EXPECT_EQ(FirstResult(value), Result::kMalformed) << value;
  }
  EXPECT_EQ(FirstResult("RTP/AVP;client_port"), Result::kMalformed);
}

TEST(TransportHeader, ImpossibleChannelsAreMalformed) {
  for (const std::string_view channels :
       {"256-257", "255-256", "1-0", "0-0", "-1", "0-", "a-b", "", "0-1-2", "4294967296"}) {
    const std::string value = "RTP/AVP/TCP;unicast;interleaved=" + std::string(channels);
    EXPECT_EQ(FirstResult(value), Result::kMalformed) << value;
  }
}

TEST(TransportHeader, NothingFollowsAMalformedSpec) {
  TransportReader reader("RTP/AVP;client_port=0-0,RTP/AVP/TCP;interleaved=0-1");
  TransportSpec spec;
  EXPECT_EQ(reader.Next(&spec), Result::kMalformed);
  EXPECT_EQ(reader.Next(&spec), Result::kEnd);
}

TEST(TransportHeader, OtherProfilesAreUnsupportedWhateverTheirParameters) {
  for (const std::string_view value :
       {"FOO/BAR", "RTP/SAVP;unicast;client_port=0-0", "RTP/AVPF", "RTP/AVP/", "RTP",
        "RTP/AVP/SCTP", "RTP/AVP/TCP/X", "unicast;client_port=5000-5001", ";unicast",
        "RAW/RAW/UDP;interleaved=x"}) {
    EXPECT_FALSE(OneSpec(value).supported) << value;
  }
}

TEST(TransportHeader, GivesSeveralSpecsInTheClientsOrderSkippingEmptyOnes) {
  TransportReader reader(
      ", RTP/SAVP;unicast;client_port=1-2 ,,\tRTP/AVP/TCP;unicast;interleaved=2-3,"
      "RTP/AVP;multicast ,");
  TransportSpec spec;
  ASSERT_EQ(reader.Next(&spec), Result::kSpec);
  EXPECT_FALSE(spec.supported);
  ASSERT_EQ(reader.Next(&spec), Result::kSpec);
  EXPECT_EQ(spec.lower, LowerTransport::kTcp);
  EXPECT_TRUE(spec.unicast);
  ASSERT_EQ(reader.Next(&spec), Result::kSpec);
  EXPECT_EQ(spec.lower, LowerTransport::kUdp);
  EXPECT_TRUE(spec.multicast);
  EXPECT_FALSE(spec.unicast) << "nothing of the spec before stays";
  EXPECT_FALSE(spec.interleaved);
  EXPECT_EQ(reader.Next(&spec), Result::kEnd);
  EXPECT_EQ(FirstResult(""), Result::kEnd);
  EXPECT_EQ(FirstResult(" , "), Result::kEnd);
}

TEST(TransportHeader, ReadsModeWithAndWithoutQuotes) {
  EXPECT_EQ(OneSpec("RTP/AVP;mode=\"PLAY\"").mode, "PLAY");
  EXPECT_EQ(OneSpec("RTP/AVP;mode=record").mode, "record");
  EXPECT_EQ(OneSpec("RTP/AVP;MODE=\" RECORD \";append").mode, "RECORD");
  EXPECT_TRUE(OneSpec("RTP/AVP;mode=record;append").append);
  EXPECT_EQ(OneSpec("RTP/AVP;mode=\"\"").mode, "");
}

TEST(TransportHeader, SeparatorsInQuotesDoNotSeparate) {
  const TransportSpec spec = OneSpec("RTP/AVP;mode=\"PLAY,RECORD;x\";client_port=5000-5001");
  EXPECT_EQ(spec.mode, "PLAY,RECORD;x");
  ASSERT_TRUE(spec.client_port);
  EXPECT_EQ(spec.client_port->rtp, 5000);
}

TEST(TransportHeader, AnOpenQuoteIsMalformed) {
  EXPECT_EQ(FirstResult("RTP/AVP;mode=\"PLAY"), Result::kMalformed);
  EXPECT_EQ(FirstResult("\""), Result::kMalformed);
}

TEST(TransportHeader, ReadsDestination) {
  EXPECT_EQ(OneSpec("RTP/AVP;destination=192.0.2.7;unicast").destination, "192.0.2.7");
  EXPECT_EQ(OneSpec("RTP/AVP;destination=\"2001:db8::1\"").destination, "2001:db8::1");
  EXPECT_EQ(OneSpec("RTP/AVP;destination").destination, "");
}

TEST(TransportHeader, IgnoresUnknownParametersAndBlanks) {
  const TransportSpec spec = OneSpec(
      " RTP/AVP ; unicast ;; ttl=127; layers=2;x;ssrc=ZZ;port=0-0;client_port = 5000 - 5001 \r\n "
      "; ");
  EXPECT_TRUE(spec.supported);
  EXPECT_TRUE(spec.unicast);
  ASSERT_TRUE(spec.client_port);
  EXPECT_EQ(spec.client_port->rtcp, 5001);
}

struct RangeCase {
  std::string_view value;
  bool from_now;
  std::optional<Duration> start, end;
};

TEST(RangeHeader, ReadsNormalPlayTime) {
  const RangeCase cases[] = {
      {"npt=0-", false, 0s, {}},
      {"npt=5-", false, 5s, {}},
      {"npt=0.000-", false, 0s, {}},
      {"npt=12.05-35.3", false, 12050ms, 35300ms},
      {"npt=1:02:03.5-", false, 3723500ms, {}},
      {"npt=0:0:9-00:59:59", false, 9s, 3599s},
      {"npt=123:45:06-", false, 445506s, {}},
      {"npt=-20", false, {}, 20s},
      {"npt=now-", true, {}, {}},
      {"npt=NOW-30", true, {}, 30s},
      {"NPT = 1 - 2 ", false, 1s, 2s},
      {"npt=7-7", false, 7s, 7s},
      {"npt=1.-2.", false, 1s, 2s},
      {"npt=0.1234567899-", false, 123456789ns, {}},
      {"npt=100000:00:00-", false, 360000000s, {}},
      {"npt=2-4;time=19970123T143720Z", false, 2s, 4s},
      {"npt=10-5", false, 10s, 5s},  // which means something when played backwards
  };
  for (const RangeCase& c : cases) {
    const std::optional<Range> range = ParseRange(c.value);
    ASSERT_TRUE(range) << c.value;
    EXPECT_EQ(range->unit, RangeUnit::kNpt) << c.value;
    EXPECT_EQ(range->from_now, c.from_now) << c.value;
    EXPECT_EQ(range->start, c.start) << c.value;
    EXPECT_EQ(range->end, c.end) << c.value;
  }
}

TEST(RangeHeader, NamesOtherUnitsWithoutReadingThem) {
  for (const std::string_view value : {"bytes=0-100", "clock=19961108T142300Z-19961108T143520Z"}) {
    const std::optional<Range> range = ParseRange(value);
    ASSERT_TRUE(range) << value;
    EXPECT_EQ(range->unit, RangeUnit::kOther) << value;
    EXPECT_FALSE(range->start || range->end || range->from_now) << value;
  }
}

TEST(RangeHeader, ReadsAndWritesTimeCodes) {
  const auto at = [](std::string_view value) { return ParseRange(value)->start.value(); };
  EXPECT_EQ(ParseRange("smpte-25=0:00:10:05-0:00:20")->unit, RangeUnit::kSmpte25);
  EXPECT_EQ(at("smpte-25=0:00:10:05-"), 10200ms);
  EXPECT_EQ(at("smpte-25=0:00:10:05.50-"), 10220ms);
  EXPECT_EQ(ParseRange("smpte-25=0:00:10:05-0:00:20")->end, 20s);
  EXPECT_EQ(ParseRange("SMPTE=0:00:10:05-")->unit, RangeUnit::kSmpte30Drop);
  // The frame after 00:00:59:29 is 00:01:00:02; an hour is 107892 frames.
  const auto frames = [](std::int64_t count) { return Duration(count * 1001 * 1'000'000 / 30); };
  EXPECT_EQ(at("smpte=0:00:59:29-"), frames(1799));
  EXPECT_EQ(at("smpte-30-drop=0:01:00:02-"), frames(1800));
  EXPECT_EQ(at("smpte=0:10:00:00-"), frames(17982));
  EXPECT_EQ(at("smpte=1:00:00:00-"), frames(107892));
  const auto written = [](RangeUnit unit, Duration start, std::optional<Duration> end) {
    std::string out;
    AppendSmpteRange(&out, unit, start, end);
    return out;
  };
  EXPECT_EQ(written(RangeUnit::kSmpte25, 10200ms, {}), "smpte-25=00:00:10:05-");
  EXPECT_EQ(written(RangeUnit::kSmpte25, 0s, 3661s), "smpte-25=00:00:00:00-01:01:01:00");
  EXPECT_EQ(written(RangeUnit::kSmpte25, 100000h, {}), "smpte-25=100000:00:00:00-");
  for (const std::int64_t count : {0, 1, 1799, 1800, 3597, 3598, 17981, 17982, 19781, 107892}) {
    const std::string text = written(RangeUnit::kSmpte30Drop, frames(count), {});
    EXPECT_EQ(at(text), frames(count)) << text;
  }
}

TEST(RangeHeader, RejectsWhatIsMalformed) {
  for (const std::string_view value : {"",
                                       "npt",
                                       "npt=",
                                       "npt=-",
                                       "npt=abc",
                                       "npt=nan",
                                       "npt=nan-",
                                       "npt=inf-",
                                       "npt=5",
                                       "npt=-5-",
                                       "npt=+5-",
                                       "npt=1e3-",
                                       "npt=5-x",
                                       "npt=0-5,10-15",
                                       "npt=1:2-",
                                       "npt=1:60:00-",
                                       "npt=1:00:60-",
                                       "npt=1:000:00-",
                                       "npt=1:2:3:4-",
                                       "npt=:1:2-",
                                       "npt=1::2-",
                                       "npt=.5-",
                                       "npt=1.2.3-",
                                       "npt=1.x-",
                                       "npt=360000000.001-",
                                       "npt=360000001-",
                                       "npt=100000:00:01-",
                                       "npt=99999999999999999999-",
                                       "npt=-now",
                                       "npt=0-now",
                                       "=0-5",
                                       "a b=1-",
                                       "bytes=",
                                       "npt 0-",
                                       "smpte=0:00:05",
                                       "smpte=-",
                                       "smpte=5-",
                                       "smpte=0:05-",
                                       "smpte=0:00:05:30-",
                                       "smpte-25=0:00:05:25-",
                                       "smpte-25=0:00:05:24.100-",
                                       "smpte-25=0:00:05:24:1-",
                                       "smpte-25=0:60:05-",
                                       "smpte=now-"}) {
    EXPECT_FALSE(ParseRange(value)) << value;
  }
}

TEST(RangeHeader, IsWrittenInMillisecondsNeverLaterThanItsStart) {
  const auto written = [](Duration start, std::optional<Duration> end) {
    std::string out = "Range: ";
    AppendNptRange(&out, start, end);
    return out;
  };
  EXPECT_EQ(written(1500ms, 10s), "Range: npt=1.500-10.000");
  EXPECT_EQ(written(1500ms, {}), "Range: npt=1.500-");
  EXPECT_EQ(written(0s, 596474ms), "Range: npt=0.000-596.474");
  EXPECT_EQ(written(1999999us, 1999499us), "Range: npt=1.999-1.999");
  EXPECT_EQ(written(1ns, 1999500us), "Range: npt=0.000-2.000");
  EXPECT_EQ(written(-1ms, 1007ms), "Range: npt=0.000-1.007");
  EXPECT_EQ(written(360000000s, {}), "Range: npt=360000000.000-");
}

TEST(DecimalHeader, ReadsFiniteDecimals) {
  EXPECT_EQ(ParseDecimal("1"), 1.0);
  EXPECT_EQ(ParseDecimal("2.5"), 2.5);
  EXPECT_EQ(ParseDecimal("-1.0"), -1.0);
  EXPECT_EQ(ParseDecimal("+0.5"), 0.5);
  EXPECT_EQ(ParseDecimal(" 3. "), 3.0);
  EXPECT_EQ(ParseDecimal("0"), 0.0);
}

TEST(DecimalHeader, RejectsAllElse) {
  const std::string endless(400, '9');
  for (const std::string_view value :
       {std::string_view(""), std::string_view("nan"), std::string_view("inf"),
        std::string_view("-inf"), std::string_view("1e30"), std::string_view("0x10"),
        std::string_view("--1"), std::string_view("+-1"), std::string_view("1,5"),
        std::string_view("1.5.0"), std::string_view(".5"), std::string_view("."),
        std::string_view("1 2"), std::string_view("-"), std::string_view("+"),
        std::string_view(endless)}) {
    EXPECT_FALSE(ParseDecimal(value)) << value;
  }
}

TEST(ListHeader, VisitsItemsWithoutBlanksAndEmptyOnes) {
  std::vector<std::string> items;
  ForEachListItem(" funky-a,\tfunky-b ,, ,c\r\n ,d,",
                  [&](std::string_view item) { items.emplace_back(item); });
  EXPECT_EQ(items, (std::vector<std::string>{"funky-a", "funky-b", "c", "d"}));
  ForEachListItem(" , ", [](std::string_view item) { ADD_FAILURE() << item; });
}

TEST(AcceptHeader, AdmitsSdp) {
  for (const std::string_view accept :
       {"application/sdp", "Application/SDP", "application/*", "*/*", "*", "", " , ",
        "text/html, application/sdp", "application/json;q=1, application/sdp;q=0.001",
        "application/sdp; level=2; q=0.5", "*/*;q=0, application/*", "application/sdp, */*;q=0",
        "application/rtsl, application/sdp;level=-2"}) {
    EXPECT_TRUE(AcceptsSdp(accept)) << accept;
  }
}

TEST(AcceptHeader, RefusesSdp) {
  for (const std::string_view accept :
       {"application/json", "text/*", "application/sdpx", "application", "application/sdp;q=0",
        "application/sdp ; Q = 0.000, */*", "application/*;q=0.0, */*", "*/*;x=1;q=0", ";q=1"}) {
    EXPECT_FALSE(AcceptsSdp(accept)) << accept;
  }
}

TEST(DateHeader, IsRfc1123InGmt) {
  const auto written = [](std::int64_t seconds) {
    std::string out;
    AppendHttpDate(&out, WallTime(std::chrono::seconds(seconds) + 999ms));
    return out;
  };
  EXPECT_EQ(written(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(written(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(written(784030000), "Sat, 05 Nov 1994 10:06:40 GMT");
  EXPECT_EQ(written(951782399), "Mon, 28 Feb 2000 23:59:59 GMT");
  EXPECT_EQ(written(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(written(4102444799), "Thu, 31 Dec 2099 23:59:59 GMT");
}

struct UriCase {
  std::string_view text, scheme, authority, path, query;
};

TEST(RequestUri, IsTakenApart) {
  const UriCase cases[] = {
      {"rtsp://h/p", "rtsp", "h", "p", ""},
      {"rtsp://h:8554/a/b%20c.mp4/track=1", "rtsp", "h:8554", "a/b%20c.mp4/track=1", ""},
      {"RTSPU://h/", "RTSPU", "h", "", ""},
      {"rtsp://h/a b", "rtsp", "h", "a b", ""},
      {"rtsps://h", "rtsps", "h", "", ""},
      {"rtsp://h?x=1", "rtsp", "h", "", "x=1"},
      {"rtsp://h/p?a=1&b=/?c", "rtsp", "h", "p", "a=1&b=/?c"},
      {"rtsp://[2001:db8::1]:554/p", "rtsp", "[2001:db8::1]:554", "p", ""},
      {"rtsp://[::1]/p", "rtsp", "[::1]", "p", ""},
      {"rtsp://user:p%40ss@h:1/p@q", "rtsp", "h:1", "p@q", ""},
      {"rtsp://u:a@b@h/p", "rtsp", "h", "p", ""},
      {"rtsp://h:/p", "rtsp", "h:", "p", ""},
      {"rtsp://h/caf\xc3\xa9", "rtsp", "h", "caf\xc3\xa9", ""},
      {"/live/cam?x", "", "", "live/cam", "x"},
      {"/", "", "", "", ""},
      {"rtsp://h//p/", "rtsp", "h", "/p/", ""},
  };
  for (const UriCase& c : cases) {
    const std::optional<RequestUri> uri = ParseUri(c.text);
    ASSERT_TRUE(uri) << c.text;
    EXPECT_FALSE(uri->asterisk) << c.text;
    EXPECT_EQ(uri->scheme, c.scheme) << c.text;
    EXPECT_EQ(uri->authority, c.authority) << c.text;
    EXPECT_EQ(uri->path, c.path) << c.text;
    EXPECT_EQ(uri->query, c.query) << c.text;
  }
}

TEST(RequestUri, AsteriskStandsForTheServer) {
  const std::optional<RequestUri> uri = ParseUri("*");
  ASSERT_TRUE(uri);
  EXPECT_TRUE(uri->asterisk);
  EXPECT_EQ(uri->path, "");
}

TEST(RequestUri, RejectsWhatIsNeitherAbsoluteNorAPath) {
  const std::string with_nul("rtsp://h/\0", 10);
  for (const std::string_view text : {std::string_view(""),
                                      std::string_view("**"),
                                      std::string_view("p"),
                                      std::string_view("a/b"),
                                      std::string_view("rtsp:h/p"),
                                      std::string_view("rtsp:/h/p"),
                                      std::string_view("rtsp://"),
                                      std::string_view("rtsp:///p"),
                                      std::string_view("rtsp://:554/p"),
                                      std::string_view("rtsp://u@/p"),
                                      std::string_view("://h/p"),
                                      std::string_view("1s://h/p"),
                                      std::string_view("r tsp://h/p"),
                                      std::string_view("rtsp://h b/a"),
                                      std::string_view("rtsp://h/a\tb"),
                                      std::string_view("rtsp://h/\x7f"),
                                      std::string_view("rtsp://h:port/p"),
                                      std::string_view("rtsp://h:123456/p"),
                                      std::string_view("rtsp://[::1/p"),
                                      std::string_view("rtsp://[]/p"),
                                      std::string_view("rtsp://[::1]x/p"),
                                      std::string_view(with_nul)}) {
    EXPECT_FALSE(ParseUri(text)) << text;
  }
}

TEST(PercentDecoding, DecodesEveryEscapeAndNothingElse) {
  std::string out = "from before";
  EXPECT_TRUE(PercentDecode("a%20b+c%2fd%2Fe%C3%a9%25%32", &out));
  EXPECT_EQ(out, "a b+c/d/e\xc3\xa9%2");
  EXPECT_TRUE(PercentDecode("", &out));
  EXPECT_EQ(out, "");
}

TEST(PercentDecoding, DecodesEachByteValue) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (std::size_t value = 1; value < 256; ++value) {
    const std::string escape = {'%', kHex[value >> 4], kHex[value & 15]};
    std::string out;
    ASSERT_TRUE(PercentDecode(escape, &out)) << escape;
    EXPECT_EQ(out, std::string(1, static_cast<char>(value)));
  }
}

TEST(PercentDecoding, RejectsBadEscapesAndNul) {
  std::string out;
  const std::string raw_nul("a\0b", 3);
  for (const std::string_view bad :
       {std::string_view("%"), std::string_view("%20", 2), std::string_view("%20", 1),
        std::string_view("a%"), std::string_view("%g0"), std::string_view("%0g"),
        std::string_view("%%20"), std::string_view("%-1"), std::string_view("%00"),
        std::string_view("a%00b"), std::string_view(raw_nul)}) {
    EXPECT_FALSE(PercentDecode(bad, &out)) << bad;
  }
}

}  // namespace
}  // namespace millrace::rtsp
