// OpenFramedAudioFile and IndexFramedAudio; declared in indexed_demuxer.h.
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
#include "media/latm.h"
#include "media/timeline.h"

namespace millrace {
namespace {

// A window that slides over the bytes, so that headers are looked at without a system call each.
class Window {
 public:
  explicit Window(const ByteReader& bytes) : bytes_(bytes), buffer_(std::size_t{256} << 10) {}

  // From `offset` a whole frame and the header behind it, fewer bytes only at the end of the file
  // or at a read error. Asked for ascending offsets, it reads every byte of the file about once.
  ByteSpan At(std::uint64_t offset) {
    constexpr std::size_t kWanted = std::size_t{16} << 10;  // twice the largest frame
    const bool reaches = offset + kWanted <= start_ + filled_ || start_ + filled_ >= bytes_.size;
    if (offset < start_ || !reaches) {
      start_ = offset;
      absl::StatusOr<std::size_t> got = bytes_.read_at(offset, buffer_);
      if (!got.ok()) status_ = got.status();
      filled_ = got.value_or(0);
    }
    return ByteSpan(buffer_).first(filled_).subspan(
        std::min(filled_, static_cast<std::size_t>(offset - start_)));
  }

  const absl::Status& status() const { return status_; }

 private:
  const ByteReader& bytes_;
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
  // Whether something may follow where it ends, told without parsing it. Only of what is long to
  // parse.
  static bool MayBeFollowed(ByteSpan /*bytes*/) { return true; }
  static bool SameStream(const Header& a, const Header& b) {
    return a.object_type == b.object_type && a.sample_rate == b.sample_rate &&
           a.channel_config == b.channel_config;
  }
  // The same of a whole frame. Nothing: it is of the stream of the frame that told its last.
  static std::optional<bool> IsOf(const Header& first, const Header& header) {
    return SameStream(first, header);
  }
  // Whether the frame tells all that describes the track.
  static bool Describes(const Header& /*header*/) { return true; }
  // Whether a frame is an access unit.
  static bool Plays(const Header& header, ByteSpan /*frame*/) {
    return header.raw_data_blocks == 1;
  }
  // Not sent.
  static std::size_t Wrapping(const Header& header) { return header.header_bytes; }
  static std::uint32_t Samples(const Header& /*header*/) { return 1024; }
  static bool StartsUnit(const Header& /*header*/) { return true; }
  static std::uint64_t HeadBytes(ByteSpan head) { return TagBytes(head); }
  // Whether a frame may begin with it.
  static bool MayStart(std::uint8_t byte) { return byte == 0xff; }
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

// Of a frame of LOAS, which may say nothing of its sound but "as before".
struct LoasHeader {
  std::size_t frame_bytes = 0;
  std::uint32_t sample_rate = 0;  // 0: not told, or in a way that is not read
  bool as_before = false;
  std::optional<AacConfigBits> config;
};

struct LoasFrames {
  using Header = LoasHeader;
  static constexpr std::size_t kHeaderBytesMin = kLoasHeaderBytes;
  static constexpr const char* kName = "LOAS";

  static std::optional<Header> Parse(ByteSpan bytes) {
    const std::optional<std::size_t> frame_bytes = LoasFrameBytes(bytes);
    if (!frame_bytes) return std::nullopt;
    Header header = {.frame_bytes = *frame_bytes};
    const ByteSpan body =
        bytes.first(std::min(*frame_bytes, bytes.size())).subspan(kLoasHeaderBytes);
    header.as_before = body.empty() || (body[0] & 0x80) != 0;
    const auto element = ParseLatm(body);
    if (element) header.config = element->config;
    const std::optional<AudioConfig> audio = Audio(header);
    if (audio && audio->channels != 0) header.sample_rate = audio->sample_rate;
    return header;
  }
  static bool MayBeFollowed(ByteSpan bytes) {
    const std::optional<std::size_t> frame_bytes = LoasFrameBytes(bytes);
    if (!frame_bytes || *frame_bytes > bytes.size()) return false;
    const ByteSpan behind = bytes.subspan(*frame_bytes);
    return behind.size() < kHeaderBytesMin || IsTail(behind) || LoasFrameBytes(behind);
  }
  static bool SameStream(const Header& a, const Header& b) {
    return !a.config || !b.config || *a.config == *b.config;
  }
  static std::optional<bool> IsOf(const Header& first, const Header& header) {
    if (header.as_before) return std::nullopt;
    return header.config == first.config;  // one that is not read is another
  }
  static bool Describes(const Header& header) { return header.sample_rate != 0; }
  static bool Plays(const Header& /*header*/, ByteSpan frame) {
    return ParseLatm(frame.subspan(kLoasHeaderBytes)).has_value();
  }
  static std::size_t Wrapping(const Header& /*header*/) { return kLoasHeaderBytes; }
  static std::uint32_t Samples(const Header& header) { return Audio(header)->frame_samples; }
  static bool StartsUnit(const Header& /*header*/) { return true; }
  static std::uint64_t HeadBytes(ByteSpan head) { return TagBytes(head); }
  static bool MayStart(std::uint8_t byte) { return byte == 0x56; }
  static absl::Status Describe(const Header& header, Track* track) {
    const ByteSpan config = header.config->bytes();
    track->codec = Codec::kAacLatm;
    track->clock_rate = header.sample_rate;
    track->channels = Audio(header)->channels;
    track->config.assign(config.begin(), config.end());
    return absl::OkStatus();
  }

 private:
  static std::optional<AudioConfig> Audio(const Header& header) {
    return header.config ? ReadAudioSpecificConfig(header.config->bytes()) : std::nullopt;
  }
};

template <Codec codec>
struct SelfFramed {
  using Header = AudioFrameHeader;
  static constexpr bool kAmr = codec == Codec::kAmr || codec == Codec::kAmrWb;
  static constexpr std::size_t kHeaderBytesMin = kAmr ? 1 : 8;
  static constexpr const char* kName = codec == Codec::kMpegAudio ? "MPEG audio"
                                       : codec == Codec::kAc3     ? "AC-3"
                                       : codec == Codec::kEac3    ? "E-AC-3"
                                                                  : "AMR";

  static std::optional<Header> Parse(ByteSpan bytes) {
    switch (codec) {
      case Codec::kAc3:
        return ParseAc3(bytes);
      case Codec::kEac3:
        return ParseEac3(bytes);
      case Codec::kAmr:
      case Codec::kAmrWb:
        return ParseAmr(bytes, codec == Codec::kAmrWb);
      default:
        return ParseMpegAudio(bytes);
    }
  }
  static std::uint64_t HeadBytes(ByteSpan head) {
    // "#!AMR" or "#!AMR-WB" and a line feed (RFC 4867 section 5.1).
    if (kAmr) return codec == Codec::kAmrWb ? 9 : 6;
    return TagBytes(head);
  }
  static bool MayStart(std::uint8_t byte) {
    return kAmr ? (byte & 0x83) == 0 : byte == 0xff || byte == 0x0b;
  }
  static bool MayBeFollowed(ByteSpan /*bytes*/) { return true; }
  static bool SameStream(const Header& a, const Header& b) {
    return a.sample_rate == b.sample_rate && a.kind == b.kind;
  }
  static std::optional<bool> IsOf(const Header& first, const Header& header) {
    return SameStream(first, header);
  }
  static bool Describes(const Header& /*header*/) { return true; }
  static bool Plays(const Header& /*header*/, ByteSpan frame) {
    return codec != Codec::kMpegAudio || !IsMp3InfoFrame(frame);
  }
  static std::size_t Wrapping(const Header& /*header*/) { return 0; }
  static std::uint32_t Samples(const Header& header) { return header.frame_samples; }
  static bool StartsUnit(const Header& header) { return header.starts_unit; }
  static absl::Status Describe(const Header& header, Track* track) {
    track->codec = codec;
    track->clock_rate = RtpClockRate(codec, header.sample_rate);
    track->sample_rate = header.sample_rate;
    track->channels = header.channels;
    track->layer = header.layer;
    return absl::OkStatus();
  }
};

// The header at `offset`, if what it announces is there and is followed by another frame or the
// end.
template <typename Frames>
std::optional<typename Frames::Header> FrameAt(Window* window, std::uint64_t offset) {
  const ByteSpan bytes = window->At(offset);
  if (!Frames::MayBeFollowed(bytes)) return std::nullopt;
  const auto header = Frames::Parse(bytes);
  if (!header || header->frame_bytes > bytes.size()) return std::nullopt;
  const ByteSpan behind = bytes.subspan(header->frame_bytes);
  if (behind.size() < Frames::kHeaderBytesMin || IsTail(behind)) return header;
  const auto next = Frames::Parse(behind);
  const bool followed = next && Frames::SameStream(*header, *next);
  return followed ? header : std::nullopt;
}

// The next byte that may start a frame, at or behind `offset`.
template <typename Frames>
std::uint64_t NextCandidate(Window* window, std::uint64_t offset) {
  const ByteSpan bytes = window->At(offset);
  if (bytes.empty()) return UINT64_MAX;  // the file shrank
  const auto found = std::ranges::find_if(bytes, Frames::MayStart);
  return offset + static_cast<std::uint64_t>(found - bytes.begin());
}

template <typename Frames>
absl::StatusOr<FramedAudio> IndexFrames(const ByteReader& reader) {
  Window window(reader);
  std::optional<typename Frames::Header> first;
  FramedAudio audio;
  std::uint64_t bytes = 0;
  bool foreign = false;  // the stream that was told last is not the first one
  std::uint64_t offset = Frames::HeadBytes(window.At(0));
  while (offset < reader.size && audio.units.size() < kIndexedUnitsMax && window.status().ok()) {
    const auto header = FrameAt<Frames>(&window, offset);
    const std::optional<bool> told = header && first ? Frames::IsOf(*first, *header) : std::nullopt;
    if (told) foreign = !*told;
    if (!header || (told && foreign)) {
      offset = NextCandidate<Frames>(&window, offset + 1);
      continue;
    }
    const bool described = first ? !foreign : Frames::Describes(*header);
    if (described && Frames::Plays(*header, window.At(offset).first(header->frame_bytes))) {
      const std::size_t wrapping = Frames::Wrapping(*header);
      const auto size = static_cast<std::uint32_t>(header->frame_bytes - wrapping);
      if (Frames::StartsUnit(*header)) {
        if (!first) first = header;
        audio.units.push_back({.offset = offset + wrapping, .size = size, .random_access = true});
        bytes += size;
      } else if (!audio.units.empty() &&
                 audio.units.back().offset + audio.units.back().size == offset &&
                 audio.units.back().size < kAccessUnitBytesMax) {
        audio.units.back().size += size;
        bytes += size;
      }
    }
    offset += header->frame_bytes;
  }
  if (!window.status().ok()) return window.status();
  if (!first) return absl::InvalidArgumentError(absl::StrCat("no ", Frames::kName, " frame found"));
  Track& track = audio.track;
  if (absl::Status status = Frames::Describe(*first, &track); !status.ok()) return status;
  audio.grid = {.frame_samples = Frames::Samples(*first),
                .sample_rate = first->sample_rate,
                .clock_rate = track.clock_rate};
  for (std::size_t i = 0; i < audio.units.size(); ++i) {
    audio.units[i].pts = audio.units[i].dts = audio.grid.TimeOf(static_cast<std::int64_t>(i));
  }
  const std::int64_t end = audio.grid.TimeOf(static_cast<std::int64_t>(audio.units.size()));
  track.bit_rate = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      bytes * 8 * track.clock_rate / static_cast<std::uint64_t>(end), UINT32_MAX));
  return audio;
}

}  // namespace

absl::StatusOr<FramedAudio> IndexFramedAudio(const ByteReader& bytes, Codec codec) {
  if (codec == Codec::kAac) return IndexFrames<AdtsFrames>(bytes);
  if (codec == Codec::kAacLatm) return IndexFrames<LoasFrames>(bytes);
  if (codec == Codec::kAc3) return IndexFrames<SelfFramed<Codec::kAc3>>(bytes);
  if (codec == Codec::kEac3) return IndexFrames<SelfFramed<Codec::kEac3>>(bytes);
  if (codec == Codec::kAmr) return IndexFrames<SelfFramed<Codec::kAmr>>(bytes);
  if (codec == Codec::kAmrWb) return IndexFrames<SelfFramed<Codec::kAmrWb>>(bytes);
  return IndexFrames<SelfFramed<Codec::kMpegAudio>>(bytes);
}

absl::StatusOr<std::unique_ptr<Demuxer>> OpenFramedAudioFile(MediaFile file, Codec codec,
                                                             std::string title) {
  const ByteReader bytes{file.size(), [&file](std::uint64_t offset, std::span<std::uint8_t> out) {
                           return file.ReadAt(offset, out);
                         }};
  absl::StatusOr<FramedAudio> audio = IndexFramedAudio(bytes, codec);
  if (!audio.ok()) return audio.status();
  MediaInfo info;
  info.title = std::move(title);
  const std::int64_t end = audio->grid.TimeOf(static_cast<std::int64_t>(audio->units.size()));
  info.duration = audio->track.DurationFromClock(end);
  info.tracks.push_back(std::move(audio->track));
  return MakeIndexedDemuxer(std::move(file), std::move(info), std::move(audio->units),
                            audio->grid.TimeOf(1));
}

}  // namespace millrace
