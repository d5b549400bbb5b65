// Any bytes as a playlist: what is taken names files below the root, written so that each has one
// name, and what is refused says so in one line.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "media/playlist.h"

namespace {

void Check(bool ok) {
  if (!ok) std::abort();
}

void CheckPath(std::string_view path) {
  Check(!path.empty() && path.find('\0') == path.npos);
  Check(!millrace::HasPlaylistExtension(path));
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    Check(!part.empty() && part != "." && part != "..");
    at = end + 1;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::unique_ptr<char[]> copy(new char[size]);
  std::copy(data, data + size, copy.get());
  const std::string_view text(copy.get(), size);
  for (const std::string_view path : {"list.m3u", "a/b/list.m3u8"}) {
    const auto playlist = millrace::ParsePlaylist(text, path);
    if (!playlist.ok()) {
      Check(!playlist.status().message().empty());
      for (const char c : playlist.status().message()) Check(c != '\n' && c != '\r' && c != '\0');
      continue;
    }
    Check(!playlist->items.empty() && playlist->items.size() <= millrace::kPlaylistItemsMax);
    std::size_t line = 0;
    for (const millrace::PlaylistItem& item : playlist->items) {
      Check(item.line > line);
      line = item.line;
      CheckPath(item.path);
      if (!item.decoded.empty()) CheckPath(item.decoded);
    }
  }
  return 0;
}
