#include "media/playlist_demuxer.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "media/asset_name.h"
#include "media/playlist.h"

namespace millrace {

struct PlaylistPlan {
  struct Item {
    std::string name;  // as the library takes it
    AssetIdentity identity;
    std::size_t line = 0;
    Duration start{};
    // Per track, in its clock.
    std::vector<std::int64_t> shift;      // of `start`
    std::vector<std::int64_t> due_first;  // no unit is due earlier; of the first file's: any time
  };

  MediaInfo info;
  std::vector<Item> items;
};

namespace {

// Units of an item beyond its stated duration after which the rest is not read.
constexpr std::size_t kLeftOutMax = 1000;

// A track's first units lie within so many of its file.
constexpr int kHeadUnitsMax = 256;
// More places than this to start at are found by looking.
constexpr std::size_t kRandomAccessMax = std::size_t{1} << 20;
// Earlier than any file's first unit is due.
constexpr Duration kBeforeTheStart = -60s;
// More than what rounding to a clock moves a unit by.
constexpr Duration kRoundingMax = 1ms;

// What is found of a playlist's files without opening them.
struct FoundItem {
  std::string path;
  std::size_t line = 0;
  absl::StatusOr<AssetIdentity> identity;
};

std::vector<FoundItem> FindItems(Library* library, const Playlist& playlist, AssetView view) {
  absl::flat_hash_map<std::string, std::size_t> known;  // by plain path
  std::vector<FoundItem> found;
  found.reserve(playlist.items.size());
  for (const PlaylistItem& item : playlist.items) {
    const auto [at, is_new] = known.try_emplace(item.path, found.size());
    if (!is_new) {
      found.push_back(found[at->second]);
      found.back().line = item.line;
      continue;
    }
    found.push_back({item.path, item.line, library->Identify(AssetName(item.path, view))});
    if (absl::IsNotFound(found.back().identity.status()) && !item.decoded.empty()) {
      auto identity = library->Identify(AssetName(item.decoded, view));
      if (identity.ok()) found.back() = {item.decoded, item.line, identity};
    }
  }
  return found;
}

// FNV-1a: the same in every process.
class Mixer {
 public:
  void Add(std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) {
      value_ = (value_ ^ static_cast<std::uint8_t>(value >> shift)) * 0x100000001b3u;
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

AssetIdentity Combine(AssetIdentity whole, const std::vector<FoundItem>& items) {
  Mixer mixer;
  const auto add = [&mixer](const AssetIdentity& identity) {
    mixer.Add(identity.device);
    mixer.Add(identity.inode);
    mixer.Add(identity.size);
    mixer.Add(static_cast<std::uint64_t>(identity.modified_ns));
  };
  add(whole);
  for (const FoundItem& item : items) {
    const AssetIdentity identity = item.identity.value_or(AssetIdentity{});
    add(identity);
    whole.modified_ns = std::max(whole.modified_ns, identity.modified_ns);
  }
  whole.size = mixer.value();
  return whole;
}

// Of a file in the list: what is wrong is then the list, but for what may pass.
absl::Status InLine(std::size_t line, const absl::Status& why) {
  const bool of_file = absl::IsNotFound(why) || absl::IsPermissionDenied(why);
  return absl::Status(of_file ? absl::StatusCode::kInvalidArgument : why.code(),
                      absl::StrCat("line ", line, ": ", why.message()));
}

// What in `track` a decoder of `first` cannot go on with; empty: nothing.
std::string WhyNotAlike(const Track& first, const Track& track) {
  if (track.codec != first.codec) {
    return absl::StrCat("is ", std::string(CodecName(track.codec)), ", not ",
                        std::string(CodecName(first.codec)));
  }
  if (track.clock_rate != first.clock_rate || track.sample_rate != first.sample_rate) {
    return absl::StrCat("has a clock of ", track.clock_rate, " Hz, not ", first.clock_rate);
  }
  if (track.channels != first.channels) {
    return absl::StrCat("has ", track.channels, " channels, not ", first.channels);
  }
  if (track.nal_length_size != first.nal_length_size || track.sample_bytes != first.sample_bytes ||
      track.little_endian != first.little_endian) {
    return "is laid out in another way";
  }
  if (track.vps != first.vps || track.sps != first.sps || track.pps != first.pps) {
    return "has other parameter sets";
  }
  return track.config == first.config ? "" : "has another configuration";
}

std::string WhyNotAlike(const MediaInfo& first, const MediaInfo& info) {
  if (info.tracks.size() != first.tracks.size()) {
    return absl::StrCat("has ", info.tracks.size(), " tracks, not ", first.tracks.size());
  }
  for (std::size_t i = 0; i < info.tracks.size(); ++i) {
    const std::string why = WhyNotAlike(first.tracks[i], info.tracks[i]);
    if (!why.empty()) return absl::StrCat("track ", i, " ", why);
  }
  return "";
}

// What a plan needs to know of a file, however often it is played.
struct Clip {
  Duration duration{};
  std::vector<std::int64_t> first_due;  // per track, 0 or less
  std::vector<Duration> random_access;
};

// How far each track's decoding begins before npt 0.
absl::Status ReadFirstDue(Demuxer* demuxer, std::vector<std::int64_t>* first_due) {
  const std::vector<Track>& tracks = demuxer->info().tracks;
  first_due->assign(tracks.size(), 0);
  std::vector<bool> pending(tracks.size());
  for (std::size_t i = 0; i < tracks.size(); ++i) {
    pending[i] = KindOf(tracks[i].codec) == MediaKind::kVideo;
  }
  AccessUnit unit;
  for (int i = 0; i < kHeadUnitsMax && std::ranges::find(pending, true) != pending.end(); ++i) {
    const absl::StatusOr<bool> more = demuxer->Next(&unit);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (unit.track >= tracks.size() || !pending[unit.track]) continue;
    (*first_due)[unit.track] = std::min<std::int64_t>(unit.dts, 0);
    pending[unit.track] = false;
  }
  return absl::OkStatus();
}

class Planner {
 public:
  Planner(Library* library, AssetView view) : library_(library), view_(view) {}

  absl::Status Add(const FoundItem& found) {
    if (!found.identity.ok()) return InLine(found.line, found.identity.status());
    const auto known = clips_.find(found.path);
    if (known == clips_.end() && clips_.size() == kPlaylistFilesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", found.line, ": more than ", kPlaylistFilesMax, " different files"));
    }
    if (known == clips_.end()) {
      absl::StatusOr<Clip> clip = LookThrough(found);
      if (!clip.ok()) return InLine(found.line, clip.status());
      return Append(found, clips_.emplace(found.path, *std::move(clip)).first->second);
    }
    return Append(found, known->second);
  }

  std::shared_ptr<const PlaylistPlan> Finish(const std::string& title) {
    plan_->info.duration = end_;
    if (!title.empty()) plan_->info.title = title;
    if (!indexed_) plan_->info.random_access.clear();
    return std::move(plan_);
  }

 private:
  absl::StatusOr<Clip> LookThrough(const FoundItem& found) {
    auto demuxer = library_->Open(AssetName(found.path, view_));
    if (!demuxer.ok()) return demuxer.status();
    (*demuxer)->TakeAsWhole();
    const MediaInfo& info = (*demuxer)->info();
    std::string why;
    if (plan_->items.empty()) {
      plan_->info = info;
      plan_->info.random_access.clear();
    } else {
      why = WhyNotAlike(plan_->info, info);
    }
    if (why.empty() && info.duration <= Duration::zero()) why = "does not say how long it is";
    if (!why.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(PrintablePath(found.path), ": ", why));
    }
    Clip clip;
    clip.duration = info.duration;
    if (indexed_ && info.random_access.size() <= kRandomAccessMax) {
      clip.random_access = info.random_access;
    }
    if (absl::Status read = ReadFirstDue(demuxer->get(), &clip.first_due); !read.ok()) return read;
    return clip;
  }

  absl::Status Append(const FoundItem& found, const Clip& clip) {
    const std::vector<Track>& tracks = plan_->info.tracks;
    PlaylistPlan::Item item;
    item.name = AssetName(found.path, view_);
    item.identity = *found.identity;
    item.line = found.line;
    item.start = end_;
    for (std::size_t i = 0; i < tracks.size(); ++i) {
      const std::int64_t shift = tracks[i].ClockFromDuration(end_);
      const std::int64_t due = plan_->items.empty()
                                   ? std::numeric_limits<std::int64_t>::min()
                                   : std::max(shift + clip.first_due[i], last_due_[i]);
      item.shift.push_back(shift);
      item.due_first.push_back(due);
    }
    last_due_ = item.due_first;
    AddRandomAccess(item, clip);
    plan_->items.push_back(std::move(item));
    if (clip.duration > kPlaylistDurationMax - end_) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", found.line, ": the files up to here last more than a year"));
    }
    end_ += clip.duration;
    return absl::OkStatus();
  }

  void AddRandomAccess(const PlaylistPlan::Item& item, const Clip& clip) {
    std::vector<Duration>& all = plan_->info.random_access;
    indexed_ = indexed_ && !clip.random_access.empty() &&
               all.size() + clip.random_access.size() <= kRandomAccessMax;
    if (!indexed_) return;
    const auto video = std::ranges::find_if(plan_->info.tracks, [](const Track& track) {
      return KindOf(track.codec) == MediaKind::kVideo;
    });
    if (video == plan_->info.tracks.end()) return;
    const std::int64_t shift =
        item.shift[static_cast<std::size_t>(video - plan_->info.tracks.begin())];
    for (const Duration time : clip.random_access) {
      if (time >= clip.duration) break;
      all.push_back(video->DurationFromClock(video->ClockFromDuration(time) + shift));
    }
  }

  Library* const library_;
  const AssetView view_;
  std::shared_ptr<PlaylistPlan> plan_ = std::make_shared<PlaylistPlan>();
  absl::flat_hash_map<std::string, Clip> clips_;
  Duration end_{};
  std::vector<std::int64_t> last_due_;  // of the last item
  bool indexed_ = true;
};

absl::StatusOr<std::shared_ptr<const PlaylistPlan>> MakePlan(Library* library, AssetView view,
                                                             const std::vector<FoundItem>& items,
                                                             const std::string& title) {
  Planner planner(library, view);
  for (const FoundItem& item : items) {
    if (absl::Status added = planner.Add(item); !added.ok()) return added;
  }
  return planner.Finish(title);
}

class PlaylistDemuxer final : public Demuxer {
 public:
  PlaylistDemuxer(Library* library, std::shared_ptr<const PlaylistPlan> plan)
      : library_(library), plan_(std::move(plan)) {}

  const MediaInfo& info() const override { return plan_->info; }

  absl::Status Seek(Duration time) override {
    const std::size_t wanted = ItemAt(time);
    if (file_ == nullptr || wanted != item_) {
      item_ = wanted;
      if (absl::Status opened = OpenItem(); !opened.ok()) return opened;
    }
    const PlaylistPlan::Item& item = plan_->items[item_];
    bool from_start = false;
    for (std::size_t i = 0; i < item.due_first.size(); ++i) {
      from_start = from_start || time <= TimeOf(i, item.due_first[i]);
    }
    const Duration within = item_ == 0   ? time
                            : from_start ? kBeforeTheStart
                                         : time - item.start - kRoundingMax;
    return Judge(file_->Seek(within));
  }

  absl::StatusOr<bool> Next(AccessUnit* unit) override {
    while (item_ < plan_->items.size()) {
      if (file_ == nullptr) {
        if (absl::Status opened = OpenItem(); !opened.ok()) return opened;
      }
      const absl::StatusOr<bool> more = file_->Next(unit);
      if (!more.ok()) return Judge(more.status());
      if (!*more) {
        NextItem();
      } else if (Place(unit)) {
        return true;
      } else if (++left_out_ > kLeftOutMax) {
        NextItem();  // its header is far from true
      }
    }
    return false;
  }

 private:
  Duration TimeOf(std::size_t track, std::int64_t ticks) const {
    return plan_->info.tracks[track].DurationFromClock(ticks);
  }

  // The first that may have a unit due at `time` or later.
  std::size_t ItemAt(Duration time) const {
    const std::vector<PlaylistPlan::Item>& items = plan_->items;
    const auto over = [&](const PlaylistPlan::Item& next) {
      for (std::size_t i = 0; i < next.due_first.size(); ++i) {
        if (TimeOf(i, next.due_first[i]) >= time) return false;
      }
      return true;
    };
    const auto at = std::partition_point(items.begin() + 1, items.end(), over);
    return static_cast<std::size_t>(at - items.begin()) - 1;
  }

  absl::Status OpenItem() {
    const PlaylistPlan::Item& item = plan_->items[item_];
    file_.reset();  // before the next: one descriptor is enough
    left_out_ = 0;
    absl::StatusOr<std::unique_ptr<Demuxer>> file = library_->Open(item.name);
    if (!file.ok()) return InLine(item.line, file.status());
    const absl::StatusOr<AssetIdentity> identity = library_->Identify(item.name);
    if (!identity.ok()) return InLine(item.line, identity.status());
    if (*identity != item.identity || (*file)->info().tracks.size() != plan_->info.tracks.size()) {
      return Judge(absl::AbortedError("changed while the playlist was being served"));
    }
    file_ = *std::move(file);
    file_->TakeAsWhole();
    return absl::OkStatus();
  }

  void NextItem() {
    file_.reset();
    ++item_;
  }

  // An error of the open file with its name.
  absl::Status Judge(const absl::Status& status) const {
    if (status.ok()) return status;
    const PlaylistPlan::Item& item = plan_->items[item_];
    return absl::Status(status.code(), absl::StrCat("line ", item.line, ": ",
                                                    PrintablePath(SplitAssetName(item.name).path),
                                                    ": ", status.message()));
  }

  // From the file's time to the list's; false: there is no time for it.
  bool Place(AccessUnit* unit) const {
    const PlaylistPlan::Item& item = plan_->items[item_];
    constexpr std::int64_t kTicksMax = std::int64_t{1} << 56;  // others would overflow
    if (unit->track >= item.shift.size() || std::abs(unit->pts) > kTicksMax ||
        std::abs(unit->dts) > kTicksMax) {
      return false;
    }
    const std::int64_t shift = item.shift[unit->track];
    unit->pts += shift;
    unit->dts = std::max(unit->dts + shift, item.due_first[unit->track]);
    if (item_ + 1 == plan_->items.size()) return true;
    const PlaylistPlan::Item& next = plan_->items[item_ + 1];
    if (unit->pts >= next.shift[unit->track]) return false;
    unit->dts = std::min(unit->dts, next.due_first[unit->track]);
    return true;
  }

  Library* const library_;
  const std::shared_ptr<const PlaylistPlan> plan_;
  std::size_t item_ = 0;
  std::size_t left_out_ = 0;       // units of it for which there is no time
  std::unique_ptr<Demuxer> file_;  // null: not open yet
};

}  // namespace

absl::StatusOr<std::unique_ptr<Demuxer>> PlaylistPlans::Open(Library* items, std::string_view name,
                                                             const AssetIdentity& file,
                                                             std::string_view text) {
  const AssetNameParts parts = SplitAssetName(name);
  const absl::StatusOr<Playlist> playlist = ParsePlaylist(text, parts.path);
  if (!playlist.ok()) return playlist.status();
  const std::vector<FoundItem> found = FindItems(items, *playlist, parts.view);
  const AssetIdentity identity = Combine(file, found);
  const std::string key(name);
  absl::StatusOr<std::shared_ptr<const PlaylistPlan>> plan = Find(key, identity);
  if (plan.ok() && *plan == nullptr) {
    plan = MakePlan(items, parts.view, found, playlist->title);
    Keep(key, identity, plan);
  }
  if (!plan.ok()) return plan.status();
  return std::make_unique<PlaylistDemuxer>(items, *std::move(plan));
}

absl::StatusOr<std::shared_ptr<const PlaylistPlan>> PlaylistPlans::Find(
    const std::string& name, const AssetIdentity& identity) {
  const Instant now = clock_->Now();
  const std::lock_guard lock(mutex_);
  const auto known = plans_.find(name);
  if (known != plans_.end() && known->second.identity == identity) {
    if (std::shared_ptr<const PlaylistPlan> plan = known->second.plan.lock()) return plan;
  }
  const auto failed = failures_.find(name);
  if (failed != failures_.end() && failed->second.identity == identity &&
      now < failed->second.until) {
    return absl::InvalidArgumentError(failed->second.why);
  }
  return nullptr;
}

void PlaylistPlans::Keep(const std::string& name, const AssetIdentity& identity,
                         const absl::StatusOr<std::shared_ptr<const PlaylistPlan>>& plan) {
  const Instant now = clock_->Now();
  const std::lock_guard lock(mutex_);
  if (plan.ok()) {
    absl::erase_if(plans_, [](const auto& known) { return known.second.plan.expired(); });
    plans_[name] = {identity, *plan};
    failures_.erase(name);
  } else if (absl::IsInvalidArgument(plan.status())) {  // else it says nothing of the files
    const auto known = plans_.find(name);
    const bool plays = known != plans_.end() && known->second.identity == identity &&
                       !known->second.plan.expired();
    if (plays) return;  // another looked through it meanwhile, and better
    absl::erase_if(failures_, [now](const auto& failed) { return failed.second.until <= now; });
    if (failures_.size() >= kPlaylistFailuresMax) failures_.clear();
    failures_[name] = {identity, std::string(plan.status().message()), now + kPlaylistFailureKept};
  }
}

AssetIdentity PlaylistPlans::Identify(Library* items, std::string_view name,
                                      const AssetIdentity& file, std::string_view text) {
  const AssetNameParts parts = SplitAssetName(name);
  const absl::StatusOr<Playlist> playlist = ParsePlaylist(text, parts.path);
  return playlist.ok() ? Combine(file, FindItems(items, *playlist, parts.view)) : file;
}

}  // namespace millrace
