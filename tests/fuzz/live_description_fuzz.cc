// Any bytes as a publisher's SDP: what is accepted keeps its invariants, and what readers get of it
// is SDP that is accepted again, for a description that readers of the first can go on with.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "rtp/live_description.h"

namespace {

using millrace::LiveDescription;
using millrace::LiveStreamDescription;

void Check(bool ok) {
  if (!ok) std::abort();
}

void CheckText(const std::string& text) {
  Check(std::all_of(text.begin(), text.end(),
                    [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; }));
}

void CheckStream(const LiveStreamDescription& stream) {
  Check(!stream.media.empty() && !stream.encoding.empty());
  Check(!stream.payload_types.empty() && stream.payload_types.size() <= 128);
  for (const std::uint8_t type : stream.payload_types) {
    Check(type <= 127);
    Check(std::count(stream.payload_types.begin(), stream.payload_types.end(), type) == 1);
  }
  Check(stream.clock_rate >= 1 && stream.clock_rate <= 10'000'000);
  CheckText(stream.media + stream.encoding + stream.parameters + stream.control);
  for (const std::string& attribute : stream.attributes) CheckText(attribute);
  for (const auto* sets : {&stream.vps, &stream.sps, &stream.pps}) {
    for (const millrace::Bytes& set : *sets) Check(set.size() >= 2);
  }
}

// One "x=" per line, each ended by CRLF; gives the longest line's length.
std::size_t CheckLines(std::string_view sdp) {
  std::size_t longest = 0;
  while (!sdp.empty()) {
    const std::size_t end = sdp.find("\r\n");
    Check(end != std::string_view::npos && end > 2 && sdp[1] == '=');
    CheckText(std::string(sdp.substr(0, end)));
    longest = std::max(longest, end);
    sdp.remove_prefix(end + 2);
  }
  return longest;
}

void CheckUrls(const LiveDescription& description, std::string_view any) {
  constexpr std::string_view kBase = "rtsp://host/live/a?k=v";
  const auto check = [&](std::string_view url, std::string_view base) {
    const auto stream = millrace::StreamOfUrl(description, url, base);
    Check(!stream || *stream < description.streams.size());
  };
  check(any, kBase);
  check(kBase, any);
  check(any, any);
  for (const LiveStreamDescription& stream : description.streams) {
    check(stream.control, kBase);
    check(std::string(kBase) + "/" + stream.control, kBase);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::unique_ptr<char[]> copy(new char[size]);
  std::copy(data, data + size, copy.get());
  const std::string_view sdp(copy.get(), size);
  const auto description = millrace::ParseLiveDescription(sdp);
  if (!description.ok()) {
    Check(!description.status().message().empty());
    for (const char c : description.status().message()) Check(c != '\n' && c != '\r');
    return 0;
  }
  Check(!description->session_name.empty());
  CheckText(description->session_name + description->control);
  Check(!description->streams.empty());
  Check(description->streams.size() <= millrace::kLiveStreamsMax);
  for (const LiveStreamDescription& stream : description->streams) CheckStream(stream);
  Check(millrace::Compatible(*description, *description));
  CheckUrls(*description, sdp.substr(0, 64));

  const std::vector<millrace::ParameterSets> seen(
      1, {{{0x40, 1, 2}}, {{0x67, 0x64, 0, 0x1f, 1}}, {{0x68, 1, 2}}});
  const std::string told = millrace::DescribeLive(*description, 1, 2, {}, seen);
  if (CheckLines(told) > millrace::kSdpLineBytesMax)
    return 0;  // U+FFFD takes more than it replaces
  const auto again = millrace::ParseLiveDescription(told);
  Check(again.ok() && again->streams.size() == description->streams.size());
  const std::string told_again = millrace::DescribeLive(*again, 1, 2, {}, seen);
  Check(told_again == told);
  return 0;
}
