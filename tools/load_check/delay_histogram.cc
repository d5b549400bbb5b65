#include "tools/load_check/delay_histogram.h"

#include <algorithm>
#include <cmath>

namespace millrace::load_check {

void DelayHistogram::Add(Duration delay) {
  delay = std::max(delay, Duration::zero());
  ++buckets_[static_cast<std::size_t>(std::min(delay, kDelayMax) / kBucket)];
  ++count_;
  max_ = std::max(max_, delay);
}

void DelayHistogram::Merge(const DelayHistogram& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

Duration DelayHistogram::Percentile(double share) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i + 1 < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::min(max_, kBucket * static_cast<Duration::rep>(i + 1));
  }
  return max_;
}

}  // namespace millrace::load_check
