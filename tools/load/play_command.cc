#include "tools/load/play_command.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <thread>

#include "tools/load/cli_options.h"
#include "tools/load/host_stats.h"
#include "tools/load/play_report.h"
#include "tools/load/play_run.h"
#include "tools/load/play_summary.h"
#include "tools/load/stamped_publisher.h"

namespace millrace::load {
namespace {

// So that there is something to see for the first viewer.
constexpr Duration kPublishFirst = 500ms;
// A viewer's connection and, over UDP, two pairs of ports: most presentations have two tracks.
constexpr std::uint64_t kFilesPerUdpViewer = 5;
constexpr std::uint64_t kFilesBesides = 64;

constexpr char kFooter[] =
    "{i} in a URL becomes the viewer's number. A DURATION is 30s, 500ms, 2m or plain seconds. The\n"
    "clip must be longer than the joins and --for together.\n"
    "Examples:\n"
    "  millrace-load play rtsp://127.0.0.1:8554/demo.mp4 --viewers 1000 --for 30s\n"
    "  millrace-load play rtsp://127.0.0.1:8554/demo.mp4 --udp 500 --tcp 500 --seek-every 5s\n"
    "  millrace-load play rtsp://127.0.0.1:8554/live/a --publish tcp --max-p99-delay 20ms\n"
    "The last line is RESULT and why. Exit status: 0 all is well, 1 a check or a threshold "
    "failed,\n"
    "2 wrong use, 3 this client could not keep up, so that its figures say nothing of the server.";

void AddWho(CLI::App& play, PlayOptions* options) {
  const CLI::Range many(0, 100000);
  play.add_option("URL", options->urls, "rtsp://HOST[:PORT]/PATH; several: by turns, or --zipf")
      ->required();
  play.add_option("--viewers", options->viewers, "How many view (1)")->check(many);
  AddTransport(play, "--transport", &options->transport, "How they are sent to (udp)");
  play.add_option("--udp", options->udp, "Instead of --viewers: so many over UDP")->check(many);
  play.add_option("--tcp", options->tcp, "and so many over TCP")->check(many);
  play.add_option("--stalled", options->stalled, "and so many over TCP that PLAY and read nothing")
      ->check(many);
  play.add_option("--paused", options->paused, "The first so many PAUSE at their first packet")
      ->check(many);
  play.add_option("--zipf", options->zipf,
                  "Choose among the URLs by Zipf's law with this exponent, the first most often")
      ->check(CLI::Range(0.0, 10.0));
  play.add_option("--range", options->range,
                  "What PLAY asks for: npt=12.5-, say, or none for no Range (npt=0-)")
      ->type_name("RANGE");
  AddTransport(play, "--publish", &options->publish_over,
               "Publish a stamped stream at the URL, over this, and measure the true delay");
}

void AddWhen(CLI::App& play, PlayOptions* options) {
  play.add_option("--rate", options->rate, "Joins per second (all within 3 s)")
      ->check(CLI::Range(0.001, 1e6));
  AddDuration(play, "--for", &options->play_for, "How long all play, after the last joined (30s)");
  AddDuration(play, "--settle", &options->settle,
              "Time after the last join, and after each PLAY, that does not count (1s)");
  AddDuration(play, "--seek-every", &options->seek_every,
              "Each viewer seeks to a random place about this often");
  AddDuration(play, "--pause-every", &options->pause_every,
              "Each viewer pauses for a second about this often");
  AddDuration(play, "--report-every", &options->report_every,
              "An RTCP receiver report for each track so often, paused or not; 0: none (5s)");
}

void AddHow(CLI::App& play, PlayOptions* options) {
  CLI::Option* cpus = AddCpus(play, &options->cpus);
  play.add_option("--threads", options->threads, "Receiving threads, not bound to CPUs (1)")
      ->check(CLI::Range(1, 256))
      ->excludes(cpus);
  play.add_option("--server-pid", options->server_pid, "Measure this process's CPU and memory");
  play.add_option("--json", options->json_file, "Write the results there")->type_name("FILE");
  play.add_option("--trains", options->trains_file, "Write there what viewer 0 received, by trains")
      ->type_name("FILE");
}

void AddThreshold(CLI::App& play, const char* name, std::optional<Duration>* value,
                  const char* what) {
  // The option's own storage; CLI11 calls back when it was given.
  play.add_option(
          name,
          [value](const CLI::results_t& given) {
            *value = ParseDuration(given.back());
            return value->has_value();
          },
          what)
      ->type_name("DURATION")
      ->check([](const std::string& text) {
        return ParseDuration(text) ? "" : "'" + text + "' is no duration such as 20ms";
      });
}

// Empty, or why there cannot be as many sockets. Each thread has its own descriptors.
std::string FindRoom(const PlayOptions& options) {
  const std::uint64_t all = options.udp * kFilesPerUdpViewer + options.tcp + options.stalled;
  const std::uint64_t threads = options.cpus.empty() ? options.threads : options.cpus.size();
  const std::uint64_t files = all / threads + kFilesBesides;
  std::uint64_t limit = 0;
  if (RaiseFileLimit(files, limit)) return "";
  return "so many viewers want " + std::to_string(files) + " open files per thread and only " +
         std::to_string(limit) + " are allowed: raise the limit (ulimit -n) or take " +
         std::to_string(all / (limit - std::min(limit - 1, kFilesBesides)) + 1) +
         " threads (--threads, or --cpus with a CPU named more than once)";
}

// Empty, or what is wrong with them in one line; fills in what follows from them.
std::string Complete(PlayOptions& options) {
  if (options.udp + options.tcp + options.stalled == 0) {
    const bool udp = options.transport.value_or(LowerTransport::kUdp) == LowerTransport::kUdp;
    (udp ? options.udp : options.tcp) = options.viewers;
  }
  if (options.udp + options.tcp == 0) {
    return "no viewers that read; say --viewers N, --udp N or --tcp N";
  }
  for (const std::string& url : options.urls) {
    Target target;
    const std::string error = FindTarget(url, target);
    if (!error.empty()) return error;
    options.targets.push_back(target);
  }
  if (options.publish_over && options.urls.size() > 1) return "--publish wants one URL";
  if (options.publish_over && options.urls[0].find("{i}") != std::string::npos) {
    return "--publish wants one URL, not one per viewer: leave out {i}";
  }
  if (options.delay_p99_max && !options.publish_over) return "--max-p99-delay wants --publish";
  if (options.publish_over && options.seek_every > 0s) return "a live stream has no --seek-every";
  if (options.play_for < 100ms) return "--for: a tenth of a second at least";
  if (options.server_pid > 0 && !ReadProcessStats(options.server_pid)) {
    return "--server-pid " + std::to_string(options.server_pid) + ": no such process";
  }
  return FindRoom(options);
}

int Play(const PlayOptions& options) {
  std::optional<StampedPublisher> publisher;
  if (options.publish_over) {
    publisher.emplace(options.targets.front(), *options.publish_over);
    if (!publisher->Start()) {
      std::printf("RESULT FAILED the publisher: %s\n", publisher->failure().c_str());
      return 1;
    }
    std::this_thread::sleep_for(kPublishFirst);
  }
  PlayRun run(options);
  const RunFigures figures = run.Play();
  if (publisher) publisher->Stop();
  const PlaySummary summary(options, run, figures, publisher ? &*publisher : nullptr);
  PrintReport(summary);
  std::string error;
  if (!options.trains_file.empty()) error = run.trains().Write(options.trains_file);
  if (error.empty() && !options.json_file.empty()) error = WriteJson(summary, options.json_file);
  return error.empty() ? summary.status() : WrongUse(error);
}

}  // namespace

void AddPlayCommand(CLI::App& app, PlayOptions* options) {
  CLI::App* play =
      app.add_subcommand("play", "View URLs with many viewers and check every packet that comes");
  AddWho(*play, options);
  AddWhen(*play, options);
  AddHow(*play, options);
  play->add_option("--max-loss", options->loss_max, "Packets that may be lost (0)");
  AddThreshold(*play, "--max-p99-late", &options->late_p99_max,
               "What 99 % of the packets may be late against the media clock");
  AddThreshold(*play, "--max-p99-start", &options->start_p99_max,
               "What 99 % of the viewers may need from DESCRIBE to the first packet");
  AddThreshold(*play, "--max-p99-delay", &options->delay_p99_max,
               "What 99 % of the packets may need from the publisher to the viewer");
  play->footer(kFooter);
}

int RunPlay(PlayOptions& options) {
  const std::string error = Complete(options);
  if (!error.empty()) return WrongUse("play: " + error);
  std::string urls = options.urls.front();
  if (options.urls.size() > 1) urls += " and " + std::to_string(options.urls.size() - 1) + " more";
  std::printf("%s: %u viewers over UDP, %u over TCP, %u that read nothing; playing for %.1f s\n",
              urls.c_str(), options.udp, options.tcp, options.stalled, ToSeconds(options.play_for));
  std::fflush(stdout);
  return Play(options);
}

}  // namespace millrace::load
