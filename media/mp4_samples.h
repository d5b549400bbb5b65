// A track of an MP4 or MOV file as a sequence of samples in coding order, with the times that
// libavformat's index and packets have where the edit list shows the track in one piece.
//
// The data's way: tables, checked when they were read; the edit list is applied once; then a
// position runs along the tables, or is put anywhere in them.
//
// Shard: none; one thread. Times are the track's ticks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "media/mp4_tables.h"
#include "media/track.h"

namespace millrace {

struct Mp4Sample {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  bool key = false;
  std::int64_t dts = 0, pts = 0;
  std::int64_t duration = 0;  // 0: unknown
};

class Mp4Samples {
 public:
  // `length`: of the track, as its header or its samples have it, whichever is less. Nothing: the
  // track is shown in another way than from its first sample on.
  static std::optional<Mp4Samples> Make(Mp4Tables tables, MediaKind kind, std::int64_t length);

  // Those that play: an edit list may leave out some at the end.
  std::size_t size() const { return size_; }
  // The first sample that is decoded at `dts` or later; size() when there is none.
  std::size_t FirstFrom(std::int64_t dts) const;

  // `sample` may be size().
  void MoveTo(std::size_t sample);
  bool ended() const { return next_ >= size_; }
  // The sample here, and on to the next; must not have ended.
  Mp4Sample Take();
  // Its dts; must not have ended.
  std::int64_t next_dts() const { return DtsOf(next_time_); }

 private:
  explicit Mp4Samples(Mp4Tables tables) : tables_(std::move(tables)), size_(tables_.sizes.size()) {}

  bool Start(MediaKind kind);
  bool StartVideo(const Mp4Tables::Edit& edit);
  bool StartAudio(const Mp4Tables::Edit& edit);
  std::int64_t DtsOf(std::int64_t time) const { return time + start_ - reorder_; }
  void EnterRuns();

  Mp4Tables tables_;
  std::size_t size_;
  std::int64_t reorder_ = 0;  // how long before its time a sample without an offset is decoded
  std::int64_t start_ = 0;    // when what the file has at 0 is shown
  std::int64_t length_ = 0;

  // The next sample, and the entries of the tables that it is in.
  std::size_t next_ = 0;
  std::int64_t next_time_ = 0;  // without start_ and offset
  std::uint64_t next_place_ = 0;
  std::size_t time_run_ = 0, offset_run_ = 0, key_ = 0;
  std::size_t chunk_run_ = 0, chunk_ = 0;
  std::uint32_t left_in_chunk_ = 0;
};

}  // namespace millrace
