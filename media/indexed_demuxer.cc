#include "media/indexed_demuxer.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

class IndexedDemuxer final : public Demuxer {
 public:
  IndexedDemuxer(MediaFile file, MediaInfo info, std::vector<IndexedUnit> units,
                 std::vector<std::int64_t> unit_durations, std::vector<FileRange> pieces)
      : file_(std::move(file)),
        info_(std::move(info)),
        units_(std::move(units)),
        unit_durations_(std::move(unit_durations)),
        pieces_(std::move(pieces)) {}

  const MediaInfo& info() const override { return info_; }

  absl::Status Seek(Duration time) override {
    // A little early: whether a unit is due before `time` is then the caller's comparison alone.
    constexpr Duration kEarly = 1ms;
    const auto at = std::ranges::lower_bound(units_, time - kEarly, {}, [this](const auto& unit) {
      return info_.tracks[unit.track].DurationFromClock(unit.dts);
    });
    // Decoding begins before npt 0 where pictures are reordered: the start is all of it.
    next_ = time <= Duration::zero() ? 0 : static_cast<std::size_t>(at - units_.begin());
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Next(AccessUnit* unit) override {
    if (next_ >= units_.size()) return false;
    const IndexedUnit& entry = units_[next_];
    buffer_.resize(entry.size);
    std::size_t filled = 0;
    for (std::size_t piece = 0; filled < entry.size; ++piece) {
      const FileRange range = entry.split ? pieces_[entry.offset + piece]
                                          : FileRange{entry.offset, entry.offset + entry.size};
      const auto part = std::span(buffer_).subspan(filled, range.end - range.begin);
      absl::StatusOr<std::size_t> got = file_.ReadAt(range.begin, part);
      if (!got.ok()) return got.status();
      if (*got != part.size()) {
        return absl::DataLossError(
            absl::StrCat("file shrank: ", part.size(), " bytes at ", range.begin, " are gone"));
      }
      filled += part.size();
    }
    ++next_;
    *unit = {.track = entry.track,
             .pts = entry.pts,
             .dts = entry.dts,
             .duration = unit_durations_[entry.track],
             .random_access = entry.random_access,
             .data = buffer_};
    return true;
  }

 private:
  const MediaFile file_;
  const MediaInfo info_;
  const std::vector<IndexedUnit> units_;
  const std::vector<std::int64_t> unit_durations_;
  const std::vector<FileRange> pieces_;
  std::size_t next_ = 0;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace

std::unique_ptr<Demuxer> MakeIndexedDemuxer(MediaFile file, MediaInfo info,
                                            std::vector<IndexedUnit> units,
                                            std::int64_t unit_duration) {
  return std::make_unique<IndexedDemuxer>(std::move(file), std::move(info), std::move(units),
                                          std::vector<std::int64_t>{unit_duration},
                                          std::vector<FileRange>());
}

std::unique_ptr<Demuxer> MakeIndexedDemuxer(MediaFile file, MediaInfo info,
                                            std::vector<IndexedUnit> units,
                                            std::vector<std::int64_t> unit_durations,
                                            std::vector<FileRange> pieces) {
  std::ranges::stable_sort(units, {}, [&info](const IndexedUnit& unit) {
    return info.tracks[unit.track].DurationFromClock(unit.dts);
  });
  return std::make_unique<IndexedDemuxer>(std::move(file), std::move(info), std::move(units),
                                          std::move(unit_durations), std::move(pieces));
}

}  // namespace millrace
