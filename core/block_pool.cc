#include "core/block_pool.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define MILLRACE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MILLRACE_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef MILLRACE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace millrace {
namespace {

constexpr std::align_val_t kSlabAlignment{BlockPool::kAlignment};

// A released block is as good as freed, and the address sanitizer is told so.
void Poison([[maybe_unused]] const std::byte* block, [[maybe_unused]] std::size_t bytes) {
#ifdef MILLRACE_ADDRESS_SANITIZER
  __asan_poison_memory_region(block, bytes);
#endif
}
void Unpoison([[maybe_unused]] const std::byte* block, [[maybe_unused]] std::size_t bytes) {
#ifdef MILLRACE_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(block, bytes);
#endif
}

std::size_t RoundUp(std::size_t bytes) {
  const std::size_t lines = (bytes + BlockPool::kAlignment - 1) / BlockPool::kAlignment;
  return std::max<std::size_t>(lines, 1) * BlockPool::kAlignment;
}

}  // namespace

BlockPool::BlockPool(std::size_t block_bytes, std::size_t blocks_per_slab, std::size_t blocks_max)
    : block_bytes_(RoundUp(block_bytes)),
      blocks_per_slab_(std::max<std::size_t>(blocks_per_slab, 1)),
      blocks_max_(blocks_max) {
  slabs_.reserve((blocks_max_ + blocks_per_slab_ - 1) / blocks_per_slab_);
}

BlockPool::~BlockPool() {
  assert(in_use_ == 0);
  for (const Slab& slab : slabs_) {
    Unpoison(slab.base, slab.blocks * block_bytes_);
    ::operator delete(slab.base, kSlabAlignment);
  }
}

std::size_t BlockPool::Reserve(std::size_t blocks) {
  while (capacity_ < blocks && AddSlab()) {
  }
  return capacity_;
}

std::byte* BlockPool::Acquire() {
  if (free_head_ == nullptr && !AddSlab()) return nullptr;
  ++in_use_;
  return PopFree();
}

void BlockPool::Release(std::byte* block) {
  assert(in_use_ > 0 && SlabOf(block) != nullptr);
  --in_use_;
  PushFree(block);
}

std::size_t BlockPool::Trim() {
  for (Slab& slab : slabs_) slab.free = 0;
  std::vector<std::byte*> free_blocks;
  free_blocks.reserve(capacity_ - in_use_);
  while (free_head_ != nullptr) {
    free_blocks.push_back(PopFree());
    ++SlabOf(free_blocks.back())->free;
  }
  // Backwards, so that the list keeps its order.
  for (auto block = free_blocks.rbegin(); block != free_blocks.rend(); ++block) {
    const Slab& slab = *SlabOf(*block);
    if (slab.free < slab.blocks) PushFree(*block);
  }
  const std::size_t before = capacity_;
  std::erase_if(slabs_, [this](const Slab& slab) {
    if (slab.free < slab.blocks) return false;
    capacity_ -= slab.blocks;
    ::operator delete(slab.base, kSlabAlignment);
    return true;
  });
  return (before - capacity_) * block_bytes_;
}

bool BlockPool::AddSlab() {
  const std::size_t blocks = std::min(blocks_per_slab_, blocks_max_ - capacity_);
  if (blocks == 0) return false;
  auto* base = static_cast<std::byte*>(::operator new(blocks* block_bytes_, kSlabAlignment));
  const auto place = std::upper_bound(
      slabs_.begin(), slabs_.end(), base,
      [](const std::byte* b, const Slab& slab) { return std::less<>()(b, slab.base); });
  slabs_.insert(place, Slab{base, blocks, 0});
  capacity_ += blocks;
  for (std::size_t i = blocks; i-- > 0;) PushFree(base + i * block_bytes_);
  return true;
}

void BlockPool::PushFree(std::byte* block) {
  free_head_ = new (block) FreeBlock{free_head_};
  Poison(block, block_bytes_);
}

std::byte* BlockPool::PopFree() {
  auto* block = reinterpret_cast<std::byte*>(free_head_);
  Unpoison(block, block_bytes_);
  free_head_ = free_head_->next;
  return block;
}

BlockPool::Slab* BlockPool::SlabOf(const std::byte* block) {
  const auto after = std::upper_bound(
      slabs_.begin(), slabs_.end(), block,
      [](const std::byte* b, const Slab& slab) { return std::less<>()(b, slab.base); });
  if (after == slabs_.begin()) return nullptr;
  Slab& slab = *(after - 1);
  const auto offset = static_cast<std::size_t>(block - slab.base);
  return offset < slab.blocks * block_bytes_ && offset % block_bytes_ == 0 ? &slab : nullptr;
}

}  // namespace millrace
