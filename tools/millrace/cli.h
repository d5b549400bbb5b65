// The command line: argv in, one decision out.
//
// Nothing is printed and nothing started here; `main` does what the decision says. A value that
// cannot be meant is answered with one line naming the option, the value and what would do, and
// status 2.
#pragma once

#include <string>

#include "net/server_process.h"

namespace millrace {

struct CommandLine {
  // False: print `text` (to standard output when `exit_status` is 0, else to standard error) and
  // leave.
  bool serve = false;
  ServerOptions options;
  std::string log_level = "info";

  std::string text;
  int exit_status = 0;
};

// `argv` as `main` gets it. Never throws, never exits.
CommandLine ParseCommandLine(int argc, const char* const* argv);

}  // namespace millrace
