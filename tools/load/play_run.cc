#include "tools/load/play_run.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <thread>

#include "core/random.h"
#include "tools/load/address.h"

namespace millrace::load {
namespace {

constexpr Duration kRampByDefault = 3s;
// A viewer that neither plays nor fails gives up by itself before this.
constexpr Duration kJoinWithin = 30s;
constexpr Duration kLookEvery = 5ms;
// With two tracks each, that is as many as find port pairs on one address.
constexpr std::uint64_t kUdpViewersPerAddress = 4000;

// Whether the i-th of `all` is one of `some` that are strewn evenly among them.
bool IsAmong(std::uint64_t i, std::uint64_t some, std::uint64_t all) {
  return (i + 1) * some / all > i * some / all;
}

// Round robin, or by Zipf's law: the k-th target is chosen with a probability like k^-exponent.
std::vector<std::size_t> ChooseTargets(std::size_t viewers, std::size_t targets, double exponent) {
  std::vector<double> shares;  // summed up
  double sum = 0;
  for (std::size_t k = 0; k < targets; ++k) {
    sum += std::pow(static_cast<double>(k + 1), -exponent);
    shares.push_back(sum);
  }
  SeededRandom random(1);
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < viewers; ++i) {
    const auto at = std::upper_bound(shares.begin(), shares.end(), random.Unit() * sum);
    const std::size_t by_zipf =
        std::min<std::size_t>(static_cast<std::size_t>(at - shares.begin()), targets - 1);
    chosen.push_back(exponent > 0 ? by_zipf : i % targets);
  }
  return chosen;
}

std::string RangeHeader(const PlayOptions& options) {
  if (options.range == "none") return "";
  const std::string by_default = options.publish_over ? "npt=now-" : "npt=0-";
  return "Range: " + (options.range.empty() ? by_default : options.range) + "\r\n";
}

}  // namespace

PlayRun::PlayRun(const PlayOptions& options)
    : options_(options),
      target_of_(ChooseTargets(options.AllViewers(), options.targets.size(), options.zipf)) {
  const unsigned viewers = options.AllViewers();
  ramp_ = options.rate > 0 ? Duration(static_cast<Duration::rep>(1e9 * viewers / options.rate))
                           : kRampByDefault;
  const std::size_t threads =
      options.cpus.empty() ? std::min(options.threads, viewers) : options.cpus.size();
  for (std::size_t i = 0; i < threads; ++i) workers_.push_back(std::make_unique<Worker>(window_));
  start_ = clock_.Now();
  for (unsigned i = 0; i < viewers; ++i) {
    ViewerPlan plan = PlanOf(i);
    if (i == 0) plan.trains = options.trains_file.empty() ? nullptr : &trains_;
    workers_[i % workers_.size()]->AddViewer(plan);
  }
}

ViewerPlan PlayRun::PlanOf(std::uint64_t i) const {
  const std::uint64_t viewers = options_.AllViewers();
  const Target& target = options_.targets[target_of_[i]];
  ViewerPlan plan;
  plan.server = target.address;
  plan.url = Numbered(target.url.text, i);
  const std::uint64_t over_tcp = options_.tcp + options_.stalled;
  if (IsAmong(i, over_tcp, viewers)) {
    plan.transport = LowerTransport::kTcp;
    plan.reads_nothing = IsAmong(i * over_tcp / viewers, options_.stalled, over_tcp);
  } else if (const unsigned index = static_cast<unsigned>(i / kUdpViewersPerAddress);
             index > 0 && IsLoopbackV4(target.address)) {
    plan.source = LoopbackV4(index);
  }
  plan.pauses_at_first = i < options_.paused && !plan.reads_nothing;
  plan.live = options_.publish_over.has_value();
  plan.range = RangeHeader(options_);
  plan.settle = options_.settle;
  plan.seek_every = options_.seek_every;
  plan.pause_every = options_.pause_every;
  plan.report_every = options_.report_every;
  plan.start_at = start_ + Duration(static_cast<Duration::rep>(static_cast<double>(ramp_.count()) *
                                                               static_cast<double>(i) /
                                                               static_cast<double>(viewers)));
  return plan;
}

RunFigures PlayRun::Play() {
  RunFigures figures;
  figures.server_before = LookAtServer();
  shown_at_ = clock_.Now();
  progress_at_ = shown_at_ + 1s;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const std::optional<int> cpu =
        options_.cpus.empty() ? std::nullopt : std::optional<int>(options_.cpus[i]);
    threads.emplace_back([worker = workers_[i].get(), cpu] { worker->Run(cpu); });
  }
  if (AwaitJoined(figures)) {
    const Instant joined_at = clock_.Now();
    const Instant begin = joined_at + std::min(options_.settle, options_.play_for / 2);
    const Instant end = joined_at + options_.play_for;
    window_.Set(begin, end);
    AwaitUntil(begin);
    const double cpu_before = OwnCpuSeconds();
    figures.server_first = LookAtServer();
    AwaitUntil(end);
    figures.server_last = LookAtServer();
    figures.client_cpu_seconds = OwnCpuSeconds() - cpu_before;
    figures.window_seconds = ToSeconds(end - begin);
  } else {
    window_.Set(clock_.Now(), clock_.Now());
  }
  for (std::thread& thread : threads) thread.join();
  figures.busiest_thread_share = BusiestShare();
  for (const std::unique_ptr<Worker>& worker : workers_) {
    figures.waited_share = std::max(figures.waited_share, worker->waited_share());
  }
  if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r%78s\r", "");
  return figures;
}

double PlayRun::BusiestShare() const {
  double busiest = 0;
  double all = 0;
  std::map<int, double> by_cpu;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const double share = workers_[i]->busy_share();
    busiest = std::max(busiest, share);
    all += share;
    if (!options_.cpus.empty()) by_cpu[options_.cpus[i]] += share;
  }
  // Threads that share CPUs are saturated together.
  for (const auto& [cpu, share] : by_cpu) busiest = std::max(busiest, share);
  return std::max(busiest, all / UsableCpus());
}

bool PlayRun::AwaitJoined(RunFigures& figures) {
  const Instant give_up = start_ + ramp_ + kJoinWithin;
  Instant now = clock_.Now();
  while (Joined() + Failed() < options_.AllViewers() && now < give_up && AnyRunning()) {
    std::this_thread::sleep_for(kLookEvery);
    now = clock_.Now();
    ShowProgress(now);
  }
  figures.joins_per_second = static_cast<double>(Joined()) / ToSeconds(now - start_);
  return Joined() > 0;
}

void PlayRun::AwaitUntil(Instant deadline) {
  for (Instant now = clock_.Now(); now < deadline && AnyRunning(); now = clock_.Now()) {
    ShowProgress(now);
    std::this_thread::sleep_for(std::min<Duration>(20ms, deadline - now));
  }
}

void PlayRun::ShowProgress(Instant now) {
  if (now < progress_at_) return;
  const bool terminal = isatty(STDERR_FILENO) != 0;
  progress_at_ = now + (terminal ? 1s : 10s);
  std::uint64_t bytes = 0;
  for (const std::unique_ptr<Worker>& worker : workers_) bytes += worker->bytes();
  const double seconds = ToSeconds(now - shown_at_);
  if (seconds > 0) {
    std::fprintf(
        stderr, "%s%5.0f s: %llu of %u joined, %llu failed, %.3f Gbit/s%s", terminal ? "\r" : "",
        ToSeconds(now - start_), static_cast<unsigned long long>(Joined()), options_.AllViewers(),
        static_cast<unsigned long long>(Failed()),
        static_cast<double>(bytes - bytes_shown_) * 8e-9 / seconds, terminal ? "   " : "\n");
  }
  bytes_shown_ = bytes;
  shown_at_ = now;
}

std::optional<ProcessStats> PlayRun::LookAtServer() const {
  return options_.server_pid > 0 ? ReadProcessStats(options_.server_pid) : std::nullopt;
}

bool PlayRun::AnyRunning() const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker->running(); });
}

std::uint64_t PlayRun::Joined() const {
  std::uint64_t joined = 0;
  for (const std::unique_ptr<Worker>& worker : workers_) joined += worker->joined();
  return joined;
}

std::uint64_t PlayRun::Failed() const {
  std::uint64_t failed = 0;
  for (const std::unique_ptr<Worker>& worker : workers_) failed += worker->failed();
  return failed;
}

}  // namespace millrace::load
