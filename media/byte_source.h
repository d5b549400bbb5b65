// A media file as a container library reads it: a position, a bound on what one call may read,
// ranges that can be passed over unread, and MP4 boxes it is not shown.
//
// Shard: none; blocking, loader threads only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "media/media_file.h"
#include "media/mp4_boxes.h"

namespace millrace {

class ByteSource {
 public:
  explicit ByteSource(MediaFile file) : file_(std::move(file)) {}

  // Begins a call that may read twice the file's size and some more: enough for any sound file, and
  // an end for one that leads its reader round and round.
  void Allow();

  enum class Outcome { kRead, kEnd, kBudgetSpent, kFailed };
  // At least one byte when kRead; `*count` says how many.
  Outcome Read(std::span<std::uint8_t> out, std::size_t* count);
  void MoveTo(std::uint64_t position) { position_ = position; }

  // Ascending ranges that Read passes over without touching the disk, leaving `out` as it is: for
  // whoever looks at packets' times only. Empty turns that off.
  void SetUnread(std::vector<FileRange> ranges) { unread_ = std::move(ranges); }

  // Nothing from there on is read.
  void SetEnd(std::uint64_t end) { end_ = end; }

  // MP4 boxes that begin at these ascending offsets read as `free`.
  void SetHiddenBoxes(std::vector<std::uint64_t> offsets) { hidden_ = std::move(offsets); }

  // Whether Read has come to the end since ForgetEnd: what was made of what it gave may be cut
  // short.
  bool met_end() const { return met_end_; }
  void ForgetEnd() { met_end_ = false; }
  // As MediaFile::Refresh.
  bool Refresh() { return file_.Refresh(); }

  std::uint64_t position() const { return position_; }
  std::uint64_t size() const { return std::min(file_.size(), end_); }
  std::uint64_t bytes_read() const { return bytes_read_; }
  const MediaFile& file() const { return file_; }
  MediaFile TakeFile() { return std::move(file_); }

  // Why the kernel refused to read, kept until it is cleared.
  const absl::Status& status() const { return status_; }
  void ClearStatus() { status_ = absl::OkStatus(); }

 private:
  void HideBoxes(std::span<std::uint8_t> read) const;

  MediaFile file_;
  std::uint64_t position_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::uint64_t bytes_read_max_ = 0;
  std::vector<FileRange> unread_;
  std::vector<std::uint64_t> hidden_;
  std::uint64_t end_ = UINT64_MAX;
  bool met_end_ = false;
  absl::Status status_;
};

}  // namespace millrace
