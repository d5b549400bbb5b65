#include "tools/load_check/report.h"

#include <algorithm>
#include <cstdio>

namespace millrace::load_check {
namespace {

// A start later than this is told; alone it is no failure.
constexpr double kLateStartSeconds = 1.0;
// Media this far behind the clock means that the stream stood still.
constexpr double kStalledSeconds = 5.0;

void Row(const char* what, std::uint64_t udp, std::uint64_t tcp) {
  std::printf("%-36s %14llu %14llu\n", what, static_cast<unsigned long long>(udp),
              static_cast<unsigned long long>(tcp));
}

void Row(const char* what, double udp, double tcp) {
  std::printf("%-36s %14.3f %14.3f\n", what, udp, tcp);
}

double Milliseconds(Duration duration) { return ToSeconds(duration) * 1e3; }

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

void Append(std::string& list, std::uint64_t count, const char* what) {
  if (count == 0) return;
  if (!list.empty()) list += ", ";
  list += std::to_string(count) + " " + what;
}

}  // namespace

void Report::AddViewer(const Viewer& viewer) {
  if (viewer.reads_nothing()) {
    ++deaf_.viewers;
    if (viewer.closed_by_server()) ++deaf_.closed_by_server;
    if (viewer.failed()) ++failures_[viewer.failure() + " (one that reads nothing)"];
    return;
  }
  Column& column = columns_[viewer.transport() == LowerTransport::kUdp ? 0 : 1];
  const ViewerResult result = viewer.Result();
  ++column.viewers;
  column.sum.counts.Add(result.counts);
  column.sum.sender_reports += result.sender_reports;
  column.sum.strangers += result.strangers;
  column.sum.unstamped += result.unstamped;
  if (viewer.failed()) {
    ++failures_[viewer.failure()];
    return;
  }
  ++column.played;
  const double first = ToSeconds(result.to_first_packet);
  column.to_first_packet.push_back(first);
  if (first > kLateStartSeconds) ++column.late_starts;
  const double behind = ToSeconds(result.behind);
  column.behind_max = std::max(column.behind_max, behind);
  if (behind > kStalledSeconds) ++column.stalled;
}

void Report::AddDelays(LowerTransport transport, const LiveDelays& delays) {
  LiveDelays& sum = columns_[transport == LowerTransport::kUdp ? 0 : 1].delays;
  sum.joining.Merge(delays.joining);
  sum.live.Merge(delays.live);
}

void Report::AddPublisher(const Publisher& publisher) {
  published_ = Published{publisher.packets(), publisher.late_max()};
  if (!publisher.failure().empty()) ++failures_["the publisher: " + publisher.failure()];
}

void Report::PrintLive() const {
  const auto row = [this](const char* what, const DelayHistogram LiveDelays::*part, auto value) {
    Row(what, Milliseconds(value(columns_[0].delays.*part)),
        Milliseconds(value(columns_[1].delays.*part)));
  };
  const auto percentile = [](double share) {
    return [share](const DelayHistogram& delays) { return delays.Percentile(share); };
  };
  const auto longest = [](const DelayHistogram& delays) { return delays.max(); };
  Row("live packets timed", columns_[0].delays.live.count(), columns_[1].delays.live.count());
  row("delay, median ms", &LiveDelays::live, percentile(0.5));
  row("delay, 99 % ms", &LiveDelays::live, percentile(0.99));
  row("delay, worst ms", &LiveDelays::live, longest);
  if (columns_[0].delays.joining.count() + columns_[1].delays.joining.count() > 0) {
    row("delay while settling, 99 % ms", &LiveDelays::joining, percentile(0.99));
    row("delay while settling, worst ms", &LiveDelays::joining, longest);
  }
  std::printf("published: %llu packets, the latest %.1f ms after it was due\n",
              static_cast<unsigned long long>(published_->packets),
              Milliseconds(published_->late_max));
}

void Report::Print(const Window& window) const {
  const auto& [udp, tcp] = columns_;
  const StreamCounts& u = udp.sum.counts;
  const StreamCounts& t = tcp.sum.counts;
  std::printf("%-36s %14s %14s\n", "", "UDP", "TCP");
  Row("viewers", udp.viewers, tcp.viewers);
  Row("played to the end", udp.played, tcp.played);
  Row("RTP packets", u.packets, t.packets);
  Row("RTP megabytes", static_cast<double>(u.bytes) / 1e6, static_cast<double>(t.bytes) / 1e6);
  Row("lost", u.lost, t.lost);
  Row("out of order", u.out_of_order, t.out_of_order);
  Row("duplicates", u.duplicates, t.duplicates);
  Row("malformed", u.malformed, t.malformed);
  Row("wrong SSRC", u.wrong_ssrc, t.wrong_ssrc);
  Row("wrong payload type", u.wrong_payload_type, t.wrong_payload_type);
  Row("from a wrong address", udp.sum.strangers, tcp.sum.strangers);
  Row("sender reports", udp.sum.sender_reports, tcp.sum.sender_reports);
  Row("PLAY to first packet, median s", Percentile(udp.to_first_packet, 0.5),
      Percentile(tcp.to_first_packet, 0.5));
  Row("PLAY to first packet, 99 % s", Percentile(udp.to_first_packet, 0.99),
      Percentile(tcp.to_first_packet, 0.99));
  Row("late starts (over 1 s)", udp.late_starts, tcp.late_starts);
  Row("media behind the clock, worst s", udp.behind_max, tcp.behind_max);

  if (published_) PrintLive();
  if (deaf_.viewers > 0) {
    std::printf("viewers that read nothing: %llu, closed by the server: %llu\n",
                static_cast<unsigned long long>(deaf_.viewers),
                static_cast<unsigned long long>(deaf_.closed_by_server));
  }

  const double gigabits = static_cast<double>(window.media_bytes) * 8 / 1e9;
  const double seconds = std::max(window.seconds, 1e-9);
  std::printf("while all play: %.1f s, %.1f Mbit/s of RTP, client CPU %.2f s\n", window.seconds,
              gigabits * 1e3 / seconds, window.client_cpu_seconds);
  std::printf("datagrams dropped at full receive buffers of this host: %llu\n",
              static_cast<unsigned long long>(window.udp_buffer_errors));
  if (window.server_cpu_seconds) {
    std::printf("server CPU: %.2f s (%.3f cores)", *window.server_cpu_seconds,
                *window.server_cpu_seconds / seconds);
    if (gigabits > 0) std::printf(", %.4f s per Gbit", *window.server_cpu_seconds / gigabits);
    std::printf("\n");
  }
  if (window.server_growth_bytes) {
    std::printf("server memory: grew by %.1f MiB, its packet cache included; %.1f KiB per viewer\n",
                *window.server_growth_bytes / (1 << 20),
                *window.server_growth_bytes / 1024 / static_cast<double>(Viewers()));
  }
  for (const auto& [why, count] : failures_) {
    std::printf("failed, %llu of %llu: %s\n", static_cast<unsigned long long>(count),
                static_cast<unsigned long long>(Viewers()), why.c_str());
  }
}

std::string Report::Verdict() const {
  std::string list;
  for (const auto& [why, count] : failures_) {
    Append(list, count, ("viewers: " + why).c_str());
  }
  StreamCounts counts = columns_[0].sum.counts;
  counts.Add(columns_[1].sum.counts);
  Append(list, counts.lost, "packets lost");
  Append(list, counts.out_of_order, "out of order");
  Append(list, counts.duplicates, "duplicates");
  Append(list, counts.Wrong(), "wrong packets");
  Append(list, columns_[0].sum.strangers, "packets from a wrong address");
  Append(list, columns_[0].sum.unstamped + columns_[1].sum.unstamped,
         "packets that were never published");
  for (const Column& column : columns_) {
    const Duration delay = column.delays.live.Percentile(0.99);
    if (published_ && column.played > 0 && column.delays.live.count() == 0) {
      Append(list, column.played, "viewers and not one live packet");
    }
    if (delay > delay_p99_max_) {
      char text[80];
      std::snprintf(text, sizeof(text), "a delay of %.1f ms at 99 %% of the packets over %s",
                    Milliseconds(delay), &column == columns_.data() ? "UDP" : "TCP");
      list.append(list.empty() ? "" : ", ").append(text);
    }
  }
  Append(list, columns_[0].stalled + columns_[1].stalled, "viewers whose media stood still");
  return list;
}

}  // namespace millrace::load_check
