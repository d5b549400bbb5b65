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
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "media/ffmpeg_demuxer.h"

namespace millrace {
namespace {

// Whatever bytes a client sent, as one line of a log.
std::string Printable(std::string_view path) {
  constexpr std::size_t kShownMax = 256;
  const std::string_view shown = path.substr(0, kShownMax);
  return absl::Utf8SafeCHexEscape(absl::string_view(shown.data(), shown.size()));
}

absl::Status Failure(int error, std::string_view path) {
  const std::string message = absl::StrCat(Printable(path), ": ", strerror(error));
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

AssetIdentity IdentityOf(const struct stat& status) {
  return {
      .device = status.st_dev,
      .inode = status.st_ino,
      .size = static_cast<std::uint64_t>(status.st_size),
      .modified_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
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
  explicit FolderWalk(Visit visit) : visit_(visit) {}

  // Takes `fd` over.
  void Enter(int fd, const std::string& prefix, int depth) {
    DIR* folder = fdopendir(fd);
    if (folder == nullptr) {
      close(fd);
      return;
    }
    while (const dirent* entry = readdir(folder)) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (++entries_ > Catalog::kEntriesMax) break;
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
  Visit visit_;
  std::size_t entries_ = 0;
};

}  // namespace

bool HasServedExtension(std::string_view path) {
  constexpr std::array<std::string_view, 32> kServed = {
      "mp4",  "mov", "m4v", "m4a", "3gp", "3g2",  "mkv", "mka",  "webm", "ts",  "m2ts",
      "mts",  "m2t", "flv", "ogg", "oga", "opus", "264", "h264", "26l",  "265", "h265",
      "hevc", "aac", "mp3", "mp2", "ac3", "wav",  "w64", "aif",  "aiff", "au"};
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
  const std::string name = absl::StrCat("the folder '", Printable(root), "' ");
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
  if (!regular) return absl::NotFoundError(absl::StrCat(Printable(path), ": not a regular file"));
  const int fd = OpenBeneath(root_, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, confinement_);
  if (fd < 0) return Failure(-fd, path);
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {  // exchanged in between
    close(fd);
    return Failure(ENOENT, path);
  }
  return fd;
}

absl::StatusOr<std::unique_ptr<Demuxer>> Catalog::Open(std::string_view path) {
  absl::StatusOr<int> fd = OpenRegularFile(path);
  if (!fd.ok()) return fd.status();
  absl::StatusOr<std::unique_ptr<Demuxer>> demuxer = OpenFfmpegDemuxer(*fd, path);
  if (demuxer.ok()) return demuxer;
  const absl::Status& why = demuxer.status();
  return absl::Status(why.code(), absl::StrCat(Printable(path), ": ", why.message()));
}

absl::StatusOr<AssetIdentity> Catalog::Identify(std::string_view path) {
  absl::StatusOr<int> fd = OpenRegularFile(path);
  if (!fd.ok()) return fd.status();
  struct stat status {};
  const int error = fstat(*fd, &status) == 0 ? 0 : errno;
  close(*fd);
  if (error != 0) return Failure(error, path);
  return IdentityOf(status);
}

template <typename Visit>
void Catalog::ForEachAsset(Visit visit) const {
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
  if (fd >= 0) FolderWalk(keep).Enter(fd, "", 0);
}

std::size_t Catalog::CountAssets() const {
  std::size_t count = 0;
  ForEachAsset([&count](const std::string&) { ++count; });
  return count;
}

std::vector<std::string> Catalog::ListAssets(std::size_t limit) const {
  std::set<std::string> first;
  ForEachAsset([&](const std::string& path) {
    first.insert(path);
    if (first.size() > limit) first.erase(std::prev(first.end()));
  });
  return {first.begin(), first.end()};
}

}  // namespace millrace
