// An M3U playlist (.m3u, .m3u8) of files in a served folder: which they are, in which order.
//
// One name a line, relative to the playlist's folder; lines that begin with # are comments, of
// which #PLAYLIST gives the title. A media playlist of HTTP Live Streaming (RFC 8216) with whole
// segments is one as well; what its tags ask for beyond that is refused, not passed over.
//
// Shard: any; pure functions. Limits: kPlaylistBytesMax, kPlaylistItemsMax.
// Invariants
//  1. A path names something below the root or is refused: absolute paths, URLs and `..` that leads
//     out of the root are not taken, decoded or not. Where links lead is for who opens it.
//  2. No item is a playlist.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace millrace {

inline constexpr std::size_t kPlaylistBytesMax = std::size_t{1} << 20;
// Files may come again and again.
inline constexpr std::size_t kPlaylistItemsMax = 10'000;

struct PlaylistItem {
  std::string path;     // relative to the root, without `.`, `..` and empty names
  std::string decoded;  // the same with percent-escapes decoded, for when the plain name names
                        // nothing; empty where there are none
  std::size_t line = 0;
};

struct Playlist {
  std::string title;                // empty: none
  std::vector<PlaylistItem> items;  // at least one
};

bool HasPlaylistExtension(std::string_view path);

// `path` is the playlist's own, relative to the root. kInvalidArgument: the message is one line
// that says what is wrong and in which line.
absl::StatusOr<Playlist> ParsePlaylist(std::string_view text, std::string_view path);

}  // namespace millrace
