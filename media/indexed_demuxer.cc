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
                 std::int64_t unit_duration)
      : file_(std::move(file)),
        info_(std::move(info)),
        units_(std::move(units)),
        unit_duration_(unit_duration) {}

  const MediaInfo& info() const override { return info_; }

  absl::Status Seek(Duration time) override {
    const Track& track = info_.tracks.front();
    // One tick early: whether a unit is due before `time` is then the caller's comparison alone.
    const std::int64_t wanted = track.ClockFromDuration(time) - 1;
    const auto at = std::ranges::lower_bound(units_, wanted, {}, &IndexedUnit::dts);
    // Decoding begins before npt 0 where pictures are reordered: the start is all of it.
    next_ = time <= Duration::zero() ? 0 : static_cast<std::size_t>(at - units_.begin());
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Next(AccessUnit* unit) override {
    if (next_ >= units_.size()) return false;
    const IndexedUnit& entry = units_[next_];
    buffer_.resize(entry.size);
    absl::StatusOr<std::size_t> got = file_.ReadAt(entry.offset, buffer_);
    if (!got.ok()) return got.status();
    if (*got != entry.size) {
      return absl::DataLossError(
          absl::StrCat("file shrank: ", entry.size, " bytes at ", entry.offset, " are gone"));
    }
    ++next_;
    *unit = {.pts = entry.pts,
             .dts = entry.dts,
             .duration = unit_duration_,
             .random_access = entry.random_access,
             .data = buffer_};
    return true;
  }

 private:
  const MediaFile file_;
  const MediaInfo info_;
  const std::vector<IndexedUnit> units_;
  const std::int64_t unit_duration_;
  std::size_t next_ = 0;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace

std::unique_ptr<Demuxer> MakeIndexedDemuxer(MediaFile file, MediaInfo info,
                                            std::vector<IndexedUnit> units,
                                            std::int64_t unit_duration) {
  return std::make_unique<IndexedDemuxer>(std::move(file), std::move(info), std::move(units),
                                          unit_duration);
}

}  // namespace millrace
