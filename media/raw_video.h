// A file of raw video, once something has cut it into access units: its track, its times and its
// index. H.264, H.265, MPEG-1 and -2, MPEG-4 part 2, Motion JPEG.
//
// Shard: none; blocking, loader threads only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "media/bitstream.h"
#include "media/demuxer.h"
#include "media/indexed_demuxer.h"
#include "media/media_file.h"
#include "media/mpeg4_picture.h"
#include "media/mpeg_picture.h"
#include "media/picture_order.h"

namespace millrace {

class RawVideoIndex {
 public:
  explicit RawVideoIndex(Codec codec) { track_.codec = codec; }

  // The next access unit in the file, from where the last one ended. `order_count` and `field` are
  // its picture's, where that is of H.264 or H.265.
  void Add(ByteSpan unit, std::int32_t order_count, bool field);
  void SetDimensions(std::uint32_t width, std::uint32_t height);

  bool full() const { return units_.size() >= kIndexedUnitsMax; }
  std::uint64_t bytes() const { return bytes_; }  // covered so far
  const Track& track() const { return track_; }

  // `rate` as the parameter sets tell it; absent or senseless means 25 frames a second.
  // kInvalidArgument without access units or what their description needs.
  absl::StatusOr<std::unique_ptr<Demuxer>> Make(MediaFile file, std::optional<FrameRate> rate);

 private:
  // False: not a picture.
  bool Learn(ByteSpan unit, CodedPicture* picture, bool* random_access);
  bool LearnMpeg4(ByteSpan unit);
  std::string WhyNotDescribed() const;
  // As the pictures themselves tell it.
  std::optional<FrameRate> OwnRate() const;

  Track track_;
  std::vector<CodedPicture> pictures_;
  std::vector<IndexedUnit> units_;  // beside pictures_; times come last
  std::uint64_t bytes_ = 0;
  bool sequence_ended_ = false;
  PicturePlaces places_;           // MPEG-1 and -2
  std::optional<FrameRate> rate_;  // the same
  std::vector<PlaneType> planes_;  // MPEG-4, beside pictures_
  std::optional<Mpeg4Layer> layer_;
  std::optional<Mpeg4Times> plane_times_;
  std::vector<std::int64_t> first_times_;  // of some pictures, in the layer's ticks
  bool carried_ = false;                   // Motion JPEG: of the kind that can be sent
};

// Order counts of H.264 pictures that a container has cut, told in coding order.
class H264Orders {
 public:
  H264Orders();
  ~H264Orders();
  // Of a whole access unit with start codes.
  std::int32_t OrderOf(ByteSpan access_unit);

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

// A raw file of any of them. Errors as RawVideoIndex::Make, or the file's own.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenRawVideo(MediaFile file, Codec codec);

}  // namespace millrace
