#include "core/shard.h"

#include <algorithm>

#include "core/shard_group.h"

namespace millrace {
namespace {

constexpr Duration kRefusedRetry = 1ms;

}  // namespace

Shard::Shard(std::size_t index, std::size_t producers, const Clock* clock,
             std::unique_ptr<Random> random)
    : index_(index),
      clock_(clock),
      random_(std::move(random)),
      timers_(clock->Now()),
      mailbox_(producers, this),
      now_(clock->Now()),
      wall_(clock->Wall()) {}

Shard::~Shard() = default;

void Shard::AttachBackend(std::unique_ptr<IoBackend> backend) {
  backend_ = std::move(backend);
  mailbox_.set_waker(this);
}

void Shard::AttachService(std::unique_ptr<ShardService> service) { service_ = std::move(service); }

Instant Shard::now() const {
  if (!now_is_current_) {
    now_ = clock_->Now();
    wall_ = clock_->Wall();
    now_is_current_ = true;
  }
  return now_;
}

Instant Shard::NextDeadline() const {
  const Instant deadline = std::min(timers_.NextDeadline(), service_->NextDeadline());
  return refused_count_ == 0 ? deadline : std::min(deadline, now_ + kRefusedRetry);
}

void Shard::Tick() {
  Instant before = now();
  const Instant deadline = mailbox_.BeginSleep() ? NextDeadline() : before;
  // A backend sleeps for deadline - before: read late, or the last tick's work would be slept
  // again.
  if (deadline > before && deadline != kNever) before = std::max(before, clock_->Now());
  now_is_current_ = false;  // handlers run after the sleep
  backend_->Poll(before, deadline);
  mailbox_.EndSleep();
  mailbox_.Drain();
  timers_.Advance(now());
  service_->OnTick(now());
  RetryRefused();
}

void Shard::Shutdown() {
  if (service_ != nullptr) service_->OnStop(now());
  service_.reset();
}

void Shard::Post(std::size_t to, const Message& message) {
  if (refused_.size() <= to) refused_.resize(to + 1);
  if (refused_[to].empty() && group_->PostFromShard(index_, to, message)) return;
  refused_[to].push_back(message);
  ++refused_count_;
}

void Shard::RetryRefused() {
  for (std::size_t to = 0; refused_count_ > 0 && to < refused_.size(); ++to) {
    std::deque<Message>& waiting = refused_[to];
    while (!waiting.empty() && group_->PostFromShard(index_, to, waiting.front())) {
      waiting.pop_front();
      --refused_count_;
    }
  }
}

void Shard::Wake() {
  if (backend_ != nullptr) backend_->Wake();  // none when the start has failed
}

}  // namespace millrace
