#include "media/avi_audio.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "media/bitstream.h"
#include "media/timeline.h"

namespace millrace {
namespace {

// WAVEFORMATEX.
constexpr std::size_t kFormatBytesMin = 16, kExtradata = 18, kSubFormat = 24;
constexpr std::uint32_t kPcm = 1, kAlaw = 6, kMulaw = 7, kLayer12 = 0x50, kLayer3 = 0x55,
                        kAac = 0xff, kAc3 = 0x2000, kExtensible = 0xfffe;

std::uint32_t LoadLe16(ByteSpan bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes[at] | bytes[at + 1] << 8);
}

struct WaveFormat {
  std::uint32_t tag = 0, channels = 0, sample_rate = 0, bits = 0;
  ByteSpan extradata;
};

std::optional<WaveFormat> ReadFormat(ByteSpan bytes) {
  if (bytes.size() < kFormatBytesMin) return std::nullopt;
  WaveFormat format{.tag = LoadLe16(bytes, 0),
                    .channels = LoadLe16(bytes, 2),
                    .sample_rate = LoadLe16(bytes, 4) | LoadLe16(bytes, 6) << 16,
                    .bits = LoadLe16(bytes, 14)};
  if (format.tag == kExtensible && bytes.size() >= kSubFormat + 2) {
    format.tag = LoadLe16(bytes, kSubFormat);
  } else if (bytes.size() > kExtradata) {
    const std::size_t size = LoadLe16(bytes, kExtradata - 2);
    format.extradata = bytes.subspan(kExtradata, std::min(size, bytes.size() - kExtradata));
  }
  return format;
}

// The chunks' bytes end to end.
class ChunkBytes {
 public:
  ChunkBytes(const MediaFile& file, const std::vector<FileRange>& chunks) : file_(file) {
    for (const FileRange& chunk : chunks) {
      if (chunk.begin >= chunk.end) continue;
      chunks_.push_back(chunk);
      starts_.push_back(size_);
      size_ += chunk.end - chunk.begin;
    }
  }

  std::uint64_t size() const { return size_; }

  absl::StatusOr<std::size_t> ReadAt(std::uint64_t offset, std::span<std::uint8_t> out) const {
    std::size_t filled = 0;
    for (std::size_t i = ChunkAt(offset); i < chunks_.size() && filled < out.size(); ++i) {
      const FileRange piece = PieceAt(i, offset + filled, out.size() - filled);
      const std::size_t wanted = piece.end - piece.begin;
      const auto got = file_.ReadAt(piece.begin, out.subspan(filled, wanted));
      if (!got.ok()) return got.status();
      filled += *got;
      if (*got < wanted) break;
    }
    return filled;
  }

  // Turns the unit's offset in these bytes into its place in the file.
  void Place(IndexedUnit* unit, std::vector<FileRange>* pieces) const {
    const std::uint64_t offset = unit->offset;
    std::size_t chunk = ChunkAt(offset);
    FileRange piece = PieceAt(chunk, offset, unit->size);
    if (piece.end - piece.begin == unit->size) {
      unit->offset = piece.begin;
      return;
    }
    unit->split = true;
    unit->offset = pieces->size();
    for (std::uint64_t placed = 0; placed < unit->size;) {
      piece = PieceAt(chunk++, offset + placed, unit->size - placed);
      pieces->push_back(piece);
      placed += piece.end - piece.begin;
    }
  }

 private:
  // Of an offset beyond the end, the number of chunks.
  std::size_t ChunkAt(std::uint64_t offset) const {
    if (offset >= size_) return chunks_.size();
    const auto after = std::ranges::upper_bound(starts_, offset);
    return static_cast<std::size_t>(after - starts_.begin()) - 1;
  }

  FileRange PieceAt(std::size_t chunk, std::uint64_t offset, std::uint64_t wanted) const {
    const std::uint64_t begin = chunks_[chunk].begin + (offset - starts_[chunk]);
    return {begin, std::min(chunks_[chunk].end, begin + wanted)};
  }

  const MediaFile& file_;
  std::vector<FileRange> chunks_;
  std::vector<std::uint64_t> starts_;
  std::uint64_t size_ = 0;
};

absl::StatusOr<AviAudio> IndexFrames(const ChunkBytes& bytes, Codec codec) {
  const ByteReader reader{bytes.size(),
                          [&bytes](std::uint64_t offset, std::span<std::uint8_t> out) {
                            return bytes.ReadAt(offset, out);
                          }};
  absl::StatusOr<FramedAudio> framed = IndexFramedAudio(reader, codec);
  if (!framed.ok()) return framed.status();
  const auto count = static_cast<std::int64_t>(framed->units.size());
  return AviAudio{std::move(framed->track), std::move(framed->units), framed->grid.TimeOf(1),
                  framed->grid.TimeOf(count)};
}

absl::StatusOr<AviAudio> IndexPcm(const ChunkBytes& bytes, const WaveFormat& format) {
  constexpr std::uint32_t kUnitsPerSecond = 10;
  const bool linear = format.tag == kPcm;
  const std::uint32_t bits = linear ? format.bits : 8;
  const bool sound = format.sample_rate >= 1000 && format.sample_rate <= 768000 &&
                     format.channels >= 1 && format.channels <= 64 &&
                     (bits == 8 || bits == 16 || bits == 24);
  if (!sound) return absl::InvalidArgumentError("PCM of a layout that cannot be sent");
  AviAudio audio;
  Track& track = audio.track;
  track.codec = linear ? Codec::kLinearPcm : format.tag == kAlaw ? Codec::kPcma : Codec::kPcmu;
  track.clock_rate = track.sample_rate = format.sample_rate;
  track.channels = format.channels;
  if (linear) {
    track.sample_bytes = bits / 8;
    track.little_endian = bits > 8;
  }
  track.bit_rate = format.sample_rate * format.channels * bits;
  const std::uint64_t group_bytes = std::uint64_t{format.channels} * (bits / 8);
  const std::uint64_t unit_groups = format.sample_rate / kUnitsPerSecond;
  const std::uint64_t groups = std::min(bytes.size() / group_bytes, unit_groups * kIndexedUnitsMax);
  if (groups == 0) return absl::InvalidArgumentError("PCM without samples");
  for (std::uint64_t at = 0; at < groups; at += unit_groups) {
    const std::uint64_t count = std::min(unit_groups, groups - at);
    audio.units.push_back({.offset = at * group_bytes,
                           .size = static_cast<std::uint32_t>(count * group_bytes),
                           .random_access = true,
                           .pts = static_cast<std::int64_t>(at),
                           .dts = static_cast<std::int64_t>(at)});
  }
  audio.unit_duration = static_cast<std::int64_t>(unit_groups);
  audio.end = static_cast<std::int64_t>(groups);
  return audio;
}

// A chunk is a frame.
absl::StatusOr<AviAudio> IndexAac(const AviStream& stream, ByteSpan config) {
  const std::optional<AudioConfig> read = ReadAudioSpecificConfig(config);
  if (!read || read->channels == 0 || read->sample_rate == 0) {
    return absl::InvalidArgumentError("AAC without a usable configuration");
  }
  AviAudio audio;
  audio.track.codec = Codec::kAac;
  audio.track.clock_rate = audio.track.sample_rate = read->sample_rate;
  audio.track.channels = read->channels;
  audio.track.config.assign(config.begin(), config.end());
  for (const FileRange& chunk : stream.chunks) {
    const std::uint64_t size = chunk.end - chunk.begin;
    if (size == 0 || size > UINT16_MAX) continue;
    audio.units.push_back({.offset = chunk.begin,
                           .size = static_cast<std::uint32_t>(size),
                           .random_access = true,
                           .pts = audio.end,
                           .dts = audio.end});
    audio.end += read->frame_samples;
  }
  if (audio.units.empty()) return absl::InvalidArgumentError("AAC without frames");
  audio.unit_duration = read->frame_samples;
  return audio;
}

}  // namespace

absl::StatusOr<AviAudio> IndexAviAudio(const MediaFile& file, const AviStream& stream,
                                       std::vector<FileRange>* pieces) {
  const std::optional<WaveFormat> format = ReadFormat(stream.format);
  if (!format) return absl::InvalidArgumentError("its format is not told");
  const ChunkBytes bytes(file, stream.chunks);
  absl::StatusOr<AviAudio> audio;
  switch (format->tag) {
    case kPcm:
    case kAlaw:
    case kMulaw:
      audio = IndexPcm(bytes, *format);
      break;
    case kLayer12:
    case kLayer3:
      audio = IndexFrames(bytes, Codec::kMpegAudio);
      break;
    case kAc3:
      audio = IndexFrames(bytes, Codec::kAc3);
      break;
    case kAac:
      if (!format->extradata.empty()) return IndexAac(stream, format->extradata);
      audio = IndexFrames(bytes, Codec::kAac);
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("the codec ", absl::Hex(format->tag, absl::kZeroPad4),
                       " has no RTP payload format that is served; a copy that has: ffmpeg -i "
                       "FILE -map 0 -c copy -c:a aac COPY.mkv"));
  }
  if (!audio.ok()) return audio;
  for (IndexedUnit& unit : audio->units) bytes.Place(&unit, pieces);
  return audio;
}

}  // namespace millrace
