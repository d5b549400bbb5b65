// OpenFramedAudioFile; declared in indexed_demuxer.h.
#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "media/audio_frame.h"
#include "media/bitstream.h"
#include "media/indexed_demuxer.h"
#include "media/timeline.h"

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

// What taggers put at the end of a file: ID3v1, APEv2, Lyrics3.
bool IsTail(ByteSpan bytes) {
  const auto starts = [bytes](std::string_view name) {
    return bytes.size() >= name.size() && std::memcmp(bytes.data(), name.data(), name.size()) == 0;
  };
  return starts("TAG") || starts("APETAGEX") || starts("LYRICSBEGIN");
}

// What tells one format of frames from another: its header, in which the fields frame_bytes and
// sample_rate mean the same everywhere.

struct AdtsFrames {
  using Header = AdtsHeader;
  static constexpr std::size_t kHeaderBytesMin = 7;
  static constexpr const char* kName = "ADTS";

  static std::optional<Header> Parse(ByteSpan bytes) { return ParseAdts(bytes); }
  static bool SameStream(const Header& a, const Header& b) {
    return a.object_type == b.object_type && a.sample_rate == b.sample_rate &&
           a.channel_config == b.channel_config;
  }
  // Whether a frame is an access unit.
  static bool Plays(const Header& header, ByteSpan /*frame*/) {
    return header.raw_data_blocks == 1;
  }
  // Not sent.
  static std::size_t Wrapping(const Header& header) { return header.header_bytes; }
  static std::uint32_t Samples(const Header& /*header*/) { return 1024; }
  static absl::Status Describe(const Header& header, Track* track) {
    const ByteSpan config(header.audio_specific_config);
    const std::optional<AudioConfig> audio = ReadAudioSpecificConfig(config);
    if (!audio || audio->channels == 0) {
      return absl::InvalidArgumentError("AAC whose channel layout is only told within its frames");
    }
    track->codec = Codec::kAac;
    track->clock_rate = header.sample_rate;
    track->channels = audio->channels;
    track->config.assign(config.begin(), config.end());
    return absl::OkStatus();
  }
};

template <Codec codec>
struct SelfFramed {
  using Header = AudioFrameHeader;
  static constexpr std::size_t kHeaderBytesMin = 8;
  static constexpr const char* kName = codec == Codec::kAc3 ? "AC-3" : "MPEG audio";

  static std::optional<Header> Parse(ByteSpan bytes) {
    return codec == Codec::kAc3 ? ParseAc3(bytes) : ParseMpegAudio(bytes);
  }
  static bool SameStream(const Header& a, const Header& b) {
    return a.sample_rate == b.sample_rate && a.kind == b.kind;
  }
  static bool Plays(const Header& /*header*/, ByteSpan frame) {
    return codec == Codec::kAc3 || !IsMp3InfoFrame(frame);
  }
  static std::size_t Wrapping(const Header& /*header*/) { return 0; }
  static std::uint32_t Samples(const Header& header) { return header.frame_samples; }
  static absl::Status Describe(const Header& header, Track* track) {
    track->codec = codec;
    track->clock_rate = RtpClockRate(codec, header.sample_rate);
    track->sample_rate = header.sample_rate;
    track->channels = header.channels;
    return absl::OkStatus();
  }
};

// The header at `offset`, if what it announces is there and is followed by another frame or the
// end.
template <typename Frames>
std::optional<typename Frames::Header> FrameAt(Window* window, std::uint64_t offset) {
  const ByteSpan bytes = window->At(offset);
  const auto header = Frames::Parse(bytes);
  if (!header || header->frame_bytes > bytes.size()) return std::nullopt;
  const ByteSpan behind = bytes.subspan(header->frame_bytes);
  if (behind.size() < Frames::kHeaderBytesMin || IsTail(behind)) return header;
  const auto next = Frames::Parse(behind);
  const bool followed = next && Frames::SameStream(*header, *next);
  return followed ? header : std::nullopt;
}

// The next byte that may start a frame, at or behind `offset`: all formats here begin with ones or
// with 0x0b.
std::uint64_t NextCandidate(Window* window, std::uint64_t offset) {
  const ByteSpan bytes = window->At(offset);
  if (bytes.empty()) return UINT64_MAX;  // the file shrank
  const auto found =
      std::ranges::find_if(bytes, [](std::uint8_t byte) { return byte == 0xff || byte == 0x0b; });
  return offset + static_cast<std::uint64_t>(found - bytes.begin());
}

template <typename Frames>
absl::StatusOr<std::unique_ptr<Demuxer>> OpenFramed(MediaFile file, std::string title) {
  Window window(file);
  std::optional<typename Frames::Header> first;
  std::vector<IndexedUnit> units;
  std::uint64_t bytes = 0;
  std::uint64_t offset = TagBytes(window.At(0));
  while (offset < file.size() && units.size() < kIndexedUnitsMax && window.status().ok()) {
    const auto header = FrameAt<Frames>(&window, offset);
    if (!header || (first && !Frames::SameStream(*first, *header))) {
      offset = NextCandidate(&window, offset + 1);
      continue;
    }
    if (Frames::Plays(*header, window.At(offset).first(header->frame_bytes))) {
      if (!first) first = header;
      const std::size_t wrapping = Frames::Wrapping(*header);
      const auto size = static_cast<std::uint32_t>(header->frame_bytes - wrapping);
      units.push_back({.offset = offset + wrapping, .size = size, .random_access = true});
      bytes += size;
    }
    offset += header->frame_bytes;
  }
  if (!window.status().ok()) return window.status();
  if (!first) return absl::InvalidArgumentError(absl::StrCat("no ", Frames::kName, " frame found"));
  MediaInfo info;
  info.title = std::move(title);
  Track& track = info.tracks.emplace_back();
  if (absl::Status status = Frames::Describe(*first, &track); !status.ok()) return status;
  const FrameGrid grid{.frame_samples = Frames::Samples(*first),
                       .sample_rate = first->sample_rate,
                       .clock_rate = track.clock_rate};
  for (std::size_t i = 0; i < units.size(); ++i) {
    units[i].pts = units[i].dts = grid.TimeOf(static_cast<std::int64_t>(i));
  }
  const std::int64_t end = grid.TimeOf(static_cast<std::int64_t>(units.size()));
  info.duration = track.DurationFromClock(end);
  track.bit_rate = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      bytes * 8 * track.clock_rate / static_cast<std::uint64_t>(end), UINT32_MAX));
  return MakeIndexedDemuxer(std::move(file), std::move(info), std::move(units), grid.TimeOf(1));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Demuxer>> OpenFramedAudioFile(MediaFile file, Codec codec,
                                                             std::string title) {
  if (codec == Codec::kAac) return OpenFramed<AdtsFrames>(std::move(file), std::move(title));
  if (codec == Codec::kAc3)
    return OpenFramed<SelfFramed<Codec::kAc3>>(std::move(file), std::move(title));
  return OpenFramed<SelfFramed<Codec::kMpegAudio>>(std::move(file), std::move(title));
}

}  // namespace millrace
