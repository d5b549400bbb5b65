// What lies where in an MP4 or MOV file, told from its top-level boxes alone, and of the boxes
// within them what libavformat does not know.
//
// Shard: none; blocking, loader threads only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "media/media_file.h"
#include "media/track.h"

namespace millrace {

struct FileRange {
  std::uint64_t begin = 0, end = 0;  // [begin, end)
};

constexpr std::uint32_t BoxType(std::string_view letters) {
  std::uint32_t type = 0;
  for (const char letter : letters.substr(0, 4)) {
    type = type << 8 | static_cast<std::uint8_t>(letter);
  }
  return type;
}

struct Mp4Box {
  std::uint32_t type = 0;
  std::uint64_t at = 0;  // where its header begins
  FileRange payload;
  bool cut = false;  // it would be longer than what it lies in, and ends there

  bool Is(std::string_view letters) const { return type == BoxType(letters); }
};

// The box whose header begins at `at`, within what ends at `end`. Nothing: there is no box.
std::optional<Mp4Box> ReadMp4Box(const MediaFile& file, std::uint64_t at, std::uint64_t end);

// Ascending offsets, ISO 14496-12.
struct Mp4Layout {
  std::vector<FileRange> media_data;           // payloads of `mdat`, section 8.1.1
  std::vector<std::uint64_t> segment_indexes;  // where a `sidx` box begins, section 8.16.3
  std::vector<Mp4Box> movies;                  // `moov`, section 8.2.1
  std::uint64_t readable_end = 0;  // where a box begins that the file cuts short, other than `mdat`
  std::uint32_t fragments = 0;     // `moof` boxes, section 8.8.4
  std::uint64_t first_fragment = 0;  // where that begins
  bool random_index = false;         // has an `mfra` box, section 8.8.9, which is written last
};

// Empty for a file that does not begin like an MP4. Walking stops without an error at the first
// thing that is not a box, and after a million boxes.
Mp4Layout ReadMp4Layout(const MediaFile& file);

struct Mp4Configuration {
  std::uint32_t track_id = 0;  // section 8.3.2
  Bytes record;                // of the codec, as ISO 14496-15 has it
};
// Of the tracks of H.266 (sample entries `vvc1` and `vvi1`, ISO 14496-15 section 11.3): the
// VvcDecoderConfigurationRecord. One of more than 64 KiB is left out.
std::vector<Mp4Configuration> ReadMp4H266(const MediaFile& file);

}  // namespace millrace
