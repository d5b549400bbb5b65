// A running hash of everything that happened: two runs are the same if and only if it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/clock.h"

namespace millrace::sim {

class Digest {
 public:
  void Add(std::uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 32;
  }
  void Add(Instant instant) { Add(static_cast<std::uint64_t>(instant.time_since_epoch().count())); }
  void AddBytes(const void* data, std::size_t size) {
    std::uint64_t h = 0xcbf29ce484222325u;  // FNV-1a over the bytes, then one step of the above
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    for (std::size_t i = 0; i < size; ++i) h = (h ^ bytes[i]) * 0x100000001b3u;
    Add(h ^ size);
  }
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0x6d696c6c72616365u;
};

}  // namespace millrace::sim
