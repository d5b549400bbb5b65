// A run of `play`, told: as a table for people, as JSON for programs.
#pragma once

#include <string>

#include "tools/load/play_summary.h"

namespace millrace::load {

void PrintReport(const PlaySummary& summary);
// Empty, or why the file could not be written.
std::string WriteJson(const PlaySummary& summary, const std::string& path);

}  // namespace millrace::load
