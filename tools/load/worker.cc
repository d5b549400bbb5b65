#include "tools/load/worker.h"

#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "tools/load/host_stats.h"

namespace millrace::load {
namespace {

constexpr int kWaitMs = 10;
constexpr Duration kStepEvery = 10ms;
constexpr std::size_t kStepsPerSweep = 12;
// For the answers to TEARDOWN.
constexpr Duration kLeaveWithin = 10s;

}  // namespace

Worker::Worker(const Window& window) : window_(window) {
  context_.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
}

Worker::~Worker() {
  viewers_.clear();
  close(context_.epoll_fd);
}

void Worker::AddViewer(const ViewerPlan& plan) {
  const auto id = static_cast<std::uint32_t>(viewers_.size());
  viewers_.push_back(std::make_unique<Viewer>(plan, id, &context_));
}

void Worker::Run(std::optional<int> cpu) {
  if (cpu) PinThreadTo(*cpu);
  // Descriptors of its own, so that the limit of open files is one per worker. Where that is not
  // allowed the limit is everybody's.
  unshare(CLONE_FILES);
  while (done_in_a_row_ < viewers_.size()) {
    const Instant now = context_.clock.Now();
    FollowWindow(now);
    StartDue(now);
    if (now >= sweep_at_) {
      sweep_at_ = now + kStepEvery;
      Sweep(now);
    }
    HandleEvents();
  }
  running_ = false;
}

void Worker::FollowWindow(Instant now) {
  Tally& tally = context_.tally;
  if (tally.window_end == kNever && window_.end() != kNever) {
    tally.window_begin = window_.begin();
    tally.window_end = window_.end();
  }
  if (!cpu_at_begin_ && now >= tally.window_begin) {
    cpu_at_begin_ = OwnThreadCpu();
    waited_at_begin_ = OwnThreadWait();
    cpu_begin_ = now;
  }
  if (busy_share_ == 0 && now >= tally.window_end && now > cpu_begin_) {
    const double seconds = ToSeconds(now - cpu_begin_);
    busy_share_ = ToSeconds(OwnThreadCpu() - *cpu_at_begin_) / seconds;
    waited_share_ = ToSeconds(OwnThreadWait() - waited_at_begin_) / seconds;
  }
}

void Worker::StartDue(Instant now) {
  while (started_ < viewers_.size() && viewers_[started_]->plan().start_at <= now) {
    viewers_[started_++]->Start();
  }
}

void Worker::HandleEvents() {
  std::array<epoll_event, 256> events;
  const int count =
      epoll_wait(context_.epoll_fd, events.data(), static_cast<int>(events.size()), kWaitMs);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    viewers_[data >> 8]->OnSocket(static_cast<unsigned>(data & 0xff));
  }
}

void Worker::Sweep(Instant now) {
  context_.arrivals.Refresh();
  for (std::size_t n = viewers_.size() / kStepsPerSweep + 1; n > 0; --n) {
    if (next_to_look_after_ >= viewers_.size()) next_to_look_after_ = 0;
    Viewer& viewer = *viewers_[next_to_look_after_++];
    Look(viewer, now);
    // All are done when as many as there are were found so one after the other.
    done_in_a_row_ = viewer.done() ? done_in_a_row_ + 1 : 0;
  }
  joined_.Set(context_.tally.joined);
  failed_.Set(context_.tally.failed);
  bytes_.Set(context_.tally.bytes);
}

void Worker::Look(Viewer& viewer, Instant now) {
  if (viewer.done()) return;
  const Instant end = context_.tally.window_end;
  if (now < end) {
    viewer.OnTimer(now);
  } else if (now >= end + kLeaveWithin) {
    viewer.Abandon("no answer to TEARDOWN");
  } else if (viewer.state() != Viewer::State::kTeardown) {
    viewer.Finish(now);
  }
}

}  // namespace millrace::load
