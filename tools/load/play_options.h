// What `millrace-load play` was asked to do.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "tools/load/target.h"

namespace millrace::load {

struct PlayOptions {
  std::vector<std::string> urls;
  std::vector<Target> targets;  // of the URLs, in their order
  unsigned viewers = 1;
  std::optional<LowerTransport> transport;  // of `viewers`
  // A mix instead, which is what the run goes by.
  unsigned udp = 0;
  unsigned tcp = 0;
  unsigned stalled = 0;  // over TCP, that read nothing once they play
  unsigned paused = 0;   // of all these, that PAUSE at their first packet and stay so
  double rate = 0;       // joins per second; 0: all within 3 s
  Duration play_for = 30s;
  Duration settle = 1s;
  Duration seek_every{};
  Duration pause_every{};
  Duration report_every = 5s;
  double zipf = 0;
  std::string range;  // of PLAY; empty: npt=0-, or npt=now- of what is published here
  std::optional<LowerTransport> publish_over;
  std::vector<int> cpus;
  unsigned threads = 1;
  pid_t server_pid = 0;  // 0: not told
  std::string json_file;
  std::string trains_file;

  std::uint64_t loss_max = 0;
  std::optional<Duration> late_p99_max;
  std::optional<Duration> start_p99_max;
  std::optional<Duration> delay_p99_max;

  unsigned AllViewers() const { return udp + tcp + stalled; }
};

}  // namespace millrace::load
