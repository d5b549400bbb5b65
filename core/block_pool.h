// Fixed-size blocks of scratch memory: receive and send buffers of a shard.
//
// Blocks are cut from slabs of many; a free block holds the link to the next one in its own first
// bytes, so the pool keeps nothing per block. The one given back last is given out first, while it
// is still in the cache. Taking a block allocates only when no free one is left: Reserve at
// start-up what the playing path will need.
//
// Shard: the owner's only.
// Limits: at most `blocks_max` blocks out at a time; beyond, Acquire gives nullptr.
//
// Invariants
//   1. in_use + free blocks = blocks of all slabs <= blocks_max.
//   2. Every block starts on a cache line of its own.
//   3. Every block is back before the pool is destroyed.
#pragma once

#include <cstddef>
#include <vector>

namespace millrace {

class BlockPool {
 public:
  static constexpr std::size_t kAlignment = 64;

  // `block_bytes` is rounded up to whole cache lines. A slab holds `blocks_per_slab` blocks, the
  // last one fewer if `blocks_max` says so.
  BlockPool(std::size_t block_bytes, std::size_t blocks_per_slab, std::size_t blocks_max);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // Allocates slabs until `blocks` exist or the bound is met. Returns how many exist.
  std::size_t Reserve(std::size_t blocks);
  // A block of block_bytes() with unspecified content; the caller owns it until Release. nullptr:
  // `blocks_max` are out.
  std::byte* Acquire();
  // Takes back a block of this pool.
  void Release(std::byte* block);
  // Frees the slabs none of whose blocks is out. Walks the whole free list: for quiet times.
  // Returns the bytes freed.
  std::size_t Trim();

  std::size_t block_bytes() const { return block_bytes_; }
  std::size_t in_use() const { return in_use_; }
  std::size_t capacity() const {
    return capacity_;
  }  // in use or free, without a further allocation
  std::size_t blocks_max() const { return blocks_max_; }

 private:
  struct FreeBlock {
    FreeBlock* next;
  };
  struct Slab {
    std::byte* base;
    std::size_t blocks;
    std::size_t free;  // counted by Trim, meaningless elsewhere
  };
  bool AddSlab();
  void PushFree(std::byte* block);
  std::byte* PopFree();
  // The slab that holds `block`; slabs_ is in order of address. nullptr: not of this pool.
  Slab* SlabOf(const std::byte* block);

  const std::size_t block_bytes_;
  const std::size_t blocks_per_slab_;
  const std::size_t blocks_max_;
  std::vector<Slab> slabs_;
  FreeBlock* free_head_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t in_use_ = 0;
};

}  // namespace millrace
