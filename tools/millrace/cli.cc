#include "tools/millrace/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "core/io/endpoint.h"

namespace millrace {
namespace {

constexpr int kUsageStatus = 2;

constexpr std::uint64_t kPortMax = 65535;
// A session's id and the cache's list of waiting shards have room for so many.
constexpr std::uint64_t kShardsMax = 64;
constexpr std::uint64_t kCacheMbMin = 16;
// 16 TiB; a larger number is a slip of the unit.
constexpr std::uint64_t kCacheMbMax = 16ull << 20;
constexpr std::uint64_t kTimeoutSecondsMax = 24 * 3600;
constexpr std::uint64_t kHoldSecondsMax = 3600;
constexpr std::uint64_t kDescribeWaitSecondsMax = 60;
constexpr std::uint64_t kLiveWindowSecondsMax = 60;
constexpr std::uint64_t kLiveWindowMbMax = 1024;
constexpr std::uint64_t kChannelsMax = 1'000'000;
constexpr std::string_view kNumberPlace = "{i}";

constexpr std::array<std::string_view, 3> kBackends = {"auto", "io_uring", "epoll"};
constexpr std::array<std::string_view, 3> kZeroCopies = {"auto", "on", "off"};
constexpr std::array<std::string_view, 6> kLogLevels = {"trace",   "debug", "info",
                                                        "warning", "error", "off"};

constexpr std::array<std::string_view, 2> kJoins = {"key-frame", "live-edge"};

constexpr char kPublisherLoss[] = "--on-publisher-loss";
constexpr std::string_view kHold = "hold";

constexpr char kExamples[] =
    "Examples:\n"
    "  millrace serve ~/Videos                   every file below, on every address, port 8554\n"
    "  millrace serve . --bind 127.0.0.1         this folder, for this machine only\n"
    "  millrace serve /films=/mnt/a /music=/b    two folders, as rtsp://HOST:8554/films/a.mp4\n"
    "  millrace serve '/ads=/mnt/ads?loop'       each file begins anew when it is over\n"
    "  millrace serve /media --bind :: --port 554 --shards 8 --cache-mb 4096\n"
    "A file /media/films/a.mp4 is then rtsp://HOST:PORT/films/a.mp4\n"
    "Settings, of a folder or behind a URL, as in ...a.mp4?loop&start=90: loop, start=SECONDS,\n"
    "mp2t (a .ts file as one transport stream), mpa-robust (MP3 that bears loss), subtitles (as\n"
    "T.140); loop=0 takes one back.\n";

// What the user typed, before it is believed.
struct Typed {
  std::vector<std::string> roots;
  std::vector<std::string> channels;
  std::string bind;
  std::string port = "8554";
  std::string shards = "0";
  std::string backend = "auto";
  std::string zero_copy = "off";
  std::string cache_mb = "0";
  std::string session_timeout = "60";
  std::string log_level = "info";
  std::string publish = "/live";
  bool takeover = false;
  std::string publisher_loss = "end";
  std::string describe_wait = "0";
  std::string join = "key-frame";
  std::string live_window = "5";
  std::string live_window_mb = "32";
};

std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string WrongValue(std::string_view option, std::string_view value, std::string_view wanted) {
  std::string line = "millrace: ";
  line.append(option).append(" '").append(value).append("': expected ").append(wanted);
  return line.append("\n");
}

// Of a path that is not empty.
bool HasEmptyOrDotPart(std::string_view path) {
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    if (part.empty() || part == "." || part == "..") return true;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return false;
}

// Collects the first wrong value; the ones after it are not worth a second line.
class Reader {
 public:
  std::uint64_t Number(std::string_view option, std::string_view value, std::uint64_t low,
                       std::uint64_t high, std::string_view wanted, bool zero_too = false) {
    const std::optional<std::uint64_t> number = ParseNumber(value);
    const bool fits = number && ((zero_too && *number == 0) || (low <= *number && *number <= high));
    if (!fits) Fail(option, value, wanted);
    return fits ? *number : 0;
  }

  template <std::size_t n>
  std::string OneOf(std::string_view option, const std::string& value,
                    const std::array<std::string_view, n>& choices) {
    if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
      std::string wanted = "one of";
      for (std::string_view choice : choices) wanted.append(" ").append(choice);
      Fail(option, value, wanted);
    }
    return value;
  }

  std::string Address(std::string_view option, const std::string& value) {
    std::string_view ip = value;
    if (ip.size() > 2 && ip.front() == '[' && ip.back() == ']') ip = ip.substr(1, ip.size() - 2);
    if (!ip.empty() && !Endpoint::Parse(ip, 0)) {
      Fail(option, value, "an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::1");
    }
    return std::string(ip);
  }

  Duration Seconds(std::string_view option, std::string_view value, std::uint64_t low,
                   std::uint64_t high, std::string_view wanted) {
    return std::chrono::seconds(Number(option, value, low, high, wanted));
  }

  // The setting behind "DIR?…", which is left in `*value`; a folder may have a '?' in its name.
  rtsp::AssetWish TakeWish(std::string_view* value) {
    rtsp::AssetWish wish;
    const std::size_t mark = value->rfind('?');
    if (mark == std::string_view::npos || mark + 1 == value->size()) return wish;
    if (!rtsp::IsAssetQuery(value->substr(mark + 1))) return wish;
    rtsp::ReadAssetQuery(value->substr(mark + 1), &wish);
    *value = value->substr(0, mark);
    return wish;
  }

  // "COUNT:/PATH{i}=FILE".
  rtsp::ChannelSeries Channels(std::string_view value) {
    constexpr std::string_view kWanted =
        "COUNT:/PATH=FILE with {i} once in PATH, such as 500:/load/{i}=demo.mp4";
    rtsp::ChannelSeries series;
    const std::size_t colon = value.find(":/"), equals = value.find('=', colon);
    const std::size_t place = value.find(kNumberPlace, colon);
    const auto count = ParseNumber(value.substr(0, colon));
    if (!count || *count == 0 || *count > kChannelsMax || equals == std::string_view::npos ||
        place == std::string_view::npos || place > equals) {
      Fail("--channels", value, kWanted);
      return series;
    }
    const std::string_view path = value.substr(colon + 2, equals - colon - 2);
    std::string_view file = value.substr(equals + 1);
    while (file.starts_with('/')) file.remove_prefix(1);
    const std::size_t at = path.find(kNumberPlace);
    series.count = static_cast<std::uint32_t>(*count);
    series.prefix = path.substr(0, at);
    series.suffix = path.substr(at + kNumberPlace.size());
    series.file = file;
    if (file.empty() || HasEmptyOrDotPart(path) ||
        series.suffix.find(kNumberPlace) != std::string::npos) {
      Fail("--channels", value, kWanted);
    }
    return series;
  }

  // "DIR", or "/PATH=DIR" for one that is served below a path.
  ServedRoot Root(std::string_view value) {
    const std::size_t equals = value.find('=');
    if (!value.starts_with('/') || equals == std::string_view::npos) {
      return {.prefix = "", .folder = std::string(value)};
    }
    std::string_view path = value.substr(0, equals);
    while (path.starts_with('/')) path.remove_prefix(1);
    while (path.ends_with('/')) path.remove_suffix(1);
    const std::string folder(value.substr(equals + 1));
    if (folder.empty() || HasEmptyOrDotPart(path)) {
      Fail("DIR", value, "a folder, or /PATH=FOLDER with a path without empty parts, '.' and '..'");
    }
    return {.prefix = std::string(path), .folder = folder};
  }

  // "off", "any" or a path; without the slashes at its end, of which "/" is nothing but them.
  std::string PublishRule(std::string_view value) {
    if (value == "off" || value == "any") return std::string(value);
    if (value.empty() || value[0] != '/') {
      Fail("--publish", value, "off, any, or a path that begins with '/'");
    }
    const std::size_t end = value.find_last_not_of('/') + 1;  // npos + 1 is 0
    return end == 0 ? "any" : std::string(value.substr(0, end));
  }

  // 0 for "end".
  Duration PublisherLoss(std::string_view value) {
    if (value == "end") return Duration(0);
    const std::size_t seconds = kHold.size() + 1;
    const bool hold =
        value.starts_with(kHold) && value.size() > seconds && value[kHold.size()] == ':';
    const auto number = hold ? ParseNumber(value.substr(seconds)) : std::nullopt;
    if (!number || *number == 0 || *number > kHoldSecondsMax) {
      Fail(kPublisherLoss, value, "end, or hold:SECONDS with 1 to 3600");
      return Duration(0);
    }
    return std::chrono::seconds(*number);
  }

  const std::string& error() const { return error_; }

 private:
  void Fail(std::string_view option, std::string_view value, std::string_view wanted) {
    if (error_.empty()) error_ = WrongValue(option, value, wanted);
  }

  std::string error_;
};

CommandLine Leave(int status, std::string text) {
  CommandLine line;
  line.exit_status = status;
  line.text = std::move(text);
  return line;
}

void BelieveLive(const Typed& typed, Reader& reader, ServerOptions& options) {
  options.publish = reader.PublishRule(typed.publish);
  options.takeover = typed.takeover;
  options.hold = reader.PublisherLoss(typed.publisher_loss);
  options.describe_wait = reader.Seconds("--describe-wait", typed.describe_wait, 0,
                                         kDescribeWaitSecondsMax, "0 to 60 seconds");
  options.join_live_edge = reader.OneOf("--join", typed.join, kJoins) == "live-edge";
  options.live_window = reader.Seconds("--live-window", typed.live_window, 1, kLiveWindowSecondsMax,
                                       "1 to 60 seconds");
  options.live_window_bytes =
      reader.Number("--live-window-mb", typed.live_window_mb, 1, kLiveWindowMbMax, "1 to 1024 MiB")
      << 20;
}

CommandLine Believe(const Typed& typed) {
  Reader reader;
  CommandLine line;
  line.serve = true;
  if (!typed.roots.empty()) line.options.roots.clear();
  for (const std::string& root : typed.roots) {
    std::string_view folder = root;
    const rtsp::AssetWish wish = reader.TakeWish(&folder);
    line.options.roots.push_back(reader.Root(folder));
    line.options.wishes.push_back({line.options.roots.back().prefix, wish});
  }
  for (const std::string& series : typed.channels) {
    line.options.channels.push_back(reader.Channels(series));
  }
  line.options.bind = reader.Address("--bind", typed.bind);
  line.options.port = static_cast<std::uint16_t>(reader.Number(
      "--port", typed.port, 0, kPortMax, "a port from 1 to 65535, or 0 for any free one"));
  line.options.shards = reader.Number("--shards", typed.shards, 0, kShardsMax,
                                      "1 to 1024 threads, or 0 for one per core");
  line.options.backend = reader.OneOf("--backend", typed.backend, kBackends);
  line.options.zero_copy = reader.OneOf("--zero-copy", typed.zero_copy, kZeroCopies);
  line.options.cache_bytes =
      reader.Number("--cache-mb", typed.cache_mb, kCacheMbMin, kCacheMbMax,
                    "16 to 16777216 MiB, or 0 for a quarter of memory", /*zero_too=*/true)
      << 20;
  line.options.session_timeout = reader.Seconds("--session-timeout", typed.session_timeout, 1,
                                                kTimeoutSecondsMax, "1 to 86400 seconds");
  BelieveLive(typed, reader, line.options);
  line.log_level = reader.OneOf("--log-level", typed.log_level, kLogLevels);
  if (!reader.error().empty()) return Leave(kUsageStatus, reader.error());
  return line;
}

void AddLive(CLI::App& serve, Typed& typed) {
  serve
      .add_option("--publish", typed.publish,
                  "Paths that may be published to: off, any, or those below PREFIX (/live)")
      ->type_name("PREFIX");
  serve.add_flag("--publish-takeover", typed.takeover,
                 "A second publisher of a path replaces the first instead of being refused");
  serve
      .add_option(kPublisherLoss, typed.publisher_loss,
                  "end: readers' sessions end with the publisher; hold:SECONDS: they wait so long "
                  "for him to return (end)")
      ->type_name("WHAT");
  serve
      .add_option("--describe-wait", typed.describe_wait,
                  "Seconds that DESCRIBE waits for a publisher before it is 404 (0)")
      ->type_name("S");
  serve
      .add_option("--join", typed.join,
                  "Where live readers start: key-frame, the newest one, or live-edge (key-frame)")
      ->type_name("WHERE");
  serve.add_option("--live-window", typed.live_window, "Seconds kept of each published stream (5)")
      ->type_name("S");
  serve
      .add_option("--live-window-mb", typed.live_window_mb,
                  "MiB kept of each published stream at most (32)")
      ->type_name("M");
}

CLI::App* AddServe(CLI::App& app, Typed& typed) {
  CLI::App* serve = app.add_subcommand("serve", "Serve a folder of video over RTSP");
  serve
      ->add_option("DIR", typed.roots,
                   "The folder, the current one when left out; several with a path for each: "
                   "/films=DIR")
      ->type_name("[/PATH=]DIR[?SETTING]");
  serve
      ->add_option("--channels", typed.channels,
                   "COUNT paths with numbers from 0, each a channel that plays FILE for ever, from "
                   "another place in it: 500:/load/{i}=demo.mp4")
      ->type_name("COUNT:/PATH=FILE")
      ->allow_extra_args(false);
  serve->add_option("--bind", typed.bind, "Address to listen on; IPv4 and IPv6, all, by default")
      ->type_name("ADDR");
  serve->add_option("--port", typed.port, "RTSP port (8554); 0 takes a free one")
      ->type_name("PORT");
  serve->add_option("--shards", typed.shards, "Reactor threads; one per core by default")
      ->type_name("N");
  serve->add_option("--backend", typed.backend, "auto, io_uring or epoll (auto)")
      ->type_name("NAME");
  serve
      ->add_option("--zero-copy", typed.zero_copy,
                   "UDP without copying, over io_uring: on, auto (until the kernel copies after "
                   "all) or off (off)")
      ->type_name("WHEN");
  serve
      ->add_option("--cache-mb", typed.cache_mb,
                   "Memory for packets in MiB; a quarter of it by default")
      ->type_name("M");
  serve
      ->add_option("--session-timeout", typed.session_timeout,
                   "Seconds without a sign of life after which a session ends (60)")
      ->type_name("S");
  serve
      ->add_option("--log-level", typed.log_level,
                   "trace, debug, info, warning, error or off (info)")
      ->type_name("LEVEL");
  AddLive(*serve, typed);
  serve->footer(kExamples);
  return serve;
}

// "hold 30" is one value in two words: made "hold:30" here, where DIR cannot be taken for it.
std::vector<std::string> JoinHold(int argc, const char* const* argv) {
  std::vector<std::string> words(argv, argv + argc);
  const std::string with_equals = std::string(kPublisherLoss) + "=hold";
  for (std::size_t i = 1; i + 1 < words.size(); ++i) {
    const bool holds =
        words[i] == with_equals || (words[i] == kHold && words[i - 1] == kPublisherLoss);
    if (!holds || words[i + 1].starts_with("--")) continue;
    words[i] += ":" + words[i + 1];
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  }
  return words;
}

}  // namespace

CommandLine ParseCommandLine(int argc, const char* const* argv) {
  const std::vector<std::string> words = JoinHold(argc, argv);
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  // CLI11 reports through exceptions; none leaves this function.
  Typed typed;
  CLI::App app("Millrace, an RTSP media server", "millrace");
  try {
    app.set_version_flag("--version", "millrace " MILLRACE_VERSION);
    app.footer(kExamples);
    const CLI::App* serve = AddServe(app, typed);
    app.parse(static_cast<int>(pointers.size()), pointers.data());
    if (!serve->parsed()) {
      return Leave(kUsageStatus,
                   "millrace: nothing to do; try 'millrace serve DIR' or 'millrace --help'\n");
    }
  } catch (const CLI::Success& wanted) {  // --help, --version
    std::ostringstream out;
    app.exit(wanted, out, out);
    return Leave(0, out.str());
  } catch (const CLI::ParseError& error) {
    return Leave(kUsageStatus,
                 std::string("millrace: ") + error.what() + "; see 'millrace serve --help'\n");
  }
  return Believe(typed);
}

}  // namespace millrace
