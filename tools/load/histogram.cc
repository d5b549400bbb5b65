#include "tools/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace millrace::load {

std::size_t Histogram::BucketOf(std::uint64_t microseconds) {
  if (microseconds < kFine) return microseconds;
  const std::uint64_t value = std::min(microseconds, (std::uint64_t{1} << kValueBits) - 1);
  // The leading kFineBits bits of the value choose the bucket, its length the doubling.
  const auto shift = static_cast<unsigned>(std::bit_width(value)) - kFineBits;
  return kFine + (shift - 1) * (kFine / 2) + ((value >> shift) - kFine / 2);
}

std::uint64_t Histogram::EndOf(std::size_t bucket) {
  if (bucket < kFine) return bucket + 1;
  const std::size_t above = bucket - kFine;
  const std::size_t shift = above / (kFine / 2) + 1;
  return (above % (kFine / 2) + kFine / 2 + 1) << shift;
}

void Histogram::Add(Duration value) {
  value = std::max(value, Duration::zero());
  ++buckets_[BucketOf(static_cast<std::uint64_t>(value.count()) / 1000)];
  ++count_;
  max_ = std::max(max_, value);
}

void Histogram::Merge(const Histogram& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

Duration Histogram::Percentile(double share) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) {
      return std::min(max_, Duration(std::chrono::microseconds(EndOf(i))));
    }
  }
  return max_;
}

}  // namespace millrace::load
