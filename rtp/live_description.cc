#include "rtp/live_description.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rtp/sdp_text.h"
#include "rtp/session_description.h"

namespace millrace {
namespace {

bool IsVideo(const LiveStreamDescription& stream) {
  return stream.codec == Codec::kH264 || stream.codec == Codec::kH265;
}

bool IsComplete(Codec codec, const ParameterSets& sets) {
  return !sets.sps.empty() && !sets.pps.empty() && (codec == Codec::kH264 || !sets.vps.empty());
}

bool HoldsSets(std::string_view name) {
  for (const char* sprop : {"sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"}) {
    if (EqualsIgnoringCase(name, sprop)) return true;
  }
  return false;
}

// What decoders find in the stream itself: parameter sets, and the profile and level in them.
bool IsInBand(std::string_view name) {
  for (const char* one : {"profile-level-id", "profile-space", "profile-id", "tier-flag",
                          "level-id", "profile-compatibility-indicator", "interop-constraints"}) {
    if (EqualsIgnoringCase(name, one)) return true;
  }
  return HoldsSets(name);
}

bool HasParameter(std::string_view parameters, std::string_view name) {
  bool found = false;
  ForEachFormatParameter(parameters, [&](const FormatParameter& parameter) {
    found = found || EqualsIgnoringCase(parameter.name, name);
  });
  return found;
}

void AppendParameter(std::string_view parameter, std::string* text) {
  if (!text->empty()) text->push_back(';');
  text->append(parameter);
}

// The fmtp of an H.264 or H.265 stream with what the publisher left out: his packetization mode (a
// sender free to cut large NAL units is in mode 1), and parameter sets, from `seen` where his own
// do not suffice to decode.
std::string VideoParameters(const LiveStreamDescription& stream, const ParameterSets& seen) {
  const ParameterSets announced{stream.vps, stream.sps, stream.pps};
  const bool use_seen = !IsComplete(*stream.codec, announced) && IsComplete(*stream.codec, seen);
  const ParameterSets& sets = use_seen ? seen : announced;
  std::string text;
  ForEachFormatParameter(stream.parameters, [&](const FormatParameter& parameter) {
    const bool empty = parameter.value.empty() && IsInBand(parameter.name);
    if (!empty && !(use_seen && HoldsSets(parameter.name))) AppendParameter(parameter.whole, &text);
  });
  const std::string complete = stream.codec == Codec::kH264
                                   ? H264Parameters(sets.sps, sets.pps)
                                   : H265Parameters(sets.vps, sets.sps, sets.pps);
  std::string missing;
  ForEachFormatParameter(complete, [&](const FormatParameter& parameter) {
    if (!HasParameter(text, parameter.name)) AppendParameter(parameter.whole, &missing);
  });
  if (!missing.empty()) AppendParameter(missing, &text);
  return text;
}

void AppendMediaSection(const LiveStreamDescription& stream, const ParameterSets& seen,
                        std::size_t index, std::string* sdp) {
  const int type = stream.payload_types[0];
  absl::StrAppend(sdp, "m=", stream.media, " 0 RTP/AVP");
  for (const std::uint8_t one : stream.payload_types) absl::StrAppend(sdp, " ", one);
  absl::StrAppend(sdp, "\r\n");
  if (stream.bandwidth_kbps != 0) absl::StrAppend(sdp, "b=AS:", stream.bandwidth_kbps, "\r\n");
  absl::StrAppend(sdp, "a=rtpmap:", type, " ", stream.encoding, "/", stream.clock_rate);
  if (stream.channels != 0) absl::StrAppend(sdp, "/", stream.channels);
  absl::StrAppend(sdp, "\r\n");
  const std::string parameters =
      IsVideo(stream) ? VideoParameters(stream, seen) : stream.parameters;
  if (!parameters.empty()) absl::StrAppend(sdp, "a=fmtp:", type, " ", parameters, "\r\n");
  for (const std::string& attribute : stream.attributes) {
    absl::StrAppend(sdp, "a=", attribute, "\r\n");
  }
  absl::StrAppend(sdp, "a=control:", ControlName(index), "\r\n");
}

// What of the fmtp a reader has to know, in an order of its own. Of H.264 an absent mode is what
// DescribeLive says of it.
std::vector<std::pair<std::string, std::string>> ComparedParameters(
    const LiveStreamDescription& stream) {
  std::vector<std::pair<std::string, std::string>> compared;
  ForEachFormatParameter(stream.parameters, [&](const FormatParameter& parameter) {
    if (IsVideo(stream) && IsInBand(parameter.name)) return;
    compared.emplace_back(LowerCase(parameter.name), parameter.value);
  });
  if (stream.codec == Codec::kH264 && !HasParameter(stream.parameters, "packetization-mode")) {
    compared.emplace_back("packetization-mode", "1");
  }
  std::sort(compared.begin(), compared.end());
  compared.erase(std::unique(compared.begin(), compared.end()), compared.end());
  return compared;
}

// rtpmap and fmtp of the payload types behind the first.
std::vector<std::string> FurtherFormats(const LiveStreamDescription& stream) {
  std::vector<std::string> formats;
  for (const std::string& attribute : stream.attributes) {
    if (attribute.starts_with("rtpmap:") || attribute.starts_with("fmtp:")) {
      formats.push_back(attribute);
    }
  }
  std::sort(formats.begin(), formats.end());
  return formats;
}

bool SameFormat(const LiveStreamDescription& before, const LiveStreamDescription& after) {
  return before.media == after.media && before.payload_types == after.payload_types &&
         EqualsIgnoringCase(before.encoding, after.encoding) &&
         before.clock_rate == after.clock_rate &&
         std::max(before.channels, 1u) == std::max(after.channels, 1u) &&
         before.codec == after.codec && ComparedParameters(before) == ComparedParameters(after) &&
         FurtherFormats(before) == FurtherFormats(after);
}

// A URL in the two parts that compare differently.
struct Url {
  std::string origin;     // scheme and authority in lower case, without user and default port
  std::string_view rest;  // path and query
};

Url SplitUrl(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos || scheme > url.find_first_of("/?")) return {"", url};
  const std::size_t begin = scheme + 3;
  const std::size_t end = std::min(url.find_first_of("/?", begin), url.size());
  std::string_view authority = url.substr(begin, end - begin);
  authority.remove_prefix(authority.rfind('@') + 1);  // npos + 1 is 0
  if (authority.ends_with(":554")) authority.remove_suffix(4);
  std::string origin = LowerCase(url.substr(0, begin));
  return {origin + LowerCase(authority), url.substr(end)};
}

bool SameOrigin(const Url& a, const Url& b) {
  return a.origin.empty() || b.origin.empty() || a.origin == b.origin;
}

std::string_view WithoutSlashes(std::string_view text) {
  while (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

// Whether `url` is `base`, any number of slashes, and `segment`.
bool IsAppended(std::string_view url, std::string_view base, std::string_view segment) {
  base = WithoutSlashes(base);
  if (!url.starts_with(base)) return false;
  url.remove_prefix(base.size());
  const std::size_t slashes = std::min(url.find_first_not_of('/'), url.size());
  if (slashes == 0 && !(url.empty() && segment.empty())) return false;
  while (segment.starts_with('/')) segment.remove_prefix(1);
  return url.substr(slashes) == segment;
}

// The same with the base's query behind the segment, behind the base's path, or left out: clients
// do all three.
bool Names(const Url& url, const Url& base, std::string_view segment) {
  if (!SameOrigin(url, base)) return false;
  if (IsAppended(url.rest, base.rest, segment)) return true;
  const std::size_t mark = base.rest.find('?');
  if (mark == std::string_view::npos) return false;
  const std::string_view path = base.rest.substr(0, mark), query = base.rest.substr(mark);
  if (IsAppended(url.rest, path, segment)) return true;
  return url.rest.ends_with(query) &&
         IsAppended(url.rest.substr(0, url.rest.size() - query.size()), path, segment);
}

bool IsAbsolute(std::string_view control) { return !SplitUrl(control).origin.empty(); }

bool IsControlOf(const Url& url, const Url& base, const LiveDescription& description,
                 std::string_view control) {
  if (control.empty() || control == "*") return false;
  const Url own = SplitUrl(control);
  if (!own.origin.empty()) {
    return url.origin == own.origin && WithoutSlashes(url.rest) == WithoutSlashes(own.rest);
  }
  if (url.origin.empty() && url.rest == control) return true;
  if (control.starts_with('/') && url.rest == control && SameOrigin(url, base)) return true;
  if (Names(url, base, control)) return true;
  return IsAbsolute(description.control) && Names(url, SplitUrl(description.control), control);
}

}  // namespace

std::string DescribeLive(const LiveDescription& description, std::uint64_t sdp_session_id,
                         std::uint64_t sdp_version, const Endpoint& server,
                         std::span<const ParameterSets> sets_seen) {
  std::string sdp =
      SessionSection(sdp_session_id, sdp_version, server, description.session_name, "npt=now-");
  const ParameterSets none;
  for (std::size_t i = 0; i < description.streams.size(); ++i) {
    AppendMediaSection(description.streams[i], i < sets_seen.size() ? sets_seen[i] : none, i, &sdp);
  }
  return sdp;
}

bool Compatible(const LiveDescription& before, const LiveDescription& after) {
  return std::equal(before.streams.begin(), before.streams.end(), after.streams.begin(),
                    after.streams.end(),
                    [](const auto& a, const auto& b) { return SameFormat(a, b); });
}

std::optional<std::size_t> StreamOfUrl(const LiveDescription& description, std::string_view url,
                                       std::string_view base) {
  const Url wanted = SplitUrl(url), announced = SplitUrl(base);
  for (std::size_t i = 0; i < description.streams.size(); ++i) {
    if (IsControlOf(wanted, announced, description, description.streams[i].control)) return i;
  }
  const bool single = description.streams.size() == 1;
  if (single && Names(wanted, announced, "")) return 0;
  return std::nullopt;
}

}  // namespace millrace
