// Kinds of options that CLI11 does not have by itself.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "tools/load/target.h"

namespace millrace::load {

// "30s", "500ms", "2m", "1h", or a plain number of seconds; nothing when it is none of these.
std::optional<Duration> ParseDuration(std::string_view text);
// "1,3" or "0-2".
std::optional<std::vector<int>> ParseCpus(std::string_view text);

CLI::Option* AddDuration(CLI::App& app, const std::string& name, Duration* value,
                         const std::string& what);
CLI::Option* AddCpus(CLI::App& app, std::vector<int>* cpus);
CLI::Option* AddTransport(CLI::App& app, const std::string& name,
                          std::optional<LowerTransport>* value, const std::string& what);

// Prints one line and gives the status for wrong use.
int WrongUse(const std::string& why);

}  // namespace millrace::load
