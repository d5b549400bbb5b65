#include <algorithm>

#include "tools/load/json_file.h"
#include "tools/load/play_report.h"

namespace millrace::load {
namespace {

const char* TransportName(const PlaySummary& summary) {
  const bool udp = summary.udp().viewers > 0;
  const bool tcp = summary.tcp().viewers + summary.deaf().viewers > 0;
  return udp && tcp ? "mixed" : udp ? "udp" : "tcp";
}

void AddCounts(Json& json, const PlaySummary& summary) {
  const ViewerResult sum = summary.Sum();
  const StreamCounts& counts = sum.counts;
  json["lost"] = counts.lost;
  json["lost_at_start"] = counts.lost_at_start;
  json["reordered"] = counts.reordered;
  json["duplicates"] = counts.duplicates;
  json["malformed"] = counts.malformed;
  json["wrong_ssrc"] = counts.wrong_ssrc;
  json["wrong_payload_type"] = counts.wrong_payload_type;
  json["timestamp_faults"] = counts.timestamp_faults;
  json["marker_faults"] = counts.marker_faults;
  json["rtp_info_faults"] = counts.rtp_info_faults;
  json["packets_during_pause"] = sum.while_paused;
  json["strangers"] = sum.strangers;
  std::uint64_t failed = 0;
  Json failures = Json::object();
  for (const auto& [why, count] : summary.failures()) {
    failed += count;
    failures[why] = count;
  }
  json["failed"] = failed;
  json["failures"] = failures;
  json["jumps"] = counts.jumps;
}

void AddTimes(Json& json, const PlaySummary& summary) {
  const TransportTally total = summary.Total();
  json["seeks"] = total.seeks;
  json["pauses"] = total.pauses;
  json["describe_to_first_packet_ms"] = JsonOf(total.describe_to_first_packet);
  json["play_to_first_packet_ms"] = JsonOf(total.play_to_first_packet);
  json["lateness_ms"] = JsonOf(total.lateness);
  if (summary.published()) {
    json["delay_ms"] = JsonOf(total.delays.live);
    json["published"] = {{"packets", summary.published()->packets},
                         {"late_max_ms", JsonMilliseconds(summary.published()->late_max)}};
  }
  const ViewerResult sum = summary.Sum();
  json["lateness_tracks"] = {{"measured", sum.tracks_measured}, {"excluded", sum.tracks_excluded}};
  const double trains = static_cast<double>(total.trains);
  const double packets = static_cast<double>(summary.udp().tally.packets);
  json["trains"] = {{"count", total.trains}, {"packets_mean", trains > 0 ? packets / trains : 0}};
}

void AddServer(Json& json, const PlaySummary& summary) {
  const RunFigures& figures = summary.figures();
  if (!figures.server_before || !figures.server_first || !figures.server_last) return;
  const double cpu = figures.server_last->cpu_seconds - figures.server_first->cpu_seconds;
  const std::uint64_t before = figures.server_before->resident_bytes;
  const std::uint64_t playing = figures.server_last->resident_bytes;
  Json server = {{"pid", summary.options().server_pid},
                 {"cpu_seconds", cpu},
                 {"cpu_share", cpu / std::max(figures.window_seconds, 1e-9)}};
  const bool any = summary.gigabits() > 0;
  server["cpu_seconds_per_gbit"] = any ? Json(cpu / summary.gigabits()) : Json(nullptr);
  server["rss_before"] = before;
  server["rss_playing"] = playing;
  server["rss_per_viewer"] = (static_cast<double>(playing) - static_cast<double>(before)) /
                             static_cast<double>(std::max<std::uint64_t>(1, summary.Viewers()));
  json["server"] = server;
}

}  // namespace

std::string WriteJson(const PlaySummary& summary, const std::string& path) {
  const PlayOptions& options = summary.options();
  const RunFigures& figures = summary.figures();
  const TransportTally total = summary.Total();
  Json json = {{"command", "play"}, {"version", 1}, {"urls", options.urls}};
  json["transport"] = TransportName(summary);
  json["viewers"] = {{"udp", options.udp},
                     {"tcp", options.tcp},
                     {"stalled", options.stalled},
                     {"paused", options.paused}};
  json["threads"] = summary.threads();
  json["window_seconds"] = figures.window_seconds;
  json["joins_per_second"] = figures.joins_per_second;
  json["packets"] = total.packets;
  json["bytes"] = total.bytes;
  json["gbit_per_second"] = summary.gigabits() / std::max(figures.window_seconds, 1e-9);
  json["packets_checked"] = summary.Sum().counts.packets;
  AddCounts(json, summary);
  AddTimes(json, summary);
  AddServer(json, summary);
  json["client"] = {{"cpu_seconds", figures.client_cpu_seconds},
                    {"busiest_thread_share", figures.busiest_thread_share},
                    {"waited_share", figures.waited_share},
                    {"buffer_drops", summary.udp().sum.buffer_drops},
                    {"saturated", !summary.saturation().empty()}};
  json["status"] = summary.status();
  json["verdict"] = summary.saturation().empty() ? summary.verdict() : summary.saturation();
  return WriteJsonFile(json, path);
}

}  // namespace millrace::load
