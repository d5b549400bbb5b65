// How long packets were under way, as a histogram of fixed buckets.
//
// Thread: the worker that owns it; whoever merges them, after the workers are done.
// Limits: delays up to kDelayMax are told to a bucket of kBucket, longer ones only by the maximum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/clock.h"

namespace millrace::load_check {

class DelayHistogram {
 public:
  void Add(Duration delay);
  void Merge(const DelayHistogram& other);

  std::uint64_t count() const { return count_; }
  Duration max() const { return max_; }
  // What `share` of the delays do not exceed, rounded up to a bucket; 0 when there are none.
  Duration Percentile(double share) const;

 private:
  static constexpr Duration kBucket = 20us;
  static constexpr Duration kDelayMax = 1s;

  std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(kDelayMax / kBucket + 1);
  std::uint64_t count_ = 0;
  Duration max_{};
};

// A live viewer's packets: those that were sent while it was still catching up, and the others.
struct LiveDelays {
  DelayHistogram joining;
  DelayHistogram live;
};

}  // namespace millrace::load_check
