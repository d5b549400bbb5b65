#include "tools/load/churn_command.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>

#include "tools/load/churn_report.h"
#include "tools/load/churn_worker.h"
#include "tools/load/cli_options.h"
#include "tools/load/host_stats.h"

namespace millrace::load {
namespace {

constexpr std::uint64_t kFilesPerConnection = 5;
constexpr std::uint64_t kFilesBesides = 64;
// In which the server may see off the last sessions before its descriptors are counted.
constexpr Duration kAfterwards = 1s;

constexpr char kFooter[] =
    "A session: connect, DESCRIBE, SETUP of every track, PLAY, a packet of every track (or a\n"
    "second), TEARDOWN, close. {i} in the URL becomes the session's number.\n"
    "Examples:\n"
    "  millrace-load churn rtsp://127.0.0.1:8554/demo.mp4 --connections 200 --for 10s\n"
    "  millrace-load churn rtsp://127.0.0.1:8554/demo.mp4 --sessions 200000 --reset 10\n"
    "Exit status: 0 every session went well, 1 some failed, 2 wrong use, 3 this client could not\n"
    "keep up.";

// Empty, or what is wrong in one line.
std::string Complete(ChurnOptions& options) {
  const std::string error = FindTarget(options.url, options.target);
  if (!error.empty()) return error;
  if (options.server_pid > 0 && !ReadProcessStats(options.server_pid)) {
    return "--server-pid " + std::to_string(options.server_pid) + ": no such process";
  }
  const std::uint64_t files = options.connections * kFilesPerConnection + kFilesBesides;
  std::uint64_t limit = 0;
  if (!RaiseFileLimit(files, limit)) {
    return "so many connections want " + std::to_string(files) + " open files and only " +
           std::to_string(limit) + " are allowed; raise the limit (ulimit -n) or run as root";
  }
  return "";
}

class ChurnRun {
 public:
  explicit ChurnRun(const ChurnOptions& options) : options_(options) {
    const std::size_t threads = options.cpus.empty() ? options.threads : options.cpus.size();
    for (std::size_t i = 0; i < threads; ++i) {
      workers_.push_back(std::make_unique<ChurnWorker>(options, i, threads));
    }
  }

  ChurnSummary Run() {
    ChurnSummary summary;
    summary.server_before = LookAtServer();
    const double cpu_before = OwnCpuSeconds();
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      const std::optional<int> cpu =
          options_.cpus.empty() ? std::nullopt : std::optional<int>(options_.cpus[i]);
      threads.emplace_back([this, i, cpu] {
        workers_[i]->Run(cpu);
        ++ended_;
      });
    }
    ShowProgress();
    for (std::thread& thread : threads) thread.join();
    summary.client_cpu_seconds = OwnCpuSeconds() - cpu_before;
    if (options_.server_pid > 0) std::this_thread::sleep_for(kAfterwards);
    summary.server_after = LookAtServer();
    for (const std::unique_ptr<ChurnWorker>& worker : workers_) Add(*worker, summary);
    return summary;
  }

 private:
  static void Add(const ChurnWorker& worker, ChurnSummary& summary) {
    const ChurnContext& context = worker.context();
    summary.sessions += context.sessions;
    summary.resets += context.resets;
    summary.packets += context.packets;
    for (const auto& [why, count] : context.failures) summary.failures[why] += count;
    summary.session.Merge(context.session);
    summary.describe_to_first_packet.Merge(context.describe_to_first_packet);
    summary.seconds = std::max(summary.seconds, worker.seconds());
    summary.busiest_thread_share = std::max(summary.busiest_thread_share, worker.busy_share());
  }

  std::optional<ProcessStats> LookAtServer() const {
    return options_.server_pid > 0 ? ReadProcessStats(options_.server_pid) : std::nullopt;
  }

  // Until all workers have ended.
  void ShowProgress() const {
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const Instant start = clock_.Now();
    Instant show_at = start + 1s;
    for (Instant now = start; ended_ < workers_.size(); now = clock_.Now()) {
      std::this_thread::sleep_for(20ms);
      if (now < show_at) continue;
      show_at = now + (terminal ? 1s : 10s);
      std::uint64_t sessions = 0;
      for (const std::unique_ptr<ChurnWorker>& worker : workers_) sessions += worker->sessions();
      std::fprintf(stderr, "%s%5.0f s: %llu sessions%s", terminal ? "\r" : "",
                   ToSeconds(now - start), static_cast<unsigned long long>(sessions),
                   terminal ? "   " : "\n");
    }
    if (terminal) std::fprintf(stderr, "\r%60s\r", "");
  }

  const ChurnOptions& options_;
  SystemClock clock_;
  std::vector<std::unique_ptr<ChurnWorker>> workers_;
  std::atomic<std::size_t> ended_ = 0;
};

}  // namespace

void AddChurnCommand(CLI::App& app, ChurnOptions* options) {
  CLI::App* churn = app.add_subcommand("churn", "Make whole sessions, one after the other");
  churn->add_option("URL", options->url, "rtsp://HOST[:PORT]/PATH")->required();
  AddTransport(*churn, "--transport", &options->transport, "How they are sent to (udp)");
  churn->add_option("--rate", options->rate, "Sessions per second (as fast as it goes)")
      ->check(CLI::Range(0.001, 1e6));
  churn->add_option("--connections", options->connections, "Sessions at once (64)")
      ->check(CLI::Range(1, 20000));
  AddDuration(*churn, "--for", &options->run_for, "How long sessions are begun (10s)");
  churn->add_option("--sessions", options->sessions, "How many, instead of how long");
  churn
      ->add_option("--reset", options->reset_percent,
                   "Percent of them that are cut with RST at a random step (0)")
      ->check(CLI::Range(0.0, 100.0));
  CLI::Option* cpus = AddCpus(*churn, &options->cpus);
  churn->add_option("--threads", options->threads, "Threads, not bound to CPUs (1)")
      ->check(CLI::Range(1, 256))
      ->excludes(cpus);
  churn->add_option("--server-pid", options->server_pid, "Measure this process");
  churn->add_option("--json", options->json_file, "Write the results there")->type_name("FILE");
  churn->footer(kFooter);
}

int RunChurn(ChurnOptions& options) {
  std::string error = Complete(options);
  if (!error.empty()) return WrongUse("churn: " + error);
  const ChurnSummary summary = ChurnRun(options).Run();
  PrintReport(summary);
  if (!options.json_file.empty()) error = WriteJson(options, summary);
  return error.empty() ? summary.Status() : WrongUse(error);
}

}  // namespace millrace::load
