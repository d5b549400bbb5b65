#include "tools/load/packetizer_sdp.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/load/packetizer_table.h"

namespace millrace::load {
namespace {

absl::string_view Text(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string Base64List(const std::vector<Bytes>& units) {
  std::string list;
  for (const Bytes& unit : units) {
    absl::StrAppend(&list, list.empty() ? "" : ",", absl::Base64Escape(Text(unit)));
  }
  return list;
}

std::string H264Parameters(const Track& track) {
  std::string parameters = "packetization-mode=1";
  if (track.sps.empty()) return parameters;  // they come with the key frames
  const Bytes& sps = track.sps.front();
  if (sps.size() >= 4) {
    // profile_idc, the constraint flags and level_idc stand right behind the NAL unit's header.
    absl::StrAppend(&parameters,
                    ";profile-level-id=", absl::BytesToHexString(Text(sps).substr(1, 3)));
  }
  std::vector<Bytes> sets = track.sps;
  sets.insert(sets.end(), track.pps.begin(), track.pps.end());
  return absl::StrCat(parameters, ";sprop-parameter-sets=", Base64List(sets));
}

// Takes the emulation prevention bytes out (ISO 23008-2 section 7.3.1.1).
Bytes RawPayload(const Bytes& nal) {
  Bytes raw;
  int zeros = 0;
  for (const std::uint8_t byte : nal) {
    if (zeros >= 2 && byte == 3) {
      zeros = 0;
      continue;
    }
    zeros = byte == 0 ? zeros + 1 : 0;
    raw.push_back(byte);
  }
  return raw;
}

// profile_tier_level() stands in a sequence parameter set behind the NAL unit's header and one
// byte: space, tier and profile in a byte, four of compatibility flags, six of constraint flags,
// the level (ISO 23008-2 section 7.3.3).
constexpr std::size_t kProfileAt = 3;
constexpr std::size_t kLevelAt = kProfileAt + 11;

std::string H265Parameters(const Track& track) {
  std::string parameters;
  const auto add = [&parameters](absl::string_view name, const auto& value) {
    absl::StrAppend(&parameters, parameters.empty() ? "" : ";", name, "=", value);
  };
  if (!track.sps.empty()) {
    const Bytes raw = RawPayload(track.sps.front());
    if (raw.size() > kLevelAt) {
      add("profile-space", raw[kProfileAt] >> 6);
      add("tier-flag", raw[kProfileAt] >> 5 & 1);
      add("profile-id", raw[kProfileAt] & 0x1f);
      add("level-id", int{raw[kLevelAt]});
    }
  }
  if (!track.vps.empty()) add("sprop-vps", Base64List(track.vps));
  if (!track.sps.empty()) add("sprop-sps", Base64List(track.sps));
  if (!track.pps.empty()) add("sprop-pps", Base64List(track.pps));
  return parameters;
}

std::string AacParameters(const Track& track) {
  // profile-level-id 1, the main audio profile, is what others write who do not know the level;
  // the configuration is what counts.
  return absl::StrCat(
      "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
      "indexdeltalength=3;config=",
      absl::BytesToHexString(Text(track.config)));
}

void Describe(const Track& track, std::size_t index, std::string& sdp) {
  const int type = PacketTable::PayloadType(index);
  std::string media = "video", encoding, parameters;
  switch (track.codec) {
    case Codec::kH264:
      encoding = "H264/90000";
      parameters = H264Parameters(track);
      break;
    case Codec::kH265:
      encoding = "H265/90000";
      parameters = H265Parameters(track);
      break;
    case Codec::kAac:
      media = "audio";
      encoding = absl::StrCat("mpeg4-generic/", track.clock_rate, "/",
                              std::max(track.channels, std::uint32_t{1}));
      parameters = AacParameters(track);
      break;
    default:  // PacketTable keeps no others
      break;
  }
  absl::StrAppend(&sdp, "m=", media, " 0 RTP/AVP ", type, "\r\na=rtpmap:", type, " ", encoding,
                  "\r\n");
  if (!parameters.empty()) absl::StrAppend(&sdp, "a=fmtp:", type, " ", parameters, "\r\n");
  absl::StrAppend(&sdp, "a=control:", TrackControl(index), "\r\n");
}

}  // namespace

std::string TrackControl(std::size_t index) { return absl::StrCat("streamid=", index); }

std::string DescribeTracks(const std::vector<Track>& tracks, std::string_view name, bool ip6) {
  std::string title(name);
  std::replace_if(
      title.begin(), title.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
  if (title.empty()) title = "-";
  std::string sdp =
      absl::StrCat("v=0\r\no=- 1 1 IN ", ip6 ? "IP6 ::1" : "IP4 127.0.0.1", "\r\ns=", title,
                   "\r\nc=IN ", ip6 ? "IP6 ::" : "IP4 0.0.0.0", "\r\nt=0 0\r\n");
  for (std::size_t i = 0; i < tracks.size(); ++i) Describe(tracks[i], i, sdp);
  return sdp;
}

}  // namespace millrace::load
