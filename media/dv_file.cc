// OpenDvFile; declared in indexed_demuxer.h.
#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "media/dv_frame.h"
#include "media/indexed_demuxer.h"
#include "media/timeline.h"

namespace millrace {
namespace {

constexpr std::size_t kHeaderBytes = 4;  // what StartsDvFrame looks at

bool HeaderAt(const MediaFile& file, std::uint64_t offset) {
  std::uint8_t header[kHeaderBytes];
  const absl::StatusOr<std::size_t> got = file.ReadAt(offset, header);
  return got.ok() && StartsDvFrame(ByteSpan(header, *got));
}

// Where the next frame begins at or behind `offset`; the file's size when none does.
std::uint64_t FindFrame(const MediaFile& file, std::uint64_t offset) {
  // Little at first, for in a file full of headers the next is near.
  constexpr std::size_t kChunkBytesMin = 4096, kChunkBytesMax = std::size_t{256} << 10;
  Bytes chunk(kChunkBytesMin);
  while (offset + kHeaderBytes <= file.size()) {
    const absl::StatusOr<std::size_t> got = file.ReadAt(offset, chunk);
    if (!got.ok() || *got < kHeaderBytes) break;
    const ByteSpan bytes(chunk.data(), *got);
    for (std::size_t at = 0; at + kHeaderBytes <= *got; ++at) {
      if (StartsDvFrame(bytes.subspan(at))) return offset + at;
    }
    offset += *got - (kHeaderBytes - 1);
    chunk.resize(std::min(chunk.size() * 2, kChunkBytesMax));
  }
  return file.size();
}

// Where whole frames of `frame_bytes` lie, from `offset` on.
std::vector<IndexedUnit> FindFrames(const MediaFile& file, std::uint64_t offset,
                                    std::uint32_t frame_bytes) {
  std::vector<IndexedUnit> units;
  while (offset + frame_bytes <= file.size() && units.size() < kIndexedUnitsMax) {
    const std::uint64_t end = offset + frame_bytes;
    std::uint64_t next = end;
    if (end < file.size() && !HeaderAt(file, end)) next = FindFrame(file, offset + kDifBlockBytes);
    // Unless another begins within it.
    if (next >= end)
      units.push_back({.offset = offset, .size = frame_bytes, .random_access = true});
    offset = next;
  }
  return units;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Demuxer>> OpenDvFile(MediaFile file) {
  Bytes head(kDvHeadBytes);
  const DvFormat* format = nullptr;
  std::uint64_t first = FindFrame(file, 0);
  for (; first < file.size(); first = FindFrame(file, first + kDifBlockBytes)) {
    const absl::StatusOr<std::size_t> got = file.ReadAt(first, head);
    if (!got.ok()) return got.status();
    format = ReadDvFormat(ByteSpan(head).first(*got));
    if (format != nullptr) break;
  }
  if (format == nullptr) return absl::InvalidArgumentError("no DV frame of a kind that is served");
  std::vector<IndexedUnit> units = FindFrames(file, first, format->frame_bytes);
  if (units.empty()) return absl::InvalidArgumentError("no whole DV frame");
  MediaInfo info;
  Track& track = info.tracks.emplace_back();
  track.codec = Codec::kDv;
  track.width = format->width;
  track.height = format->height;
  track.frame_rate = format->frame_rate;
  track.config = std::move(head);
  const Timeline frames({static_cast<std::int32_t>(format->frame_rate.denominator),
                         static_cast<std::int32_t>(format->frame_rate.numerator)},
                        track.clock_rate);
  for (std::size_t i = 0; i < units.size(); ++i) {
    const auto number = static_cast<std::int64_t>(i);
    units[i].pts = units[i].dts = frames.ToClock(number);
    info.random_access.push_back(frames.ToNpt(number));
  }
  info.duration = frames.ToNpt(static_cast<std::int64_t>(units.size()));
  track.bit_rate =
      static_cast<std::uint32_t>(std::uint64_t{format->frame_bytes} * 8 *
                                 format->frame_rate.numerator / format->frame_rate.denominator);
  return MakeIndexedDemuxer(std::move(file), std::move(info), std::move(units),
                            frames.LengthToClock(1));
}

}  // namespace millrace
