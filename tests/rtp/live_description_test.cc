#include "rtp/live_description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// As FFmpeg's RTSP muxer announces H.264 and AAC.
constexpr char kFfmpeg[] =
    "v=0\r\n"
    "o=- 0 0 IN IP4 127.0.0.1\r\n"
    "s=No Name\r\n"
    "c=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\n"
    "a=tool:libavformat 59.27.100\r\n"
    "m=video 0 RTP/AVP 96\r\n"
    "b=AS:2000\r\n"
    "a=rtpmap:96 H264/90000\r\n"
    "a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAH9k=,aM48gA==; "
    "profile-level-id=42C01F\r\n"
    "a=control:streamid=0\r\n"
    "m=audio 0 RTP/AVP 97\r\n"
    "b=AS:128\r\n"
    "a=rtpmap:97 MPEG4-GENERIC/48000/2\r\n"
    "a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
    "indexdeltalength=3; config=1190\r\n"
    "a=control:streamid=1\r\n";

// As GStreamer's rtspclientsink announces: audio may come first, attributes of all sorts.
constexpr char kGstreamer[] =
    "v=0\r\n"
    "o=- 3712620588 1 IN IP4 127.0.0.1\r\n"
    "s=Session streamed with GStreamer\r\n"
    "i=rtspclientsink\r\n"
    "t=0 0\r\n"
    "a=tool:GStreamer\r\n"
    "a=type:broadcast\r\n"
    "m=audio 0 RTP/AVP 8\r\n"
    "c=IN IP4 0.0.0.0\r\n"
    "a=rtpmap:8 PCMA/8000\r\n"
    "a=control:stream=1\r\n"
    "a=ts-refclk:local\r\n"
    "a=mediaclk:sender\r\n"
    "a=ssrc:3518693172 cname:user1@host\r\n"
    "m=video 0 RTP/AVP 98\r\n"
    "c=IN IP4 0.0.0.0\r\n"
    "b=AS:2097\r\n"
    "a=rtpmap:98 H264/90000\r\n"
    "a=framerate:25\r\n"
    "a=fmtp:98 packetization-mode=1;sprop-parameter-sets=Z0LAH9k=,aM48gA==\r\n"
    "a=control:stream=0\r\n"
    "a=sendonly\r\n"
    "a=rtcp-fb:98 nack pli\r\n"
    "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
    "a=source-filter: incl IN IP4 * 10.0.0.1\r\n"
    "a=key-mgmt:mikey AQAFAP\r\n";

const Bytes kSps = {0x67, 0x42, 0xc0, 0x1f, 0xd9};
const Bytes kPps = {0x68, 0xce, 0x3c, 0x80};

LiveDescription Parse(std::string_view sdp) {
  absl::StatusOr<LiveDescription> description = ParseLiveDescription(sdp);
  EXPECT_TRUE(description.ok()) << description.status() << "\n" << sdp;
  return description.ok() ? *std::move(description) : LiveDescription{};
}

// A description of one stream; never without one, so that a failure is not a crash.
LiveDescription ParseMedia(std::string_view media) {
  LiveDescription description = Parse(std::string("v=0\r\n").append(media));
  if (description.streams.empty()) description.streams.resize(1);
  return description;
}
LiveStreamDescription Stream(std::string_view media) { return ParseMedia(media).streams[0]; }

std::string Fault(std::string_view sdp) {
  const absl::StatusOr<LiveDescription> description = ParseLiveDescription(sdp);
  if (description.ok()) return "";
  EXPECT_EQ(description.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(description.status().message());
}

std::vector<std::string> Describe(const LiveDescription& description,
                                  std::vector<ParameterSets> seen = {}) {
  const std::string sdp =
      DescribeLive(description, 11, 22, *Endpoint::Parse("192.0.2.7", 554), seen);
  EXPECT_TRUE(absl::EndsWith(sdp, "\r\n"));
  std::vector<std::string> lines = absl::StrSplit(sdp, "\r\n");
  lines.pop_back();
  return lines;
}

// The lines from the first m= on.
std::vector<std::string> DescribeMedia(const LiveDescription& description,
                                       std::vector<ParameterSets> seen = {}) {
  std::vector<std::string> lines = Describe(description, std::move(seen));
  while (!lines.empty() && lines[0][0] != 'm') lines.erase(lines.begin());
  return lines;
}

TEST(LiveDescription, UnderstandsWhatFfmpegAnnounces) {
  const LiveDescription description = Parse(kFfmpeg);
  EXPECT_EQ(description.session_name, "No Name");
  EXPECT_EQ(description.control, "");
  ASSERT_EQ(description.streams.size(), 2u);
  const LiveStreamDescription& video = description.streams[0];
  EXPECT_EQ(video.media, "video");
  EXPECT_THAT(video.payload_types, ElementsAre(96));
  EXPECT_EQ(video.encoding, "H264");
  EXPECT_EQ(video.clock_rate, 90000u);
  EXPECT_EQ(video.channels, 0u);
  EXPECT_EQ(video.codec, Codec::kH264);
  EXPECT_EQ(video.bandwidth_kbps, 2000u);
  EXPECT_EQ(video.control, "streamid=0");
  EXPECT_THAT(video.vps, IsEmpty());
  EXPECT_THAT(video.sps, ElementsAre(kSps));
  EXPECT_THAT(video.pps, ElementsAre(kPps));
  const LiveStreamDescription& audio = description.streams[1];
  EXPECT_EQ(audio.media, "audio");
  EXPECT_EQ(audio.encoding, "MPEG4-GENERIC");
  EXPECT_EQ(audio.clock_rate, 48000u);
  EXPECT_EQ(audio.channels, 2u);
  EXPECT_EQ(audio.codec, Codec::kAac);
  EXPECT_EQ(audio.parameters,
            "profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; "
            "config=1190");
}

TEST(LiveDescription, TellsReadersLineByLine) {
  EXPECT_THAT(Describe(Parse(kFfmpeg)),
              ElementsAre("v=0", "o=- 11 22 IN IP4 192.0.2.7", "s=No Name", "c=IN IP4 0.0.0.0",
                          "t=0 0", "a=tool:Millrace", "a=control:*", "a=range:npt=now-",
                          "m=video 0 RTP/AVP 96", "b=AS:2000", "a=rtpmap:96 H264/90000",
                          "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAH9k=,aM48gA==;"
                          "profile-level-id=42C01F",
                          "a=control:trackID=1", "m=audio 0 RTP/AVP 97", "b=AS:128",
                          "a=rtpmap:97 MPEG4-GENERIC/48000/2",
                          "a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
                          "indexdeltalength=3; config=1190",
                          "a=control:trackID=2"));
}

TEST(LiveDescription, KeepsThePublishersTransportFromReaders) {
  EXPECT_THAT(DescribeMedia(Parse(kGstreamer)),
              ElementsAre("m=audio 0 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=control:trackID=1",
                          "m=video 0 RTP/AVP 98", "b=AS:2097", "a=rtpmap:98 H264/90000",
                          "a=fmtp:98 packetization-mode=1;sprop-parameter-sets=Z0LAH9k=,aM48gA==;"
                          "profile-level-id=42C01F",
                          "a=framerate:25", "a=control:trackID=2"));
}

TEST(LiveDescription, KnowsEncodingsAndClocks) {
  struct Case {
    const char* media;
    const char* encoding;
    std::uint32_t clock_rate, channels;
    std::optional<Codec> codec;
  };
  const std::vector<Case> cases = {
      {"m=audio 0 RTP/AVP 0\r\n", "PCMU", 8000, 0, {}},
      {"m=audio 0 RTP/AVP 8\r\n", "PCMA", 8000, 0, {}},
      {"m=audio 0 RTP/AVP 9\r\n", "G722", 8000, 0, {}},
      {"m=audio 0 RTP/AVP 10\r\n", "L16", 44100, 2, {}},
      {"m=audio 0 RTP/AVP 14\r\n", "MPA", 90000, 0, {}},
      {"m=video 0 RTP/AVP 26\r\n", "JPEG", 90000, 0, {}},
      {"m=video 0 RTP/AVP 33\r\n", "MP2T", 90000, 0, {}},
      {"m=audio 0 RTP/AVP 0\r\na=rtpmap:0 L16/16000\r\n", "L16", 16000, 0, {}},
      {"m=audio 0 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n", "opus", 48000, 2, {}},
      {"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 L16/44100/6\r\n", "L16", 44100, 6, {}},
      {"m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n",
       "vnd.onvif.metadata",
       90000,
       0,
       {}},
      {"m=video 0 RTP/AVP 96\r\na=rtpmap:96 h264/90000\r\n", "h264", 90000, 0, Codec::kH264},
      {"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n", "H265", 90000, 0, Codec::kH265},
      {"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=2\r\n",
       "H264",
       90000,
       0,
       {}},
      {"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-max-don-diff=2\r\n",
       "H265",
       90000,
       0,
       {}},
      {"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-max-don-diff=0\r\n",
       "H265", 90000, 0, Codec::kH265},
      {"m=audio 0 RTP/AVP 96\r\na=rtpmap:96 mpeg4-generic/8000\r\n"
       "a=fmtp:96 mode=AAC-lbr;sizelength=6;indexlength=2;indexdeltalength=2\r\n",
       "mpeg4-generic",
       8000,
       0,
       {}},
      {"m=audio 0 RTP/AVP 96\r\na=fmtp:96 Mode=aac-HBR; SizeLength=13; IndexLength=3; "
       "IndexDeltaLength=3; config=1588\r\na=rtpmap:96 MPEG4-GENERIC/8000/1\r\n",
       "MPEG4-GENERIC", 8000, 1, Codec::kAac},
  };
  for (const Case& c : cases) {
    const LiveStreamDescription stream = Stream(c.media);
    EXPECT_EQ(stream.encoding, c.encoding) << c.media;
    EXPECT_EQ(stream.clock_rate, c.clock_rate) << c.media;
    EXPECT_EQ(stream.channels, c.channels) << c.media;
    EXPECT_EQ(stream.codec, c.codec) << c.media;
  }
}

TEST(LiveDescription, WritesTheEncodingThatThePublisherLeftToTheTable) {
  EXPECT_THAT(
      DescribeMedia(ParseMedia("m=audio 0 RTP/AVP 10\r\n")),
      ElementsAre("m=audio 0 RTP/AVP 10", "a=rtpmap:10 L16/44100/2", "a=control:trackID=1"));
}

TEST(LiveDescription, TakesWhatRealEncodersWrite) {
  struct Case {
    const char* what;
    std::string sdp;
  };
  const std::vector<Case> cases = {
      {"line feeds only", "v=0\nm=audio 0 RTP/AVP 0\n"},
      {"no newline at the end", "v=0\r\nm=audio 0 RTP/AVP 0"},
      {"two carriage returns", "v=0\r\r\nm=audio 0 RTP/AVP 0\r\r\n"},
      {"blank lines", "\r\nv=0\r\n\r\n \t\r\nm=audio 0 RTP/AVP 0\r\n\r\n"},
      {"blanks at both ends and between", "v=0 \r\n m=audio\t 0  RTP/AVP  0 \r\n"},
      {"unknown lines", "v=0\r\nz=1\r\nhello\r\nm=audio 0 RTP/AVP 0\r\nq=2\r\nx\r\n=\r\n"},
      {"a range of ports", "v=0\r\nm=audio 49170/2 RTP/AVP 0\r\n"},
      {"a lower transport", "v=0\r\nm=audio 0 RTP/AVP/TCP 0\r\n"},
      {"feedback", "v=0\r\nm=audio 0 RTP/AVPF 0\r\n"},
      {"small letters", "v=0\r\nm=Audio 0 rtp/avp 0\r\n"},
      {"an attribute that is none", "v=0\r\nm=audio 0 RTP/AVP 0\r\na=\r\na=:\r\n"},
      {"rtpmap and fmtp of others",
       "v=0\r\nm=audio 0 RTP/AVP 0\r\na=rtpmap:99 X/0x\r\n"
       "a=fmtp:99 y\r\n"},
      {"bandwidth that is no number", "v=0\r\nm=audio 0 RTP/AVP 0\r\nb=AS:many\r\nb=RR:0\r\n"},
  };
  for (const Case& c : cases) {
    const LiveDescription description = Parse(c.sdp);
    EXPECT_EQ(description.session_name, "-") << c.what;
    EXPECT_THAT(DescribeMedia(description),
                ElementsAre("m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=control:trackID=1"))
        << c.what;
  }
}

TEST(LiveDescription, SaysWhatIsWrongAndWhere) {
  const std::string rtpmap = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:";
  struct Case {
    std::string sdp, fault;
  };
  const std::vector<Case> cases = {
      {"", "SDP has no v=0 line"},
      {"hello", "SDP has no v=0 line"},
      {"v=1\r\n", "SDP line 1: version is not 0: 'v=1'"},
      {"v=0\r\ns=x\r\n", "SDP has no m= line"},
      {"m=audio 0 RTP/AVP 0\r\nv=0\r\n", "SDP line 1: m= without v=0 before it"},
      {"v=0\r\nm=\r\n", "SDP line 2: m= without a media type:"},
      {"v=0\r\nm=audio\r\n", "SDP line 2: m= without a port: 'audio'"},
      {"v=0\r\nm=audio x RTP/AVP 0\r\n", "SDP line 2: m= without a port: 'audio x RTP/AVP 0'"},
      {"v=0\r\nm=audio 0 udp 0\r\n",
       "SDP line 2: m= transport is not RTP/AVP or RTP/AVPF: 'audio 0 udp 0'"},
      {"v=0\r\nm=audio 0 RTP/AVPX 0\r\n",
       "SDP line 2: m= transport is not RTP/AVP or RTP/AVPF: 'audio 0 RTP/AVPX 0'"},
      {"v=0\r\nm=audio 0\r\n", "SDP line 2: m= transport is not RTP/AVP or RTP/AVPF: 'audio 0'"},
      {"v=0\r\nm=audio 0 RTP/SAVP 0\r\n",
       "SDP line 2: encrypted media is not taken, publish with RTP/AVP: 'RTP/SAVP'"},
      {"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
       "SDP line 2: encrypted media is not taken, publish with RTP/AVP: 'UDP/TLS/RTP/SAVPF'"},
      {"v=0\r\nm=audio 0 RTP/AVP\r\n", "SDP line 2: m= without a payload type: 'audio 0 RTP/AVP'"},
      {"v=0\r\nm=audio 0 RTP/AVP 0 128\r\n", "SDP line 2: payload type is not 0 to 127: '128'"},
      {"v=0\r\nm=audio 0 RTP/AVP x\r\n", "SDP line 2: payload type is not 0 to 127: 'x'"},
      {"v=0\r\nm=video 0 RTP/AVP 96\r\na=control:1\r\n",
       "SDP line 2: no rtpmap for payload type 96"},
      {"v=0\r\nm=video 0 RTP/AVP 96\r\nm=audio 0 RTP/AVP 0\r\n",
       "SDP line 2: no rtpmap for payload type 96"},
      {"v=0\r\nm=video 0 RTP/AVP 72\r\n", "SDP line 2: no rtpmap for payload type 72"},
      {rtpmap + "96 /90000\r\n", "SDP line 3: rtpmap without an encoding: '96 /90000'"},
      {rtpmap + "96\r\n", "SDP line 3: rtpmap without an encoding: '96'"},
      {rtpmap + "96 H264\r\n",
       "SDP line 3: rtpmap without a clock rate of 1 to 10000000 Hz: '96 H264'"},
      {rtpmap + "96 H264/0\r\n",
       "SDP line 3: rtpmap without a clock rate of 1 to 10000000 Hz: '96 H264/0'"},
      {rtpmap + "96 H264/10000001\r\n",
       "SDP line 3: rtpmap without a clock rate of 1 to 10000000 Hz: '96 H264/10000001'"},
      {rtpmap + "96 H264/90000/300\r\n",
       "SDP line 3: rtpmap with other than 1 to 255 channels: '96 H264/90000/300'"},
      {rtpmap + "128 H264/90000\r\n", "SDP line 3: payload type is not 0 to 127: '128'"},
      {"v=0\r\ns=a\rb\r\n", "SDP line 2: has a control character"},
      {std::string("v=0\r\ns=a\0b\r\n", 11), "SDP line 2: has a control character"},
      {"v=0\r\ns=\x7f\r\n", "SDP line 2: has a control character"},
      {"v=0\r\ns=" + std::string(kSdpLineBytesMax, 'x') + "\r\n", "SDP line 2: longer than 16 KiB"},
      {"v=0\r\nm=" + std::string(50, 'x') + " y\r\n",
       "SDP line 2: m= without a port: '" + std::string(40, 'x') + "...'"},
  };
  for (const Case& c : cases) EXPECT_EQ(Fault(c.sdp), c.fault) << c.sdp;
}

TEST(LiveDescription, TakesSixteenStreamsAndNoMore) {
  std::string sdp = "v=0\r\n";
  for (int i = 0; i < 16; ++i) sdp += "m=audio 0 RTP/AVP 0\r\n";
  EXPECT_EQ(Parse(sdp).streams.size(), kLiveStreamsMax);
  EXPECT_EQ(Fault(sdp + "m=audio 0 RTP/AVP 0\r\n"), "SDP line 18: more than 16 streams");
}

TEST(LiveDescription, PassesOnWhatDescribesTheMedia) {
  EXPECT_THAT(DescribeMedia(ParseMedia("m=video 0 RTP/AVP 96 97 96\r\n"
                                       "a=rtpmap:97 rtx/90000\r\n"
                                       "a=rtpmap:96 VP8/90000\r\n"
                                       "a=rtpmap:96 VP9/90000\r\n"
                                       "a=fmtp:97 apt=96\r\n"
                                       "a=fmtp:96 max-fr=30\r\n"
                                       "a=x-dimensions:1280,720\r\n"
                                       "a=recvonly\r\n"
                                       "a=framesize:96 1280-720\r\n"
                                       "a=range:npt=0-\r\n"
                                       "a=lang:de\r\n"
                                       "a=mid:0\r\n"
                                       "a=candidate:1 1 UDP 1 10.0.0.1 9 typ host\r\n"
                                       "a=rtcp-mux\r\n"
                                       "a=fingerprint:sha-256 00\r\n"
                                       "a=crypto:1 x inline:y\r\n"
                                       "a=tool:x\r\n")),
              ElementsAre("m=video 0 RTP/AVP 96 97", "a=rtpmap:96 VP8/90000", "a=fmtp:96 max-fr=30",
                          "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96", "a=x-dimensions:1280,720",
                          "a=framesize:96 1280-720", "a=lang:de", "a=control:trackID=1"));
}

TEST(LiveDescription, GivesReadersNothingButUtf8WithoutControls) {
  const LiveDescription description = Parse(
      "v=0\r\ns=caf\xe9\xc2\x85!\r\nm=audio 0 RTP/AVP 0\r\na=title:a\tb\xff\r\n"
      "a=fmtp:0 x\xc2\x9fy\r\n");
  const std::vector<std::string> lines = Describe(description);
  EXPECT_EQ(lines[2], "s=caf\xef\xbf\xbd!");
  EXPECT_THAT(DescribeMedia(description),
              ElementsAre("m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=fmtp:0 xy",
                          "a=title:a b\xef\xbf\xbd", "a=control:trackID=1"));
}

struct SetsCase {
  const char* what;
  std::string parameters;
  ParameterSets seen;
  std::string told;
};

TEST(LiveDescription, CompletesH264FromTheStream) {
  const ParameterSets seen = {{}, {{0x67, 0x64, 0x00, 0x28, 0xac}}, {{0x68, 0xee, 0x3c}}};
  const std::string sets = "sprop-parameter-sets=Z2QAKKw=,aO48";
  const std::string own = "sprop-parameter-sets=Z0LAH9k=,aM48gA==";
  const std::vector<SetsCase> cases = {
      {"nothing announced, nothing seen", "", {}, "packetization-mode=1"},
      {"nothing announced", "", seen, "packetization-mode=1;profile-level-id=640028;" + sets},
      {"all but sets", "profile-level-id=4D0028; packetization-mode=1", seen,
       "profile-level-id=4D0028;packetization-mode=1;" + sets},
      {"mode 0 stays", "packetization-mode=0", seen,
       "packetization-mode=0;profile-level-id=640028;" + sets},
      {"own sets win", own, seen, own + ";packetization-mode=1;profile-level-id=42C01F"},
      {"empty values", "profile-level-id=;sprop-parameter-sets=", seen,
       "packetization-mode=1;profile-level-id=640028;" + sets},
      {"damaged sets", "sprop-parameter-sets=!!,Zw==", seen,
       "packetization-mode=1;profile-level-id=640028;" + sets},
      {"a lone SPS", "sprop-parameter-sets=Z0LAH9k=", seen,
       "packetization-mode=1;profile-level-id=640028;" + sets},
      {"half a set seen is none", "x=1", {{}, seen.sps, {}}, "x=1;packetization-mode=1"},
  };
  for (const SetsCase& c : cases) {
    std::string media = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    if (!c.parameters.empty()) media += "a=fmtp:96 " + c.parameters + "\r\n";
    EXPECT_EQ(DescribeMedia(ParseMedia(media), {c.seen})[2], "a=fmtp:96 " + c.told) << c.what;
  }
}

TEST(LiveDescription, CompletesH265FromTheStream) {
  const ParameterSets seen = {{{0x40, 1, 2}}, {{0x42, 1, 2}}, {{0x44, 1, 2}}};
  const std::string sets = "sprop-vps=QAEC;sprop-sps=QgEC;sprop-pps=RAEC";
  const std::string own = "sprop-vps=QAE=; sprop-sps=QgE=; sprop-pps=RAE=";
  const std::vector<SetsCase> cases = {
      {"nothing announced, nothing seen", "level-id=93", {}, "level-id=93"},
      {"nothing announced", "level-id=93", seen, "level-id=93;" + sets},
      {"own sets win", own, seen, "sprop-vps=QAE=;sprop-sps=QgE=;sprop-pps=RAE="},
      {"two of three", "sprop-sps=QgE=;sprop-pps=RAE=", seen, sets},
      {"half a set seen is none", "x=1", {{}, seen.sps, seen.pps}, "x=1"},
  };
  for (const SetsCase& c : cases) {
    const std::string media =
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 " + c.parameters + "\r\n";
    EXPECT_EQ(DescribeMedia(ParseMedia(media), {c.seen})[2], "a=fmtp:96 " + c.told) << c.what;
  }
  const LiveStreamDescription stream =
      Stream("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 " + own + "\r\n");
  EXPECT_THAT(stream.vps, ElementsAre(Bytes{0x40, 1}));
  EXPECT_THAT(stream.sps, ElementsAre(Bytes{0x42, 1}));
  EXPECT_THAT(stream.pps, ElementsAre(Bytes{0x44, 1}));
}

TEST(LiveDescription, TakesParameterSetsOutOfStartCodes) {
  // Base64 of {00 00 00 01 67 42 c0 1f d9 00 00 00 01} and {68 ce 3c 80 00 00 01}.
  const LiveStreamDescription stream = Stream(
      "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
      "a=fmtp:96 sprop-parameter-sets=AAAAAWdCwB/ZAAAAAQ==,aM48gAAAAQ==\r\n");
  EXPECT_THAT(stream.sps, ElementsAre(kSps));
  EXPECT_THAT(stream.pps, ElementsAre(kPps));
}

TEST(LiveDescription, LeavesOtherCodecsAsTheyAre) {
  const ParameterSets seen = {{{0x40, 1}}, {kSps}, {kPps}};
  EXPECT_THAT(DescribeMedia(ParseMedia("m=audio 0 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n"
                                       "a=fmtp:96 sprop-stereo=1; stereo=1\r\n"),
                            {seen}),
              ElementsAre("m=audio 0 RTP/AVP 96", "a=rtpmap:96 opus/48000/2",
                          "a=fmtp:96 sprop-stereo=1; stereo=1", "a=control:trackID=1"));
}

// Each case is kFfmpeg with one text replaced by another.
TEST(LiveDescription, LetsReadersGoOnWithTheSameFormats) {
  struct Case {
    const char* what;
    const char* from;
    const char* to;
    bool compatible;
  };
  const std::vector<Case> cases = {
      {"nothing", "", "", true},
      {"a control", "streamid=0", "track1", true},
      {"the letters of an encoding", "MPEG4-GENERIC", "mpeg4-generic", true},
      {"parameter sets", "Z0LAH9k=", "Z2QAKKw=", true},
      {"no parameter sets", "sprop-parameter-sets=Z0LAH9k=,aM48gA==; ", "", true},
      {"the profile of video", "42C01F", "640028", true},
      {"no mode", "packetization-mode=1; ", "", true},
      {"another mode", "packetization-mode=1", "packetization-mode=0", false},
      {"an interleaving mode", "packetization-mode=1", "packetization-mode=2", false},
      {"the order of parameters", "profile-level-id=1;mode=AAC-hbr",
       "mode=AAC-hbr;profile-level-id=1", true},
      {"the profile of audio", "profile-level-id=1;", "profile-level-id=2;", false},
      {"the config of audio", "config=1190", "config=1210", false},
      {"a parameter more", "config=1190", "config=1190;x=y", false},
      {"payload type", "96", "99", false},
      {"a further payload type", "RTP/AVP 96", "RTP/AVP 96 99", false},
      {"clock rate", "48000", "44100", false},
      {"channels", "48000/2", "48000/1", false},
      {"encoding", "H264", "H265", false},
      {"media", "m=audio", "m=application", false},
      {"a stream less", "m=audio 0 RTP/AVP 97", "a=x", false},
  };
  const LiveDescription before = Parse(kFfmpeg);
  for (const Case& c : cases) {
    const std::string changed =
        *c.from == '\0' ? kFfmpeg : absl::StrReplaceAll(kFfmpeg, {{c.from, c.to}});
    ASSERT_EQ(changed == kFfmpeg, *c.from == '\0') << c.what;
    const LiveDescription after = Parse(changed);
    EXPECT_EQ(Compatible(before, after), c.compatible) << c.what;
    EXPECT_EQ(Compatible(after, before), c.compatible) << c.what;
  }
}

TEST(LiveDescription, TakesOneChannelForChannelsNotSaid) {
  const LiveDescription table = ParseMedia("m=audio 0 RTP/AVP 0\r\n");
  EXPECT_TRUE(Compatible(table, ParseMedia("m=audio 0 RTP/AVP 0\r\na=rtpmap:0 pcmu/8000/1\r\n")));
  EXPECT_FALSE(Compatible(table, ParseMedia("m=audio 0 RTP/AVP 0\r\na=rtpmap:0 pcmu/8000/2\r\n")));
}

TEST(LiveDescription, ComparesFurtherPayloadTypes) {
  const std::string one =
      "m=video 0 RTP/AVP 96 97\r\na=rtpmap:96 VP8/90000\r\na=framerate:25\r\na=rtpmap:97 ";
  EXPECT_TRUE(Compatible(ParseMedia(one + "rtx/90000\r\n"),
                         ParseMedia(absl::StrReplaceAll(one, {{"25", "30"}}) + "rtx/90000\r\n")));
  EXPECT_FALSE(Compatible(ParseMedia(one + "rtx/90000\r\n"), ParseMedia(one + "red/90000\r\n")));
}

// Two streams with these controls, and a control of the session.
LiveDescription Controls(std::string_view first, std::string_view second,
                         std::string_view session = "") {
  std::string sdp = "v=0\r\na=control:";
  sdp.append(session).append("\r\nm=audio 0 RTP/AVP 0\r\na=control:").append(first);
  sdp.append("\r\nm=audio 0 RTP/AVP 0\r\na=control:").append(second).append("\r\n");
  return Parse(sdp);
}

TEST(LiveDescription, FindsTheStreamOfASetup) {
  const LiveDescription relative = Controls("streamid=0", "streamid=1", "*");
  const LiveDescription absolute =
      Controls("rtsp://10.0.0.5/live/a/1", "rtsp://10.0.0.5/live/a/2", "rtsp://10.0.0.5/live/a");
  const LiveDescription queries = Controls("track?id=0", "track?id=1");
  const LiveDescription rooted = Controls("/live/a/t0", "/live/a/t1");
  const LiveDescription elsewhere = Controls("t0", "t1", "rtsp://other/x/");
  const LiveDescription nameless = Controls("", "t1");
  constexpr int kNone = -1;
  struct Case {
    const LiveDescription& description;
    const char* url;
    const char* base;
    int stream;
  };
  const std::vector<Case> cases = {
      {relative, "rtsp://h/live/a/streamid=1", "rtsp://h/live/a", 1},
      {relative, "rtsp://h/live/a/streamid=0", "rtsp://h/live/a/", 0},
      {relative, "rtsp://h/live/a//streamid=1", "rtsp://h/live/a/", 1},
      {relative, "RTSP://H:554/live/a/streamid=1", "rtsp://user:word@h/live/a", 1},
      {relative, "/live/a/streamid=1", "rtsp://h/live/a", 1},
      {relative, "streamid=1", "rtsp://h/live/a", 1},
      {relative, "rtsp://h/streamid=1", "rtsp://h", 1},
      {relative, "rtsp://h/live/a?k=v/streamid=1", "rtsp://h/live/a?k=v", 1},
      {relative, "rtsp://h/live/a/?k=v/streamid=1", "rtsp://h/live/a/?k=v", 1},
      {relative, "rtsp://h/live/a/streamid=1?k=v", "rtsp://h/live/a?k=v", 1},
      {relative, "rtsp://h/live/a/streamid=1?k=v", "rtsp://h/live/a/?k=v", 1},
      {relative, "rtsp://h/live/a/streamid=1", "rtsp://h/live/a?k=v", 1},
      {relative, "rtsp://h/live/a/streamid=1?k=w", "rtsp://h/live/a?k=v", kNone},
      {relative, "rtsp://h/live/a/streamid=1?k=v", "rtsp://h/live/a", kNone},
      {relative, "rtsp://h/live/a/streamid=2", "rtsp://h/live/a", kNone},
      {relative, "rtsp://h/live/a/streamid=11", "rtsp://h/live/a", kNone},
      {relative, "rtsp://h/live/a/STREAMID=1", "rtsp://h/live/a", kNone},
      {relative, "rtsp://h/live/astreamid=1", "rtsp://h/live/a", kNone},
      {relative, "rtsp://h/live/b/streamid=1", "rtsp://h/live/a", kNone},
      {relative, "rtsp://g/live/a/streamid=1", "rtsp://h/live/a", kNone},
      {relative, "rtsp://h/live/a", "rtsp://h/live/a", kNone},
      {relative, "", "", kNone},
      {absolute, "rtsp://10.0.0.5/live/a/2", "rtsp://h/live/a", 1},
      {absolute, "rtsp://10.0.0.5:554/live/a/2/", "rtsp://h/live/a", 1},
      {absolute, "rtsp://h/live/a/2", "rtsp://h/live/a", kNone},
      {queries, "rtsp://h/live/a/track?id=1", "rtsp://h/live/a", 1},
      {queries, "rtsp://h/live/a/track?id=1", "rtsp://h/live/a?k=v", 1},
      {rooted, "rtsp://h/live/a/t1", "rtsp://h/live/a", 1},
      {rooted, "rtsp://g/live/a/t1", "rtsp://h/live/a", kNone},
      {elsewhere, "rtsp://other/x/t1", "rtsp://h/live/a", 1},
      {elsewhere, "rtsp://h/live/a/t1", "rtsp://h/live/a", 1},
      {nameless, "rtsp://h/live/a/t1", "rtsp://h/live/a", 1},
      {nameless, "rtsp://h/live/a/", "rtsp://h/live/a", kNone},
  };
  for (const Case& c : cases) {
    const std::optional<std::size_t> stream = StreamOfUrl(c.description, c.url, c.base);
    EXPECT_EQ(stream ? static_cast<int>(*stream) : kNone, c.stream) << c.url << " at " << c.base;
  }
}

TEST(LiveDescription, LetsASingleStreamAnswerToTheBase) {
  for (const char* control : {"", "*", "track1"}) {
    const LiveDescription one =
        ParseMedia(std::string("m=audio 0 RTP/AVP 0\r\na=control:") + control + "\r\n");
    EXPECT_EQ(StreamOfUrl(one, "rtsp://h/live/a", "rtsp://h/live/a"), 0u) << control;
    EXPECT_EQ(StreamOfUrl(one, "rtsp://h/live/a/", "rtsp://h/live/a"), 0u) << control;
    EXPECT_EQ(StreamOfUrl(one, "rtsp://h/live/a?k=v", "rtsp://h/live/a?k=v"), 0u) << control;
    EXPECT_EQ(StreamOfUrl(one, "rtsp://h/live/ab", "rtsp://h/live/a"), std::nullopt) << control;
    EXPECT_EQ(StreamOfUrl(one, "rtsp://h/live/a/2", "rtsp://h/live/a"), std::nullopt) << control;
  }
}

}  // namespace
}  // namespace millrace
