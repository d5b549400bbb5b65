// `millrace-load play`: many viewers of some URLs, every packet of theirs checked.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/load/play_options.h"

namespace millrace::load {

void AddPlayCommand(CLI::App& app, PlayOptions* options);
// The exit status.
int RunPlay(PlayOptions& options);

}  // namespace millrace::load
