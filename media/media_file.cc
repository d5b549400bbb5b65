#include "media/media_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/status/status.h"

namespace millrace {

MediaFile::MediaFile(int fd) : fd_(fd) { Refresh(); }

bool MediaFile::Refresh() {
  struct stat status {};
  if (fd_ < 0 || fstat(fd_, &status) != 0) return false;
  const auto size = static_cast<std::uint64_t>(std::max<off_t>(status.st_size, 0));
  const WallTime modified(std::chrono::seconds(status.st_mtim.tv_sec) +
                          std::chrono::nanoseconds(status.st_mtim.tv_nsec));
  const bool changed = size != size_ || modified != modified_;
  size_ = size;
  modified_ = modified;
  return changed;
}

MediaFile::~MediaFile() {
  if (fd_ >= 0) close(fd_);
}

MediaFile::MediaFile(MediaFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      size_(std::exchange(other.size_, 0)),
      modified_(other.modified_) {}

absl::StatusOr<std::size_t> MediaFile::ReadAt(std::uint64_t offset,
                                              std::span<std::uint8_t> out) const {
  if (offset >= size_) return 0;
  const std::size_t wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset));
  std::size_t done = 0;
  while (done < wanted) {
    const ssize_t got =
        pread(fd_, out.data() + done, wanted - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, "read");
    if (got == 0) break;  // truncated since it was opened
    done += static_cast<std::size_t>(got);
  }
  return done;
}

}  // namespace millrace
