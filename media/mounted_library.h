// Several served folders as one library, each below a prefix of its own.
//
// Shard: none; thread-safe as its catalogs are, immutable after construction.
// Invariant: a path is looked up in one folder only, that of the longest prefix it begins with, so
// what lies in one cannot hide or reach what lies in another.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "media/catalog.h"
#include "media/demuxer.h"

namespace millrace {

// A folder and where it is served.
struct ServedRoot {
  std::string prefix;  // "films", "a/b": without slashes at its ends; empty: the top
  std::string folder;
};

class MountedLibrary final : public Library {
 public:
  // One line for the user that names the folder or the prefix: as Catalog::Open, and
  // kInvalidArgument for no folder, or two with the same prefix.
  static absl::StatusOr<std::unique_ptr<MountedLibrary>> Open(std::vector<ServedRoot> roots);

  absl::StatusOr<std::unique_ptr<Demuxer>> Open(std::string_view path) override;
  absl::StatusOr<AssetIdentity> Identify(std::string_view path) override;
  bool WrittenLately(const AssetIdentity& identity) const override;

  // In the order given.
  std::size_t size() const { return mounts_.size(); }
  const ServedRoot& root(std::size_t i) const { return mounts_[i].root; }
  const Catalog& catalog(std::size_t i) const { return *mounts_[i].catalog; }

 private:
  struct Mount {
    ServedRoot root;
    std::unique_ptr<Catalog> catalog;
  };

  // Null: nothing is served there. Else `*path` is what remains behind the prefix.
  Library* Find(std::string_view* path) const;

  std::vector<Mount> mounts_;
};

}  // namespace millrace
