// A playlist's files, one after the other, as one asset.
//
// The data's way: a playlist's text → its files, opened one at a time for what is in them → a plan:
// where each lies in time → a demuxer that has at most one of them open.
//
// The rule of time: a file begins where the durations of those before it, in nanoseconds, add up
// to, and each track's times are moved there, rounded to its clock once. All tracks of a file are
// so moved by the same real time, whatever their clocks, and nothing adds up over many files. A
// file lasts to the end of its longest track; what its header's duration leaves no time for is left
// out.
//
// Where pictures are reordered a file's decoding times begin before its first presentation time. A
// track's units are due in each file's own stretch of decoding time, which ends where the next
// file's first unit is due; one beyond that is due at its end. So they ascend over all files.
//
// Shard: none; blocking, loader threads only. PlaylistPlans is thread-safe.
// Limits: kPlaylistItemsMax items of kPlaylistFilesMax files, kPlaylistDurationMax;
// kPlaylistFailuresMax lists are known to fail.
// Invariant: a file that has been exchanged since the plan was made is not played.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "media/demuxer.h"

namespace millrace {

// Each is opened once to make a plan, which takes a millisecond or two.
inline constexpr std::size_t kPlaylistFilesMax = 2000;
inline constexpr Duration kPlaylistDurationMax = 366 * 24h;
// So long a list of the same files is not looked through again in which something is wrong. Not for
// ever: a disk that cannot be read for a while also looks like that.
inline constexpr Duration kPlaylistFailureKept = 60s;
inline constexpr std::size_t kPlaylistFailuresMax = 1000;

struct PlaylistPlan;

// Plans in use, so that a playlist's files are looked through once however many read it, and why
// others have failed, so that asking for one again and again is not a way to keep loaders busy.
class PlaylistPlans {
 public:
  explicit PlaylistPlans(const Clock* clock) : clock_(clock) {}  // outlives this

  // `name` is the playlist's, as a Library takes it; `file` and `text` are what lies there. `items`
  // outlives the demuxer and is asked for files and never for playlists; names for it are made with
  // the view of `name`.
  // kInvalidArgument: the message names the line, and where files differ, the track.
  absl::StatusOr<std::unique_ptr<Demuxer>> Open(Library* items, std::string_view name,
                                                const AssetIdentity& file, std::string_view text);

  // Changes whenever the text or one of its files does: the newest one's time, and of all a hash in
  // place of the size. One look at each file.
  static AssetIdentity Identify(Library* items, std::string_view name, const AssetIdentity& file,
                                std::string_view text);

 private:
  struct Known {
    AssetIdentity identity;
    std::weak_ptr<const PlaylistPlan> plan;
  };

  struct Failure {
    AssetIdentity identity;
    std::string why;
    Instant until{};
  };

  // A plan, an error, or null: not known.
  absl::StatusOr<std::shared_ptr<const PlaylistPlan>> Find(const std::string& name,
                                                           const AssetIdentity& identity);
  void Keep(const std::string& name, const AssetIdentity& identity,
            const absl::StatusOr<std::shared_ptr<const PlaylistPlan>>& plan);

  const Clock* const clock_;
  std::mutex mutex_;  // guards what follows
  absl::flat_hash_map<std::string, Known> plans_;
  absl::flat_hash_map<std::string, Failure> failures_;
};

}  // namespace millrace
