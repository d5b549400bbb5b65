#include "net/rtsp/asset_rules.h"

#include <algorithm>
#include <charconv>

#include "net/rtsp/chars.h"
#include "net/rtsp/range_header.h"
#include "rtp/packet_block.h"
#include "rtp/payload/packetizer.h"

namespace millrace::rtsp {
namespace {

// Calls `each(word, value)` for every part between '&'; stops when that gives false, and gives it.
template <typename Each>
bool ForEachPart(std::string_view query, Each&& each) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    if (!each(part.substr(0, equals), value)) return false;
  }
  return true;
}

void SetView(AssetView view, bool on, AssetWish* wish) {
  if (on) {
    wish->view = view;
  } else if (wish->view == view) {
    wish->view = AssetView::kTracks;
  }
}

// The number that stands for {i}, if this is one of the series' paths: no sign, no needless zeros.
std::optional<std::uint32_t> NumberIn(const ChannelSeries& series, std::string_view path) {
  if (path.size() <= series.prefix.size() + series.suffix.size()) return std::nullopt;
  if (!path.starts_with(series.prefix) || !path.ends_with(series.suffix)) return std::nullopt;
  path.remove_prefix(series.prefix.size());
  path.remove_suffix(series.suffix.size());
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), number);
  const bool plain = path[0] != '0' || path.size() == 1;
  if (error != std::errc() || end != path.data() + path.size() || !plain) return std::nullopt;
  return number < series.count ? std::optional(number) : std::nullopt;
}

}  // namespace

bool ReadAssetQuery(std::string_view query, AssetWish* wish) {
  return ForEachPart(query, [wish](std::string_view word, std::string_view value) {
    const bool on = value != "0";
    if (word == "mp2t") {
      SetView(AssetView::kTransport, on, wish);
    } else if (word == "mpa-robust") {
      SetView(AssetView::kRobustAudio, on, wish);
    } else if (word == "subtitles") {
      SetView(AssetView::kWithSubtitles, on, wish);
    } else if (word == "loop") {
      wish->loop = on;
    } else if (word == "start") {
      const std::optional<Duration> start = ParseNptTime(value);
      if (!start) return false;
      wish->start = *start;
    }
    return true;
  });
}

bool IsAssetQuery(std::string_view query) {
  return ForEachPart(query, [](std::string_view word, std::string_view value) {
    return word == "mp2t" || word == "mpa-robust" || word == "subtitles" || word == "loop" ||
           (word == "start" && ParseNptTime(value));
  });
}

std::size_t PacketBytesFor(std::size_t block_bytes) {
  const std::size_t packet_bytes = block_bytes + kRtpHeaderBytes;
  if (packet_bytes >= kPacketBytesDefault) return 0;
  return packet_bytes >= 1024 ? 1024 : 512;
}

void AssetRules::AddRoot(std::string prefix, const AssetWish& wish) {
  const auto shorter = std::ranges::find_if(
      roots_, [&](const Root& root) { return root.prefix.size() < prefix.size(); });
  roots_.insert(shorter, {std::move(prefix), wish});
}

std::optional<AssetMeaning> AssetRules::Resolve(std::string_view path,
                                                std::string_view query) const {
  AssetMeaning meaning;
  std::string_view file = path;
  for (const ChannelSeries& series : channels_) {
    const std::optional<std::uint32_t> number = NumberIn(series, path);
    if (!number) continue;
    meaning.channel = {*number, series.count};
    file = series.file;
    break;
  }
  const auto root = std::ranges::find_if(roots_, [file](const Root& candidate) {
    return PathBelow(file, candidate.prefix).has_value();
  });
  if (root != roots_.end()) meaning.wish = root->wish;
  if (!ReadAssetQuery(query, &meaning.wish)) return std::nullopt;
  if (meaning.channel) {
    meaning.wish.loop = true;
    meaning.wish.start = Duration(0);
  }
  meaning.file = file;
  return meaning;
}

}  // namespace millrace::rtsp
