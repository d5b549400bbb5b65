// From a file to packet blocks: a demuxer that knows which block comes next.
//
// Block k of a presentation holds every access unit with a decoding time in [k, k + 1) *
// Presentation::block_duration, of every stream; block 0 also what comes before it (decoding times
// below npt 0 where frames are reordered), the last block everything to the end of the file.
//
// The tracks of a file are interleaved, so a block is complete only when every track has delivered
// a unit at or beyond its end, or the file has ended, or some track of video or audio is
// kInterleaveMargin beyond (the others may be sparse or over). What was read too far is kept for
// the next block.
//
// Shard: none; loader threads, one at a time.
// Invariant: the packets of a block depend on the file alone, never on how its reader came there.
// The point in the file at which block k is complete does not depend on where reading began, and
// never lies before that of block k - 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "media/demuxer.h"
#include "rtp/packet_cache.h"
#include "rtp/presentation.h"

namespace millrace {

// How far tracks may lie apart in a file.
inline constexpr Duration kInterleaveMargin = 3s;
// The last block ends here even if the file goes on (its stated duration was wrong); packet times
// within a block are 32-bit microseconds.
inline constexpr Duration kLastBlockDuration = 1h;
// Access unit bytes read for one block, read-ahead included: 1 s and the margin at 500 Mbit/s.
inline constexpr std::size_t kBlockReadBytesMax = 256 << 20;

// What a reader had to leave out, since its start.
struct BlockReadLosses {
  std::uint64_t late_units = 0;       // came after their block was complete
  std::uint64_t malformed_units = 0;  // sent in part or not at all
  std::uint64_t cut_units = 0;        // beyond what the last block may hold
};

class BlockReader {
 public:
  // `demuxer` stands at the start of the file.
  BlockReader(std::unique_ptr<Demuxer> demuxer, const VodOptions& options);

  static constexpr std::uint32_t kNoBlock = UINT32_MAX;

  // Reading this block needs no seek; kNoBlock when any does.
  std::uint32_t next_block() const { return next_block_; }

  // `first_sequences`: one per stream of `presentation`, whose file the demuxer has open. After an
  // error the reader is of no use any more, but for kUnavailable: what the block holds is not all
  // written yet. kInvalidArgument: more than kBlockReadBytesMax had to be read; else the demuxer's
  // errors.
  absl::StatusOr<std::unique_ptr<BlockSet>> Read(const Presentation& presentation,
                                                 std::uint32_t number,
                                                 std::span<const std::uint16_t> first_sequences);

  // Where the media ends at present; takes in what was written since. After an error the reader is
  // of no use any more.
  absl::StatusOr<Duration> FindEnd();
  const MediaInfo& info() const { return demuxer_->info(); }

  const BlockReadLosses& losses() const { return losses_; }

 private:
  class Fill;
  struct HeldUnit {
    AccessUnit unit;  // its data lies in `bytes`
    Bytes bytes;
  };

  absl::Status SeekTo(const Presentation& presentation, std::uint32_t number);
  absl::Status ReadUnits(Fill& fill);
  void TakeHeldUnits(Fill& fill);
  void TakeUnit(const AccessUnit& unit, Fill& fill);

  const std::unique_ptr<Demuxer> demuxer_;
  const std::size_t packet_bytes_;
  const std::size_t burst_packets_;
  std::uint32_t next_block_ = 0;      // kNoBlock: any needs a seek
  std::uint32_t awaited_ = kNoBlock;  // was not all written when it was last read
  bool at_end_ = false;               // of the file
  bool after_seek_ = false;    // units before the block are not late, they were not asked for
  std::deque<HeldUnit> held_;  // read ahead, in the file's order
  std::size_t held_bytes_ = 0;
  BlockReadLosses losses_;
};

}  // namespace millrace
