// The assets of one served folder: what a path names, confined to the folder.
//
// The data's way: a path, percent-decoded → a descriptor below the root → a demuxer.
//
// Shard: none; thread-safe, blocking: loader threads, and main at start-up.
// Limits: what is counted and listed is bounded by kEntriesMax and kDepthMax.
// Invariants
//  1. Nothing outside the root is opened, whatever the path or the links below the root say.
//  2. Only regular files are opened for reading: a FIFO does not block, a device is not touched.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "media/confined_open.h"
#include "media/demuxer.h"
#include "media/playlist_demuxer.h"

namespace millrace {

class Catalog final : public Library {
 public:
  static constexpr std::size_t kEntriesMax = 1'000'000;
  static constexpr int kDepthMax = 32;

  // kNotFound, kInvalidArgument (not a folder), kPermissionDenied; the message is one line for the
  // user.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(const std::string& root);
  ~Catalog() override;
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  // Names of a path and a view, as AssetName makes them. kInvalidArgument only for content; a path
  // that is empty, absolute, or has `..` or another NUL is kNotFound like any that names nothing
  // here. A playlist's files are opened as if a client had asked for them.
  absl::StatusOr<std::unique_ptr<Demuxer>> Open(std::string_view name) override;
  // Of a playlist, one look at each of its files.
  absl::StatusOr<AssetIdentity> Identify(std::string_view name) override;
  bool WrittenLately(const AssetIdentity& identity) const override;

  struct AssetCount {
    std::size_t assets = 0;
    bool complete = true;  // false: there are more entries than were looked at
  };
  // Files whose extension is served, subfolders included. Links to folders are not followed. Looks
  // at `entries_max` entries of folders and opens nothing but those and links.
  AssetCount CountAssets(std::size_t entries_max = kEntriesMax) const;
  // The first `limit` of their paths, relative to the root, in byte order.
  std::vector<std::string> ListAssets(std::size_t limit) const;

  Confinement confinement() const { return confinement_; }
  // For tests of the other way on a kernel that has openat2.
  void set_confinement(Confinement confinement) { confinement_ = confinement; }

 private:
  explicit Catalog(int root);
  absl::StatusOr<int> OpenRegularFile(std::string_view path) const;
  absl::StatusOr<std::unique_ptr<Demuxer>> OpenPlaylist(int fd, std::string_view name);
  absl::StatusOr<int> OpenNamed(std::string_view name) const;
  // Whether all were looked at.
  template <typename Visit>
  bool ForEachAsset(std::size_t entries_max, Visit visit) const;

  const int root_;
  Confinement confinement_;
  const SystemClock clock_;
  PlaylistPlans playlists_{&clock_};
};

// By extension, whatever its case; which are served stands in the .cc.
bool HasServedExtension(std::string_view path);

}  // namespace millrace
