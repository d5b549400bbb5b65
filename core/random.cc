#include "core/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace millrace {

std::uint64_t Random::Below(std::uint64_t bound) {
  // Rejects the short last stretch, so every value is equally likely.
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  std::uint64_t value = Next64();
  while (value >= limit) value = Next64();
  return value % bound;
}

std::uint64_t SystemRandom::Next64() {
  if (left_ == 0) {
    std::size_t filled = 0;
    auto* bytes = reinterpret_cast<std::uint8_t*>(pool_.data());
    while (filled < sizeof(pool_)) {
      const ssize_t n = getrandom(bytes + filled, sizeof(pool_) - filled, 0);
      if (n > 0)
        filled += static_cast<std::size_t>(n);
      else if (errno != EINTR)
        std::abort();  // no entropy source: ids would be guessable
    }
    left_ = pool_.size();
  }
  const std::uint64_t value = pool_[--left_];
  pool_[left_] = 0;  // a value given out is not kept
  return value;
}

std::uint64_t SeededRandom::Next64() {
  std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace millrace
