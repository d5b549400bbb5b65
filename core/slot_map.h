// Objects with stable addresses behind generation-checked handles.
//
// A handle that outlived its object finds nothing, so holders may be careless about who dies first.
// Objects live in chunks of 64; freeing one returns its place to a free list and nothing else.
//
// Shard: the owner's only; a handle may travel as a number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace millrace {

// Index and generation. Value 0 is never given out. Tag keeps handles of different maps apart.
template <typename Tag>
struct Handle {
  std::uint64_t value = 0;

  explicit operator bool() const { return value != 0; }
  std::uint32_t index() const { return static_cast<std::uint32_t>(value); }
  std::uint32_t generation() const { return static_cast<std::uint32_t>(value >> 32); }
  friend bool operator==(Handle a, Handle b) { return a.value == b.value; }
};

template <typename T>
class SlotMap {
 public:
  using HandleType = Handle<T>;

  explicit SlotMap(std::size_t capacity_max) : capacity_max_(capacity_max) {}
  ~SlotMap() {
    ForEach([this](HandleType h, T&) { Erase(h); });
  }
  SlotMap(const SlotMap&) = delete;
  SlotMap& operator=(const SlotMap&) = delete;

  // An empty handle when `capacity_max` objects live. The new object learns its own handle from the
  // first constructor argument.
  template <typename... Args>
  HandleType Emplace(Args&&... args) {
    if (size_ == capacity_max_) return {};
    if (free_head_ == kNone) AddChunk();
    const std::uint32_t index = free_head_;
    Slot& slot = At(index);
    free_head_ = slot.next_free;
    const HandleType handle{(static_cast<std::uint64_t>(slot.generation) << 32) | index};
    new (slot.storage) T(handle, std::forward<Args>(args)...);
    slot.live = true;
    ++size_;
    return handle;
  }

  T* Find(HandleType handle) {
    if (handle.index() >= chunks_.size() * kChunk) return nullptr;
    Slot& slot = At(handle.index());
    return slot.live && slot.generation == handle.generation() ? slot.object() : nullptr;
  }

  // False for a stale handle.
  bool Erase(HandleType handle) {
    T* object = Find(handle);
    if (object == nullptr) return false;
    Slot& slot = At(handle.index());
    slot.live = false;  // before the destructor: nobody finds it half dead
    ++slot.generation;
    if (slot.generation == 0) slot.generation = 1;
    --size_;
    object->~T();
    slot.next_free = free_head_;
    free_head_ = handle.index();
    return true;
  }

  // Visits every live object; `visit(handle, object)` may erase any of them.
  template <typename Visit>
  void ForEach(Visit&& visit) {
    for (std::uint32_t i = 0; i < chunks_.size() * kChunk; ++i) {
      Slot& slot = At(i);
      if (slot.live) {
        visit(HandleType{(static_cast<std::uint64_t>(slot.generation) << 32) | i}, *slot.object());
      }
    }
  }

  std::size_t size() const { return size_; }
  std::size_t capacity_max() const { return capacity_max_; }

 private:
  static constexpr std::uint32_t kChunk = 64;
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Slot {
    alignas(T) std::byte storage[sizeof(T)];
    std::uint32_t generation = 1;
    std::uint32_t next_free = kNone;
    bool live = false;
    T* object() { return std::launder(reinterpret_cast<T*>(storage)); }
  };

  Slot& At(std::uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }

  void AddChunk() {
    const auto base = static_cast<std::uint32_t>(chunks_.size() * kChunk);
    chunks_.push_back(std::make_unique<Slot[]>(kChunk));
    for (std::uint32_t i = kChunk; i-- > 0;) {
      At(base + i).next_free = free_head_;
      free_head_ = base + i;
    }
  }

  const std::size_t capacity_max_;
  std::size_t size_ = 0;
  std::uint32_t free_head_ = kNone;
  std::vector<std::unique_ptr<Slot[]>> chunks_;
};

}  // namespace millrace
