#include "tools/load_check/worker.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>

namespace millrace::load_check {
namespace {

constexpr int kWaitMs = 10;
constexpr Duration kSweepEvery = 100ms;
// For the answers to TEARDOWN.
constexpr Duration kLeaveWithin = 10s;

}  // namespace

Worker::Worker() : epoll_fd_(epoll_create1(EPOLL_CLOEXEC)) {}

Worker::~Worker() {
  viewers_.clear();
  close(epoll_fd_);
}

void Worker::AddViewer(const Target& target, ViewerRole role, Instant start_at) {
  role.delays = &delays_[role.transport == LowerTransport::kUdp ? 0 : 1];
  const auto id = static_cast<std::uint32_t>(viewers_.size());
  viewers_.push_back(std::make_unique<Viewer>(target, role, id, epoll_fd_));
  start_at_.push_back(start_at);
}

void Worker::Run(Instant finish_at) {
  Instant sweep_at = clock_.Now();
  while (true) {
    const Instant now = clock_.Now();
    StartDue(now);
    if (now >= sweep_at) {
      sweep_at = now + kSweepEvery;
      if (!Sweep(now, finish_at)) return;
    }
    HandleEvents();
  }
}

void Worker::StartDue(Instant now) {
  while (started_ < viewers_.size() && start_at_[started_] <= now) {
    viewers_[started_++]->Start(now);
  }
}

void Worker::HandleEvents() {
  std::array<epoll_event, 256> events;
  const int count = epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), kWaitMs);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    // Of each anew: what it measures has its own delay, not that of those before it.
    viewers_[data >> 8]->OnSocket(static_cast<unsigned>(data & 0xff), scratch_, clock_.Now());
  }
}

bool Worker::Sweep(Instant now, Instant finish_at) {
  std::uint64_t bytes = 0;
  bool anyone_left = false;
  for (const std::unique_ptr<Viewer>& viewer : viewers_) {
    bytes += viewer->media_bytes();
    if (viewer->done()) continue;
    if (now >= finish_at + kLeaveWithin) {
      viewer->Abandon("no answer to TEARDOWN");
    } else if (now >= finish_at && viewer->state() != Viewer::State::kTeardown) {
      viewer->Finish(now);
    } else {
      viewer->OnTimer(now);
    }
    anyone_left = anyone_left || !viewer->done();
  }
  media_bytes_.Set(bytes);
  return anyone_left;
}

}  // namespace millrace::load_check
