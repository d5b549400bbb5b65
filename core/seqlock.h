// A small value that one thread writes and others read whole, without either waiting for long.
//
// The writer makes the count odd, writes, makes it even; a reader that saw the same even count
// before and after has a whole value, else it tries again. The words are atomics, so a torn read is
// seen and thrown away, never undefined.
//
// Shard: one writer (whoever it is at a time hands over with a synchronization of its own); readers
// anywhere.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace millrace {

template <typename T>
class Seqlock {
  static_assert(std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T>);

 public:
  void Write(const T& value) {
    std::array<std::uint64_t, kWords> words{};
    std::memcpy(words.data(), &value, sizeof(T));
    const std::uint64_t count = count_.load(std::memory_order_relaxed);
    count_.store(count + 1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < kWords; ++i) {
      // Release: whoever sees this word sees the odd count too.
      words_[i].store(words[i], std::memory_order_release);
    }
    count_.store(count + 2, std::memory_order_release);
  }

  T Read() const {
    std::array<std::uint64_t, kWords> words;
    for (;;) {
      const std::uint64_t before = count_.load(std::memory_order_acquire);
      for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_acquire);
      if (before % 2 == 0 && count_.load(std::memory_order_relaxed) == before) break;
    }
    T value;
    std::memcpy(static_cast<void*>(&value), words.data(), sizeof(T));
    return value;
  }

 private:
  static constexpr std::size_t kWords = (sizeof(T) + 7) / 8;
  std::atomic<std::uint64_t> count_{0};
  std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

}  // namespace millrace
