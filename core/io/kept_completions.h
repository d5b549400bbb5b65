// Completions met while sends were being reaped, kept in order for the next Poll.
//
// Shard: the backend's own. Limits: none of its own, but what the kernel can complete between two
// Polls: a receive per provided buffer, an ending per standing request, a zero-copy ticket each,
// and accepts up to the descriptor limit. `reserve` covers the usual; it doubles beyond.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace {

struct Completion {
  std::uint64_t user_data = 0;
  std::int32_t result = 0;
  std::uint32_t flags = 0;
};

class KeptCompletions {
 public:
  // `reserve` is a power of two.
  explicit KeptCompletions(std::size_t reserve) : ring_(reserve) {}

  bool empty() const { return head_ == tail_; }
  std::size_t size() const { return tail_ - head_; }

  void Push(const Completion& completion) {
    if (size() == ring_.size()) Grow();
    ring_[tail_++ & (ring_.size() - 1)] = completion;
  }
  bool Pop(Completion* completion) {
    if (empty()) return false;
    *completion = ring_[head_++ & (ring_.size() - 1)];
    return true;
  }

 private:
  void Grow() {
    std::vector<Completion> larger(2 * ring_.size());
    const std::size_t count = size();
    for (std::size_t i = 0; i < count; ++i) larger[i] = ring_[(head_ + i) & (ring_.size() - 1)];
    ring_.swap(larger);
    head_ = 0;
    tail_ = count;
  }

  std::size_t head_ = 0;  // both run on; their place is modulo the size
  std::size_t tail_ = 0;
  std::vector<Completion> ring_;
};

}  // namespace millrace
