#include "rtp/session_description.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "rtp/payload/payload_format.h"
#include "rtp/sdp_text.h"

namespace millrace {
namespace {

// Rounded down, so that a client who asks for the very end asks for something that exists.
std::string RangeText(Duration duration) {
  const std::int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  if (ms <= 0) return "npt=0-";
  return absl::StrFormat("npt=0-%d.%03d", ms / 1000, ms % 1000);
}

// RFC 8866 section 6.13: a decimal number.
std::string FrameRateText(const FrameRate& rate) {
  const double frames = static_cast<double>(rate.numerator) / rate.denominator;
  std::string text = absl::StrFormat("%.3f", frames);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

const char* MediaName(MediaKind kind) {
  switch (kind) {
    case MediaKind::kVideo:
      return "video";
    case MediaKind::kAudio:
      return "audio";
    case MediaKind::kText:
      return "text";
    case MediaKind::kData:
      break;
  }
  return "application";
}

void AppendMediaSection(const RtpStream& stream, const std::string& control, std::string* sdp) {
  const Track& track = stream.track;
  const int type = stream.payload_type;
  absl::StrAppend(sdp, "m=", MediaName(KindOf(track.codec)), " 0 RTP/AVP ", type, "\r\n");
  if (track.bit_rate != 0) {
    absl::StrAppend(sdp, "b=AS:", (std::uint64_t{track.bit_rate} + 999) / 1000, "\r\n");
  }
  const PayloadFormat& format = PayloadFormatOf(track.codec);
  absl::StrAppend(sdp, "a=rtpmap:", type, " ", format.encoding(track), "\r\n");
  const std::string parameters = format.parameters == nullptr ? "" : format.parameters(track);
  if (!parameters.empty()) absl::StrAppend(sdp, "a=fmtp:", type, " ", parameters, "\r\n");
  if (!track.language.empty()) absl::StrAppend(sdp, "a=lang:", track.language, "\r\n");
  if (track.frame_rate.numerator != 0) {
    absl::StrAppend(sdp, "a=framerate:", FrameRateText(track.frame_rate), "\r\n");
  }
  if (track.width != 0 && track.height != 0) {
    absl::StrAppend(sdp, "a=x-dimensions:", track.width, ",", track.height, "\r\n");
  }
  absl::StrAppend(sdp, "a=control:", control, "\r\n");
}

}  // namespace

std::string ControlName(std::size_t index) { return absl::StrCat("trackID=", index + 1); }

std::string DescribePresentation(const Presentation& presentation, const Endpoint& server,
                                 const PresentationView& view) {
  const std::string_view path = presentation.file();
  std::string sdp = SessionSection(
      presentation.sdp_session_id, presentation.sdp_version, server,
      presentation.title.empty() ? path.substr(path.rfind('/') + 1)
                                 : std::string_view(presentation.title),
      view.live                                ? "npt=now-"
      : view.endless || presentation.growing() ? "npt=0-"
                                               : RangeText(presentation.duration - view.start));
  for (std::size_t i = 0; i < presentation.streams.size(); ++i) {
    AppendMediaSection(presentation.streams[i],
                       absl::StrCat(view.control_prefix, ControlName(i), view.control_suffix),
                       &sdp);
  }
  return sdp;
}

}  // namespace millrace
