#include "tools/load/cli_options.h"

#include <sched.h>

#include <charconv>
#include <cstdio>

namespace millrace::load {
namespace {

// Of what this process may run on.
bool IsUsable(int cpu) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set);
}

std::string CheckCpus(const std::string& text) {
  const std::optional<std::vector<int>> cpus = ParseCpus(text);
  if (!cpus) return "'" + text + "' is no list of CPUs such as 1,3 or 0-2";
  for (int cpu : *cpus) {
    if (!IsUsable(cpu)) return "there is no CPU " + std::to_string(cpu) + " to run on";
  }
  return "";
}

}  // namespace

std::optional<Duration> ParseDuration(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  double nanoseconds = 0;
  if (unit.empty() || unit == "s") {
    nanoseconds = 1e9;
  } else if (unit == "ms") {
    nanoseconds = 1e6;
  } else if (unit == "us") {
    nanoseconds = 1e3;
  } else if (unit == "m") {
    nanoseconds = 60e9;
  } else if (unit == "h") {
    nanoseconds = 3600e9;
  } else {
    return std::nullopt;
  }
  // Up to a year: what is longer was hardly meant.
  if (!(value >= 0) || value * nanoseconds > 365 * 86400e9) return std::nullopt;
  return Duration(static_cast<Duration::rep>(value * nanoseconds));
}

std::optional<std::vector<int>> ParseCpus(std::string_view text) {
  std::vector<int> cpus;
  while (true) {
    const std::string_view item = text.substr(0, text.find(','));
    const std::size_t dash = item.find('-');
    const std::optional<std::uint32_t> first = ParseNumber(item.substr(0, dash));
    const std::optional<std::uint32_t> last =
        dash == std::string_view::npos ? first : ParseNumber(item.substr(dash + 1));
    if (!first || !last || *last < *first || *last > 4095) return std::nullopt;
    for (std::uint32_t cpu = *first; cpu <= *last; ++cpu) cpus.push_back(static_cast<int>(cpu));
    if (item.size() == text.size()) return cpus;
    text.remove_prefix(item.size() + 1);
  }
}

CLI::Option* AddDuration(CLI::App& app, const std::string& name, Duration* value,
                         const std::string& what) {
  return app
      .add_option(
          name,
          [value](const CLI::results_t& given) {
            const std::optional<Duration> duration = ParseDuration(given.back());
            if (duration) *value = *duration;
            return duration.has_value();
          },
          what)
      ->type_name("DURATION")
      ->check([](const std::string& text) {
        return ParseDuration(text) ? "" : "'" + text + "' is no duration such as 30s, 500ms or 2m";
      });
}

CLI::Option* AddCpus(CLI::App& app, std::vector<int>* cpus) {
  return app
      .add_option(
          "--cpus",
          [cpus](const CLI::results_t& given) {
            const std::optional<std::vector<int>> list = ParseCpus(given.back());
            if (list) *cpus = *list;
            return list.has_value();
          },
          "One receiving thread on each of these CPUs, such as 1,3")
      ->type_name("LIST")
      ->check(CheckCpus);
}

CLI::Option* AddTransport(CLI::App& app, const std::string& name,
                          std::optional<LowerTransport>* value, const std::string& what) {
  return app
      .add_option(
          name,
          [value](const CLI::results_t& given) {
            *value = given.back() == "udp" ? LowerTransport::kUdp : LowerTransport::kTcp;
            return true;
          },
          what)
      ->type_name("udp|tcp")
      ->check([](const std::string& text) {
        return text == "udp" || text == "tcp" ? "" : "'" + text + "' is neither udp nor tcp";
      });
}

int WrongUse(const std::string& why) {
  std::fprintf(stderr, "millrace-load: %s\n", why.c_str());
  return 2;
}

}  // namespace millrace::load
