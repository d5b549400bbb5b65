// What lies where in an MP4 or MOV file, told from its top-level boxes alone.
//
// Shard: none; blocking, loader threads only.
#pragma once

#include <cstdint>
#include <vector>

#include "media/media_file.h"

namespace millrace {

struct FileRange {
  std::uint64_t begin = 0, end = 0;  // [begin, end)
};

// Ascending offsets, ISO 14496-12.
struct Mp4Layout {
  std::vector<FileRange> media_data;           // payloads of `mdat`, section 8.1.1
  std::vector<std::uint64_t> segment_indexes;  // where a `sidx` box begins, section 8.16.3
  std::uint64_t readable_end = 0;  // where a box begins that the file cuts short, other than `mdat`
  bool fragmented = false;         // has `moof` boxes, section 8.8.4
  bool random_index = false;       // has an `mfra` box, section 8.8.9, which is written last
};

// Empty for a file that does not begin like an MP4. Walking stops without an error at the first
// thing that is not a box, and after a million boxes.
Mp4Layout ReadMp4Layout(const MediaFile& file);

}  // namespace millrace
