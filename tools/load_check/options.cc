#include "tools/load_check/options.h"

#include <netdb.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>

namespace millrace::load_check {
namespace {

Duration Seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

// Empty, or why `text` is no target.
std::string FindTarget(const std::string& text, Target& target) {
  const std::optional<Url> url = ParseUrl(text);
  if (!url) return "'" + text + "' is not rtsp://HOST:PORT/PATH";
  target.url = *url;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(url->host.c_str(), url->port.c_str(), &hints, &found);
  if (error != 0) return url->host + ": " + gai_strerror(error);
  std::memcpy(&target.address, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return "";
}

}  // namespace

std::optional<Options> ParseOptions(int argc, const char* const* argv, int& status) {
  Options options;
  std::string url;
  double play_for = 20;
  double ramp = 3;
  bool live = false;
  bool publisher_udp = false;
  double settle = 0;
  double delay_p99_ms = 0;
  CLI::App app(
      "Plays one RTSP URL with many viewers and checks every packet that comes.\n"
      "The clip must be longer than --ramp and --for together. With --live there is no clip: the\n"
      "URL is published here as well, and each packet's delay from there to the viewer measured.",
      "load_check");
  try {
    app.add_option("URL", url, "rtsp://HOST:PORT/PATH")->required();
    app.add_option("--udp", options.udp, "Viewers over UDP")->check(CLI::Range(0, 20000));
    app.add_option("--tcp", options.tcp, "Viewers over TCP")->check(CLI::Range(0, 20000));
    app.add_option("--stalled", options.stalled, "Viewers over TCP that PLAY, then read nothing")
        ->check(CLI::Range(0, 20000));
    app.add_option("--for", play_for, "Seconds that all of them play (20)")
        ->check(CLI::Range(1.0, 86400.0));
    app.add_option("--ramp", ramp, "Seconds over which they start (3)")
        ->check(CLI::Range(0.0, 3600.0));
    app.add_option("--threads", options.threads, "Threads to receive with (1)")
        ->check(CLI::Range(1, 64));
    app.add_option("--server-pid", options.server_pid, "Measure this process's CPU and memory");
    app.add_flag("--live", live, "Publish the URL first, over TCP");
    app.add_flag("--publisher-udp", publisher_udp, "Publish over UDP instead")->needs("--live");
    app.add_option("--settle", settle,
                   "Seconds after PLAY in which a live viewer's delay does not count (0)")
        ->needs("--live")
        ->check(CLI::Range(0.0, 3600.0));
    app.add_option("--max-delay-p99", delay_p99_ms,
                   "Milliseconds that 99 % of the delays may not exceed; else the run fails")
        ->needs("--live")
        ->check(CLI::Range(0.001, 1000.0));
    app.footer(
        "Examples:\n"
        "  load_check rtsp://127.0.0.1:8554/demo.mp4 --udp 1000 --tcp 200 --for 20\n"
        "  load_check rtsp://127.0.0.1:8554/live/a --live --udp 1000 --tcp 200 --stalled 50\n"
        "The last line is RESULT ok or RESULT FAILED and why; the exit status 0 or 1, 2 for wrong "
        "use.");
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    status = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  status = 2;
  if (options.udp + options.tcp == 0) {
    std::fprintf(stderr, "load_check: no viewers; say --udp N or --tcp N\n");
    return std::nullopt;
  }
  const std::string error = FindTarget(url, options.target);
  if (!error.empty()) {
    std::fprintf(stderr, "load_check: %s\n", error.c_str());
    return std::nullopt;
  }
  options.play_for = Seconds(play_for);
  options.ramp = Seconds(ramp);
  if (live) options.publish_over = publisher_udp ? LowerTransport::kUdp : LowerTransport::kTcp;
  options.settle = Seconds(settle);
  if (delay_p99_ms > 0) options.delay_p99_max = Seconds(delay_p99_ms / 1e3);
  return options;
}

}  // namespace millrace::load_check
