// The table at the end, and the verdict.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/load_check/host_stats.h"
#include "tools/load_check/publisher.h"
#include "tools/load_check/viewer.h"

namespace millrace::load_check {

// Between two looks at the server while everybody plays.
struct Window {
  double seconds = 0;
  std::uint64_t media_bytes = 0;
  double client_cpu_seconds = 0;
  std::uint64_t udp_buffer_errors = 0;
  std::optional<double> server_cpu_seconds;
  std::optional<double> server_growth_bytes;  // since before the first viewer
};

class Report {
 public:
  void AddViewer(const Viewer& viewer);
  void AddDelays(LowerTransport transport, const LiveDelays& delays);
  void AddPublisher(const Publisher& publisher);
  // Fails when the delay of more than 1 % of a transport's packets is longer.
  void set_delay_p99_max(Duration delay) { delay_p99_max_ = delay; }
  void Print(const Window& window) const;
  // Empty when all is well.
  std::string Verdict() const;

 private:
  struct Column {
    std::uint64_t viewers = 0;
    std::uint64_t played = 0;
    ViewerResult sum;
    std::vector<double> to_first_packet;  // seconds
    double behind_max = 0;
    std::uint64_t late_starts = 0;
    std::uint64_t stalled = 0;
    LiveDelays delays;
  };
  struct Deaf {  // those who read nothing
    std::uint64_t viewers = 0;
    std::uint64_t closed_by_server = 0;
  };
  struct Published {
    std::uint64_t packets = 0;
    Duration late_max{};
  };

  void PrintLive() const;

  std::uint64_t Viewers() const {
    return columns_[0].viewers + columns_[1].viewers + deaf_.viewers;
  }

  std::array<Column, 2> columns_;  // UDP, TCP
  Deaf deaf_;
  std::optional<Published> published_;
  Duration delay_p99_max_ = Duration::max();
  std::map<std::string, std::uint64_t> failures_;
};

}  // namespace millrace::load_check
