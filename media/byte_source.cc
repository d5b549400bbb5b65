#include "media/byte_source.h"

#include <algorithm>
#include <string_view>

namespace millrace {

void ByteSource::Allow() {
  constexpr std::uint64_t kSlack = std::uint64_t{64} << 20;
  bytes_read_max_ = bytes_read_ + 2 * file_.size() + kSlack;
}

ByteSource::Outcome ByteSource::Read(std::span<std::uint8_t> out, std::size_t* count) {
  met_end_ = met_end_ || position_ >= size();
  if (position_ >= size()) return Outcome::kEnd;
  std::uint64_t wanted = std::min<std::uint64_t>(out.size(), size() - position_);
  const auto range = std::ranges::upper_bound(unread_, position_, {}, &FileRange::end);
  if (range != unread_.end()) {
    if (range->begin <= position_) {
      wanted = std::min(wanted, range->end - position_);
      position_ += wanted;
      *count = static_cast<std::size_t>(wanted);
      return Outcome::kRead;
    }
    wanted = std::min(wanted, range->begin - position_);
  }
  if (bytes_read_ >= bytes_read_max_) return Outcome::kBudgetSpent;
  absl::StatusOr<std::size_t> got =
      file_.ReadAt(position_, out.first(static_cast<std::size_t>(wanted)));
  if (!got.ok()) {
    status_ = got.status();
    return Outcome::kFailed;
  }
  if (*got == 0) {  // truncated
    met_end_ = true;
    return Outcome::kEnd;
  }
  HideBoxes(out.first(*got));
  position_ += *got;
  bytes_read_ += *got;
  *count = *got;
  return Outcome::kRead;
}

// `read` holds the bytes from position_ on.
void ByteSource::HideBoxes(std::span<std::uint8_t> read) const {
  constexpr std::string_view kFree = "free";
  constexpr std::uint64_t kTypeOffset = 4, kTypeEnd = kTypeOffset + kFree.size();
  const std::uint64_t end = position_ + read.size();
  // A type may lie across the edge of a read, so every one of its bytes is looked at by itself.
  const std::uint64_t from = position_ < kTypeEnd ? 0 : position_ - kTypeEnd + 1;
  for (auto box = std::ranges::lower_bound(hidden_, from); box != hidden_.end(); ++box) {
    if (*box + kTypeOffset >= end) break;
    for (std::uint64_t i = 0; i < kFree.size(); ++i) {
      const std::uint64_t at = *box + kTypeOffset + i;
      if (at >= position_ && at < end) {
        read[static_cast<std::size_t>(at - position_)] = static_cast<std::uint8_t>(kFree[i]);
      }
    }
  }
}

}  // namespace millrace
