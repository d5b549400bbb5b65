// How many seeds a scenario runs, and which.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <vector>

namespace millrace::sim {

// Sanitizers make a seed many times slower; the plain build runs them all.
#ifdef MILLRACE_SANITIZED
inline constexpr std::uint64_t kSeeds = 40;
inline constexpr std::uint64_t kLiveSeeds = 10;  // each with seconds of real-time media
#else
inline constexpr std::uint64_t kSeeds = 200;
inline constexpr std::uint64_t kLiveSeeds = 200;
#endif

// 1 to `count`, or the one that MILLRACE_SEED names.
inline std::vector<std::uint64_t> Seeds(std::uint64_t count = kSeeds) {
  if (const char* one = std::getenv("MILLRACE_SEED")) return {std::strtoull(one, nullptr, 10)};
  std::vector<std::uint64_t> seeds;
  for (std::uint64_t seed = 1; seed <= count; ++seed) seeds.push_back(seed);
  return seeds;
}

}  // namespace millrace::sim
