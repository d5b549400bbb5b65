// Live: one stream of a publisher as finished RTP packets; one shard appends, every shard reads in
// place.
//
// The way of the data: the publisher's shard appends a packet (its one copy), and commits what may
// be seen; a reader's shard refreshes its LogReader, and each of its viewers sends from the log's
// own memory. A viewer is a position: the count of packets before him since the log began.
//
// Memory is a chain of chunks. Each chunk keeps the next one alive, so whoever holds one holds all
// behind it. The writer holds the oldest of the window, a LogReader the oldest that its shard may
// still read; a chunk goes back to the pool when both have moved on. References are taken per chunk
// and shard, never per packet or viewer (but per train where sends are not copied). An access unit
// of up to half a chunk lies in one chunk, as far as those before it tell how large it will be:
// only then it can leave as one train.
//
// Shard: the writer's functions belong to one shard at a time; a LogReader belongs to one shard.
// Limits: the pool's chunks for all logs together; a window of `bytes_max` and `time`: chunks older
// than `time` go, but not the ones from the access point on (the current group of pictures); beyond
// `bytes_max` those go too, and the access point with them. `bytes_max` counts whole chunks, of
// which units of nearly half a chunk fill half. A shard that does not tick holds more, until it
// does, and so does a zero-copy send that the device does not finish. Invariants
//  1. A packet, once committed, never changes.
//  2. Positions first() <= p < tail() can be read; both only grow.
//  3. access(), when there is one, lies in the window and starts an access unit at which decoding
//     can start, or for a stream beside the leading one the packet to go with it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "rtp/packet_block.h"

namespace millrace {

struct LogChunk {
  static constexpr std::size_t kBytes = std::size_t{128} << 10;  // any interleaved frame fits
  static constexpr std::size_t kPackets = 512;

  Instant TimeOf(std::size_t i) const {
    return start + std::chrono::microseconds(packets[i].due_us);
  }

  // Written before the chunk is published, then never.
  std::uint64_t first = 0;  // position of packets[0]
  Instant start{};          // due_us counts from here: when the packet came
  // The writer's: readers see packets below `committed`; final once `next` is set.
  std::atomic<std::uint32_t> committed{0};
  std::atomic<LogChunk*> next{nullptr};
  std::atomic<std::uint32_t> references{0};
  std::array<PacketEntry, kPackets> packets;  // pts: RTP timestamp, its turns counted
  std::array<std::uint8_t, kBytes> bytes;
};

// Where chunks come from and go to. Thread-safe; asked about once a second per stream.
class LogChunkPool {
 public:
  // A sanitizer sees a chunk that is used after its time only if it is freed then.
#ifdef MILLRACE_SANITIZED
  static constexpr std::size_t kFreeMax = 0;
#else
  static constexpr std::size_t kFreeMax = 128;  // 18 MB
#endif
  // `chunks_max`: with more in use, logs keep the least they can.
  explicit LogChunkPool(std::size_t chunks_max = SIZE_MAX, std::size_t free_max = kFreeMax);
  ~LogChunkPool();
  LogChunkPool(const LogChunkPool&) = delete;
  LogChunkPool& operator=(const LogChunkPool&) = delete;

  // With one reference, the caller's.
  LogChunk* Take();
  static void Hold(LogChunk* chunk) { chunk->references.fetch_add(1, std::memory_order_relaxed); }
  // Gives a reference back, and with the last one the chunk and its hold on the next.
  void Release(LogChunk* chunk);

  std::size_t in_use() const { return in_use_.load(std::memory_order_relaxed); }
  std::size_t chunks_max() const { return chunks_max_; }
  bool crowded() const { return in_use() > chunks_max_; }

 private:
  const std::size_t chunks_max_;
  const std::size_t free_max_;  // more are given back to the heap
  std::atomic<std::size_t> in_use_{0};
  std::mutex mutex_;
  std::vector<LogChunk*> free_;
};

struct LogWindow {
  Duration time = 5s;
  std::size_t bytes_max = std::size_t{32} << 20;
};

class PacketLog {
 public:
  static constexpr std::uint64_t kNone = UINT64_MAX;

  PacketLog(LogChunkPool* pool, const LogWindow& window);
  ~PacketLog();
  PacketLog(const PacketLog&) = delete;
  PacketLog& operator=(const PacketLog&) = delete;

  // --- The writer's.
  // Room for a packet of `length` bytes (1 to 65535), to be filled before it is committed.
  std::uint8_t* Append(std::size_t length, std::int64_t timestamp, std::uint16_t flags,
                       Instant now);
  // Position of the next packet to be appended.
  std::uint64_t end() const { return end_; }
  std::uint64_t committed() const { return committed_; }
  // Where joining viewers start from the next Commit on; kNone: nowhere yet.
  void SetAccess(std::uint64_t position) { wanted_access_ = position; }
  std::uint64_t wanted_access() const { return wanted_access_; }
  // Shows readers everything below `position`, and lets go of what is out of the window.
  void Commit(std::uint64_t position, Instant now);
  void CommitAll(Instant now) { Commit(end_, now); }
  // Bytes held by the window.
  std::size_t memory_bytes() const { return chunks_ * sizeof(LogChunk); }

 private:
  friend class LogReader;
  void AddChunk(Instant now);
  // Learns from the access unit that has ended.
  void BeginUnit();
  void Trim(Instant now);

  LogChunkPool* const pool_;
  const LogWindow window_;

  std::uint64_t end_ = 0;
  std::uint64_t committed_ = 0;
  std::uint64_t wanted_access_ = kNone;
  std::size_t chunks_ = 0;
  std::size_t used_ = 0;  // bytes of the newest chunk
  std::size_t newest_packets_ = 0;
  std::size_t unit_bytes_ = 0;  // of the access unit that is being appended
  // Of the largest before it that could lie in one chunk with another; an old one counts for less
  // and less.
  std::size_t unit_bytes_max_ = 0;
  LogChunk* newest_ = nullptr;
  LogChunk* commit_chunk_ = nullptr;  // holds the first packet that is not committed

  std::mutex mutex_;                     // between Trim and a LogReader's beginning
  LogChunk* oldest_ = nullptr;           // guarded by mutex_
  std::atomic<std::uint64_t> first_{0};  // of the window
  std::atomic<std::uint64_t> access_{kNone};
};

// A shard's hold of a log.
class LogReader {
 public:
  explicit LogReader(PacketLog* log);
  ~LogReader();
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  // Looks for what is new and lets go of what is out of the window. True when the tail or the
  // access point has moved.
  bool Refresh();

  LogChunkPool* pool() const { return log_->pool_; }
  std::uint64_t first() const { return first_; }
  std::uint64_t tail() const { return tail_; }
  // PacketLog::kNone when there is none.
  std::uint64_t access() const { return access_; }
  // Chunks that begin before this are gone.
  std::uint64_t oldest_first() const { return oldest_->first; }
  // The chunk that holds `position`, first() <= position < tail(); `near`: null, or a chunk at or
  // before it that is in the window.
  const LogChunk* Find(std::uint64_t position, const LogChunk* near) const;
  // First packet of the newest access unit (all packets of one timestamp); kNone when empty.
  std::uint64_t NewestUnit() const;

 private:
  PacketLog* const log_;
  LogChunk* oldest_;
  LogChunk* newest_;
  std::uint64_t first_ = 0;
  std::uint64_t tail_ = 0;
  std::uint64_t access_ = PacketLog::kNone;
};

}  // namespace millrace
