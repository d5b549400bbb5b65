// What an AVI file holds (Microsoft's RIFF of type AVI, with OpenDML's continuations): its streams'
// headers and where their chunks lie.
//
// The chunks themselves are walked, not the index that the file may have at its end: so a file
// whose recording broke off plays as well, and damage costs only the chunks it lies in.
//
// Shard: none; blocking, loader threads only. Limits: kAviStreamsMax streams, kAviChunksMax chunks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "media/media_file.h"
#include "media/mp4_boxes.h"
#include "media/track.h"

namespace millrace {

inline constexpr std::size_t kAviStreamsMax = 32;
inline constexpr std::size_t kAviChunksMax = std::size_t{1} << 23;

struct AviStream {
  std::string type;                   // "vids", "auds", four characters
  std::string handler;                // four characters
  std::uint32_t scale = 0, rate = 0;  // rate / scale chunks or samples a second
  std::uint32_t start = 0;            // of those, before the first
  Bytes format;                       // BITMAPINFOHEADER or WAVEFORMATEX, and what follows
  std::vector<FileRange> chunks;      // in the file's order; an empty one has its place in time
};

struct AviLayout {
  std::vector<AviStream> streams;
  std::string title;
};

bool IsAvi(const MediaFile& file);

// The file's own error, or kInvalidArgument without a stream header.
absl::StatusOr<AviLayout> ReadAviLayout(const MediaFile& file);

}  // namespace millrace
