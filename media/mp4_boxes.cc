#include "media/mp4_boxes.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace millrace {
namespace {

std::uint64_t BigEndian(const std::uint8_t* bytes, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

constexpr std::uint64_t kShortHeader = 8, kLongHeader = 16;

bool BeginsAFile(std::uint32_t type) {
  constexpr std::array<std::string_view, 9> kFirst = {"ftyp", "styp", "moov", "mdat", "free",
                                                      "skip", "wide", "sidx", "moof"};
  return std::ranges::any_of(kFirst, [type](auto letters) { return BoxType(letters) == type; });
}

// Looks for H.266 from box to box, in as many as a file of a thousand tracks may have.
class H266Finder {
 public:
  explicit H266Finder(const MediaFile& file) : file_(file) {}

  void SearchFile() { Search({0, file_.size()}, kTop); }
  std::vector<Mp4Configuration> Take() { return std::move(found_); }

 private:
  static constexpr int kBoxesMax = 100'000;
  // The boxes on the way, each in the one before.
  static constexpr std::array<std::string_view, 6> kWay = {"moov", "trak", "mdia",
                                                           "minf", "stbl", "stsd"};
  static constexpr std::size_t kTop = 0, kInTrack = 2;

  void Search(FileRange range, std::size_t depth) {
    while (const std::optional<Mp4Box> box = Next(&range)) {
      if (depth == kInTrack && box->Is("tkhd")) ReadTrackId(box->payload);
      if (!box->Is(kWay[depth])) continue;
      if (depth + 1 < kWay.size()) {
        Search(box->payload, depth + 1);
        if (depth + 1 == kInTrack) EndTrack();
      } else {
        // Behind version, flags and a count.
        SearchEntries({box->payload.begin + 8, box->payload.end});
      }
    }
  }

  void SearchEntries(FileRange range) {
    // Of a VisualSampleEntry before its boxes, ISO 14496-12 section 12.1.3.
    constexpr std::uint64_t kEntryBytes = 78;
    while (const std::optional<Mp4Box> entry = Next(&range)) {
      if (!entry->Is("vvc1") && !entry->Is("vvi1")) continue;
      FileRange boxes = {entry->payload.begin + kEntryBytes, entry->payload.end};
      while (const std::optional<Mp4Box> box = Next(&boxes)) {
        if (box->Is("vvcC")) ReadRecord(box->payload);
      }
    }
  }

  std::optional<Mp4Box> Next(FileRange* range) {
    if (++boxes_ > kBoxesMax) return std::nullopt;
    const std::optional<Mp4Box> box = ReadMp4Box(file_, range->begin, range->end);
    if (box) range->begin = box->payload.end;
    return box;
  }

  // The header may lie behind what was found. A track without one, or without a number, has none.
  void EndTrack() {
    for (std::size_t i = first_of_track_; i < found_.size(); ++i) found_[i].track_id = track_id_;
    if (track_id_ == 0) found_.resize(first_of_track_);
    first_of_track_ = found_.size();
    track_id_ = 0;
  }

  // TrackHeaderBox, ISO 14496-12 section 8.3.2.
  void ReadTrackId(FileRange payload) {
    std::array<std::uint8_t, 24> head{};
    if (file_.ReadAt(payload.begin, head).value_or(0) < head.size()) return;
    const bool long_times = head[0] == 1;
    track_id_ = static_cast<std::uint32_t>(BigEndian(head.data() + (long_times ? 20 : 12), 4));
  }

  void ReadRecord(FileRange payload) {
    constexpr std::uint64_t kVersionAndFlags = 4, kRecordBytesMax = 64 << 10;
    if (payload.end - payload.begin <= kVersionAndFlags ||
        payload.end - payload.begin > kRecordBytesMax) {
      return;
    }
    payload.begin += kVersionAndFlags;
    Bytes record(payload.end - payload.begin);
    if (file_.ReadAt(payload.begin, record).value_or(0) != record.size()) return;
    found_.push_back({.record = std::move(record)});  // its track is told at the end
  }

  const MediaFile& file_;
  int boxes_ = 0;
  std::uint32_t track_id_ = 0;  // of the track that is looked at
  std::vector<Mp4Configuration> found_;
  std::size_t first_of_track_ = 0;  // in found_
};

}  // namespace

std::optional<Mp4Box> ReadMp4Box(const MediaFile& file, std::uint64_t at, std::uint64_t end) {
  if (at > end || end - at < kShortHeader) return std::nullopt;
  std::array<std::uint8_t, kLongHeader> header{};
  if (file.ReadAt(at, header).value_or(0) < kShortHeader) return std::nullopt;
  std::uint64_t size = BigEndian(header.data(), 4), header_bytes = kShortHeader;
  if (size == 1) {
    size = BigEndian(header.data() + 8, 8);
    header_bytes = kLongHeader;
  } else if (size == 0) {
    size = end - at;  // to the end of the file
  }
  if (size < header_bytes) return std::nullopt;
  const bool cut = size > end - at;
  const std::uint64_t box_end = cut ? end : at + size;
  return Mp4Box{.type = static_cast<std::uint32_t>(BigEndian(header.data() + 4, 4)),
                .at = at,
                .payload = {std::min(at + header_bytes, box_end), box_end},
                .cut = cut};
}

Mp4Layout ReadMp4Layout(const MediaFile& file) {
  constexpr int kBoxesMax = 1'000'000;
  Mp4Layout layout;
  layout.readable_end = file.size();
  std::uint64_t at = 0;
  for (int boxes = 0; boxes < kBoxesMax; ++boxes) {
    const std::optional<Mp4Box> box = ReadMp4Box(file, at, file.size());
    if (!box || (at == 0 && !BeginsAFile(box->type))) break;
    if (box->Is("mdat") && box->payload.begin < box->payload.end) {
      layout.media_data.push_back(box->payload);
    }
    if (box->cut && !box->Is("mdat")) {
      layout.readable_end = at;
      break;
    }
    if (box->Is("moof") && layout.fragments++ == 0) layout.first_fragment = at;
    if (box->Is("mfra")) layout.random_index = true;
    if (box->Is("sidx")) layout.segment_indexes.push_back(at);
    if (box->Is("moov")) layout.movies.push_back(*box);
    at = box->payload.end;
  }
  if (at < file.size() && file.size() - at < kShortHeader) layout.readable_end = at;
  return layout;
}

std::vector<Mp4Configuration> ReadMp4H266(const MediaFile& file) {
  H266Finder finder(file);
  finder.SearchFile();
  return finder.Take();
}

}  // namespace millrace
