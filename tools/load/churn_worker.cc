#include "tools/load/churn_worker.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "tools/load/host_stats.h"

namespace millrace::load {
namespace {

constexpr Duration kLookEvery = 50ms;
constexpr int kWaitMs = 10;
// Longer than any step of a session may take.
constexpr Duration kEndWithin = 15s;

std::uint64_t Share(std::uint64_t all, std::size_t index, std::size_t count) {
  return all * (index + 1) / count - all * index / count;
}

}  // namespace

ChurnWorker::ChurnWorker(const ChurnOptions& options, std::size_t index, std::size_t count)
    : left_(options.sessions > 0 ? Share(options.sessions, index, count)
                                 : std::numeric_limits<std::uint64_t>::max()),
      number_(index),
      numbers_(count),
      run_for_(options.sessions > 0 ? Duration::max() : options.run_for),
      every_(options.rate > 0 ? Duration(static_cast<Duration::rep>(
                                    1e9 * static_cast<double>(count) / options.rate))
                              : Duration::zero()) {
  context_.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  context_.target = options.target;
  context_.transport = options.transport.value_or(LowerTransport::kUdp);
  context_.reset_share = options.reset_percent / 100;
  context_.random = SeededRandom(index + 1);
  const std::uint64_t connections =
      std::max<std::uint64_t>(1, Share(options.connections, index, count));
  for (std::uint32_t slot = 0; slot < connections; ++slot) {
    churners_.push_back(std::make_unique<Churner>(slot, &context_));
    idle_.push_back(slot);
  }
}

ChurnWorker::~ChurnWorker() {
  churners_.clear();
  close(context_.epoll_fd);
}

void ChurnWorker::Run(std::optional<int> cpu) {
  if (cpu) PinThreadTo(*cpu);
  const Duration cpu_before = OwnThreadCpu();
  const Instant begin = context_.clock.Now();
  start_at_ = begin;
  if (run_for_ != Duration::max()) stop_at_ = begin + run_for_;
  Instant now = begin;
  Instant give_up_at = kNever;
  while (StartDue(now) || idle_.size() < churners_.size()) {
    HandleEvents(now);
    now = context_.clock.Now();
    if (left_ > 0 && now < stop_at_) continue;
    if (give_up_at == kNever) give_up_at = now + kEndWithin;
    if (now > give_up_at) break;
  }
  seconds_ = ToSeconds(now - begin);
  busy_share_ = ToSeconds(OwnThreadCpu() - cpu_before) / std::max(seconds_, 1e-9);
}

bool ChurnWorker::StartDue(Instant now) {
  if (left_ == 0 || now >= stop_at_) return false;
  std::size_t tried = 0;
  while (left_ > 0 && !idle_.empty() && start_at_ <= now && tried < idle_.size()) {
    const std::uint32_t slot = idle_.back();
    idle_.pop_back();
    Churner& churner = *churners_[slot];
    if (churner.next_start() <= now) {
      churner.Start(number_);
      number_ += numbers_;
      --left_;
      start_at_ = every_ > 0ns ? start_at_ + every_ : now;
    }
    if (churner.idle()) {  // ended at once, or not to start yet
      idle_.insert(idle_.begin(), slot);
      ++tried;
    }
  }
  return true;
}

void ChurnWorker::HandleEvents(Instant now) {
  std::array<epoll_event, 256> events;
  const int wait_ms = every_ > 0ns ? 1 : kWaitMs;
  const int count =
      epoll_wait(context_.epoll_fd, events.data(), static_cast<int>(events.size()), wait_ms);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    const auto slot = static_cast<std::uint32_t>(data >> 8);
    Churner& churner = *churners_[slot];
    if (churner.idle()) continue;
    churner.OnSocket(static_cast<unsigned>(data & 0xff));
    if (churner.idle()) idle_.push_back(slot);
  }
  if (now < look_at_) return;
  look_at_ = now + kLookEvery;
  context_.arrivals.Refresh();
  for (std::uint32_t slot = 0; slot < churners_.size(); ++slot) {
    if (churners_[slot]->idle()) continue;
    churners_[slot]->OnTimer(now);
    if (churners_[slot]->idle()) idle_.push_back(slot);
  }
  sessions_.Set(context_.sessions);
}

}  // namespace millrace::load
