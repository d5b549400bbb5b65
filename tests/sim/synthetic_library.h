// The library of the simulation: synthetic assets by path, and the errors a served folder can have.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "media/demuxer.h"
#include "tests/sim/synthetic_media.h"

namespace millrace::sim {

class SyntheticLibrary final : public Library {
 public:
  // Adds or replaces; what is open goes on with the old content, as with an unlinked file.
  // The media stays valid until the path is replaced or removed.
  const SyntheticMedia& Add(const std::string& path, const SyntheticAsset& asset);
  const SyntheticMedia* Find(std::string_view path) const;
  // Another identity with the same content: a new modification time.
  void Touch(const std::string& path);
  void Remove(const std::string& path);
  // What is open shows units before `end` (by decoding time) only, as a file that is being written;
  // until the whole of the asset is there, more may come. `settled`: it seems that nothing more
  // will.
  void ShowUntil(const std::string& path, Duration end, bool settled = false);
  // Open and Identify of `path` give `status` until it is OK again.
  void FailOpen(const std::string& path, const absl::Status& status);
  // Seek and Next of `path`, of open demuxers too, give `status` until it is OK again.
  void FailReads(const std::string& path, const absl::Status& status);

  absl::StatusOr<std::unique_ptr<Demuxer>> Open(std::string_view path) override;
  absl::StatusOr<AssetIdentity> Identify(std::string_view path) override;
  bool WrittenLately(const AssetIdentity& identity) const override;

  std::uint64_t opens() const { return opens_; }

  struct Shown {
    Duration end = Duration::max();
    bool settled = false;
    friend bool operator==(const Shown&, const Shown&) = default;
  };

 private:
  struct Entry {
    std::shared_ptr<const SyntheticMedia> media;  // shared with open demuxers
    AssetIdentity identity;
    absl::Status open_status;
    std::shared_ptr<absl::Status> read_status = std::make_shared<absl::Status>();
    std::shared_ptr<Shown> shown = std::make_shared<Shown>();
  };
  absl::StatusOr<const Entry*> Look(std::string_view path) const;

  std::map<std::string, Entry, std::less<>> entries_;
  std::uint64_t next_inode_ = 1;
  std::uint64_t opens_ = 0;
};

}  // namespace millrace::sim
