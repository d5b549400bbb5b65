// OpenAdtsFile; declared in indexed_demuxer.h.
#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "media/bitstream.h"
#include "media/indexed_demuxer.h"

namespace millrace {
namespace {

// A window that slides over the file, so that headers are looked at without a system call each.
class Window {
 public:
  explicit Window(const MediaFile& file) : file_(file), buffer_(std::size_t{256} << 10) {}

  // From `offset` a whole frame and the header behind it, fewer bytes only at the end of the file
  // or at a read error. Asked for ascending offsets, it reads every byte of the file about once.
  ByteSpan At(std::uint64_t offset) {
    constexpr std::size_t kWanted = std::size_t{16} << 10;  // twice the largest frame
    const bool reaches = offset + kWanted <= start_ + filled_ || start_ + filled_ >= file_.size();
    if (offset < start_ || !reaches) {
      start_ = offset;
      absl::StatusOr<std::size_t> got = file_.ReadAt(offset, buffer_);
      if (!got.ok()) status_ = got.status();
      filled_ = got.value_or(0);
    }
    return ByteSpan(buffer_).first(filled_).subspan(
        std::min(filled_, static_cast<std::size_t>(offset - start_)));
  }

  const absl::Status& status() const { return status_; }

 private:
  const MediaFile& file_;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t start_ = 0;
  std::size_t filled_ = 0;
  absl::Status status_;
};

// ID3v2: "ID3", version, flags, then the size in four bytes of seven bits.
std::uint64_t TagBytes(ByteSpan head) {
  if (head.size() < 10 || std::memcmp(head.data(), "ID3", 3) != 0) return 0;
  std::uint64_t size = 0;
  for (std::size_t i = 6; i < 10; ++i) size = size << 7 | (head[i] & 0x7f);
  return size + 10;
}

bool SameStream(const AdtsHeader& a, const AdtsHeader& b) {
  return a.object_type == b.object_type && a.sample_rate == b.sample_rate &&
         a.channel_config == b.channel_config;
}

// The header at `offset`, if what it announces is there and is followed by another frame or the
// end.
std::optional<AdtsHeader> FrameAt(Window* window, std::uint64_t offset) {
  const ByteSpan bytes = window->At(offset);
  const std::optional<AdtsHeader> header = ParseAdts(bytes);
  if (!header || header->frame_bytes > bytes.size()) return std::nullopt;
  constexpr std::size_t kHeaderBytesMin = 7;
  const ByteSpan behind = bytes.subspan(header->frame_bytes);
  if (behind.size() < kHeaderBytesMin) return header;
  const std::optional<AdtsHeader> next = ParseAdts(behind);
  const bool followed = next && SameStream(*header, *next);
  return followed ? header : std::nullopt;
}

// The next byte that may start a frame, at or behind `offset`.
std::uint64_t NextCandidate(Window* window, std::uint64_t offset) {
  const ByteSpan bytes = window->At(offset);
  if (bytes.empty()) return UINT64_MAX;  // the file shrank
  const void* found = std::memchr(bytes.data(), 0xff, bytes.size());
  if (found == nullptr) return offset + bytes.size();
  return offset +
         static_cast<std::uint64_t>(static_cast<const std::uint8_t*>(found) - bytes.data());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Demuxer>> OpenAdtsFile(MediaFile file) {
  constexpr std::int64_t kFrameSamples = 1024;
  Window window(file);
  std::optional<AdtsHeader> first;
  std::vector<IndexedUnit> units;
  std::uint64_t bytes = 0;
  std::uint64_t offset = TagBytes(window.At(0));
  while (offset < file.size() && units.size() < kIndexedUnitsMax && window.status().ok()) {
    const std::optional<AdtsHeader> header = FrameAt(&window, offset);
    if (!header || header->raw_data_blocks != 1 || (first && !SameStream(*first, *header))) {
      offset = NextCandidate(&window, offset + 1);
      continue;
    }
    if (!first) first = header;
    const auto time = static_cast<std::int64_t>(units.size()) * kFrameSamples;
    const std::size_t size = header->frame_bytes - header->header_bytes;
    units.push_back({.offset = offset + header->header_bytes,
                     .size = static_cast<std::uint32_t>(size),
                     .random_access = true,
                     .pts = time,
                     .dts = time});
    bytes += size;
    offset += header->frame_bytes;
  }
  if (!window.status().ok()) return window.status();
  if (!first) return absl::InvalidArgumentError("no ADTS frame found");
  const ByteSpan config(first->audio_specific_config);
  const std::optional<AudioConfig> audio = ReadAudioSpecificConfig(config);
  if (!audio || audio->channels == 0) {
    return absl::InvalidArgumentError("AAC whose channel layout is only told within its frames");
  }
  MediaInfo info;
  Track& track = info.tracks.emplace_back();
  track.codec = Codec::kAac;
  track.clock_rate = first->sample_rate;
  track.channels = audio->channels;
  track.audio_specific_config.assign(config.begin(), config.end());
  const auto samples = static_cast<std::int64_t>(units.size()) * kFrameSamples;
  info.duration = track.DurationFromClock(samples);
  track.bit_rate = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      bytes * 8 * first->sample_rate / static_cast<std::uint64_t>(samples), UINT32_MAX));
  return MakeIndexedDemuxer(std::move(file), std::move(info), std::move(units), kFrameSamples);
}

}  // namespace millrace
