// load_check: many viewers of one URL, which it may publish itself; every packet checked. See
// --help.
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "tools/load_check/host_stats.h"
#include "tools/load_check/options.h"
#include "tools/load_check/publisher.h"
#include "tools/load_check/report.h"
#include "tools/load_check/worker.h"

namespace millrace::load_check {
namespace {

// So that there is something to see for the first viewer.
constexpr Duration kPublishFirst = 500ms;

// A sample of everything that only grows.
struct Sample {
  Instant at{};
  std::uint64_t media_bytes = 0;
  double client_cpu_seconds = 0;
  std::optional<ProcessStats> server;
};

void RaiseFileLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

class Run {
 public:
  explicit Run(const Options& options) : options_(options) {
    const unsigned viewers = options.udp + options.tcp + options.stalled;
    const Instant start = clock_.Now();
    ramp_end_ = start + options.ramp;
    finish_at_ = ramp_end_ + options.play_for;
    for (unsigned i = 0; i < std::min(options.threads, viewers); ++i) {
      workers_.push_back(std::make_unique<Worker>());
    }
    for (unsigned i = 0; i < viewers; ++i) {
      workers_[i % workers_.size()]->AddViewer(options.target, RoleOf(i, viewers),
                                               start + options.ramp * i / viewers);
    }
  }

  // Plays it all; what happened between the end of the ramp (and a second for the last to get
  // going) and the end.
  Window Play() {
    Window window;
    const std::uint64_t errors_before = UdpBufferErrors();
    const Sample before = Look();
    std::vector<std::thread> threads;
    for (const std::unique_ptr<Worker>& worker : workers_) {
      threads.emplace_back([this, &worker] {
        worker->Run(finish_at_);
        ++workers_done_;
      });
    }
    WaitUntil(ramp_end_ + std::min<Duration>(1s, options_.play_for / 2));
    const Sample first = Look();
    WaitUntil(finish_at_);
    const Sample last = Look();
    for (std::thread& thread : threads) thread.join();

    window.seconds = ToSeconds(last.at - first.at);
    window.media_bytes = last.media_bytes - first.media_bytes;
    window.client_cpu_seconds = last.client_cpu_seconds - first.client_cpu_seconds;
    window.udp_buffer_errors = UdpBufferErrors() - errors_before;
    if (before.server && first.server && last.server) {
      window.server_cpu_seconds = last.server->cpu_seconds - first.server->cpu_seconds;
      window.server_growth_bytes = static_cast<double>(last.server->resident_bytes) -
                                   static_cast<double>(before.server->resident_bytes);
    }
    return window;
  }

  Report MakeReport() const {
    Report report;
    for (const std::unique_ptr<Worker>& worker : workers_) {
      for (const std::unique_ptr<Viewer>& viewer : worker->viewers()) report.AddViewer(*viewer);
      for (LowerTransport transport : {LowerTransport::kUdp, LowerTransport::kTcp}) {
        report.AddDelays(transport, worker->delays(transport));
      }
    }
    return report;
  }

 private:
  // Whether the i-th of `all` is one of `some` that are strewn evenly among them.
  static bool IsAmong(std::uint64_t i, std::uint64_t some, std::uint64_t all) {
    return (i + 1) * some / all > i * some / all;
  }

  ViewerRole RoleOf(std::uint64_t i, std::uint64_t viewers) const {
    ViewerRole role;
    const std::uint64_t over_tcp = options_.tcp + options_.stalled;
    if (IsAmong(i, over_tcp, viewers)) {
      role.transport = LowerTransport::kTcp;
      role.reads_nothing = IsAmong(i * over_tcp / viewers, options_.stalled, over_tcp);
    }
    role.live = options_.publish_over.has_value();
    role.settle = options_.settle;
    return role;
  }

  Sample Look() const {
    Sample sample;
    sample.at = clock_.Now();
    for (const std::unique_ptr<Worker>& worker : workers_) {
      sample.media_bytes += worker->media_bytes().Get();
    }
    sample.client_cpu_seconds = OwnCpuSeconds();
    if (options_.server_pid > 0) sample.server = ReadProcessStats(options_.server_pid);
    return sample;
  }

  // Less, when nobody is left to wait for.
  void WaitUntil(Instant deadline) const {
    while (clock_.Now() < deadline && workers_done_ < workers_.size()) {
      std::this_thread::sleep_for(std::min<Duration>(20ms, deadline - clock_.Now()));
    }
  }

  const Options& options_;
  SystemClock clock_;
  Instant ramp_end_;
  Instant finish_at_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<std::size_t> workers_done_ = 0;
};

int Main(int argc, char** argv) {
  int status = 0;
  const std::optional<Options> options = ParseOptions(argc, argv, status);
  if (!options) return status;
  if (options->server_pid > 0 && !ReadProcessStats(options->server_pid)) {
    std::fprintf(stderr, "load_check: --server-pid %d: no such process\n", options->server_pid);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  RaiseFileLimit();
  std::printf(
      "%s: %u viewers over UDP, %u over TCP, %u that read nothing, starting over %.0f s, "
      "playing for %.0f s\n",
      options->target.url.text.c_str(), options->udp, options->tcp, options->stalled,
      ToSeconds(options->ramp), ToSeconds(options->play_for));
  std::fflush(stdout);

  std::optional<Publisher> publisher;
  if (options->publish_over) {
    publisher.emplace(options->target, *options->publish_over);
    if (!publisher->Start()) {
      std::printf("RESULT FAILED the publisher: %s\n", publisher->failure().c_str());
      return 1;
    }
    std::this_thread::sleep_for(kPublishFirst);
  }
  Run run(*options);
  const Window window = run.Play();
  Report report = run.MakeReport();
  if (publisher) {
    publisher->Stop();
    report.AddPublisher(*publisher);
  }
  if (options->delay_p99_max) report.set_delay_p99_max(*options->delay_p99_max);
  report.Print(window);
  const std::string verdict = report.Verdict();
  std::printf("RESULT %s%s\n", verdict.empty() ? "ok" : "FAILED ", verdict.c_str());
  return verdict.empty() ? 0 : 1;
}

}  // namespace
}  // namespace millrace::load_check

int main(int argc, char** argv) { return millrace::load_check::Main(argc, argv); }
