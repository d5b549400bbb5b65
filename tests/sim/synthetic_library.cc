#include "tests/sim/synthetic_library.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "media/asset_name.h"

namespace millrace::sim {
namespace {

class SyntheticDemuxer final : public Demuxer {
 public:
  SyntheticDemuxer(std::shared_ptr<const SyntheticMedia> media,
                   std::shared_ptr<const absl::Status> read_status,
                   std::shared_ptr<const SyntheticLibrary::Shown> shown)
      : media_(std::move(media)),
        read_status_(std::move(read_status)),
        shown_(std::move(shown)),
        info_(media_->info()),
        next_(media_->info().tracks.size(), 0) {
    Look();
    if (!info_.growing) return;
    info_.random_access.clear();
    info_.duration = seen_.end;
  }

  const MediaInfo& info() const override { return info_; }
  absl::StatusOr<bool> Grow() override { return Look(); }
  Duration FindEnd() override { return std::min(seen_.end, media_->info().duration); }

  // As containers do it: back to the key frame at or before `time`, and the audio that lies there.
  absl::Status Seek(Duration time) override {
    if (!read_status_->ok()) return *read_status_;
    Duration from = time;
    for (std::size_t t = 0; t < next_.size(); ++t) {
      next_[t] = media_->FirstAtOrAfter(t, from);
      if (!media_->IsVideo(t)) continue;
      const std::size_t gop = media_->asset().video->gop;
      next_[t] = std::min(next_[t], media_->unit_count(t) - 1);
      next_[t] -= next_[t] % gop;
      from = std::min(from, DtsTime(t));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Next(AccessUnit* unit) override {
    if (!read_status_->ok()) return *read_status_;
    std::size_t track = next_.size();
    for (std::size_t t = 0; t < next_.size(); ++t) {
      if (next_[t] >= media_->unit_count(t)) continue;
      if (track == next_.size() || DtsTime(t) < DtsTime(track)) track = t;
    }
    if (track == next_.size() || DtsTime(track) >= seen_.end) return false;
    const std::size_t number = next_[track]++;
    const SyntheticMedia::Unit u = media_->Describe(track, number);
    data_ = media_->Data(track, number);
    unit->track = static_cast<std::uint32_t>(track);
    unit->pts = u.pts;
    unit->dts = u.dts;
    unit->duration = u.duration;
    unit->random_access = u.random_access;
    unit->data = data_;
    return true;
  }

 private:
  // Whether anything has changed.
  bool Look() {
    const bool more = *shown_ != seen_;
    seen_ = *shown_;
    info_.growing = seen_.end < media_->info().duration && !seen_.settled;
    return more;
  }
  Duration DtsTime(std::size_t track) const {
    return media_->TimeOf(track, media_->Describe(track, next_[track]).dts);
  }

  const std::shared_ptr<const SyntheticMedia> media_;
  const std::shared_ptr<const absl::Status> read_status_;
  const std::shared_ptr<const SyntheticLibrary::Shown> shown_;
  SyntheticLibrary::Shown seen_;  // at the last Grow
  MediaInfo info_;
  std::vector<std::size_t> next_;  // unit number per track
  Bytes data_;
};

}  // namespace

const SyntheticMedia& SyntheticLibrary::Add(const std::string& path, const SyntheticAsset& asset) {
  Entry& entry = entries_[path];
  entry = Entry{};
  entry.media = std::make_shared<SyntheticMedia>(asset);
  entry.identity.device = 1;
  entry.identity.inode = next_inode_++;
  entry.identity.size = asset.content * 1000 + 1;
  entry.identity.modified_ns = 1;
  return *entry.media;
}

const SyntheticMedia* SyntheticLibrary::Find(std::string_view path) const {
  const auto it = entries_.find(SplitAssetName(path).path);
  return it == entries_.end() ? nullptr : it->second.media.get();
}

void SyntheticLibrary::Touch(const std::string& path) {
  const auto it = entries_.find(SplitAssetName(path).path);
  if (it != entries_.end()) ++it->second.identity.modified_ns;
}

void SyntheticLibrary::Remove(const std::string& path) { entries_.erase(path); }

void SyntheticLibrary::ShowUntil(const std::string& path, Duration end, bool settled) {
  Entry& entry = entries_.at(path);
  if (entry.shown->end != Duration::max()) ++entry.identity.size;
  ++entry.identity.modified_ns;
  *entry.shown = {end, settled};
}

bool SyntheticLibrary::WrittenLately(const AssetIdentity& identity) const {
  return std::ranges::any_of(entries_, [&](const auto& named) {
    const Entry& entry = named.second;
    return entry.identity.inode == identity.inode && entry.media != nullptr &&
           entry.shown->end < entry.media->info().duration && !entry.shown->settled;
  });
}

void SyntheticLibrary::FailOpen(const std::string& path, const absl::Status& status) {
  entries_[path].open_status = status;
}

void SyntheticLibrary::FailReads(const std::string& path, const absl::Status& status) {
  *entries_[path].read_status = status;
}

absl::StatusOr<const SyntheticLibrary::Entry*> SyntheticLibrary::Look(std::string_view path) const {
  const auto it = entries_.find(SplitAssetName(path).path);
  if (it != entries_.end() && !it->second.open_status.ok()) return it->second.open_status;
  if (it == entries_.end() || it->second.media == nullptr) {
    return absl::NotFoundError(absl::StrCat(std::string(path), ": no such asset"));
  }
  return &it->second;
}

absl::StatusOr<std::unique_ptr<Demuxer>> SyntheticLibrary::Open(std::string_view path) {
  const auto entry = Look(path);
  if (!entry.ok()) return entry.status();
  ++opens_;
  return std::make_unique<SyntheticDemuxer>((*entry)->media, (*entry)->read_status,
                                            (*entry)->shown);
}

absl::StatusOr<AssetIdentity> SyntheticLibrary::Identify(std::string_view path) {
  const auto entry = Look(path);
  if (!entry.ok()) return entry.status();
  return (*entry)->identity;
}

}  // namespace millrace::sim
