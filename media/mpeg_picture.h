// Headers of MPEG-1 and MPEG-2 pictures, and times for pictures whose container gives them none.
//
// Shard: none; loader threads only. Any bytes allowed.
#pragma once

#include <cstdint>
#include <optional>

#include "media/bitstream.h"
#include "media/track.h"

namespace millrace {

// What an access unit says of itself (ISO 13818-2 section 6.2).
struct MpegPicture {
  std::uint16_t temporal_reference = 0;  // place among the pictures shown, modulo 1024
  bool sequence = false;                 // a sequence header is in front
  bool group = false;                    // a group header is in front: temporal references restart
  bool field = false;                    // half a frame, without its other half
  FrameRate rate;                        // of the sequence header; 0 without one
  std::uint32_t width = 0, height = 0;   // the same
};
// Nothing when there is no picture header.
std::optional<MpegPicture> ReadMpegPicture(ByteSpan access_unit);

// The place of each picture among those shown, told in coding order: temporal references that go on
// over groups.
class PicturePlaces {
 public:
  std::int64_t PlaceOf(const MpegPicture& picture);

 private:
  std::int64_t group_first_ = 0;  // place of temporal reference 0
  std::int64_t last_ = -1;        // of the picture shown last so far
};

// Times of a track of MPEG video in a program stream, which stamps some pictures only: the others
// have the place that their temporal reference tells, counted in frames from the last stamped one.
//
// Invariant: what time a picture is given does not depend on where reading began. So after Forget
// none is given before a sequence or group header and then a stamped picture; from there on the
// length of every group is known.
//
// Limits: frames are taken to last equally long; where some are shown for three fields, the next
// stamp makes up for it.
class PictureClock {
 public:
  // Stamps and times are in ticks, so many a second.
  explicit PictureClock(std::int64_t ticks_per_second) : ticks_per_second_(ticks_per_second) {}

  // In coding order. Nothing: the picture cannot be timed, and cannot be played.
  std::optional<std::int64_t> TimeOf(ByteSpan access_unit, std::optional<std::int64_t> stamp);
  // What follows lies elsewhere in the file.
  void Forget();

 private:
  const std::int64_t ticks_per_second_;
  FrameRate rate_;  // the first that was told: it holds for all
  bool begun_ = false;
  PicturePlaces places_;
  struct Stamped {
    std::int64_t place, time;
  };
  std::optional<Stamped> stamped_;
};

}  // namespace millrace
