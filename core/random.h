// Where every unpredictable number comes from: session ids, SSRCs, first sequence numbers, report
// intervals. One of the four seams of the simulation.
//
// Shard: one instance per shard or thread; not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace {

class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t Next64() = 0;

  std::uint32_t Next32() { return static_cast<std::uint32_t>(Next64() >> 32); }
  std::uint16_t Next16() { return static_cast<std::uint16_t>(Next64() >> 48); }
  // Uniform in [0, bound); bound > 0.
  std::uint64_t Below(std::uint64_t bound);
  // Uniform in [0, 1).
  double Unit() { return static_cast<double>(Next64() >> 11) * 0x1p-53; }
  // True with the given probability.
  bool Chance(double probability) { return Unit() < probability; }
};

// The kernel's CSPRNG (getrandom), read in small batches so that a SETUP costs no system call of
// its own. Session ids must come from it (RFC 2326 section 3.4, RFC 7826 section 4.3).
class SystemRandom final : public Random {
 public:
  std::uint64_t Next64() override;

 private:
  std::array<std::uint64_t, 64> pool_;
  std::size_t left_ = 0;
};

// Repeatable from its seed on every machine (SplitMix64); for simulation, tests and benches.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next64() override;

 private:
  std::uint64_t state_;
};

}  // namespace millrace
