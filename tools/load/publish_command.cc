#include "tools/load/publish_command.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "media/demuxer.h"
#include "media/ffmpeg_demuxer.h"
#include "tools/load/cli_options.h"
#include "tools/load/host_stats.h"
#include "tools/load/packetizer_sdp.h"
#include "tools/load/packetizer_table.h"
#include "tools/load/publish_report.h"
#include "tools/load/publish_run.h"

namespace millrace::load {
namespace {

constexpr unsigned kStreamsMax = 10000;
// Standard ones, epoll, and what libraries hold.
constexpr std::uint64_t kFilesBesides = 32;

// Empty, or why there cannot be as many sockets.
std::string FindRoom(unsigned streams, LowerTransport transport, std::size_t tracks) {
  const std::uint64_t per_stream = transport == LowerTransport::kTcp ? 1 : 1 + 2 * tracks;
  const std::uint64_t files = streams * per_stream + kFilesBesides;
  std::uint64_t limit = 0;
  if (RaiseFileLimit(files, limit)) return "";
  return absl::StrCat("so many streams want ", files, " open files and only ", limit,
                      " are allowed: raise the limit (ulimit -n)");
}

// Empty, or why it cannot be published.
std::string LoadFile(const std::string& file, bool interleaved, PacketTable& table) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::StrCat(file, ": ", std::strerror(errno));
  absl::StatusOr<std::unique_ptr<Demuxer>> demuxer = OpenFfmpegDemuxer(fd, file);
  if (!demuxer.ok()) return absl::StrCat(file, ": ", demuxer.status().message());
  for (const std::string& line : (*demuxer)->info().left_out) {
    std::printf("left out: %s\n", line.c_str());
  }
  const absl::Status status = table.Load(**demuxer, interleaved);
  return status.ok() ? "" : absl::StrCat(file, ": ", status.message());
}

// A target per stream; empty, or what is wrong with the URL.
std::string FindTargets(const PublishOptions& options, std::vector<Target>& targets) {
  if (options.streams > 1 && options.url.find("{i}") == std::string::npos) {
    return absl::StrCat(options.url, ": ", options.streams,
                        " streams need a URL each; say where the number goes with {i}");
  }
  for (unsigned i = 0; i < options.streams; ++i) {
    const std::string text = Numbered(options.url, i);
    Target target;
    const std::optional<Url> url = ParseUrl(text);
    if (url && !targets.empty() && url->host == targets.front().url.host &&
        url->port == targets.front().url.port) {
      target = {*url, targets.front().address};  // one look-up is enough
    } else if (const std::string error = FindTarget(text, target); !error.empty()) {
      return error;
    }
    targets.push_back(target);
  }
  return "";
}

std::string DescribeBriefly(const Track& track) {
  if (KindOf(track.codec) == millrace::MediaKind::kAudio) {
    return absl::StrCat("AAC ", track.clock_rate, " Hz");
  }
  const std::string name(CodecName(track.codec));
  return absl::StrCat(name, " ", track.width, "x", track.height);
}

void SayWhatIsPublished(const PublishOptions& options, const PacketTable& table,
                        LowerTransport transport) {
  std::string tracks;
  for (const Track& track : table.tracks()) {
    absl::StrAppend(&tracks, tracks.empty() ? "" : " and ", DescribeBriefly(track));
  }
  std::printf("%s: %.3f s of %s, %zu packets; to %s, %u stream%s over %s\n", options.file.c_str(),
              ToSeconds(table.loop_length()), tracks.c_str(), table.packets(), options.url.c_str(),
              options.streams, options.streams == 1 ? "" : "s",
              transport == LowerTransport::kTcp ? "TCP" : "UDP");
  if (table.left_out() > 0) {
    std::printf("left out: %zu damaged NAL units or frames, or of kinds RTP cannot carry\n",
                table.left_out());
  }
  std::fflush(stdout);
}

}  // namespace

void AddPublishCommand(CLI::App& app, PublishOptions* options) {
  CLI::App* publish = app.add_subcommand(
      "publish",
      "Publishes a file in real time, by one stream or many at once.\n"
      "H.264, H.265 and AAC go out as they are in the file; other tracks are left out.");
  publish->add_option("FILE", options->file, "MP4, MOV, Matroska, MPEG-TS or raw video")
      ->required();
  publish->add_option("URL", options->url, "rtsp://HOST:PORT/PATH; {i} is the stream's number")
      ->required();
  publish->add_option("--streams", options->streams, "Streams to publish (1)")
      ->check(CLI::Range(1u, kStreamsMax));
  AddTransport(*publish, "--transport", &options->transport, "What media goes over (tcp)");
  AddDuration(*publish, "--for", &options->play_for,
              "How long, once all record; the file starts anew when it ends. Once through it "
              "when left out");
  publish->add_flag("--loop", options->loop, "Without --for: again and again, until interrupted");
  publish->add_option("--json", options->json, "Write the figures to this file")->type_name("FILE");
  publish->footer(
      "Examples:\n"
      "  millrace-load publish clip.mp4 rtsp://127.0.0.1:8554/live/a\n"
      "  millrace-load publish clip.mp4 rtsp://127.0.0.1:8554/live/{i} --streams 100 --for 1m\n"
      "Exit status: 0 when all went well, 1 when a stream failed or the server fell behind, 2 for\n"
      "wrong use, 3 when this program could not keep up with the media's own time.");
}

int RunPublish(const PublishOptions& options) {
  const LowerTransport transport = options.transport.value_or(LowerTransport::kTcp);
  PublishPlan plan;
  plan.transport = transport;
  plan.endless = options.loop && options.play_for == Duration{};
  plan.play_for = options.play_for;
  if (const std::string error = FindTargets(options, plan.targets); !error.empty()) {
    return WrongUse(error);
  }
  PacketTable table;
  if (const std::string error = LoadFile(options.file, transport == LowerTransport::kTcp, table);
      !error.empty()) {
    return WrongUse(error);
  }
  if (const std::string error = FindRoom(options.streams, transport, table.tracks().size());
      !error.empty()) {
    return WrongUse(error);
  }
  SayWhatIsPublished(options, table, transport);
  const std::string name = options.file.substr(options.file.rfind('/') + 1);
  const std::string sdp =
      DescribeTracks(table.tracks(), name, plan.targets.front().address.ss_family == AF_INET6);
  const PublishSummary summary = PublishRun(table, sdp, plan).Play();
  const PublishVerdict verdict = Judge(summary);
  PrintSummary(summary, verdict);
  if (options.json.empty()) return verdict.status;
  if (const std::string error = WriteJson(options, summary, verdict); !error.empty()) {
    std::fprintf(stderr, "millrace-load: %s\n", error.c_str());
    return std::max(verdict.status, 1);
  }
  return verdict.status;
}

}  // namespace millrace::load
