// Open files by presentation, and the sequence numbers given to each presentation's blocks: the
// block source behind the packet cache.
//
// Shard: none; loader threads, locks.
// Invariants
//  1. A block rebuilt has the same sequence numbers as before, and a block built after its
//  predecessor
//     continues the predecessor's numbers, so who plays on from the start sees no break. (Two
//     neighbours first built at the same time by two loaders are not continuous; their viewers'
//     offsets mend that, as after a seek.)
//  2. At most VodOptions::open_readers_max files stay open between loads.
//  3. A file that was changed is not opened under the old presentation: identity is compared after
//     every opening, so it cannot change unnoticed in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "media/demuxer.h"
#include "rtp/block_reader.h"
#include "rtp/intrusive_list.h"
#include "rtp/packet_cache.h"
#include "rtp/presentation.h"

namespace millrace {

class BlockReaderPool final : public BlockSource {
 public:
  // `library` outlives the pool.
  BlockReaderPool(Library* library, const VodOptions& options);
  ~BlockReaderPool() override;
  BlockReaderPool(const BlockReaderPool&) = delete;
  BlockReaderPool& operator=(const BlockReaderPool&) = delete;

  // Errors: BlockReader::Read's, Library::Open's, and kAborted when the file has changed (but for
  // growing, where it grew when it was first opened). What had to be left out is logged once per
  // presentation.
  absl::StatusOr<std::unique_ptr<BlockSet>> ReadBlock(const PresentationRef& presentation,
                                                      std::uint32_t number) override;

  // The demuxer that told what is in the file reads its first blocks. It stands at the start.
  void Donate(const PresentationRef& presentation, std::unique_ptr<Demuxer> demuxer);
  // Extends a growing presentation to where its file ends at present. Errors as ReadBlock.
  absl::Status FindEnd(const PresentationRef& presentation);
  bool WrittenLately(const AssetIdentity& identity) const {
    return library_->WrittenLately(identity);
  }
  // The library's verbs, each once more after closing what is idle when descriptors are short.
  absl::StatusOr<std::unique_ptr<Demuxer>> OpenDemuxer(std::string_view path);
  absl::StatusOr<AssetIdentity> Identify(std::string_view path);
  // Closes the files of presentations that nobody holds any more, and forgets their numbers. The
  // pool does so itself now and then.
  void ForgetUnused();

  std::size_t idle_readers() const;
  std::size_t presentations() const;

 private:
  struct Idle;
  struct Record;

  absl::StatusOr<std::unique_ptr<BlockReader>> OpenReader(const Presentation& presentation);
  void KeepReader(const PresentationRef& presentation, std::unique_ptr<BlockReader> reader);
  void CloseIdle();
  void LogLosses(const Presentation& presentation, const BlockReadLosses& losses);

  // With mutex_ held.
  Record& RecordOf(const PresentationRef& presentation, std::vector<std::unique_ptr<Record>>* dead);
  std::unique_ptr<Idle> TakeIdle(Record& record, std::uint32_t number);
  std::unique_ptr<Idle> KeepIdle(Record& record, std::unique_ptr<BlockReader> reader);
  std::unique_ptr<Idle> Unlink(Idle* idle);
  void Sweep(std::vector<std::unique_ptr<Record>>* dead);

  Library* const library_;
  const VodOptions options_;

  mutable std::mutex mutex_;                                             // guards everything below
  absl::flat_hash_map<std::uint64_t, std::unique_ptr<Record>> records_;  // by presentation id
  IntrusiveList<Idle> idle_;  // least recently used first
  std::size_t sweep_at_;      // number of records at which to look for dead ones
};

}  // namespace millrace
