// What load_check was asked to do.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "core/clock.h"
#include "tools/load_check/viewer.h"

namespace millrace::load_check {

struct Options {
  Target target;
  unsigned udp = 0;
  unsigned tcp = 0;
  unsigned stalled = 0;  // over TCP, that read nothing once they play
  Duration play_for{};   // from the end of the ramp
  Duration ramp{};       // over which the viewers start, evenly
  unsigned threads = 1;
  pid_t server_pid = 0;  // 0: not told
  // The URL is published by load_check itself, over this.
  std::optional<LowerTransport> publish_over;
  Duration settle{};  // of a live viewer, after PLAY, before its delay counts
  std::optional<Duration> delay_p99_max;
};

// Nothing, with what is to be printed said already and `status` set, when there is nothing to run.
std::optional<Options> ParseOptions(int argc, const char* const* argv, int& status);

}  // namespace millrace::load_check
