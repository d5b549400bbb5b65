// What a run of `play` came to, and whether that is well.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tools/load/play_options.h"
#include "tools/load/play_run.h"
#include "tools/load/stamped_publisher.h"
#include "tools/load/tally.h"
#include "tools/load/viewer.h"

namespace millrace::load {

class PlaySummary {
 public:
  struct Column {  // of a transport
    std::uint64_t viewers = 0;
    std::uint64_t played = 0;
    ViewerResult sum;
    Duration behind_max = Duration::min();
    std::uint64_t late_starts = 0;
    std::uint64_t stood_still = 0;
    TransportTally tally;
  };
  struct Deaf {  // those who read nothing
    std::uint64_t viewers = 0;
    std::uint64_t closed_by_server = 0;
  };
  struct Published {
    std::uint64_t packets = 0;
    Duration late_max{};
  };

  // `publisher` null: nothing was published here.
  PlaySummary(const PlayOptions& options, const PlayRun& run, const RunFigures& figures,
              const StampedPublisher* publisher);

  const PlayOptions& options() const { return options_; }
  const RunFigures& figures() const { return figures_; }
  const Column& udp() const { return columns_[0]; }
  const Column& tcp() const { return columns_[1]; }
  const Deaf& deaf() const { return deaf_; }
  const std::optional<Published>& published() const { return published_; }
  const std::map<std::string, std::uint64_t>& failures() const { return failures_; }
  std::size_t threads() const { return threads_; }
  std::uint64_t Viewers() const;
  ViewerResult Sum() const;
  // Both transports'.
  TransportTally Total() const;
  double gigabits() const;  // of the window

  // Empty when the client was up to it; else why not, and then nothing is said of the server.
  const std::string& saturation() const { return saturation_; }
  // Empty when all is well.
  const std::string& verdict() const { return verdict_; }
  // The exit status.
  int status() const { return !saturation_.empty() ? 3 : verdict_.empty() ? 0 : 1; }

 private:
  void AddViewer(const Viewer& viewer);
  std::string FindSaturation() const;
  std::string FindFaults() const;
  void AppendSlow(std::string& list) const;

  const PlayOptions& options_;
  const RunFigures& figures_;
  std::size_t threads_;
  std::array<Column, 2> columns_;
  Deaf deaf_;
  std::optional<Published> published_;
  std::map<std::string, std::uint64_t> failures_;
  std::string saturation_;
  std::string verdict_;
};

}  // namespace millrace::load
