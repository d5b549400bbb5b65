#include "rtp/packet_log.h"

#include <algorithm>
#include <utility>

namespace millrace {

// --- LogChunkPool

LogChunkPool::LogChunkPool(std::size_t chunks_max, std::size_t free_max)
    : chunks_max_(chunks_max), free_max_(free_max) {
  free_.reserve(free_max);
}

LogChunkPool::~LogChunkPool() {
  for (LogChunk* chunk : free_) delete chunk;
}

LogChunk* LogChunkPool::Take() {
  in_use_.fetch_add(1, std::memory_order_relaxed);
  LogChunk* chunk = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      chunk = free_.back();
      free_.pop_back();
    }
  }
  if (chunk == nullptr) chunk = new LogChunk;
  chunk->committed.store(0, std::memory_order_relaxed);
  chunk->next.store(nullptr, std::memory_order_relaxed);
  chunk->references.store(1, std::memory_order_relaxed);
  return chunk;
}

void LogChunkPool::Release(LogChunk* chunk) {
  // A loop, not a recursion: a log that ends gives back its whole chain at once.
  while (chunk != nullptr && chunk->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    LogChunk* const next = chunk->next.load(std::memory_order_relaxed);
    in_use_.fetch_sub(1, std::memory_order_relaxed);
    bool kept = false;
    {
      const std::lock_guard lock(mutex_);
      kept = free_.size() < free_max_;
      if (kept) free_.push_back(chunk);
    }
    if (!kept) delete chunk;
    chunk = next;
  }
}

// --- PacketLog

PacketLog::PacketLog(LogChunkPool* pool, const LogWindow& window) : pool_(pool), window_(window) {
  newest_ = pool_->Take();
  newest_->first = 0;
  newest_->start = Instant{};
  commit_chunk_ = newest_;
  oldest_ = newest_;
  chunks_ = 1;
}

PacketLog::~PacketLog() { pool_->Release(oldest_); }

void PacketLog::AddChunk(Instant now) {
  LogChunk* const chunk = pool_->Take();  // the chain's reference
  chunk->first = end_;
  chunk->start = now;
  newest_->next.store(chunk, std::memory_order_release);
  newest_ = chunk;
  used_ = newest_packets_ = 0;
  unit_bytes_max_ -= unit_bytes_max_ / 16;
  ++chunks_;
}

void PacketLog::BeginUnit() {
  const std::size_t bytes = std::exchange(unit_bytes_, 0);
  if (bytes <= LogChunk::kBytes / 2) unit_bytes_max_ = std::max(unit_bytes_max_, bytes);
}

std::uint8_t* PacketLog::Append(std::size_t length, std::int64_t timestamp, std::uint16_t flags,
                                Instant now) {
  const bool unit_starts = (flags & kPacketUnitStart) != 0;
  if (unit_starts) BeginUnit();
  unit_bytes_ += length;
  if (newest_packets_ == LogChunk::kPackets || used_ + length > LogChunk::kBytes ||
      (unit_starts && used_ + unit_bytes_max_ > LogChunk::kBytes)) {
    // `next` says that what is committed of a chunk is final.
    CommitAll(now);
    AddChunk(now);
  } else if (newest_packets_ == 0) {
    newest_->start = now;  // nobody reads an empty chunk
  }
  // An hour and more in one chunk: a trickle. Its time counts for pacing only.
  const auto since = std::chrono::duration_cast<std::chrono::microseconds>(now - newest_->start);
  PacketEntry& entry = newest_->packets[newest_packets_++];
  entry.pts = timestamp;
  entry.offset = static_cast<std::uint32_t>(used_);
  entry.due_us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(since.count(), 0, UINT32_MAX));
  entry.length = static_cast<std::uint16_t>(length);
  entry.flags = flags;
  std::uint8_t* const room = newest_->bytes.data() + used_;
  used_ += length;
  ++end_;
  return room;
}

void PacketLog::Commit(std::uint64_t position, Instant now) {
  // Also when nothing is new: a chunk that is full may leave the window below.
  while (LogChunk* next = commit_chunk_->next.load(std::memory_order_relaxed)) {
    if (next->first > std::max(position, committed_)) break;
    commit_chunk_ = next;
  }
  if (position > committed_) {
    commit_chunk_->committed.store(static_cast<std::uint32_t>(position - commit_chunk_->first),
                                   std::memory_order_release);
    committed_ = position;
  }
  if (wanted_access_ != access_.load(std::memory_order_relaxed)) {
    access_.store(wanted_access_, std::memory_order_release);
  }
  Trim(now);
}

void PacketLog::Trim(Instant now) {
  const std::size_t chunks_max = std::max<std::size_t>(window_.bytes_max / sizeof(LogChunk), 2);
  for (;;) {
    LogChunk* const oldest = oldest_;  // only this thread changes it
    LogChunk* const next = oldest->next.load(std::memory_order_relaxed);
    if (next == nullptr || next->first > committed_) return;
    const bool crowded = chunks_ > chunks_max || (chunks_ > 2 && pool_->crowded());
    const bool old = next->start + window_.time < now && next->first <= wanted_access_;
    if (!crowded && !old) return;
    if (wanted_access_ != kNone && wanted_access_ < next->first) {
      wanted_access_ = kNone;
      access_.store(kNone, std::memory_order_release);
    }
    first_.store(next->first, std::memory_order_release);
    LogChunkPool::Hold(next);
    {
      const std::lock_guard lock(mutex_);
      oldest_ = next;
    }
    --chunks_;
    pool_->Release(oldest);
  }
}

// --- LogReader

LogReader::LogReader(PacketLog* log) : log_(log) {
  {
    const std::lock_guard lock(log->mutex_);
    oldest_ = log->oldest_;
    LogChunkPool::Hold(oldest_);
  }
  newest_ = oldest_;
  first_ = oldest_->first;
  tail_ = first_;
  Refresh();
}

LogReader::~LogReader() { log_->pool_->Release(oldest_); }

bool LogReader::Refresh() {
  const std::uint64_t tail_before = tail_, access_before = access_;
  access_ = log_->access_.load(std::memory_order_acquire);
  // Before the tail: the window may move on while we look, and must not pass what we saw of it.
  first_ = std::max(first_, log_->first_.load(std::memory_order_acquire));
  while (LogChunk* next = newest_->next.load(std::memory_order_acquire)) newest_ = next;
  tail_ = newest_->first + newest_->committed.load(std::memory_order_acquire);
  if (access_ != PacketLog::kNone && access_ >= tail_) access_ = PacketLog::kNone;  // not yet seen
  for (;;) {
    LogChunk* const next = oldest_->next.load(std::memory_order_acquire);
    if (next == nullptr || next->first > first_) break;
    LogChunkPool::Hold(next);
    log_->pool_->Release(std::exchange(oldest_, next));
  }
  if (access_ != PacketLog::kNone && access_ < first_) access_ = PacketLog::kNone;
  return tail_ != tail_before || access_ != access_before;
}

const LogChunk* LogReader::Find(std::uint64_t position, const LogChunk* near) const {
  const LogChunk* chunk = near != nullptr ? near : oldest_;
  for (;;) {
    const LogChunk* const next = chunk->next.load(std::memory_order_acquire);
    if (next == nullptr || next->first > position) return chunk;
    chunk = next;
  }
}

std::uint64_t LogReader::NewestUnit() const {
  if (tail_ == first_) return PacketLog::kNone;
  std::uint64_t position = tail_ - 1;
  const LogChunk* chunk = Find(position, nullptr);
  while ((chunk->packets[position - chunk->first].flags & kPacketUnitStart) == 0 &&
         position > first_) {
    if (position == chunk->first) chunk = Find(position - 1, nullptr);
    --position;
  }
  return position;
}

}  // namespace millrace
