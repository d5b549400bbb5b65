// How long things took, as a histogram whose buckets grow with the value.
//
// Up to kFine microseconds a bucket is one microsecond wide; above, every doubling is cut into
// kFine / 2 buckets, so that a percentile is told to within 1.6 %, always rounded up. The maximum
// is exact.
//
// Thread: the worker that owns it; whoever merges them, after the workers are done.
// Limits: about 70 minutes; what is longer is counted there. 14 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/clock.h"

namespace millrace::load {

class Histogram {
 public:
  // Below zero counts as zero.
  void Add(Duration value);
  void Merge(const Histogram& other);

  std::uint64_t count() const { return count_; }
  Duration max() const { return max_; }
  // What `share` of the values do not exceed; 0 when there are none.
  Duration Percentile(double share) const;

 private:
  static constexpr unsigned kFineBits = 7;
  static constexpr std::uint64_t kFine = 1 << kFineBits;
  static constexpr unsigned kValueBits = 32;
  static constexpr std::size_t kBuckets = kFine + (kValueBits - kFineBits) * (kFine / 2);

  static std::size_t BucketOf(std::uint64_t microseconds);
  // The least value above the bucket.
  static std::uint64_t EndOf(std::size_t bucket);

  std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(kBuckets);
  std::uint64_t count_ = 0;
  Duration max_{};
};

}  // namespace millrace::load
