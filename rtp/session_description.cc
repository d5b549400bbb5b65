#include "rtp/session_description.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "media/bitstream.h"
#include "rtp/sdp_text.h"

namespace millrace {
namespace {

// Rounded down, so that a client who asks for the very end asks for something that exists.
std::string RangeText(Duration duration) {
  const std::int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  if (ms <= 0) return "npt=0-";
  return absl::StrFormat("npt=0-%d.%03d", ms / 1000, ms % 1000);
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
                      HexText(track.audio_specific_config));
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
      return H264Parameters(track.sps, track.pps);
    case Codec::kH265:
      return H265Parameters(track.vps, track.sps, track.pps);
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
  const std::string_view path = presentation.path;
  std::string sdp =
      SessionSection(presentation.sdp_session_id, presentation.sdp_version, server,
                     path.substr(path.rfind('/') + 1), RangeText(presentation.duration));
  for (std::size_t i = 0; i < presentation.streams.size(); ++i) {
    AppendMediaSection(presentation.streams[i], i, &sdp);
  }
  return sdp;
}

}  // namespace millrace
