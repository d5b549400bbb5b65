#include "media/playlist.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "media/asset_name.h"

namespace millrace {
namespace {

constexpr std::size_t kTitleBytesMax = 256;

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

absl::string_view AbslView(std::string_view s) { return {s.data(), s.size()}; }

absl::Status Refuse(std::size_t line, std::string_view name, std::string_view why) {
  const std::string shown = PrintablePath(name);
  return absl::InvalidArgumentError(
      absl::StrCat("line ", line, ": ", shown, shown.empty() ? "" : " ", AbslView(why)));
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// A scheme as RFC 3986 section 3.1 has it, before "//" or one that needs none. A colon alone may
// stand in a file's name.
bool IsUrl(std::string_view name) {
  const std::size_t colon = name.find(':');
  if (colon == name.npos || colon == 0 || !absl::ascii_isalpha(static_cast<unsigned char>(name[0])))
    return false;
  const std::string scheme = absl::AsciiStrToLower(AbslView(name.substr(0, colon)));
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '-' || c == '.';
  };
  if (!std::ranges::all_of(scheme, allowed)) return false;
  constexpr std::array<std::string_view, 7> kBare = {"file", "http",   "https", "rtsp",
                                                     "rtmp", "concat", "data"};
  return name.substr(colon + 1).starts_with("//") ||
         std::ranges::find(kBare, scheme) != kBare.end();
}

bool IsAbsolute(std::string_view name) {
  const bool drive = name.size() > 2 && name[1] == ':' && (name[2] == '/' || name[2] == '\\');
  return name.front() == '/' || name.front() == '\\' || drive;
}

// `name` seen from `folder`; nothing when it lies outside the root, or is the root.
std::optional<std::string> Resolve(std::string_view folder, std::string_view name) {
  std::vector<std::string_view> parts;
  for (const std::string_view side : {folder, name}) {
    for (std::size_t at = 0; at <= side.size();) {
      const std::size_t end = std::min(side.find('/', at), side.size());
      const std::string_view part = side.substr(at, end - at);
      at = end + 1;
      if (part.empty() || part == ".") continue;
      if (part != "..") {
        parts.push_back(part);
      } else if (parts.empty()) {
        return std::nullopt;
      } else {
        parts.pop_back();
      }
    }
  }
  if (parts.empty()) return std::nullopt;
  std::string path(parts.front());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    path += '/';
    path += parts[i];
  }
  return path;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The name as it stands when it has no escapes.
std::string DecodePercent(std::string_view name) {
  std::string decoded;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const int high = name[i] == '%' && i + 2 < name.size() ? HexDigit(name[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(name[i + 2]) : -1;
    if (low < 0) {
      decoded += name[i];
    } else {
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return decoded;
}

// Empty when the line asks for nothing that whole files do not give.
std::string_view WhyTagRefused(std::string_view tag) {
  const std::string_view name = tag.substr(0, tag.find(':'));
  if (name == "#EXT-X-BYTERANGE") return "asks for a part of a file; only whole files are played";
  if (name == "#EXT-X-MAP") return "asks for segments with a header apart; whole files are played";
  if (name == "#EXT-X-KEY" || name == "#EXT-X-SESSION-KEY") {
    return absl::StrContains(AbslView(tag), "METHOD=NONE") ? "" : "says the segments are encrypted";
  }
  if (name == "#EXT-X-STREAM-INF" || name == "#EXT-X-MEDIA" ||
      name == "#EXT-X-I-FRAME-STREAM-INF") {
    return "is of a list of variants; serve one of the playlists that it lists";
  }
  return "";
}

absl::StatusOr<PlaylistItem> ParseItem(std::string_view name, std::string_view folder,
                                       std::size_t line) {
  if (name.find('\0') != name.npos) return Refuse(line, "", "has a NUL: this is no UTF-8 text");
  if (IsUrl(name)) return Refuse(line, name, "is a URL; only files of this folder are played");
  if (IsAbsolute(name)) return Refuse(line, name, "is an absolute path; make it a relative one");
  PlaylistItem item;
  item.line = line;
  std::optional<std::string> path = Resolve(folder, name);
  if (!path) return Refuse(line, name, "leads out of the served folder");
  item.path = *std::move(path);
  const std::string decoded = DecodePercent(name);
  if (decoded != name && decoded.find('\0') == decoded.npos && !IsAbsolute(decoded)) {
    item.decoded = Resolve(folder, decoded).value_or("");
  }
  if (HasPlaylistExtension(item.path) || HasPlaylistExtension(item.decoded)) {
    return Refuse(line, name, "is a playlist itself");
  }
  return item;
}

}  // namespace

bool HasPlaylistExtension(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  if (dot == path.npos) return false;
  const std::string extension = absl::AsciiStrToLower(AbslView(path.substr(dot + 1)));
  return extension == "m3u" || extension == "m3u8";
}

absl::StatusOr<Playlist> ParsePlaylist(std::string_view text, std::string_view path) {
  constexpr std::string_view kTitle = "#PLAYLIST:";
  if (text.size() > kPlaylistBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the playlist has more than ", kPlaylistBytesMax >> 10, " KiB"));
  }
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const std::size_t slash = path.rfind('/');
  const std::string_view folder = slash == path.npos ? "" : path.substr(0, slash);
  Playlist playlist;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = Trim(text.substr(at, end - at));
    at = end + 1;
    ++number;
    if (line.empty()) continue;
    if (line.front() == '#') {
      if (const std::string_view why = WhyTagRefused(line); !why.empty()) {
        return Refuse(number, line.substr(0, line.find(':')), why);
      }
      if (line.starts_with(kTitle)) {
        playlist.title = Trim(line.substr(kTitle.size())).substr(0, kTitleBytesMax);
      }
      continue;
    }
    if (playlist.items.size() == kPlaylistItemsMax) {
      return Refuse(number, "", absl::StrCat("more than ", kPlaylistItemsMax, " files"));
    }
    absl::StatusOr<PlaylistItem> item = ParseItem(line, folder, number);
    if (!item.ok()) return item.status();
    playlist.items.push_back(*std::move(item));
  }
  if (playlist.items.empty()) return absl::InvalidArgumentError("the playlist names no file");
  return playlist;
}

}  // namespace millrace
