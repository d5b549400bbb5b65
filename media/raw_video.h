// A raw H.264 or H.265 file, once something has cut it into access units: its track, its times and
// its index.
//
// Shard: none; blocking, loader threads only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "media/bitstream.h"
#include "media/demuxer.h"
#include "media/indexed_demuxer.h"
#include "media/media_file.h"
#include "media/picture_order.h"

namespace millrace {

class RawVideoIndex {
 public:
  explicit RawVideoIndex(Codec codec) { track_.codec = codec; }

  // The next access unit in the file, from where the last one ended. `order_count` is its
  // picture's.
  void Add(ByteSpan unit, std::int32_t order_count, bool field);
  void SetDimensions(std::uint32_t width, std::uint32_t height);

  bool full() const { return units_.size() >= kIndexedUnitsMax; }
  std::uint64_t bytes() const { return bytes_; }  // covered so far
  const Track& track() const { return track_; }

  // `rate` as the parameter sets tell it; absent or senseless means 25 frames a second.
  // kInvalidArgument without access units or parameter sets.
  absl::StatusOr<std::unique_ptr<Demuxer>> Make(MediaFile file, std::optional<FrameRate> rate);

 private:
  Track track_;
  std::vector<CodedPicture> pictures_;
  std::vector<IndexedUnit> units_;  // beside pictures_; times come last
  std::uint64_t bytes_ = 0;
  bool sequence_ended_ = false;
};

// A raw H.264 or H.265 file. Errors as RawVideoIndex::Make, or the file's own.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenRawVideo(MediaFile file, Codec codec);

}  // namespace millrace
