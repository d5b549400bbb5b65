// `millrace-load churn`: whole sessions, as many a second as asked for or as it goes.
#pragma once

#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "tools/load/target.h"

namespace millrace::load {

struct ChurnOptions {
  std::string url;
  Target target;
  std::optional<LowerTransport> transport;
  double rate = 0;  // sessions per second; 0: as fast as it goes
  unsigned connections = 64;
  Duration run_for = 10s;
  std::uint64_t sessions = 0;  // instead of `run_for`; 0: not told
  double reset_percent = 0;
  std::vector<int> cpus;
  unsigned threads = 1;
  pid_t server_pid = 0;
  std::string json_file;
};

void AddChurnCommand(CLI::App& app, ChurnOptions* options);
// The exit status.
int RunChurn(ChurnOptions& options);

}  // namespace millrace::load
