#include "tools/load/publish_queue.h"

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace millrace::load {

bool PublishQueue::Send(std::span<const std::uint8_t> bytes, Instant due) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!client_.has_output() && waiting_.empty()) {
    if (!client_.Send(text)) return false;
    if (client_.has_output()) started_due_ = due;
    return true;
  }
  waiting_bytes_ += text.size();
  waiting_.push_back({std::string(text), due});
  if (waiting_bytes_ <= kBytesMax) return true;
  errno = ENOBUFS;
  return false;
}

bool PublishQueue::Flush(Instant now) {
  if (!client_.Flush()) return false;
  while (!client_.has_output()) {
    if (started_due_) held_max_ = std::max(held_max_, now - *started_due_);
    started_due_.reset();
    if (waiting_.empty()) return true;
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= next.bytes.size();
    if (!client_.Send(next.bytes)) return false;
    started_due_ = next.due;
  }
  return true;
}

Duration PublishQueue::held_max(Instant now) const {
  if (started_due_) return std::max(held_max_, now - *started_due_);
  return held_max_;
}

}  // namespace millrace::load
