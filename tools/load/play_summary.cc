#include "tools/load/play_summary.h"

#include <algorithm>
#include <cstdio>

namespace millrace::load {
namespace {

// A start later than this is told; alone it is no failure.
constexpr Duration kLateStart = 1s;
// Media this far behind the clock means that the stream stood still.
constexpr Duration kStoodStill = 5s;
// A thread that is busier than this may have read late what came in time.
constexpr double kBusyShareMax = 0.9;

void AppendText(std::string& list, const std::string& text) {
  list.append(list.empty() ? "" : ", ").append(text);
}

void Append(std::string& list, std::uint64_t count, const char* what) {
  if (count > 0) AppendText(list, std::to_string(count) + " " + what);
}

void AppendOver(std::string& list, const char* what, const Histogram& histogram,
                const std::optional<Duration>& max) {
  const Duration p99 = histogram.Percentile(0.99);
  if (!max || p99 <= *max) return;
  char text[120];
  std::snprintf(text, sizeof(text), "%s of %.3f ms at 99 %% where %.3f ms are allowed", what,
                ToSeconds(p99) * 1e3, ToSeconds(*max) * 1e3);
  AppendText(list, text);
}

void AddResult(ViewerResult& sum, const ViewerResult& result) {
  sum.counts.Add(result.counts);
  sum.sender_reports += result.sender_reports;
  sum.strangers += result.strangers;
  sum.unstamped += result.unstamped;
  sum.while_paused += result.while_paused;
  sum.buffer_drops += result.buffer_drops;
  sum.tracks_measured += result.tracks_measured;
  sum.tracks_excluded += result.tracks_excluded;
}

}  // namespace

PlaySummary::PlaySummary(const PlayOptions& options, const PlayRun& run, const RunFigures& figures,
                         const StampedPublisher* publisher)
    : options_(options), figures_(figures), threads_(run.workers().size()) {
  for (const std::unique_ptr<Worker>& worker : run.workers()) {
    for (const std::unique_ptr<Viewer>& viewer : worker->viewers()) AddViewer(*viewer);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      columns_[i].tally.Merge(worker->tally().transports[i]);
    }
  }
  if (publisher != nullptr) {
    published_ = Published{publisher->packets(), publisher->late_max()};
    if (!publisher->failure().empty()) ++failures_["the publisher: " + publisher->failure()];
  }
  saturation_ = FindSaturation();
  verdict_ = FindFaults();
}

void PlaySummary::AddViewer(const Viewer& viewer) {
  if (viewer.plan().reads_nothing) {
    ++deaf_.viewers;
    if (viewer.closed_by_server()) ++deaf_.closed_by_server;
    if (viewer.failed()) ++failures_[viewer.failure() + " (one that reads nothing)"];
    return;
  }
  Column& column = columns_[viewer.plan().transport == LowerTransport::kUdp ? 0 : 1];
  const ViewerResult result = viewer.Result();
  ++column.viewers;
  AddResult(column.sum, result);
  if (viewer.failed()) {
    ++failures_[viewer.failure()];
    return;
  }
  ++column.played;
  if (result.to_first_packet > kLateStart) ++column.late_starts;
  column.behind_max = std::max(column.behind_max, result.behind);
  if (result.behind > kStoodStill) ++column.stood_still;
}

std::uint64_t PlaySummary::Viewers() const {
  return columns_[0].viewers + columns_[1].viewers + deaf_.viewers;
}

ViewerResult PlaySummary::Sum() const {
  ViewerResult sum;
  for (const Column& column : columns_) AddResult(sum, column.sum);
  return sum;
}

TransportTally PlaySummary::Total() const {
  TransportTally total;
  for (const Column& column : columns_) total.Merge(column.tally);
  return total;
}

double PlaySummary::gigabits() const {
  return static_cast<double>(columns_[0].tally.bytes + columns_[1].tally.bytes) * 8e-9;
}

std::string PlaySummary::FindSaturation() const {
  std::string list;
  if (figures_.busiest_thread_share > kBusyShareMax) {
    char text[80];
    std::snprintf(text, sizeof(text), "a receiving thread used %.0f %% of its CPU",
                  figures_.busiest_thread_share * 100);
    list = text;
  }
  Append(list, columns_[0].sum.buffer_drops, "datagrams found this client's buffers full");
  return list;
}

std::string PlaySummary::FindFaults() const {
  std::string list;
  for (const auto& [why, count] : failures_) {
    Append(list, count, ("viewers: " + why).c_str());
  }
  const ViewerResult sum = Sum();
  const StreamCounts& counts = sum.counts;
  if (counts.lost > options_.loss_max) Append(list, counts.lost, "packets lost");
  Append(list, counts.reordered, "out of order");
  Append(list, counts.duplicates, "duplicates");
  Append(list, counts.malformed + counts.wrong_ssrc + counts.wrong_payload_type, "wrong packets");
  Append(list, counts.timestamp_faults, "timestamps that went back");
  Append(list, counts.marker_faults, "markers missing or out of place");
  Append(list, counts.rtp_info_faults, "timestamps other than RTP-Info's");
  Append(list, sum.strangers, "packets from a wrong address");
  Append(list, sum.unstamped, "packets that were never published");
  Append(list, sum.while_paused, "packets during PAUSE");
  for (const Column& column : columns_) {
    if (published_ && column.played > 0 && column.tally.delays.live.count() == 0) {
      Append(list, column.played, "viewers and not one live packet");
    }
  }
  Append(list, columns_[0].stood_still + columns_[1].stood_still,
         "viewers whose media stood still");
  AppendSlow(list);
  return list;
}

void PlaySummary::AppendSlow(std::string& list) const {
  const TransportTally total = Total();
  AppendOver(list, "a lateness", total.lateness, options_.late_p99_max);
  if (options_.late_p99_max && total.lateness.count() == 0) {
    AppendText(list, "no lateness could be measured");
  }
  AppendOver(list, "a start", total.describe_to_first_packet, options_.start_p99_max);
  AppendOver(list, "a delay over UDP", columns_[0].tally.delays.live, options_.delay_p99_max);
  AppendOver(list, "a delay over TCP", columns_[1].tally.delays.live, options_.delay_p99_max);
}

}  // namespace millrace::load
