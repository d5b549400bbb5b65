// What a run of `churn` came to, told.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tools/load/churn_command.h"
#include "tools/load/histogram.h"
#include "tools/load/host_stats.h"

namespace millrace::load {

struct ChurnSummary {
  std::uint64_t sessions = 0;  // that went well to their end, be it TEARDOWN or RST
  std::uint64_t resets = 0;    // of those
  std::uint64_t packets = 0;
  std::map<std::string, std::uint64_t> failures;
  Histogram session;  // of those that were not cut
  Histogram describe_to_first_packet;
  double seconds = 0;
  double client_cpu_seconds = 0;
  double busiest_thread_share = 0;
  std::optional<ProcessStats> server_before;
  std::optional<ProcessStats> server_after;  // a second after the last session

  std::uint64_t Failed() const;
  double SessionsPerSecond() const { return seconds > 0 ? double(sessions) / seconds : 0; }
  bool Saturated() const { return busiest_thread_share > 0.9; }
  // The exit status.
  int Status() const { return Saturated() ? 3 : Failed() > 0 || sessions == 0 ? 1 : 0; }
};

void PrintReport(const ChurnSummary& summary);
// Empty, or why the file could not be written.
std::string WriteJson(const ChurnOptions& options, const ChurnSummary& summary);

}  // namespace millrace::load
