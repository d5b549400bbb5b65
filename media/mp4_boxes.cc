#include "media/mp4_boxes.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace millrace {
namespace {

std::uint64_t BigEndian(const std::uint8_t* bytes, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

bool BeginsAFile(std::string_view type) {
  constexpr std::array<std::string_view, 9> kFirst = {"ftyp", "styp", "moov", "mdat", "free",
                                                      "skip", "wide", "sidx", "moof"};
  return std::ranges::find(kFirst, type) != kFirst.end();
}

}  // namespace

Mp4Layout ReadMp4Layout(const MediaFile& file) {
  constexpr int kBoxesMax = 1'000'000;
  constexpr std::uint64_t kShortHeader = 8, kLongHeader = 16;
  Mp4Layout layout;
  layout.readable_end = file.size();
  std::uint64_t at = 0;
  for (int boxes = 0; boxes < kBoxesMax && file.size() - at >= kShortHeader; ++boxes) {
    std::array<std::uint8_t, kLongHeader> header{};
    if (file.ReadAt(at, header).value_or(0) < kShortHeader) break;
    std::array<char, 4> letters;
    std::memcpy(letters.data(), header.data() + 4, letters.size());
    const std::string_view type(letters.data(), letters.size());
    if (at == 0 && !BeginsAFile(type)) break;
    std::uint64_t size = BigEndian(header.data(), 4), header_bytes = kShortHeader;
    if (size == 1) {
      size = BigEndian(header.data() + 8, 8);
      header_bytes = kLongHeader;
    } else if (size == 0) {
      size = file.size() - at;  // to the end of the file
    }
    if (size < header_bytes) break;
    if (size > file.size() - at && type != "mdat") {
      layout.readable_end = at;
      break;
    }
    const std::uint64_t end = size > file.size() - at ? file.size() : at + size;
    if (type == "mdat" && at + header_bytes < end) {
      layout.media_data.push_back({at + header_bytes, end});
    }
    if (type == "moof") layout.fragmented = true;
    if (type == "mfra") layout.random_index = true;
    if (type == "sidx") layout.segment_indexes.push_back(at);
    at = end;
  }
  if (file.size() - at < kShortHeader) layout.readable_end = std::min(layout.readable_end, at);
  return layout;
}

}  // namespace millrace
