// limit: what the machine at hand gives a loop that does nothing but send. See --help.
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "bench/limit/receiver.h"
#include "bench/limit/sender.h"
#include "bench/limit/trains.h"
#include "core/clock.h"

namespace millrace::limit {
namespace {

constexpr int kSendBytes = 32 << 20;

struct Options {
  std::string transport;
  std::string trains;
  unsigned sockets = 500;
  double seconds = 5;
  std::optional<int> cpu;
  std::optional<int> receiver_cpu;
  bool gathered = false;
  bool spread = false;
  std::string io = "uring";
  unsigned batch = 512;
  double tick_ms = 4;
  std::string json;
};

struct Figures {
  SendCounts counts;
  double seconds = 0;
  double cpu_seconds = 0;
  double late_ms_max = 0;
};

std::optional<Options> Parse(int argc, char** argv, int& status) {
  Options options;
  CLI::App app(
      "Sends the trains of one viewer to many sockets, in real time, with nothing around it: the\n"
      "least that sending them can cost here.",
      "limit");
  try {
    app.add_option("TRANSPORT", options.transport, "udp (GSO trains) or tcp (a send each)")
        ->required()
        ->check(CLI::IsMember({"udp", "tcp"}));
    app.add_option("--trains", options.trains, "File from 'millrace-load play --trains'")
        ->required();
    app.add_option("--sockets", options.sockets, "As many viewers (500)")
        ->check(CLI::Range(1, 100000));
    app.add_option("--for", options.seconds, "Seconds (5)")->check(CLI::Range(0.1, 3600.0));
    app.add_option("--cpu", options.cpu, "CPU to send on");
    app.add_option("--receiver-cpu", options.receiver_cpu, "CPU to receive on");
    app.add_flag("--gathered,!--contiguous", options.gathered,
                 "Every packet's header is apart from its payload; else a train is one piece");
    app.add_flag(
        "--spread", options.spread,
        "Every socket is at its own place in the schedule, as viewers of a file are; else\n"
        "a train goes to every socket, then the next one, as to live viewers");
    app.add_option("--io", options.io,
                   "uring (default), the same without copying (uring-zc), or syscall")
        ->check(CLI::IsMember({"uring", "uring-zc", "syscall"}));
    app.add_option("--batch", options.batch, "Sends handed to io_uring at once (512)")
        ->check(CLI::Range(1, 4096));
    app.add_option("--tick-ms", options.tick_ms,
                   "With --spread: what is due in so many milliseconds goes together (4)")
        ->check(CLI::Range(0.1, 1000.0));
    app.add_option("--json", options.json, "File for the figures");
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    status = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  return options;
}

void RaiseFileLimit(unsigned sockets) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t wanted = 2 * rlim_t{sockets} + 64;
  if (limit.rlim_max < wanted) limit.rlim_max = wanted;  // root may
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void SleepUntil(Instant at) {
  const auto ns = at.time_since_epoch().count();
  const timespec when{ns / 1'000'000'000, ns % 1'000'000'000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
}

// In real time for as long as is asked, on the calling thread.
class Loop {
 public:
  Loop(const Schedule& schedule, const Options& options, Sender* sender)
      : schedule_(schedule),
        options_(options),
        sender_(sender),
        tick_(std::chrono::duration_cast<Duration>(
            std::chrono::duration<double, std::milli>(options.tick_ms))),
        memory_(options.transport == "udp", options.gathered) {}

  Figures Run() {
    start_ = clock_.Now();
    end_ = start_ +
           std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options_.seconds));
    const double cpu_before = ThreadCpuSeconds();
    options_.spread ? SendSpread() : SendTogether();
    figures_.cpu_seconds = ThreadCpuSeconds() - cpu_before;
    figures_.seconds = std::chrono::duration<double>(clock_.Now() - start_).count();
    figures_.counts = sender_->counts();
    return figures_;
  }

 private:
  // As live viewers: a train to every socket, then the next one.
  void SendTogether() {
    for (Instant turn = start_;; turn += schedule_.length) {
      for (const Train& train : schedule_.trains) {
        if (!WaitFor(turn + train.at)) return;
        memory_.Reuse();
        const std::span<iovec> iov = memory_.Iovecs(train);
        for (std::uint32_t i = 0; i < options_.sockets; ++i) Add({i, &train, iov});
        Flush();
      }
    }
  }

  // As viewers of a file, everyone at his own place in it.
  void SendSpread() {
    std::vector<std::size_t> next(options_.sockets);
    std::vector<Instant> turn(options_.sockets);
    for (std::uint32_t i = 0; i < options_.sockets; ++i) {
      next[i] = schedule_.trains.size() * i / options_.sockets;
      turn[i] = start_ - schedule_.trains[next[i]].at + tick_ * i / options_.sockets;
    }
    for (Instant tick = start_ + tick_; WaitFor(tick); tick += tick_) {
      for (std::uint32_t i = 0; i < options_.sockets; ++i) {
        while (turn[i] + schedule_.trains[next[i]].at <= tick) {
          const Train& train = schedule_.trains[next[i]];
          Add({i, &train, memory_.Iovecs(train)});
          if (++next[i] < schedule_.trains.size()) continue;
          next[i] = 0;
          turn[i] += schedule_.length;
        }
      }
      Flush();
    }
  }

  // False when the time is over.
  bool WaitFor(Instant due) {
    if (due > end_) return false;
    if (due > clock_.Now()) SleepUntil(due);
    const std::chrono::duration<double, std::milli> late = clock_.Now() - due;
    figures_.late_ms_max = std::max(figures_.late_ms_max, late.count());
    return true;
  }

  void Add(const Sending& sending) {
    sendings_.push_back(sending);
    if (sendings_.size() == kSendingsMax) Flush();
  }

  void Flush() {
    sender_->Send(sendings_);
    sendings_.clear();
    if (options_.spread) memory_.Reuse();
  }

  static constexpr std::size_t kSendingsMax =
      TrainMemory::kIovecs / TrainMemory::kIovecsPerTrainMax;

  const Schedule& schedule_;
  const Options& options_;
  Sender* const sender_;
  const Duration tick_;
  SystemClock clock_;
  TrainMemory memory_;
  Instant start_{}, end_{};
  std::vector<Sending> sendings_;
  Figures figures_;
};

std::string Json(const Options& options, const Figures& figures, const Receiver& receiver) {
  const double gbit = static_cast<double>(figures.counts.bytes) * 8 / 1e9;
  char text[640];
  std::snprintf(text, sizeof(text),
                "{\"mode\": \"%s %s %s%s\", \"sockets\": %u, \"seconds\": %.3f, \"gbit\": %.4f, "
                "\"cpu_seconds\": %.4f, \"cpu_seconds_per_gbit\": %.5f, \"sends\": %llu, "
                "\"packets\": %llu, \"short_sends\": %llu, \"late_ms_max\": %.2f, "
                "\"received_gbit\": %.4f, \"receiver_cpu_seconds\": %.4f}",
                options.transport.c_str(), options.io.c_str(),
                options.gathered ? "gathered" : "contiguous", options.spread ? " spread" : "",
                options.sockets, figures.seconds, gbit, figures.cpu_seconds,
                gbit > 0 ? figures.cpu_seconds / gbit : 0.0,
                static_cast<unsigned long long>(figures.counts.sends),
                static_cast<unsigned long long>(figures.counts.packets),
                static_cast<unsigned long long>(figures.counts.short_sends), figures.late_ms_max,
                static_cast<double>(receiver.bytes()) * 8 / 1e9, receiver.cpu_seconds());
  return text;
}

absl::StatusOr<Figures> Measure(const Options& options, const Schedule& schedule,
                                Receiver& receiver) {
  Targets targets;
  std::vector<int> connections;
  absl::Status status;
  if (options.transport == "udp") {
    status = receiver.OpenUdp(options.sockets);
    targets.udp_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(targets.udp_socket, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBytes, sizeof(kSendBytes));
    targets.destinations = receiver.destinations();
  } else {
    status = receiver.OpenTcp(options.sockets, &connections);
    targets.connections = connections;
  }
  if (status.ok()) status = receiver.Start(options.receiver_cpu);
  if (status.ok() && options.cpu) status = PinThread(*options.cpu);
  if (!status.ok()) return status;
  std::unique_ptr<Sender> sender;
  if (options.io == "syscall") {
    sender = MakeSyscallSender(targets);
  } else {
    auto made = MakeUringSender(targets, options.batch, options.io == "uring-zc");
    if (!made.ok()) return made.status();
    sender = std::move(*made);
  }
  const Figures figures = Loop(schedule, options, sender.get()).Run();
  receiver.Stop();
  for (const int fd : connections) close(fd);
  if (targets.udp()) close(targets.udp_socket);
  return figures;
}

int Main(int argc, char** argv) {
  int status = 0;
  const std::optional<Options> options = Parse(argc, argv, status);
  if (!options) return status;
  const absl::StatusOr<Schedule> schedule = ReadTrains(options->trains);
  if (!schedule.ok()) {
    std::fprintf(stderr, "limit: %s\n", std::string(schedule.status().message()).c_str());
    return 2;
  }
  RaiseFileLimit(options->sockets);
  Receiver receiver;
  const absl::StatusOr<Figures> figures = Measure(*options, *schedule, receiver);
  if (!figures.ok()) {
    std::fprintf(stderr, "limit: %s\n", std::string(figures.status().message()).c_str());
    return 1;
  }
  const std::string json = Json(*options, *figures, receiver);
  std::printf("%s\n", json.c_str());
  if (options->json.empty()) return 0;
  std::FILE* const file = std::fopen(options->json.c_str(), "w");
  if (file == nullptr || std::fprintf(file, "%s\n", json.c_str()) < 0 || std::fclose(file) != 0) {
    std::fprintf(stderr, "limit: %s: cannot be written\n", options->json.c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace millrace::limit

int main(int argc, char** argv) { return millrace::limit::Main(argc, argv); }
