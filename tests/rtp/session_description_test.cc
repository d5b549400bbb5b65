#include "rtp/session_description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "core/random.h"
#include "media/asset_name.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

Endpoint Address(std::string_view ip) { return *Endpoint::Parse(ip, 554); }

RtpStream H264Stream() {
  RtpStream stream;
  stream.track.codec = Codec::kH264;
  stream.track.bit_rate = 1'999'001;
  stream.track.sps = {{0x67, 0x64, 0x00, 0x1f, 0xac}};
  stream.track.pps = {{0x68, 0xee, 0x3c}, {0x68, 0x01}};
  return stream;
}

RtpStream H265Stream() {
  RtpStream stream;
  stream.track.codec = Codec::kH265;
  stream.track.vps = {{0x40, 0x01}};
  stream.track.sps = {{0x42, 0x01, 0x02}};
  stream.track.pps = {{0x44, 0x01}, {0x44, 0x02}};
  return stream;
}

RtpStream AacStream(Bytes config = {0x11, 0x90}, std::uint32_t rate = 48000) {
  RtpStream stream;
  stream.payload_type = 97;
  stream.track.codec = Codec::kAac;
  stream.track.clock_rate = rate;
  stream.track.channels = 2;
  stream.track.config = std::move(config);
  return stream;
}

Presentation MakeFilm(std::vector<RtpStream> streams, std::string path = "films/A film.mp4") {
  Presentation p;
  p.path = std::move(path);
  p.streams = std::move(streams);
  p.duration = 63'004'999'999ns;
  p.sdp_session_id = 1234567890123;
  p.sdp_version = 42;
  return p;
}

std::vector<std::string> Lines(const std::string& sdp) {
  EXPECT_THAT(sdp, EndsWith("\r\n"));
  std::vector<std::string> lines = absl::StrSplit(sdp, "\r\n");
  lines.pop_back();
  return lines;
}

std::string LineWith(const std::string& sdp, const std::string& prefix) {
  for (const std::string& line : Lines(sdp)) {
    if (absl::StartsWith(line, prefix)) return line;
  }
  return "";
}

// What a parser that takes RFC 8866 section 9 at its word would object to; empty when nothing.
std::string FindFault(const std::string& sdp) {
  if (!absl::EndsWith(sdp, "\r\n")) return "no CRLF at the end";
  std::vector<std::string> lines = absl::StrSplit(sdp, "\r\n");
  lines.pop_back();
  const std::string session_order = "vosctba";  // v o s c t b? a*, of those that we use
  const std::string media_order = "mcba";
  bool in_media = false;
  std::size_t at = 0;
  std::string seen;
  for (const std::string& line : lines) {
    if (line.size() < 3 || line[1] != '=') return "not a field: " + line;
    for (const char c : line) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "control character: " + line;
    }
    if (line[0] == 'm') {
      in_media = true;
      at = 0;
    }
    const std::string& order = in_media ? media_order : session_order;
    const std::size_t place = order.find(line[0]);
    if (place == std::string::npos || place < at) return "out of order: " + line;
    if (place == at && line[0] != 'a' && line[0] != 'm' &&
        absl::StrContains(seen, line.substr(0, 1))) {
      if (!in_media) return "twice: " + line;
    }
    at = place;
    if (!in_media) seen += line[0];
    const std::vector<std::string> words = absl::StrSplit(line.substr(2), ' ');
    if (line[0] == 'o' && (words.size() != 6 || words[3] != "IN")) return "o= fields: " + line;
    if (line[0] == 'c' && words.size() != 3) return "c= fields: " + line;
    if (line[0] == 'm' && words.size() != 4) return "m= fields: " + line;
  }
  for (const char field : std::string("vosct")) {
    if (!absl::StrContains(seen, std::string(1, field))) return std::string("no ") + field + "=";
  }
  return "";
}

TEST(SessionDescription, TellsWhatIsKnownOfTheFile) {
  RtpStream video = H264Stream();
  video.track.width = 1280;
  video.track.height = 720;
  video.track.frame_rate = {30000, 1001};
  RtpStream audio = AacStream();
  audio.track.language = "pt-BR";
  Presentation film = MakeFilm({video, audio});
  film.title = "A title\r\na=sneaked in";
  const std::string sdp = DescribePresentation(film, Address("192.0.2.1"));
  EXPECT_EQ(LineWith(sdp, "s="), "s=A titlea=sneaked in");
  EXPECT_EQ(LineWith(sdp, "a=framerate"), "a=framerate:29.97");
  EXPECT_EQ(LineWith(sdp, "a=x-dimensions"), "a=x-dimensions:1280,720");
  EXPECT_EQ(LineWith(sdp, "a=lang"), "a=lang:pt-BR");
  film.streams[0].track.frame_rate = {50, 2};
  EXPECT_EQ(LineWith(DescribePresentation(film, Address("192.0.2.1")), "a=framerate"),
            "a=framerate:25");
}

TEST(SessionDescription, GivesEveryFormatItsNames) {
  struct Case {
    Codec codec;
    std::uint32_t sample_rate, channels, sample_bytes;
    int payload_type;
    const char* media;
    const char* encoding;
  };
  const Case kCases[] = {
      {Codec::kVp8, 0, 0, 0, 96, "video", "VP8/90000"},
      {Codec::kVp9, 0, 0, 0, 96, "video", "VP9/90000"},
      {Codec::kAv1, 0, 0, 0, 96, "video", "AV1/90000"},
      {Codec::kMpeg4Video, 0, 0, 0, 96, "video", "MP4V-ES/90000"},
      {Codec::kMpegVideo, 0, 0, 0, 32, "video", "MPV/90000"},
      {Codec::kMotionJpeg, 0, 0, 0, 26, "video", "JPEG/90000"},
      {Codec::kH263, 0, 0, 0, 96, "video", "H263-1998/90000"},
      {Codec::kTheora, 0, 0, 0, 96, "video", "theora/90000"},
      {Codec::kJpeg2000, 0, 0, 0, 96, "video", "jpeg2000/90000"},
      {Codec::kDv, 0, 0, 0, 96, "video", "DV/90000"},
      {Codec::kMpegAudio, 44100, 2, 0, 14, "audio", "MPA/90000"},
      {Codec::kAc3, 48000, 6, 0, 96, "audio", "AC3/48000/6"},
      {Codec::kEac3, 48000, 6, 0, 96, "audio", "eac3/48000/6"},
      {Codec::kAmr, 8000, 1, 0, 96, "audio", "AMR/8000"},
      {Codec::kAmrWb, 16000, 1, 0, 96, "audio", "AMR-WB/16000"},
      {Codec::kG722, 16000, 1, 0, 9, "audio", "G722/8000"},
      {Codec::kSpeex, 16000, 1, 0, 96, "audio", "speex/16000"},
      {Codec::kOpus, 48000, 1, 0, 96, "audio", "opus/48000/2"},
      {Codec::kVorbis, 44100, 2, 0, 96, "audio", "vorbis/44100/2"},
      {Codec::kKlv, 0, 0, 0, 96, "application", "smpte336m/90000"},
      {Codec::kPcmu, 8000, 1, 0, 0, "audio", "PCMU/8000"},
      {Codec::kPcma, 8000, 1, 0, 8, "audio", "PCMA/8000"},
      {Codec::kPcma, 16000, 2, 0, 96, "audio", "PCMA/16000/2"},
      {Codec::kLinearPcm, 44100, 2, 2, 10, "audio", "L16/44100/2"},
      {Codec::kLinearPcm, 48000, 2, 3, 96, "audio", "L24/48000/2"},
  };
  for (const Case& c : kCases) {
    MediaInfo info;
    Track& track = info.tracks.emplace_back();
    track.codec = c.codec;
    track.sample_rate = c.sample_rate;
    track.channels = c.channels;
    track.sample_bytes = c.sample_bytes;
    if (c.sample_rate != 0) track.clock_rate = RtpClockRate(c.codec, c.sample_rate);
    SeededRandom random(1);
    const Presentation p = MakePresentation("x", {}, 1, info, random);
    const std::string sdp = DescribePresentation(p, Address("192.0.2.1"));
    const std::string type = std::to_string(c.payload_type);
    EXPECT_EQ(LineWith(sdp, "m="), std::string("m=") + c.media + " 0 RTP/AVP " + type);
    EXPECT_EQ(LineWith(sdp, "a=rtpmap"), "a=rtpmap:" + type + " " + c.encoding);
  }
}

TEST(SessionDescription, NamesTheFileWhateverTheView) {
  for (const AssetView view : {AssetView::kTracks, AssetView::kWithSubtitles}) {
    SeededRandom random(1);
    MediaInfo info;
    info.tracks.emplace_back();
    const Presentation p =
        MakePresentation(AssetName("films/night.mkv", view), {}, 1, info, random);
    EXPECT_EQ(LineWith(DescribePresentation(p, Address("192.0.2.1")), "s="), "s=night.mkv");
  }
}

TEST(SessionDescription, NamesStreamsFromOne) {
  EXPECT_EQ(ControlName(0), "trackID=1");
  EXPECT_EQ(ControlName(11), "trackID=12");
}

TEST(SessionDescription, DescribesAFilmLineByLine) {
  const std::string sdp =
      DescribePresentation(MakeFilm({H264Stream(), AacStream()}), Address("192.0.2.7"));
  EXPECT_THAT(Lines(sdp),
              ElementsAre("v=0", "o=- 1234567890123 42 IN IP4 192.0.2.7", "s=A film.mp4",
                          "c=IN IP4 0.0.0.0", "t=0 0", "a=tool:Millrace", "a=control:*",
                          "a=range:npt=0-63.004", "m=video 0 RTP/AVP 96", "b=AS:2000",
                          "a=rtpmap:96 H264/90000",
                          "a=fmtp:96 packetization-mode=1;profile-level-id=64001F;"
                          "sprop-parameter-sets=Z2QAH6w=,aO48,aAE=",
                          "a=control:trackID=1", "m=audio 0 RTP/AVP 97",
                          "a=rtpmap:97 mpeg4-generic/48000/2",
                          "a=fmtp:97 streamtype=5;profile-level-id=41;mode=AAC-hbr;sizelength=13;"
                          "indexlength=3;indexdeltalength=3;config=1190",
                          "a=control:trackID=2"));
  EXPECT_EQ(FindFault(sdp), "");
}

TEST(SessionDescription, DescribesH265) {
  const std::string sdp = DescribePresentation(MakeFilm({H265Stream()}), Address("192.0.2.7"));
  EXPECT_EQ(LineWith(sdp, "a=rtpmap"), "a=rtpmap:96 H265/90000");
  EXPECT_EQ(LineWith(sdp, "a=fmtp"), "a=fmtp:96 sprop-vps=QAE=;sprop-sps=QgEC;sprop-pps=RAE=,RAI=");
  EXPECT_EQ(FindFault(sdp), "");
}

TEST(SessionDescription, ServesIpv6WithItsOwnWildcard) {
  const std::string sdp = DescribePresentation(MakeFilm({AacStream()}), Address("2001:db8::1"));
  EXPECT_EQ(LineWith(sdp, "o="), "o=- 1234567890123 42 IN IP6 2001:db8::1");
  EXPECT_EQ(LineWith(sdp, "c="), "c=IN IP6 ::");
  EXPECT_EQ(FindFault(sdp), "");
}

TEST(SessionDescription, IsWellFormedWithoutAnyAddress) {
  const std::string sdp = DescribePresentation(MakeFilm({AacStream()}), Endpoint());
  EXPECT_EQ(LineWith(sdp, "o="), "o=- 1234567890123 42 IN IP4 0.0.0.0");
  EXPECT_EQ(FindFault(sdp), "");
}

TEST(SessionDescription, NamesTheSessionAfterTheFile) {
  struct Case {
    const char* what;
    std::string path, line;
  };
  const std::vector<Case> cases = {
      {"no folder", "a.mp4", "s=a.mp4"},
      {"folders are left out", "x/y z/a b.mp4", "s=a b.mp4"},
      {"UTF-8 stays", "Фильм é 映画 \xf0\x9f\x8e\xac.mkv", "s=Фильм é 映画 \xf0\x9f\x8e\xac.mkv"},
      {"nothing", "", "s=-"},
      {"a folder", "x/", "s=-"},
      {"nothing but control characters", "\r\n\t", "s=-"},
      {"a line break cannot begin a line of ours", "a\r\nm=video.mp4", "s=am=video.mp4"},
      {"ESC, DEL and the upper controls",
       "a\x1b"
       "b\x7f"
       "c\xc2\x85"
       "d",
       "s=abcd"},
      {"a no-break space is none of them",
       "a\xc2\xa0"
       "b",
       "s=a\xc2\xa0"
       "b"},
      {"Latin-1", "caf\xe9.mp4", "s=caf\xef\xbf\xbd.mp4"},
      {"a torn character", "a\xe6\x98", "s=a\xef\xbf\xbd\xef\xbf\xbd"},
      {"overlong", "\xc0\xaf", "s=\xef\xbf\xbd\xef\xbf\xbd"},
      {"a surrogate", "\xed\xa0\x80", "s=\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
  };
  for (const Case& c : cases) {
    const std::string sdp =
        DescribePresentation(MakeFilm({AacStream()}, c.path), Address("192.0.2.7"));
    EXPECT_EQ(LineWith(sdp, "s="), c.line) << c.what;
    EXPECT_EQ(FindFault(sdp), "") << c.what;
  }
}

TEST(SessionDescription, RoundsTheEndOfTheRangeDown) {
  struct Case {
    Duration duration;
    std::string line;
  };
  const std::vector<Case> cases = {
      {1s, "a=range:npt=0-1.000"},  {1999'999'999ns, "a=range:npt=0-1.999"},
      {7ms, "a=range:npt=0-0.007"}, {100h, "a=range:npt=0-360000.000"},
      {0s, "a=range:npt=0-"},       {-1s, "a=range:npt=0-"},
  };
  for (const Case& c : cases) {
    Presentation p = MakeFilm({AacStream()});
    p.duration = c.duration;
    EXPECT_EQ(LineWith(DescribePresentation(p, Address("::1")), "a=range"), c.line);
  }
}

TEST(SessionDescription, TellsTheBandwidthInKilobitsAndOnlyWhenItIsKnown) {
  struct Case {
    std::uint32_t bit_rate;
    std::string line;
  };
  for (const Case& c : {Case{0, ""},
                        {1, "b=AS:1"},
                        {1000, "b=AS:1"},
                        {1001, "b=AS:2"},
                        {UINT32_MAX, "b=AS:4294968"}}) {
    RtpStream stream = AacStream();
    stream.track.bit_rate = c.bit_rate;
    const std::string sdp = DescribePresentation(MakeFilm({stream}), Address("::1"));
    EXPECT_EQ(LineWith(sdp, "b="), c.line);
    EXPECT_EQ(FindFault(sdp), "");
  }
}

TEST(SessionDescription, SendsParameterSetsThatDecodeToTheTracksOwn) {
  RtpStream stream = H264Stream();
  stream.track.sps.push_back(Bytes(300, 0xfb));  // the characters + and / of base64
  const std::string sdp = DescribePresentation(MakeFilm({stream}), Address("::1"));
  const std::string fmtp = LineWith(sdp, "a=fmtp");
  const std::string key = "sprop-parameter-sets=";
  std::vector<Bytes> sent;
  for (absl::string_view text : absl::StrSplit(fmtp.substr(fmtp.find(key) + key.size()), ',')) {
    std::string raw;
    ASSERT_TRUE(absl::Base64Unescape(text, &raw));
    sent.emplace_back(raw.begin(), raw.end());
  }
  std::vector<Bytes> expected = stream.track.sps;
  expected.insert(expected.end(), stream.track.pps.begin(), stream.track.pps.end());
  EXPECT_EQ(sent, expected);
}

TEST(SessionDescription, LeavesOutWhatTheTrackDoesNotKnow) {
  RtpStream h264 = H264Stream();
  h264.track.sps = {{0x67, 0x64}};  // too short to tell a level
  h264.track.pps.clear();
  RtpStream h265 = H265Stream();
  h265.track.vps.clear();
  h265.track.sps.clear();
  h265.track.pps.clear();
  const std::string sdp = DescribePresentation(MakeFilm({h264, h265}), Address("::1"));
  EXPECT_EQ(LineWith(sdp, "a=fmtp"), "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z2Q=");
  EXPECT_EQ(Lines(sdp).size(), 8u + 4u + 1u + 3u);  // H.265 has no fmtp line then
  EXPECT_EQ(FindFault(sdp), "");

  h264.track.sps.clear();
  EXPECT_EQ(LineWith(DescribePresentation(MakeFilm({h264}), Address("::1")), "a=fmtp"),
            "a=fmtp:96 packetization-mode=1");
}

TEST(SessionDescription, NamesTheAacProfileAndLevelOfTheConfiguration) {
  struct Case {
    const char* what;
    Bytes config;
    std::string parameter;
  };
  const std::vector<Case> cases = {
      {"LC 48 kHz stereo", {0x11, 0x90}, "profile-level-id=41;"},
      {"LC 22.05 kHz mono", {0x13, 0x88}, "profile-level-id=40;"},
      {"LC 48 kHz 5.1", {0x11, 0xb0}, "profile-level-id=42;"},
      {"LC 96 kHz stereo", {0x10, 0x10}, "profile-level-id=43;"},
      {"Main", {0x09, 0x90}, "profile-level-id=1;"},
      {"none", {}, "profile-level-id=1;"},
      {"SBR, 24 to 48 kHz stereo", {0x2b, 0x11, 0x88, 0x00}, "profile-level-id=44;"},
      {"SBR and PS, 24 to 48 kHz", {0xeb, 0x09, 0x88, 0x00}, "profile-level-id=48;"},
  };
  for (const Case& c : cases) {
    const std::string sdp = DescribePresentation(MakeFilm({AacStream(c.config)}), Address("::1"));
    EXPECT_THAT(LineWith(sdp, "a=fmtp"), HasSubstr(c.parameter)) << c.what;
    EXPECT_EQ(FindFault(sdp), "") << c.what;
  }
}

TEST(SessionDescription, NeverOffersKeysOrTimesOfArrival) {
  const std::string sdp =
      DescribePresentation(MakeFilm({H264Stream(), H265Stream(), AacStream()}), Address("::1"));
  for (const char* unwanted : {"a=crypto", "a=key-mgmt", "sprop-max-don-diff", "RTP/SAVP"}) {
    EXPECT_THAT(sdp, Not(HasSubstr(unwanted)));
  }
}

TEST(SessionDescriptionChecker, ObjectsToWhatItIsThereToFind) {
  const std::string good =
      DescribePresentation(MakeFilm({H264Stream(), AacStream()}), Address("::1"));
  ASSERT_EQ(FindFault(good), "");
  const auto replaced = [&good](const std::string& what, const std::string& by) {
    std::string sdp = good;
    sdp.replace(sdp.find(what), what.size(), by);
    return sdp;
  };
  EXPECT_NE(FindFault(replaced("t=0 0\r\n", "")), "");
  EXPECT_NE(FindFault(replaced("s=A film.mp4\r\n", "s=\r\n")), "");
  EXPECT_NE(FindFault(replaced("t=0 0\r\n", "t=0 0\r\ns=again\r\n")), "");
  EXPECT_NE(FindFault(replaced("t=0 0\r\n", "t=0 0\r\nt=1 1\r\n")), "");
  EXPECT_NE(FindFault(replaced("t=0 0\r\n", "t=0 0\n")), "");
  EXPECT_NE(FindFault(replaced("b=AS:2000\r\na=rtpmap", "a=rtpmap:0 x\r\nb=AS:2000\r\na=rtpmap")),
            "");
}

}  // namespace
}  // namespace millrace
