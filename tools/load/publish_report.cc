#include "tools/load/publish_report.h"

#include <cstdint>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/load/json_file.h"

namespace millrace::load {
namespace {

constexpr Duration kLateMax = 100ms;

double Milliseconds(Duration d) { return ToSeconds(d) * 1e3; }

double GbitPerSecond(const PublishSummary& summary) {
  const double seconds = ToSeconds(summary.opening + summary.window);
  return seconds > 0 ? static_cast<double>(summary.counts.bytes) * 8e-9 / seconds : 0;
}

void Add(std::string* list, const std::string& item) {
  absl::StrAppend(list, list->empty() ? "" : "; ", item);
}

void PrintCount(const char* name, std::uint64_t value) {
  std::printf("  %-34s %14llu\n", name, static_cast<unsigned long long>(value));
}

}  // namespace

PublishVerdict Judge(const PublishSummary& summary) {
  PublishVerdict verdict;
  const double seconds = ToSeconds(summary.opening + summary.window);
  verdict.thread_share = seconds > 0 ? summary.cpu_seconds / seconds : 0;
  for (const auto& [reason, count] : summary.failures) {
    Add(&verdict.why, absl::StrCat(count, count == 1 ? " stream: " : " streams: ", reason));
    verdict.status = 1;
  }
  if (summary.interrupted && summary.recorded + summary.failed() < summary.streams) {
    Add(&verdict.why, absl::StrCat("interrupted when ", summary.recorded, " of ", summary.streams,
                                   " streams recorded"));
    verdict.status = 1;
  }
  if (summary.held_max > kLateMax) {
    Add(&verdict.why, absl::StrFormat("the server fell behind: it took a unit %.0f ms after it "
                                      "was due",
                                      Milliseconds(summary.held_max)));
    verdict.status = 1;
  }
  if (summary.late.max() > kLateMax) {
    Add(&verdict.saturation,
        absl::StrFormat("a unit left %.0f ms after it was due", Milliseconds(summary.late.max())));
  }
  if (summary.counts.unsent > 0) {
    Add(&verdict.saturation,
        absl::StrCat(summary.counts.unsent, " packets found no room in its sockets"));
  }
  if (!verdict.saturation.empty()) verdict.status = 3;
  return verdict;
}

void PrintSummary(const PublishSummary& summary, const PublishVerdict& verdict) {
  if (summary.recorded > 0) {
    const PublishCounts& counts = summary.counts;
    std::printf("\n");
    PrintCount("streams", summary.streams);
    PrintCount("that recorded", summary.recorded);
    PrintCount("that failed", summary.failed());
    PrintCount("access units", counts.units);
    PrintCount("RTP packets", counts.packets);
    PrintCount("bytes, RTP headers included", counts.bytes);
    std::printf("  %-34s %14.3f\n", "Mbit/s", GbitPerSecond(summary) * 1e3);
    std::printf("  %-34s %14.2f\n", "unit behind its due time, p99 ms",
                Milliseconds(summary.late.Percentile(0.99)));
    std::printf("  %-34s %14.2f\n", "unit behind its due time, max ms",
                Milliseconds(summary.late.max()));
    std::printf("  %-34s %14.2f\n", "held up by the server, max ms",
                Milliseconds(summary.held_max));
    PrintCount("sender reports", counts.sender_reports);
    PrintCount("receiver reports", counts.receiver_reports);
    if (counts.receiver_reports > 0) {
      std::printf("  %-34s %13.1f%%\n", "worst loss they told of", counts.fraction_lost_max * 100);
      std::printf("  %-34s %14lld\n", "packets lost in all, they say",
                  static_cast<long long>(counts.packets_lost));
    }
    std::printf("  %-34s %13.1f%%\n", "CPU of this program", verdict.thread_share * 100);
  }
  if (!verdict.saturation.empty()) {
    if (!verdict.why.empty()) std::printf("failed: %s\n", verdict.why.c_str());
    std::printf("RESULT CLIENT SATURATED %s: this says nothing of the server\n",
                verdict.saturation.c_str());
  } else {
    std::printf("RESULT %s%s\n", verdict.why.empty() ? "ok" : "FAILED ", verdict.why.c_str());
  }
  std::fflush(stdout);
}

std::string WriteJson(const PublishOptions& options, const PublishSummary& summary,
                      const PublishVerdict& verdict) {
  const PublishCounts& counts = summary.counts;
  const Json json = {
      {"command", "publish"},
      {"version", 1},
      {"file", options.file},
      {"url", options.url},
      {"transport", options.transport == LowerTransport::kUdp ? "udp" : "tcp"},
      {"streams", summary.streams},
      {"recorded", summary.recorded},
      {"failed", summary.failed()},
      {"failures", summary.failures},
      {"opening_seconds", ToSeconds(summary.opening)},
      {"window_seconds", ToSeconds(summary.window)},
      {"interrupted", summary.interrupted},
      {"units", counts.units},
      {"packets", counts.packets},
      {"bytes", counts.bytes},
      {"gbit_per_second", GbitPerSecond(summary)},
      {"unsent", counts.unsent},
      {"late_ms", JsonOf(summary.late)},
      {"held_ms_max", JsonMilliseconds(summary.held_max)},
      {"reports",
       {{"sent", counts.sender_reports},
        {"received", counts.receiver_reports},
        {"fraction_lost_max", counts.fraction_lost_max},
        {"packets_lost", counts.packets_lost}}},
      {"client",
       {{"cpu_seconds", summary.cpu_seconds},
        {"busiest_thread_share", verdict.thread_share},
        {"saturated", !verdict.saturation.empty()}}},
      {"status", verdict.status},
      {"verdict", verdict.saturation.empty() ? verdict.why : verdict.saturation},
  };
  return WriteJsonFile(json, options.json);
}

}  // namespace millrace::load
