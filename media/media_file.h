// A regular file read at explicit offsets, owned by its descriptor.
//
// Shard: none; blocking, loader threads only. Reading by offset (pread) keeps no position, so that
// demuxers need only the descriptor the catalog opened and never a path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "core/clock.h"

namespace millrace {

class MediaFile {
 public:
  // Takes the descriptor over; -1 is a file without bytes.
  explicit MediaFile(int fd);
  ~MediaFile();
  MediaFile(MediaFile&& other) noexcept;
  MediaFile& operator=(MediaFile&&) = delete;

  // As of opening, or of the last Refresh: a file that grows meanwhile ends here.
  std::uint64_t size() const { return size_; }
  // When it was last written to, as of then.
  WallTime modified() const { return modified_; }
  // Looks again. Whether size or time have changed.
  bool Refresh();

  // Fills as much of `out` as the file has from `offset`; 0 at the end. The error is the kernel's,
  // as absl::ErrnoToStatus gives it.
  absl::StatusOr<std::size_t> ReadAt(std::uint64_t offset, std::span<std::uint8_t> out) const;

 private:
  int fd_;
  std::uint64_t size_ = 0;
  WallTime modified_{};
};

}  // namespace millrace
