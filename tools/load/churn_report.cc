#include "tools/load/churn_report.h"

#include <algorithm>
#include <cstdio>

#include "tools/load/json_file.h"

namespace millrace::load {
namespace {

void PrintTimes(const char* what, const Histogram& times) {
  std::printf("%-26s median %8.3f ms, 99 %% %8.3f ms, 99.9 %% %8.3f ms, worst %8.3f ms\n", what,
              ToSeconds(times.Percentile(0.5)) * 1e3, ToSeconds(times.Percentile(0.99)) * 1e3,
              ToSeconds(times.Percentile(0.999)) * 1e3, ToSeconds(times.max()) * 1e3);
}

double CpuPer1000(const ChurnSummary& summary) {
  const double cpu = summary.server_after->cpu_seconds - summary.server_before->cpu_seconds;
  return cpu * 1000 / static_cast<double>(std::max<std::uint64_t>(1, summary.sessions));
}

std::int64_t Growth(const ChurnSummary& summary) {
  return static_cast<std::int64_t>(summary.server_after->resident_bytes) -
         static_cast<std::int64_t>(summary.server_before->resident_bytes);
}

void PrintServer(const ChurnSummary& summary) {
  if (!summary.server_before || !summary.server_after) return;
  std::printf("server: %.4f s of CPU per 1000 sessions; memory grew by %.2f MiB",
              CpuPer1000(summary), static_cast<double>(Growth(summary)) / (1 << 20));
  if (summary.server_before->descriptors && summary.server_after->descriptors) {
    std::printf("; %llu descriptors before, %llu after",
                static_cast<unsigned long long>(*summary.server_before->descriptors),
                static_cast<unsigned long long>(*summary.server_after->descriptors));
  }
  std::printf("\n");
}

Json JsonOf(const std::optional<std::uint64_t>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace

std::uint64_t ChurnSummary::Failed() const {
  std::uint64_t failed = 0;
  for (const auto& [why, count] : failures) failed += count;
  return failed;
}

void PrintReport(const ChurnSummary& summary) {
  std::printf("%llu sessions in %.2f s: %.1f per second; %llu of them cut with RST\n",
              static_cast<unsigned long long>(summary.sessions), summary.seconds,
              summary.SessionsPerSecond(), static_cast<unsigned long long>(summary.resets));
  PrintTimes("whole session:", summary.session);
  PrintTimes("connect to first packet:", summary.describe_to_first_packet);
  PrintServer(summary);
  std::printf("client: CPU %.2f s, its busiest thread %.0f %% of a CPU\n",
              summary.client_cpu_seconds, summary.busiest_thread_share * 100);
  for (const auto& [why, count] : summary.failures) {
    std::printf("failed, %llu: %s\n", static_cast<unsigned long long>(count), why.c_str());
  }
  if (summary.Saturated()) {
    std::printf(
        "RESULT CLIENT SATURATED a thread used %.0f %% of its CPU: this says nothing of "
        "the server\n",
        summary.busiest_thread_share * 100);
  } else if (summary.Status() == 0) {
    std::printf("RESULT ok\n");
  } else {
    std::printf("RESULT FAILED %llu sessions failed, %llu went well\n",
                static_cast<unsigned long long>(summary.Failed()),
                static_cast<unsigned long long>(summary.sessions));
  }
}

std::string WriteJson(const ChurnOptions& options, const ChurnSummary& summary) {
  Json json = {{"command", "churn"}, {"version", 1}, {"url", options.url}};
  const bool tcp = options.transport == LowerTransport::kTcp;
  json["transport"] = tcp ? "tcp" : "udp";
  json["connections"] = options.connections;
  json["seconds"] = summary.seconds;
  json["sessions"] = summary.sessions;
  json["sessions_per_second"] = summary.SessionsPerSecond();
  json["reset"] = summary.resets;
  json["failed"] = summary.Failed();
  json["failures"] = Json::object();
  for (const auto& [why, count] : summary.failures) json["failures"][why] = count;
  json["session_ms"] = load::JsonOf(summary.session);
  json["describe_to_first_packet_ms"] = load::JsonOf(summary.describe_to_first_packet);
  if (summary.server_before && summary.server_after) {
    json["server"] = {
        {"pid", options.server_pid},
        {"cpu_seconds", summary.server_after->cpu_seconds - summary.server_before->cpu_seconds},
        {"cpu_seconds_per_1000", CpuPer1000(summary)},
        {"rss_growth", Growth(summary)},
        {"fd_before", JsonOf(summary.server_before->descriptors)},
        {"fd_after", JsonOf(summary.server_after->descriptors)}};
  }
  json["client"] = {{"cpu_seconds", summary.client_cpu_seconds},
                    {"busiest_thread_share", summary.busiest_thread_share},
                    {"saturated", summary.Saturated()}};
  json["status"] = summary.Status();
  return WriteJsonFile(json, options.json_file);
}

}  // namespace millrace::load
