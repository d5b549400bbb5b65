#include "media/mounted_library.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "media/asset_name.h"

namespace millrace {
namespace {

absl::Status NothingServed() { return absl::NotFoundError("no folder is served there"); }

}  // namespace

absl::StatusOr<std::unique_ptr<MountedLibrary>> MountedLibrary::Open(
    std::vector<ServedRoot> roots) {
  if (roots.empty()) return absl::InvalidArgumentError("no folder to serve");
  auto library = std::make_unique<MountedLibrary>();
  for (ServedRoot& root : roots) {
    const auto same = std::ranges::find(library->mounts_, root.prefix,
                                        [](const Mount& mount) { return mount.root.prefix; });
    if (same != library->mounts_.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the folders '", same->root.folder, "' and '", root.folder,
                       "' are both to be served at /", root.prefix,
                       "; give one of them a place of its own: /NAME=", root.folder));
    }
    auto catalog = Catalog::Open(root.folder);
    if (!catalog.ok()) return catalog.status();
    library->mounts_.push_back({std::move(root), *std::move(catalog)});
  }
  return library;
}

Library* MountedLibrary::Find(std::string_view* path) const {
  const Mount* best = nullptr;
  std::string_view best_rest;
  for (const Mount& mount : mounts_) {
    if (best != nullptr && mount.root.prefix.size() <= best->root.prefix.size()) continue;
    const std::optional<std::string_view> rest = PathBelow(*path, mount.root.prefix);
    if (!rest) continue;
    best = &mount;
    best_rest = *rest;
  }
  *path = best_rest;
  return best == nullptr ? nullptr : best->catalog.get();
}

bool MountedLibrary::WrittenLately(const AssetIdentity& identity) const {
  return mounts_.front().catalog->WrittenLately(identity);  // says all alike
}

absl::StatusOr<std::unique_ptr<Demuxer>> MountedLibrary::Open(std::string_view path) {
  Library* const library = Find(&path);
  if (library == nullptr) return NothingServed();
  return library->Open(path);
}

absl::StatusOr<AssetIdentity> MountedLibrary::Identify(std::string_view path) {
  Library* const library = Find(&path);
  if (library == nullptr) return NothingServed();
  return library->Identify(path);
}

}  // namespace millrace
