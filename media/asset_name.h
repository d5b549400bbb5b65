// What is asked of a Library, and of the caches above it: a path, which view of the file that it
// names, and how large its packets are.
//
// The name of the usual view is the path itself. Another's has a NUL, which no path has, and words
// behind it; so names are keys like any string, and two views never meet in a cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

enum class AssetView : std::uint8_t {
  kTracks,         // the elementary streams
  kTransport,      // an MPEG transport stream as one whole (MP2T)
  kRobustAudio,    // the elementary streams, MP3 in units that stand alone (RFC 5219)
  kWithSubtitles,  // the elementary streams, text subtitles among them
};

// `packet_bytes`: what no RTP packet may exceed, header included; 0: the usual.
std::string AssetName(std::string_view path, AssetView view, std::size_t packet_bytes = 0);

struct AssetNameParts {
  std::string_view path;
  AssetView view = AssetView::kTracks;
  std::size_t packet_bytes = 0;
};
// Views into `name`. An unknown word is the usual view, a number that is none the usual size.
AssetNameParts SplitAssetName(std::string_view name);

// What of `path` lies below `prefix`, which has no slashes at its ends; all of it below the top,
// which is the empty one. Nothing: it lies elsewhere, or is the prefix itself.
std::optional<std::string_view> PathBelow(std::string_view path, std::string_view prefix);

// Whatever bytes a client or a playlist names a file with, as part of one line for the log.
std::string PrintablePath(std::string_view path);

}  // namespace millrace
