#include "media/mp3_adu.h"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "media/audio_frame.h"
#include "media/bit_reader.h"

namespace millrace {
namespace {

// What main_data_begin reaches, in bytes.
constexpr std::size_t kReservoirBytesMax = 511;

// The fixed part of an MP3 frame (ISO 11172-3 section 2.4.1.7 and ISO 13818-3 section 2.4.1.7).
struct Mp3Layout {
  std::size_t head_bytes = 0;  // header, checksum, side information
  std::size_t back_bytes = 0;  // main_data_begin
  std::size_t main_bytes = 0;  // as the side information counts them
};

std::optional<Mp3Layout> ReadLayout(ByteSpan frame, const AudioFrameHeader& header) {
  constexpr std::size_t kHeaderBytes = 4, kChecksumBytes = 2;
  constexpr unsigned kLengthBits = 12;
  const bool version_1 = header.frame_samples == 1152;
  const bool mono = header.channels == 1;
  const bool has_checksum = (frame[1] & 1) == 0;
  const std::size_t side_bytes = version_1 ? (mono ? 17 : 32) : (mono ? 9 : 17);
  Mp3Layout layout;
  layout.head_bytes = kHeaderBytes + (has_checksum ? kChecksumBytes : 0) + side_bytes;
  if (frame.size() < layout.head_bytes) return std::nullopt;
  BitReader bits(frame.first(layout.head_bytes).last(side_bytes));
  layout.back_bytes = bits.Bits(version_1 ? 9 : 8);
  bits.Skip(version_1 ? (mono ? 5 : 3) : (mono ? 1 : 2));  // private
  if (version_1) bits.Skip(4 * header.channels);           // scfsi
  const std::uint32_t granules = (version_1 ? 2 : 1) * header.channels;
  std::size_t main_bits = 0;
  for (std::uint32_t i = 0; i < granules; ++i) {
    main_bits += bits.Bits(kLengthBits);             // part2_3_length
    bits.Skip((version_1 ? 59 : 63) - kLengthBits);  // how to read it
  }
  layout.main_bytes = (main_bits + 7) / 8;
  return layout;
}

}  // namespace

void Mp3AduMaker::Forget() {
  reservoir_.clear();
  sources_.clear();
}

void Mp3AduMaker::DropBefore(std::int64_t pts) {
  std::size_t bytes = 0;
  for (; !sources_.empty() && sources_.front().pts < pts; sources_.pop_front()) {
    bytes += sources_.front().bytes;
  }
  reservoir_.erase(reservoir_.begin(), reservoir_.begin() + static_cast<std::ptrdiff_t>(bytes));
}

void Mp3AduMaker::Keep(ByteSpan main_data, std::int64_t pts) {
  reservoir_.insert(reservoir_.end(), main_data.begin(), main_data.end());
  sources_.push_back({pts, main_data.size()});
  std::size_t excess = reservoir_.size() - std::min(reservoir_.size(), kReservoirBytesMax);
  reservoir_.erase(reservoir_.begin(), reservoir_.begin() + static_cast<std::ptrdiff_t>(excess));
  while (excess > 0) {
    Source& first = sources_.front();
    const std::size_t bytes = std::min(first.bytes, excess);
    excess -= bytes;
    first.bytes -= bytes;
    if (first.bytes == 0) sources_.pop_front();
  }
}

std::optional<ByteSpan> Mp3AduMaker::Add(ByteSpan frame, std::int64_t pts, std::int64_t duration) {
  const std::optional<AudioFrameHeader> header = ParseMpegAudio(frame);
  const bool other_layer = header && header->layer != 3;
  if (!header || other_layer || frame.size() < header->frame_bytes) {
    Forget();
    return other_layer ? std::optional(frame) : std::nullopt;
  }
  frame = frame.first(header->frame_bytes);
  const std::optional<Mp3Layout> layout = ReadLayout(frame, *header);
  // Containers round times; half a frame tells that from a frame that is missing. Times of a
  // damaged file may be anything, and are compared unsigned.
  const std::uint64_t tolerance =
      static_cast<std::uint64_t>(std::max<std::int64_t>(duration, 0)) / 2;
  const std::uint64_t off =
      static_cast<std::uint64_t>(pts) - static_cast<std::uint64_t>(next_pts_) + tolerance;
  if (off > 2 * tolerance || header->kind != kind_ || !layout) Forget();
  kind_ = header->kind;
  if (__builtin_add_overflow(pts, duration, &next_pts_)) next_pts_ = pts;
  if (!layout) return std::nullopt;

  std::int64_t reach = 0;
  if (!__builtin_sub_overflow(pts, TicksFromDuration(kReach, clock_rate_), &reach)) {
    DropBefore(reach);
  }
  const ByteSpan main_data = frame.subspan(layout->head_bytes);
  const bool there = layout->back_bytes <= reservoir_.size() &&
                     layout->main_bytes <= layout->back_bytes + main_data.size();
  if (there) {
    unit_.assign(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(layout->head_bytes));
    const std::size_t before = std::min(layout->back_bytes, layout->main_bytes);
    const auto from = reservoir_.end() - static_cast<std::ptrdiff_t>(layout->back_bytes);
    unit_.insert(unit_.end(), from, from + static_cast<std::ptrdiff_t>(before));
    const ByteSpan own = main_data.first(layout->main_bytes - before);
    unit_.insert(unit_.end(), own.begin(), own.end());
  }
  Keep(main_data, pts);
  if (!there) return std::nullopt;
  return unit_;
}

namespace {

bool IsMp3(const Track& track) { return track.codec == Codec::kMpegAudio && track.layer == 3; }

// At least one track is MP3.
class Mp3AduDemuxer final : public Demuxer {
 public:
  explicit Mp3AduDemuxer(std::unique_ptr<Demuxer> media)
      : media_(std::move(media)), info_(media_->info()), makers_(info_.tracks.size()) {
    for (std::size_t i = 0; i < makers_.size(); ++i) {
      Track& track = info_.tracks[i];
      if (!IsMp3(track)) continue;
      track.codec = Codec::kMp3Adu;
      makers_[i].emplace(track.clock_rate);
    }
  }

  const MediaInfo& info() const override { return info_; }

  absl::Status Seek(Duration time) override {
    for (std::optional<Mp3AduMaker>& maker : makers_) {
      if (maker) maker->Forget();
    }
    // With what the first unit due may reach back to, and a little for rounding.
    return media_->Seek(time - Mp3AduMaker::kReach - 10ms);
  }

  absl::StatusOr<bool> Next(AccessUnit* unit) override {
    for (;;) {
      const absl::StatusOr<bool> more = media_->Next(unit);
      if (!more.value_or(false)) return more;
      std::optional<Mp3AduMaker>& maker = makers_[unit->track];
      if (!maker) return true;
      const std::optional<ByteSpan> adu = maker->Add(unit->data, unit->pts, unit->duration);
      if (!adu) continue;
      unit->data = *adu;
      return true;
    }
  }

  absl::StatusOr<bool> Grow() override {
    absl::StatusOr<bool> more = media_->Grow();
    info_.growing = media_->info().growing;
    return more;
  }
  void TakeAsWhole() override {
    media_->TakeAsWhole();
    info_.growing = false;
  }
  Duration FindEnd() override { return media_->FindEnd(); }

 private:
  const std::unique_ptr<Demuxer> media_;
  MediaInfo info_;
  std::vector<std::optional<Mp3AduMaker>> makers_;  // by track
};

}  // namespace

std::unique_ptr<Demuxer> WithMp3Adus(std::unique_ptr<Demuxer> media) {
  if (std::ranges::none_of(media->info().tracks, IsMp3)) return media;
  return std::make_unique<Mp3AduDemuxer>(std::move(media));
}

}  // namespace millrace
