// Files that are still being written: which are, and where a Matroska file's clusters lie before it
// has its index.
//
// A file grows when its container can be read before it is whole, nothing in it says that it is
// whole, and it was written to a short while ago.
//
// Shard: none; blocking, loader threads only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "media/media_file.h"

namespace millrace {

// A file that has not been written to for this long is whole, whatever it says: writers of
// fragments and clusters write every few seconds.
inline constexpr Duration kGrowthSettles = 30s;
// The same where nothing in the file could say so: all that have just been written seem to grow.
inline constexpr Duration kUnmarkedGrowthSettles = 10s;

enum class GrowingForm : std::uint8_t {
  kNone,
  kTransportStream,  // nothing marks its end
  kMatroska,         // whole once its segment has a size
  kFragmentedMp4,    // whole once it has an `mfra` box
};

bool WrittenWithin(Duration age, WallTime modified);
bool IsGrowing(const MediaFile& file, GrowingForm form);
// See MediaInfo::beginning; nothing while there is too little to tell one recording from another.
std::optional<std::uint64_t> BeginningOf(const MediaFile& file, GrowingForm form);

// Clusters of a Matroska file (RFC 9559 section 5.1.3), ascending.
struct MatroskaCluster {
  std::uint64_t offset = 0;
  std::int64_t timestamp = 0;  // in the segment's ticks
};
// Those from `from` on (a cluster's offset, or 0 for all), as long as they tell their sizes, so
// that the walk touches a few bytes of each; behind one that does not, the last one is looked for
// from the file's end.
std::vector<MatroskaCluster> FindMatroskaClusters(const MediaFile& file, std::uint64_t from = 0);

}  // namespace millrace
