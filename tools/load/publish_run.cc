#include "tools/load/publish_run.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <random>

#include "tools/load/host_stats.h"

namespace millrace::load {
namespace {

// More at once would overrun the backlog of a listener.
constexpr std::size_t kOpeningMax = 64;
constexpr Duration kTimersEvery = 100ms;
constexpr Duration kProgressEvery = 5s;
// A file with a single key frame is no reason to wait with the last streams for its whole length.
constexpr Duration kStaggerMax = 10s;
// Units sent before the connections are looked at again, however far behind.
constexpr int kUnitsInARow = 256;
constexpr std::size_t kComplaintsMax = 5;

volatile std::sig_atomic_t interrupted = 0;

// Takes SIGINT and SIGTERM; the second one has its usual effect.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    action.sa_flags = SA_RESETHAND;
    sigaction(SIGINT, &action, &before_int_);
    sigaction(SIGTERM, &action, &before_term_);
  }
  ~InterruptGuard() {
    sigaction(SIGINT, &before_int_, nullptr);
    sigaction(SIGTERM, &before_term_, nullptr);
  }

 private:
  struct sigaction before_int_ {};
  struct sigaction before_term_ {};
};

double Milliseconds(Duration d) { return ToSeconds(d) * 1e3; }

}  // namespace

PublishRun::PublishRun(PacketTable& table, const std::string& sdp, const PublishPlan& plan)
    : table_(table),
      plan_(plan),
      stagger_(std::clamp<Duration>(table.key_frame_interval(), 1ms, kStaggerMax)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      phases_(plan.targets.size(), FilePublisher::Phase::kIdle) {
  std::random_device random;
  for (const Target& target : plan.targets) {
    const std::uint64_t seed = std::uint64_t{random()} << 32 | random();
    publishers_.push_back(std::make_unique<FilePublisher>(
        table, sdp, target, plan.transport, static_cast<std::uint32_t>(publishers_.size()), seed));
  }
}

PublishRun::~PublishRun() {
  if (epoll_ >= 0) close(epoll_);
}

PublishSummary PublishRun::Play() {
  const InterruptGuard guard;
  const double cpu_before = OwnCpuSeconds();
  begun_at_ = now_ = clock_.Now();
  while (ended_ < publishers_.size()) {
    OpenMore();
    SendDue();
    if (now_ >= timers_at_) OnTimers();
    if (ended_ < publishers_.size()) Wait();
  }
  PublishSummary summary = Summary();
  summary.cpu_seconds = OwnCpuSeconds() - cpu_before;
  return summary;
}

void PublishRun::OpenMore() {
  while (opening_ < kOpeningMax && next_to_open_ < publishers_.size() && !interrupted_) {
    const auto index = static_cast<std::uint32_t>(next_to_open_++);
    ++opening_;
    phases_[index] = FilePublisher::Phase::kOpening;
    publishers_[index]->Open(epoll_, now_);
    Follow(index);
  }
}

void PublishRun::Wait() {
  const Instant next = due_.empty() ? timers_at_ : std::min(timers_at_, due_.top().first);
  const Duration nap = std::max<Duration>(next - clock_.Now(), 0ns);
  const timespec timeout{static_cast<time_t>(nap / 1s), static_cast<long>((nap % 1s).count())};
  // An epoll descriptor can be polled itself, and ppoll counts in nanoseconds.
  pollfd ready{epoll_, POLLIN, 0};
  const int any = ppoll(&ready, 1, &timeout, nullptr);
  now_ = clock_.Now();
  if (any <= 0) return;
  std::array<epoll_event, 256> events;
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
    const auto index = static_cast<std::uint32_t>(tag >> FilePublisher::kSlotBits);
    const std::size_t slot = tag & ((1u << FilePublisher::kSlotBits) - 1);
    publishers_[index]->OnReady(slot, scratch_, now_);
    Follow(index);
  }
}

void PublishRun::SendDue() {
  now_ = clock_.Now();
  for (int i = 0; i < kUnitsInARow && !due_.empty() && due_.top().first <= now_; ++i) {
    const auto [due, index] = due_.top();
    due_.pop();
    FilePublisher& publisher = *publishers_[index];
    if (publisher.next_due() != due) continue;  // it has ended meanwhile
    late_.Add(now_ - due);
    late_since_progress_ = std::max(late_since_progress_, now_ - due);
    publisher.SendNext(now_);
    if (publisher.next_due() != kNever) due_.emplace(publisher.next_due(), index);
    Follow(index);
    now_ = clock_.Now();
  }
}

void PublishRun::OnTimers() {
  timers_at_ = now_ + kTimersEvery;
  if (interrupted != 0 && !interrupted_) {
    interrupted_ = true;
    ended_ += publishers_.size() - next_to_open_;  // which are not begun any more
    for (const std::unique_ptr<FilePublisher>& publisher : publishers_) publisher->Interrupt(now_);
  }
  const WallTime wall = clock_.Wall();
  for (std::uint32_t i = 0; i < next_to_open_; ++i) {
    publishers_[i]->OnTimer(now_, wall);
    Follow(i);
  }
  if (now_ >= progress_at_) SayProgress();
}

void PublishRun::Follow(std::uint32_t index) {
  using Phase = FilePublisher::Phase;
  const FilePublisher& publisher = *publishers_[index];
  const Phase before = phases_[index];
  const Phase phase = publisher.phase();
  if (phase == before) return;
  phases_[index] = phase;
  if (before == Phase::kRecording) --recording_;
  if (phase == Phase::kReady) {
    ++recorded_;
    StartMedia(index);
  }
  if (phase == Phase::kEnded) {
    ++ended_;
    if (!publisher.failure().empty() && complaints_++ < kComplaintsMax) {
      std::fprintf(stderr, "%s: %s\n", publisher.url().c_str(), publisher.failure().c_str());
    }
  }
  if (before == Phase::kOpening && --opening_ == 0 && next_to_open_ == publishers_.size()) {
    OnAllOpened();
  }
}

void PublishRun::StartMedia(std::uint32_t index) {
  if (first_start_ == kNever) first_start_ = now_;
  // Its place in the time between two key frames, the next time it comes round.
  const Duration place = stagger_ * index / static_cast<Duration::rep>(publishers_.size());
  Instant start = first_start_ + place;
  if (start < now_) start += stagger_ * ((now_ - start) / stagger_ + 1);
  if (publishers_.size() == 1) start = now_;
  const bool once = !plan_.endless && plan_.play_for == Duration{};
  publishers_[index]->StartMedia(start, once ? start + table_.loop_length() : kNever);
  phases_[index] = FilePublisher::Phase::kRecording;
  ++recording_;
  if (publishers_[index]->next_due() != kNever) due_.emplace(start, index);
}

void PublishRun::OnAllOpened() {
  opened_at_ = now_;
  if (recorded_ == 0) return;
  std::printf("%zu of %zu streams record after %.3f s\n", recorded_, publishers_.size(),
              ToSeconds(opened_at_ - begun_at_));
  std::fflush(stdout);
  progress_at_ = now_ + kProgressEvery;
  if (plan_.play_for == Duration{}) return;
  for (const std::unique_ptr<FilePublisher>& publisher : publishers_) {
    publisher->EndBy(now_ + plan_.play_for);
  }
}

void PublishRun::SayProgress() {
  PublishCounts sum;
  for (const std::unique_ptr<FilePublisher>& publisher : publishers_) sum += publisher->counts();
  const double seconds = ToSeconds(kProgressEvery + (now_ - progress_at_));
  std::printf("%4.0f s: %zu recording, %llu packets, %.3f Mbit/s, latest unit %.1f ms late\n",
              ToSeconds(now_ - opened_at_), recording_,
              static_cast<unsigned long long>(sum.packets),
              static_cast<double>(sum.bytes - bytes_at_progress_) * 8e-6 / seconds,
              Milliseconds(late_since_progress_));
  std::fflush(stdout);
  bytes_at_progress_ = sum.bytes;
  late_since_progress_ = {};
  progress_at_ = now_ + kProgressEvery;
}

PublishSummary PublishRun::Summary() const {
  PublishSummary summary;
  summary.streams = publishers_.size();
  summary.recorded = recorded_;
  for (const std::unique_ptr<FilePublisher>& publisher : publishers_) {
    summary.counts += publisher->counts();
    summary.held_max = std::max(summary.held_max, publisher->held_max(now_));
    if (!publisher->failure().empty()) ++summary.failures[publisher->failure()];
  }
  if (opened_at_ != kNever) {
    summary.opening = opened_at_ - begun_at_;
    summary.window = now_ - opened_at_;
  }
  summary.late = late_;
  summary.interrupted = interrupted_;
  return summary;
}

}  // namespace millrace::load
