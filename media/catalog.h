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
#include "media/confined_open.h"
#include "media/demuxer.h"

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

  // kInvalidArgument only for content; a path that is empty, absolute, or has a NUL or `..` is
  // kNotFound like any other that names nothing here.
  absl::StatusOr<std::unique_ptr<Demuxer>> Open(std::string_view path) override;
  absl::StatusOr<AssetIdentity> Identify(std::string_view path) override;

  // Files whose extension is served, subfolders included. Links to folders are not followed.
  std::size_t CountAssets() const;
  // The first `limit` of their paths, relative to the root, in byte order.
  std::vector<std::string> ListAssets(std::size_t limit) const;

  Confinement confinement() const { return confinement_; }
  // For tests of the other way on a kernel that has openat2.
  void set_confinement(Confinement confinement) { confinement_ = confinement; }

 private:
  explicit Catalog(int root);
  absl::StatusOr<int> OpenRegularFile(std::string_view path) const;
  template <typename Visit>
  void ForEachAsset(Visit visit) const;

  const int root_;
  Confinement confinement_;
};

// By extension, whatever its case; which are served stands in the .cc.
bool HasServedExtension(std::string_view path);

}  // namespace millrace
