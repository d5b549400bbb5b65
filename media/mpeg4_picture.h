// Pictures of MPEG-4 part 2 (ISO 14496-2 section 6.2.5: video object planes), as far as their place
// in time needs it.
//
// Shard: any; pure functions of bytes, any bytes allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "media/bitstream.h"

namespace millrace {

enum class PlaneType : std::uint8_t { kIntra, kPredicted, kBidirectional, kSprite };

struct Mpeg4Plane {
  std::size_t begin = 0;  // of its start code in the bytes
  PlaneType type = PlaneType::kIntra;
};
// At most two, in order: more are in no access unit, and two only where one is packed with another
// that belongs behind it.
std::vector<Mpeg4Plane> FindMpeg4Planes(ByteSpan bytes);

// What a video object layer says (section 6.2.3).
struct Mpeg4Layer {
  std::uint32_t resolution = 0;       // ticks a second
  std::uint32_t fixed_increment = 0;  // ticks of every picture; 0: not told
};
// Of the first in the bytes; nothing when there is none, or a damaged one.
std::optional<Mpeg4Layer> ReadMpeg4Layer(ByteSpan headers);

// When pictures are shown, by their own account: told in coding order, in the layer's ticks.
class Mpeg4Times {
 public:
  explicit Mpeg4Times(std::uint32_t resolution) : resolution_(resolution) {}
  // Nothing when it holds no picture.
  std::optional<std::int64_t> TimeOf(ByteSpan access_unit);

 private:
  const std::uint32_t resolution_;
  std::int64_t seconds_ = 0, seconds_before_ = 0;  // at the last picture that predicts, and before
};

// In which place each picture is shown, from the pictures' types in coding order: those that others
// are predicted from are shown when the next such is coded, the bidirectional ones at once.
std::vector<std::size_t> ShownPlaces(std::span<const PlaneType> coded);

}  // namespace millrace
