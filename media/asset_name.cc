#include "media/asset_name.h"

#include <charconv>

#include "absl/strings/escaping.h"

namespace millrace {
namespace {

constexpr std::string_view kTransportWord = "mp2t";
constexpr std::string_view kRobustAudioWord = "mpa-robust";
constexpr std::string_view kSubtitlesWord = "subtitles";
constexpr char kSizeMark = ',';

}  // namespace

std::string AssetName(std::string_view path, AssetView view, std::size_t packet_bytes) {
  std::string name(path);
  if (view == AssetView::kTracks && packet_bytes == 0) return name;
  name.push_back('\0');
  if (view == AssetView::kTransport) name.append(kTransportWord);
  if (view == AssetView::kRobustAudio) name.append(kRobustAudioWord);
  if (view == AssetView::kWithSubtitles) name.append(kSubtitlesWord);
  if (packet_bytes != 0) name.append(1, kSizeMark).append(std::to_string(packet_bytes));
  return name;
}

AssetNameParts SplitAssetName(std::string_view name) {
  AssetNameParts parts{.path = name};
  const std::size_t nul = name.find('\0');
  if (nul == std::string_view::npos) return parts;
  parts.path = name.substr(0, nul);
  const std::string_view rest = name.substr(nul + 1);
  const std::size_t mark = rest.find(kSizeMark);
  const std::string_view word = rest.substr(0, mark);
  if (word == kTransportWord) parts.view = AssetView::kTransport;
  if (word == kRobustAudioWord) parts.view = AssetView::kRobustAudio;
  if (word == kSubtitlesWord) parts.view = AssetView::kWithSubtitles;
  if (mark != std::string_view::npos) {
    std::from_chars(rest.data() + mark + 1, rest.data() + rest.size(), parts.packet_bytes);
  }
  return parts;
}

std::optional<std::string_view> PathBelow(std::string_view path, std::string_view prefix) {
  if (prefix.empty()) return path;
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  if (!path.starts_with('/')) return std::nullopt;
  return path.substr(1);
}

std::string PrintablePath(std::string_view path) {
  constexpr std::size_t kShownMax = 256;
  const std::string_view shown = path.substr(0, kShownMax);
  return absl::Utf8SafeCHexEscape(absl::string_view(shown.data(), shown.size()));
}

}  // namespace millrace
