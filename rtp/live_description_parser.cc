#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "media/bitstream.h"
#include "rtp/live_description.h"
#include "rtp/sdp_text.h"

namespace millrace {
namespace {

constexpr std::uint64_t kPayloadTypeMax = 127;
constexpr std::uint64_t kClockRateMax = 10'000'000;
constexpr std::uint64_t kChannelsMax = 255;
constexpr std::size_t kShownMax = 40;  // bytes of the publisher's text in an error

// RFC 3551 tables 4 and 5, and what it says of H263.
struct StaticType {
  std::uint8_t payload_type;
  const char* encoding;
  std::uint32_t clock_rate;
  std::uint32_t channels = 0;
};
constexpr StaticType kStaticTypes[] = {
    {0, "PCMU", 8000},     {3, "GSM", 8000},    {4, "G723", 8000},   {5, "DVI4", 8000},
    {6, "DVI4", 16000},    {7, "LPC", 8000},    {8, "PCMA", 8000},   {9, "G722", 8000},
    {10, "L16", 44100, 2}, {11, "L16", 44100},  {12, "QCELP", 8000}, {13, "CN", 8000},
    {14, "MPA", 90000},    {15, "G728", 8000},  {16, "DVI4", 11025}, {17, "DVI4", 22050},
    {18, "G729", 8000},    {25, "CelB", 90000}, {26, "JPEG", 90000}, {28, "nv", 90000},
    {31, "H261", 90000},   {32, "MPV", 90000},  {33, "MP2T", 90000}, {34, "H263", 90000},
};

// Attributes that tell a reader about the media. Those about transport, direction and clocks of the
// publisher are no business of theirs.
constexpr std::string_view kForReaders[] = {
    "charset", "cliprect", "content",      "framerate",   "framesize",   "height",   "imageattr",
    "label",   "lang",     "maxptime",     "orient",      "ptime",       "quality",  "sdplang",
    "title",   "width",    "x-dimensions", "x-framerate", "x-framesize", "x-height", "x-width",
};

std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// RFC 8866 section 9, token.
bool IsToken(std::string_view text) {
  constexpr std::string_view kNotInTokens = "\"(),/:;<=>?@[\\]";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return c > ' ' && c < 0x7f && kNotInTokens.find(c) == std::string_view::npos;
  });
}

// Takes the first word off `*text`; empty when there is none.
std::string_view TakeWord(std::string_view* text) {
  *text = TrimBlanks(*text);
  const std::string_view word = text->substr(0, text->find(' '));
  text->remove_prefix(word.size());
  return word;
}

// Takes the part before the next '/' off `*text`, and the '/'.
std::string_view TakePart(std::string_view* text) {
  const std::size_t end = std::min(text->find('/'), text->size());
  const std::string_view part = TrimBlanks(text->substr(0, end));
  text->remove_prefix(std::min(end + 1, text->size()));
  return part;
}

// Some encoders hand out sets with the start codes around them.
ByteSpan WithoutStartCodes(ByteSpan nal) {
  const auto code = [](ByteSpan s) { return s.size() >= 3 && !s[0] && !s[1] && s[2] == 1; };
  while (!nal.empty() && nal.back() == 0) nal = nal.first(nal.size() - 1);
  if (nal.size() >= 3 && code(nal.last(3))) nal = nal.first(nal.size() - 3);
  while (!nal.empty() && nal.back() == 0) nal = nal.first(nal.size() - 1);
  if (nal.size() >= 4 && nal[0] == 0 && code(nal.subspan(1))) return nal.subspan(4);
  return code(nal) ? nal.subspan(3) : nal;
}

void AddSet(Codec codec, ByteSpan nal, LiveStreamDescription* stream) {
  if (nal.size() < 2) return;
  if (codec == Codec::kH264) {
    const std::uint8_t type = H264NalType(nal);
    if (type == kH264Sps) stream->sps.emplace_back(nal.begin(), nal.end());
    if (type == kH264Pps) stream->pps.emplace_back(nal.begin(), nal.end());
    return;
  }
  const std::uint8_t type = H265NalType(nal);
  if (type == kH265Vps) stream->vps.emplace_back(nal.begin(), nal.end());
  if (type == kH265Sps) stream->sps.emplace_back(nal.begin(), nal.end());
  if (type == kH265Pps) stream->pps.emplace_back(nal.begin(), nal.end());
}

// A list in base64; what is none, or no parameter set, is left out.
void AddSets(Codec codec, std::string_view list, LiveStreamDescription* stream) {
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    std::string raw;
    if (!absl::Base64Unescape(absl::string_view(item.data(), item.size()), &raw)) continue;
    AddSet(codec,
           WithoutStartCodes({reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size()}),
           stream);
  }
}

// The value of a format parameter; empty when it is not there.
std::string_view Parameter(std::string_view parameters, std::string_view name) {
  std::string_view value;
  ForEachFormatParameter(parameters, [&](const FormatParameter& parameter) {
    if (value.empty() && EqualsIgnoringCase(parameter.name, name)) value = parameter.value;
  });
  return value;
}

// RFC 3640 section 3.3.6.
bool IsAacHbr(std::string_view parameters) {
  return EqualsIgnoringCase(Parameter(parameters, "mode"), "AAC-hbr") &&
         Parameter(parameters, "sizelength") == "13" &&
         Parameter(parameters, "indexlength") == "3" &&
         Parameter(parameters, "indexdeltalength") == "3";
}

std::optional<Codec> UnderstoodCodec(const LiveStreamDescription& stream) {
  const std::string_view parameters = stream.parameters;
  if (EqualsIgnoringCase(stream.encoding, "H264") && stream.media == "video") {
    // RFC 6184 section 6.2: mode 2 interleaves.
    if (Parameter(parameters, "packetization-mode") == "2") return std::nullopt;
    return Codec::kH264;
  }
  if (EqualsIgnoringCase(stream.encoding, "H265") && stream.media == "video") {
    // RFC 7798 section 4.4: then every payload has fields more.
    const std::string_view difference = Parameter(parameters, "sprop-max-don-diff");
    if (!difference.empty() && difference != "0") return std::nullopt;
    return Codec::kH265;
  }
  if (EqualsIgnoringCase(stream.encoding, "mpeg4-generic") && stream.media == "audio" &&
      IsAacHbr(parameters)) {
    return Codec::kAac;
  }
  return std::nullopt;
}

class LiveDescriptionParser {
 public:
  absl::Status ReadLine(std::string_view line);
  absl::StatusOr<LiveDescription> Finish();

 private:
  absl::Status Fault(std::size_t line, std::string_view what, std::string_view shown = {}) const;
  absl::Status Fault(std::string_view what, std::string_view shown = {}) const {
    return Fault(line_, what, shown);
  }
  LiveStreamDescription& stream() { return description_.streams.back(); }
  bool InMedia() const { return !description_.streams.empty(); }
  // Nothing when the current stream's m= line does not have it.
  absl::StatusOr<std::optional<std::uint8_t>> TakePayloadType(std::string_view* value) const;

  absl::Status ReadField(std::string_view line);
  absl::Status ReadMedia(std::string_view value);
  absl::Status ReadAttribute(std::string_view value);
  absl::Status ReadRtpMap(std::string_view value);
  absl::Status ReadFormatParameters(std::string_view value);
  void ReadBandwidth(std::string_view value);
  absl::Status FinishStream();

  LiveDescription description_;
  bool has_version_ = false;
  std::size_t line_ = 0;        // number of the current one, from 1
  std::size_t media_line_ = 0;  // of the current stream's m=
};

absl::Status LiveDescriptionParser::Fault(std::size_t line, std::string_view what,
                                          std::string_view shown) const {
  std::string text = absl::StrCat("SDP line ", line, ": ");
  text.append(what);
  if (!shown.empty()) {
    const bool whole = shown.size() <= kShownMax;
    text.append(" '").append(OneLine(shown.substr(0, kShownMax))).append(whole ? "'" : "...'");
  }
  return absl::InvalidArgumentError(text);
}

absl::Status LiveDescriptionParser::ReadLine(std::string_view line) {
  ++line_;
  while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.size() > kSdpLineBytesMax) return Fault("longer than 16 KiB");
  const bool has_control = std::any_of(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
  if (has_control) return Fault("has a control character");
  std::string spaced(line);
  std::replace(spaced.begin(), spaced.end(), '\t', ' ');
  return ReadField(TrimBlanks(spaced));
}

absl::Status LiveDescriptionParser::ReadField(std::string_view line) {
  if (line.size() < 2 || line[1] != '=') return absl::OkStatus();
  const std::string_view value = TrimBlanks(line.substr(2));
  switch (line[0]) {
    case 'v':
      if (value != "0") return Fault("version is not 0:", line);
      has_version_ = true;
      return absl::OkStatus();
    case 's':
      if (!InMedia() && description_.session_name.empty())
        description_.session_name = OneLine(value);
      return absl::OkStatus();
    case 'm':
      return ReadMedia(value);
    case 'b':
      if (InMedia()) ReadBandwidth(value);
      return absl::OkStatus();
    case 'a':
      return ReadAttribute(value);
    default:
      return absl::OkStatus();
  }
}

// RFC 8866 section 5.14: media, port, transport, payload types.
absl::Status LiveDescriptionParser::ReadMedia(std::string_view value) {
  if (!has_version_) return Fault("m= without v=0 before it");
  if (absl::Status status = FinishStream(); !status.ok()) return status;
  if (description_.streams.size() == kLiveStreamsMax) return Fault("more than 16 streams");
  std::string_view rest = value;
  const std::string_view media = TakeWord(&rest);
  std::string_view port = TakeWord(&rest);
  const std::string_view transport = TakeWord(&rest);
  port = port.substr(0, port.find('/'));  // 49170/2: a range of ports
  if (!IsToken(media)) return Fault("m= without a media type:", value);
  if (!ParseNumber(port)) return Fault("m= without a port:", value);
  const std::string upper =
      absl::AsciiStrToUpper(absl::string_view(transport.data(), transport.size()));
  const std::string_view profile = upper;
  if (profile.find("SAVP") != std::string_view::npos) {
    return Fault("encrypted media is not taken, publish with RTP/AVP:", transport);
  }
  const std::string_view wanted = profile.starts_with("RTP/AVPF") ? "RTP/AVPF" : "RTP/AVP";
  const std::string_view behind = profile.substr(std::min(wanted.size(), profile.size()));
  if (!profile.starts_with(wanted) || (!behind.empty() && behind[0] != '/')) {
    return Fault("m= transport is not RTP/AVP or RTP/AVPF:", value);
  }
  LiveStreamDescription stream;
  stream.media = LowerCase(media);
  for (std::string_view word = TakeWord(&rest); !word.empty(); word = TakeWord(&rest)) {
    const std::optional<std::uint64_t> type = ParseNumber(word);
    if (!type || *type > kPayloadTypeMax) return Fault("payload type is not 0 to 127:", word);
    std::vector<std::uint8_t>& types = stream.payload_types;
    if (std::find(types.begin(), types.end(), *type) == types.end()) {
      types.push_back(static_cast<std::uint8_t>(*type));
    }
  }
  if (stream.payload_types.empty()) return Fault("m= without a payload type:", value);
  description_.streams.push_back(std::move(stream));
  media_line_ = line_;
  return absl::OkStatus();
}

void LiveDescriptionParser::ReadBandwidth(std::string_view value) {
  if (!value.starts_with("AS:") || stream().bandwidth_kbps != 0) return;
  const std::optional<std::uint64_t> kbps = ParseNumber(TrimBlanks(value.substr(3)));
  if (kbps && *kbps <= std::numeric_limits<std::uint32_t>::max()) {
    stream().bandwidth_kbps = static_cast<std::uint32_t>(*kbps);
  }
}

absl::Status LiveDescriptionParser::ReadAttribute(std::string_view value) {
  const std::size_t colon = value.find(':');
  const std::string name = LowerCase(TrimBlanks(value.substr(0, colon)));
  const std::string_view text =
      colon == std::string_view::npos ? std::string_view() : TrimBlanks(value.substr(colon + 1));
  if (name == "control") {
    std::string& control = InMedia() ? stream().control : description_.control;
    if (control.empty()) control = text;
    return absl::OkStatus();
  }
  if (!InMedia()) return absl::OkStatus();
  if (name == "rtpmap") return ReadRtpMap(text);
  if (name == "fmtp") return ReadFormatParameters(text);
  const auto* end = std::end(kForReaders);
  if (std::find(std::begin(kForReaders), end, std::string_view(name)) != end) {
    stream().attributes.push_back(OneLine(value));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::uint8_t>> LiveDescriptionParser::TakePayloadType(
    std::string_view* value) const {
  const std::string_view word = TakeWord(value);
  *value = TrimBlanks(*value);
  const std::optional<std::uint64_t> type = ParseNumber(word);
  if (!type || *type > kPayloadTypeMax) return Fault("payload type is not 0 to 127:", word);
  const std::vector<std::uint8_t>& types = description_.streams.back().payload_types;
  if (std::find(types.begin(), types.end(), *type) == types.end()) {
    return std::optional<std::uint8_t>();
  }
  return std::optional(static_cast<std::uint8_t>(*type));
}

// RFC 8866 section 6.6: 96 H264/90000, 97 L16/44100/2.
absl::Status LiveDescriptionParser::ReadRtpMap(std::string_view value) {
  std::string_view rest = value;
  const auto type = TakePayloadType(&rest);
  if (!type.ok()) return type.status();
  if (!*type) return absl::OkStatus();
  const std::string_view encoding = TakePart(&rest), rate = TakePart(&rest),
                         count = TakePart(&rest);
  if (!IsToken(encoding)) return Fault("rtpmap without an encoding:", value);
  const std::optional<std::uint64_t> clock = ParseNumber(rate);
  if (!clock || *clock == 0 || *clock > kClockRateMax) {
    return Fault("rtpmap without a clock rate of 1 to 10000000 Hz:", value);
  }
  const std::optional<std::uint64_t> channels = count.empty() ? 0 : ParseNumber(count);
  if (!channels || *channels > kChannelsMax) {
    return Fault("rtpmap with other than 1 to 255 channels:", value);
  }

  if (**type != stream().payload_types[0]) {
    stream().attributes.push_back(absl::StrCat("rtpmap:", **type, " ", std::string(encoding), "/",
                                               *clock,
                                               *channels == 0 ? "" : absl::StrCat("/", *channels)));
  } else if (stream().encoding.empty()) {
    stream().encoding = encoding;
    stream().clock_rate = static_cast<std::uint32_t>(*clock);
    stream().channels = static_cast<std::uint32_t>(*channels);
  }
  return absl::OkStatus();
}

absl::Status LiveDescriptionParser::ReadFormatParameters(std::string_view value) {
  std::string_view rest = value;
  const auto type = TakePayloadType(&rest);
  if (!type.ok()) return type.status();
  if (!*type || rest.empty()) return absl::OkStatus();
  if (**type != stream().payload_types[0]) {
    stream().attributes.push_back(absl::StrCat("fmtp:", **type, " ", OneLine(rest)));
  } else if (stream().parameters.empty()) {
    stream().parameters = OneLine(rest);
  }
  return absl::OkStatus();
}

absl::Status LiveDescriptionParser::FinishStream() {
  if (!InMedia()) return absl::OkStatus();
  LiveStreamDescription& last = stream();
  if (last.encoding.empty()) {
    const auto* const end = std::end(kStaticTypes);
    const auto* const found = std::find_if(
        std::begin(kStaticTypes), end,
        [&](const StaticType& type) { return type.payload_type == last.payload_types[0]; });
    if (found == end) {
      return Fault(media_line_, absl::StrCat("no rtpmap for payload type ", last.payload_types[0]));
    }
    last.encoding = found->encoding;
    last.clock_rate = found->clock_rate;
    last.channels = found->channels;
  }
  last.codec = UnderstoodCodec(last);
  if (last.codec == Codec::kH264) {
    AddSets(*last.codec, Parameter(last.parameters, "sprop-parameter-sets"), &last);
  } else if (last.codec == Codec::kH265) {
    for (const char* name : {"sprop-vps", "sprop-sps", "sprop-pps"}) {
      AddSets(*last.codec, Parameter(last.parameters, name), &last);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LiveDescription> LiveDescriptionParser::Finish() {
  if (!has_version_) return absl::InvalidArgumentError("SDP has no v=0 line");
  if (!InMedia()) return absl::InvalidArgumentError("SDP has no m= line");
  if (absl::Status status = FinishStream(); !status.ok()) return status;
  if (description_.session_name.empty()) description_.session_name = "-";
  return std::move(description_);
}

}  // namespace

absl::StatusOr<LiveDescription> ParseLiveDescription(std::string_view sdp) {
  LiveDescriptionParser parser;
  while (!sdp.empty()) {
    const std::size_t end = sdp.find('\n');
    if (absl::Status status = parser.ReadLine(sdp.substr(0, end)); !status.ok()) return status;
    sdp.remove_prefix(end == std::string_view::npos ? sdp.size() : end + 1);
  }
  return parser.Finish();
}

}  // namespace millrace
