#include "tools/load/play_report.h"

#include <algorithm>
#include <cstdio>

namespace millrace::load {
namespace {

void Row(const char* what, std::uint64_t udp, std::uint64_t tcp) {
  std::printf("%-36s %14llu %14llu\n", what, static_cast<unsigned long long>(udp),
              static_cast<unsigned long long>(tcp));
}

void Row(const char* what, double udp, double tcp) {
  std::printf("%-36s %14.3f %14.3f\n", what, udp, tcp);
}

double Milliseconds(Duration duration) { return ToSeconds(duration) * 1e3; }

// A row for each of the figures that tell a distribution.
void Rows(const char* what, const Histogram& udp, const Histogram& tcp) {
  if (udp.count() + tcp.count() == 0) return;
  const auto row = [&](const char* name, auto value) {
    Row((std::string(what) + ", " + name + " ms").c_str(), Milliseconds(value(udp)),
        Milliseconds(value(tcp)));
  };
  row("median", [](const Histogram& h) { return h.Percentile(0.5); });
  row("99 %", [](const Histogram& h) { return h.Percentile(0.99); });
  row("99.9 %", [](const Histogram& h) { return h.Percentile(0.999); });
  row("worst", [](const Histogram& h) { return h.max(); });
}

void PrintCounts(const PlaySummary::Column& udp, const PlaySummary::Column& tcp) {
  const StreamCounts& u = udp.sum.counts;
  const StreamCounts& t = tcp.sum.counts;
  std::printf("%-36s %14s %14s\n", "", "UDP", "TCP");
  Row("viewers", udp.viewers, tcp.viewers);
  Row("played to the end", udp.played, tcp.played);
  Row("RTP packets", u.packets, t.packets);
  Row("RTP megabytes", static_cast<double>(u.bytes) / 1e6, static_cast<double>(t.bytes) / 1e6);
  Row("lost", u.lost, t.lost);
  if (u.lost_at_start + t.lost_at_start > 0) {
    Row("of those, before the first that came", u.lost_at_start, t.lost_at_start);
  }
  Row("out of order", u.reordered, t.reordered);
  Row("duplicates", u.duplicates, t.duplicates);
  Row("malformed", u.malformed, t.malformed);
  Row("wrong SSRC", u.wrong_ssrc, t.wrong_ssrc);
  Row("wrong payload type", u.wrong_payload_type, t.wrong_payload_type);
  Row("timestamp gone back", u.timestamp_faults, t.timestamp_faults);
  Row("marker missing or out of place", u.marker_faults, t.marker_faults);
  Row("from a wrong address", udp.sum.strangers, tcp.sum.strangers);
  Row("sender reports", udp.sum.sender_reports, tcp.sum.sender_reports);
  if (udp.tally.seeks + tcp.tally.seeks + udp.tally.pauses + tcp.tally.pauses > 0) {
    Row("seeks", udp.tally.seeks, tcp.tally.seeks);
    Row("pauses", udp.tally.pauses, tcp.tally.pauses);
    Row("timestamp not RTP-Info's", u.rtp_info_faults, t.rtp_info_faults);
    Row("packets during PAUSE", udp.sum.while_paused, tcp.sum.while_paused);
  }
  if (u.jumps + t.jumps > 0) Row("jumps of the media time", u.jumps, t.jumps);
}

void PrintTimes(const PlaySummary::Column& udp, const PlaySummary::Column& tcp) {
  Rows("DESCRIBE to first packet", udp.tally.describe_to_first_packet,
       tcp.tally.describe_to_first_packet);
  Rows("PLAY to first packet", udp.tally.play_to_first_packet, tcp.tally.play_to_first_packet);
  Row("late starts (over 1 s)", udp.late_starts, tcp.late_starts);
  Rows("lateness", udp.tally.lateness, tcp.tally.lateness);
  if (udp.sum.tracks_excluded + tcp.sum.tracks_excluded > 0) {
    Row("tracks out of order: not measured", udp.sum.tracks_excluded, tcp.sum.tracks_excluded);
  }
  const auto behind = [](const PlaySummary::Column& column) {
    return column.behind_max == Duration::min() ? 0.0 : ToSeconds(column.behind_max);
  };
  Row("media behind the clock, worst s", behind(udp), behind(tcp));
}

void PrintLive(const PlaySummary& summary) {
  const LiveDelays& udp = summary.udp().tally.delays;
  const LiveDelays& tcp = summary.tcp().tally.delays;
  Row("live packets timed", udp.live.count(), tcp.live.count());
  Rows("delay", udp.live, tcp.live);
  if (udp.joining.count() + tcp.joining.count() > 0) {
    Row("delay while settling, 99 % ms", Milliseconds(udp.joining.Percentile(0.99)),
        Milliseconds(tcp.joining.Percentile(0.99)));
  }
  std::printf("published: %llu packets, at worst %.3f ms late\n",
              static_cast<unsigned long long>(summary.published()->packets),
              Milliseconds(summary.published()->late_max));
}

void PrintServer(const PlaySummary& summary) {
  const RunFigures& figures = summary.figures();
  if (!figures.server_first || !figures.server_last || !figures.server_before) return;
  const double cpu = figures.server_last->cpu_seconds - figures.server_first->cpu_seconds;
  std::printf("server CPU: %.3f s (%.4f cores)", cpu, cpu / std::max(figures.window_seconds, 1e-9));
  if (summary.gigabits() > 0) std::printf(", %.4f s per Gbit", cpu / summary.gigabits());
  const double growth = static_cast<double>(figures.server_last->resident_bytes) -
                        static_cast<double>(figures.server_before->resident_bytes);
  std::printf("\nserver memory: grew by %.1f MiB, its packet cache included; %.1f KiB per viewer\n",
              growth / (1 << 20), growth / 1024 / static_cast<double>(summary.Viewers()));
}

}  // namespace

void PrintReport(const PlaySummary& summary) {
  PrintCounts(summary.udp(), summary.tcp());
  PrintTimes(summary.udp(), summary.tcp());
  if (summary.published()) PrintLive(summary);
  if (summary.deaf().viewers > 0) {
    std::printf("viewers that read nothing: %llu, closed by the server: %llu\n",
                static_cast<unsigned long long>(summary.deaf().viewers),
                static_cast<unsigned long long>(summary.deaf().closed_by_server));
  }
  const RunFigures& figures = summary.figures();
  const TransportTally total = summary.Total();
  std::printf("joins: %.1f per second\n", figures.joins_per_second);
  std::printf("while all play: %.1f s, %.3f Gbit/s of RTP, %.1f packets per datagram train\n",
              figures.window_seconds, summary.gigabits() / std::max(figures.window_seconds, 1e-9),
              static_cast<double>(summary.udp().tally.packets) /
                  std::max(1.0, static_cast<double>(total.trains)));
  std::printf(
      "client: CPU %.2f s, its busiest thread %.0f %% of a CPU (%.0f %% waited for one), "
      "%llu datagrams dropped\n",
      figures.client_cpu_seconds, figures.busiest_thread_share * 100, figures.waited_share * 100,
      static_cast<unsigned long long>(summary.udp().sum.buffer_drops));
  PrintServer(summary);
  for (const auto& [why, count] : summary.failures()) {
    std::printf("failed, %llu of %llu: %s\n", static_cast<unsigned long long>(count),
                static_cast<unsigned long long>(summary.Viewers()), why.c_str());
  }
  if (!summary.saturation().empty()) {
    std::printf("RESULT CLIENT SATURATED %s: this says nothing of the server\n",
                summary.saturation().c_str());
  } else {
    std::printf("RESULT %s%s\n", summary.verdict().empty() ? "ok" : "FAILED ",
                summary.verdict().c_str());
  }
}

}  // namespace millrace::load
