#include "rtp/session_description.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "media/bitstream.h"

namespace millrace {
namespace {

constexpr char kHexDigits[] = "0123456789ABCDEF";

std::string Hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text.push_back(kHexDigits[byte >> 4]);
    text.push_back(kHexDigits[byte & 15]);
  }
  return text;
}

// Each set in base64, separated by commas.
std::string Base64List(std::initializer_list<const std::vector<Bytes>*> lists) {
  std::string text;
  for (const std::vector<Bytes>* list : lists) {
    for (const Bytes& set : *list) {
      const absl::string_view raw(reinterpret_cast<const char*>(set.data()), set.size());
      absl::StrAppend(&text, text.empty() ? "" : ",", absl::Base64Escape(raw));
    }
  }
  return text;
}

// Length of the UTF-8 character that `text` begins with; 0 when it begins with none (RFC 3629).
std::size_t Utf8Length(std::string_view text) {
  const auto at = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = at(0);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xc2 ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                             : lead < 0xf5 ? 4
                                           : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (at(i) >> 6 != 2) return 0;
  }
  if (lead == 0xe0 && at(1) < 0xa0) return 0;   // overlong
  if (lead == 0xed && at(1) >= 0xa0) return 0;  // surrogate
  if (lead == 0xf0 && at(1) < 0x90) return 0;   // overlong
  if (lead == 0xf4 && at(1) >= 0x90) return 0;  // beyond U+10FFFF
  return length;
}

bool IsControl(std::string_view character) {
  const auto lead = static_cast<std::uint8_t>(character[0]);
  if (lead < 0x20 || lead == 0x7f) return true;
  return lead == 0xc2 && static_cast<std::uint8_t>(character[1]) < 0xa0;  // U+0080 to U+009F
}

// A file name may be any bytes, a session name is UTF-8 on one line (RFC 8866 section 5.3): a line
// break in it would let a file's name write our SDP.
std::string SessionName(std::string_view path) {
  std::string_view rest = path.substr(path.rfind('/') + 1);
  std::string name;
  while (!rest.empty()) {
    const std::size_t length = Utf8Length(rest);
    if (length == 0) {
      name += "\xef\xbf\xbd";  // U+FFFD
    } else if (!IsControl(rest.substr(0, length))) {
      name += rest.substr(0, length);
    }
    rest.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return name.empty() ? "-" : name;
}

// Rounded down, so that a client who asks for the very end asks for something that exists.
std::string RangeText(Duration duration) {
  const std::int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  if (ms <= 0) return "npt=0-";
  return absl::StrFormat("npt=0-%d.%03d", ms / 1000, ms % 1000);
}

std::string H264Parameters(const Track& track) {
  std::string text = "packetization-mode=1";
  if (!track.sps.empty() && track.sps[0].size() >= 4) {
    absl::StrAppend(&text, ";profile-level-id=", Hex(std::span(track.sps[0]).subspan(1, 3)));
  }
  const std::string sets = Base64List({&track.sps, &track.pps});
  if (!sets.empty()) absl::StrAppend(&text, ";sprop-parameter-sets=", sets);
  return text;
}

std::string H265Parameters(const Track& track) {
  std::string text;
  const auto append = [&text](const char* name, const std::vector<Bytes>& sets) {
    if (sets.empty()) return;
    absl::StrAppend(&text, text.empty() ? "" : ";", name, "=", Base64List({&sets}));
  };
  append("sprop-vps", track.vps);
  append("sprop-sps", track.sps);
  append("sprop-pps", track.pps);
  return text;
}

// audioProfileLevelIndication (ISO 14496-3 table 1.14) of the least level that allows the stream; 1
// is what senders use who do not know.
int AacProfileLevel(const Track& track) {
  constexpr int kUnknown = 1;
  constexpr std::uint32_t kLowComplexity = 2;
  const auto config = ReadAudioSpecificConfig(track.audio_specific_config);
  if (!config || config->object_type != kLowComplexity) return kUnknown;
  if (config->channels == 0 || config->channels > 6 || config->sample_rate > 96000) return kUnknown;
  const bool stereo = config->channels <= 2;
  if (config->sbr) {  // High Efficiency AAC, with parametric stereo its version 2: levels 2, 4, 5
    const int level_2 = config->ps ? 48 : 44;
    if (config->sample_rate > 48000) return level_2 + 3;
    return stereo ? level_2 : level_2 + 2;
  }
  // AAC: levels 1, 2, 4, 5
  if (config->sample_rate > 48000) return 43;
  if (!stereo) return 42;
  return config->sample_rate <= 24000 ? 40 : 41;
}

std::string AacParameters(const Track& track) {
  return absl::StrCat("streamtype=5;profile-level-id=", AacProfileLevel(track),
                      ";mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=",
                      Hex(track.audio_specific_config));
}

std::string Encoding(const Track& track) {
  switch (track.codec) {
    case Codec::kH264:
      return absl::StrCat("H264/", track.clock_rate);
    case Codec::kH265:
      return absl::StrCat("H265/", track.clock_rate);
    case Codec::kAac:
      break;
  }
  return absl::StrCat("mpeg4-generic/", track.clock_rate, "/",
                      std::max<std::uint32_t>(track.channels, 1));
}

std::string FormatParameters(const Track& track) {
  switch (track.codec) {
    case Codec::kH264:
      return H264Parameters(track);
    case Codec::kH265:
      return H265Parameters(track);
    case Codec::kAac:
      break;
  }
  return AacParameters(track);
}

void AppendMediaSection(const RtpStream& stream, std::size_t index, std::string* sdp) {
  const Track& track = stream.track;
  const int type = stream.payload_type;
  const char* kind = KindOf(track.codec) == MediaKind::kVideo ? "video" : "audio";
  absl::StrAppend(sdp, "m=", kind, " 0 RTP/AVP ", type, "\r\n");
  if (track.bit_rate != 0) {
    absl::StrAppend(sdp, "b=AS:", (std::uint64_t{track.bit_rate} + 999) / 1000, "\r\n");
  }
  absl::StrAppend(sdp, "a=rtpmap:", type, " ", Encoding(track), "\r\n");
  const std::string parameters = FormatParameters(track);
  if (!parameters.empty()) absl::StrAppend(sdp, "a=fmtp:", type, " ", parameters, "\r\n");
  absl::StrAppend(sdp, "a=control:", ControlName(index), "\r\n");
}

}  // namespace

std::string ControlName(std::size_t index) { return absl::StrCat("trackID=", index + 1); }

std::string DescribePresentation(const Presentation& presentation, const Endpoint& server) {
  const bool v6 = server.family() == AF_INET6;
  std::string address = server.family() == AF_UNSPEC ? "0.0.0.0" : server.AddressText();
  address.resize(std::min(address.size(), address.find('%')));  // a zone means nothing to others

  std::string sdp = "v=0\r\n";
  absl::StrAppend(&sdp, "o=- ", presentation.sdp_session_id, " ", presentation.sdp_version,
                  v6 ? " IN IP6 " : " IN IP4 ", address, "\r\n");
  absl::StrAppend(&sdp, "s=", SessionName(presentation.path), "\r\n");
  absl::StrAppend(&sdp, v6 ? "c=IN IP6 ::" : "c=IN IP4 0.0.0.0", "\r\n");
  absl::StrAppend(&sdp, "t=0 0\r\na=tool:Millrace\r\na=control:*\r\na=range:",
                  RangeText(presentation.duration), "\r\n");
  for (std::size_t i = 0; i < presentation.streams.size(); ++i) {
    AppendMediaSection(presentation.streams[i], i, &sdp);
  }
  return sdp;
}

}  // namespace millrace
