#include "media/catalog.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "media/asset_name.h"
#include "media/ffmpeg_demuxer.h"
#include "media/growth.h"
#include "media/media_file.h"
#include "media/mp3_adu.h"
#include "media/playlist.h"
#include "media/transport_stream_file.h"

namespace millrace {
namespace {

absl::Status Failure(int error, std::string_view path) {
  const std::string message = absl::StrCat(PrintablePath(path), ": ", strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
    case ENXIO:  // a socket, or a device without a driver
    case ENODEV:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

bool NamesSomethingBelow(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != path.npos) return false;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    // One name per file: an alias would be opened and packetized as a file of its own.
    const std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") return false;
    at = end + 1;
  }
  return true;
}

absl::StatusOr<AssetIdentity> IdentityOf(int fd, std::string_view path) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return Failure(errno, path);
  return AssetIdentity{
      .device = status.st_dev,
      .inode = status.st_ino,
      .size = static_cast<std::uint64_t>(status.st_size),
      .modified_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

// As much as a playlist may have, and one byte more when there is more.
absl::StatusOr<std::string> ReadText(const MediaFile& file) {
  Bytes bytes(std::min<std::uint64_t>(file.size(), kPlaylistBytesMax + 1));
  const absl::StatusOr<std::size_t> got = file.ReadAt(0, bytes);
  if (!got.ok()) return got.status();
  return std::string(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*got));
}

enum class EntryKind { kFile, kFolder, kLink, kOther };

EntryKind KindOfEntry(int folder, const dirent& entry) {
  switch (entry.d_type) {
    case DT_REG:
      return EntryKind::kFile;
    case DT_DIR:
      return EntryKind::kFolder;
    case DT_LNK:
      return EntryKind::kLink;
    case DT_UNKNOWN:
      break;  // some file systems do not say
    default:
      return EntryKind::kOther;
  }
  struct stat status {};
  if (fstatat(folder, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) return EntryKind::kOther;
  if (S_ISREG(status.st_mode)) return EntryKind::kFile;
  if (S_ISDIR(status.st_mode)) return EntryKind::kFolder;
  return S_ISLNK(status.st_mode) ? EntryKind::kLink : EntryKind::kOther;
}

// Depth-first over everything below a folder; `visit(path, kind)` for what is not a folder.
template <typename Visit>
class FolderWalk {
 public:
  FolderWalk(std::size_t entries_max, Visit visit) : entries_left_(entries_max), visit_(visit) {}

  bool complete() const { return complete_; }

  // Takes `fd` over.
  void Enter(int fd, const std::string& prefix, int depth) {
    DIR* folder = fdopendir(fd);
    if (folder == nullptr) {
      close(fd);
      return;
    }
    while (const dirent* entry = complete_ ? readdir(folder) : nullptr) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (entries_left_ == 0) {
        complete_ = false;
        break;
      }
      --entries_left_;
      const EntryKind kind = KindOfEntry(dirfd(folder), *entry);
      if (kind != EntryKind::kFolder) {
        visit_(prefix + name, kind);
      } else if (depth < Catalog::kDepthMax) {
        const int below =
            openat(dirfd(folder), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0) Enter(below, prefix + name + "/", depth + 1);
      }
    }
    closedir(folder);
  }

 private:
  std::size_t entries_left_;
  bool complete_ = true;
  Visit visit_;
};

}  // namespace

bool HasServedExtension(std::string_view path) {
  constexpr std::array<std::string_view, 54> kServed = {
      "mp4",  "mov",  "m4v", "m4a", "3gp", "3g2",  "mkv",   "mka",  "webm", "ts",  "m2ts",
      "mts",  "m2t",  "flv", "ogg", "oga", "opus", "264",   "h264", "26l",  "265", "h265",
      "hevc", "aac",  "mp3", "mp2", "ac3", "wav",  "w64",   "aif",  "aiff", "au",  "m3u",
      "m3u8", "eac3", "ec3", "amr", "awb", "mpg",  "mpeg",  "vob",  "avi",  "ogv", "dv",
      "mj2",  "asf",  "m4e", "mpv", "m2v", "m1v",  "mjpeg", "mjpg", "loas", "latm"};
  const std::size_t dot = path.rfind('.');
  if (dot == path.npos || path.find('/', dot) != path.npos) return false;
  const std::string extension = absl::AsciiStrToLower(std::string(path.substr(dot + 1)));
  return std::ranges::find(kServed, extension) != kServed.end();
}

Catalog::Catalog(int root) : root_(root), confinement_(SupportedConfinement(root)) {}

Catalog::~Catalog() { close(root_); }

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(const std::string& root) {
  // For reading, not O_PATH: a folder that cannot be listed is better refused now.
  const int fd = open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) return std::unique_ptr<Catalog>(new Catalog(fd));
  const int error = errno;
  const std::string name = absl::StrCat("the folder '", PrintablePath(root), "' ");
  if (error == ENOENT) return absl::NotFoundError(absl::StrCat(name, "does not exist"));
  if (error == ENOTDIR) return absl::InvalidArgumentError(absl::StrCat(name, "is not a folder"));
  if (error == EACCES) return absl::PermissionDeniedError(absl::StrCat(name, "may not be read"));
  return absl::ErrnoToStatus(error, absl::StrCat(name, "cannot be opened"));
}

absl::StatusOr<int> Catalog::OpenRegularFile(std::string_view path) const {
  if (!NamesSomethingBelow(path)) return Failure(ENOENT, path);
  const std::string name(path);
  // Looked at before it is opened: opening a device can have effects of its own.
  const int seen = OpenBeneath(root_, name, O_PATH, confinement_);
  if (seen < 0) return Failure(-seen, path);
  struct stat status {};
  const bool regular = fstat(seen, &status) == 0 && S_ISREG(status.st_mode);
  close(seen);
  if (!regular) {
    return absl::NotFoundError(absl::StrCat(PrintablePath(path), ": not a regular file"));
  }
  const int fd = OpenBeneath(root_, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, confinement_);
  if (fd < 0) return Failure(-fd, path);
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {  // exchanged in between
    close(fd);
    return Failure(ENOENT, path);
  }
  return fd;
}

// The file behind an asset's name; a NUL that is not followed by a view's words is no name.
absl::StatusOr<int> Catalog::OpenNamed(std::string_view name) const {
  const auto [path, view, packet_bytes] = SplitAssetName(name);
  if (AssetName(path, view, packet_bytes) != name) return Failure(ENOENT, name);
  return OpenRegularFile(path);
}

absl::StatusOr<std::unique_ptr<Demuxer>> Catalog::Open(std::string_view name) {
  const auto [path, view, packet_bytes] = SplitAssetName(name);
  absl::StatusOr<int> fd = OpenNamed(name);
  if (!fd.ok()) return fd.status();
  const bool playlist = HasPlaylistExtension(path);
  absl::StatusOr<std::unique_ptr<Demuxer>> demuxer =
      playlist                        ? OpenPlaylist(*fd, AssetName(path, view))
      : view == AssetView::kTransport ? OpenTransportStreamFile(MediaFile(*fd))
                                      : OpenFfmpegDemuxer(*fd, path, view);
  if (demuxer.ok() && view == AssetView::kRobustAudio && !playlist) {  // its files have been here
    return WithMp3Adus(*std::move(demuxer));
  }
  if (demuxer.ok()) return demuxer;
  const absl::Status& why = demuxer.status();
  return absl::Status(why.code(), absl::StrCat(PrintablePath(path), ": ", why.message()));
}

absl::StatusOr<std::unique_ptr<Demuxer>> Catalog::OpenPlaylist(int fd, std::string_view name) {
  const MediaFile file(fd);
  const absl::StatusOr<AssetIdentity> identity = IdentityOf(fd, SplitAssetName(name).path);
  if (!identity.ok()) return identity.status();
  const absl::StatusOr<std::string> text = ReadText(file);
  if (!text.ok()) return text.status();
  return playlists_.Open(this, name, *identity, *text);
}

absl::StatusOr<AssetIdentity> Catalog::Identify(std::string_view name) {
  const auto [path, view, packet_bytes] = SplitAssetName(name);
  absl::StatusOr<int> fd = OpenNamed(name);
  if (!fd.ok()) return fd.status();
  const MediaFile file(*fd);
  const absl::StatusOr<AssetIdentity> identity = IdentityOf(*fd, path);
  if (!identity.ok() || !HasPlaylistExtension(path)) return identity;
  const absl::StatusOr<std::string> text = ReadText(file);
  // What cannot be read now is for Open to tell.
  return text.ok() ? PlaylistPlans::Identify(this, AssetName(path, view), *identity, *text)
                   : identity;
}

bool Catalog::WrittenLately(const AssetIdentity& identity) const {
  return WrittenWithin(kGrowthSettles, WallTime(Duration(identity.modified_ns)));
}

template <typename Visit>
bool Catalog::ForEachAsset(std::size_t entries_max, Visit visit) const {
  const auto keep = [&](const std::string& path, EntryKind kind) {
    if (kind == EntryKind::kOther || !HasServedExtension(path)) return;
    if (kind == EntryKind::kLink) {  // counts when it leads to a file that Open would find
      const absl::StatusOr<int> fd = OpenRegularFile(path);
      if (!fd.ok()) return;
      close(*fd);
    }
    visit(path);
  };
  const int fd = openat(root_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  FolderWalk walk(entries_max, keep);
  if (fd >= 0) walk.Enter(fd, "", 0);
  return walk.complete();
}

Catalog::AssetCount Catalog::CountAssets(std::size_t entries_max) const {
  AssetCount count;
  count.complete = ForEachAsset(entries_max, [&count](const std::string&) { ++count.assets; });
  return count;
}

std::vector<std::string> Catalog::ListAssets(std::size_t limit) const {
  std::set<std::string> first;
  ForEachAsset(kEntriesMax, [&](const std::string& path) {
    first.insert(path);
    if (first.size() > limit) first.erase(std::prev(first.end()));
  });
  return {first.begin(), first.end()};
}

}  // namespace millrace
