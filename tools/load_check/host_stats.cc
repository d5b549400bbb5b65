#include "tools/load_check/host_stats.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace millrace::load_check {
namespace {

std::vector<std::string> Words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

std::optional<ProcessStats> ReadProcessStats(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The second field is the name in brackets and may hold anything; counted from after it, the
  // state is field 0, utime 11, stime 12, rss 21 (proc(5)).
  const std::vector<std::string> words = Words(line.substr(line.rfind(')') + 1));
  if (words.size() < 22) return std::nullopt;
  ProcessStats stats;
  stats.cpu_seconds =
      (std::stod(words[11]) + std::stod(words[12])) / static_cast<double>(sysconf(_SC_CLK_TCK));
  stats.resident_bytes = std::stoull(words[21]) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return stats;
}

std::uint64_t UdpBufferErrors() {
  std::uint64_t errors = 0;
  // IPv4: a line of names, then a line of values.
  std::ifstream v4("/proc/net/snmp");
  std::vector<std::string> names;
  for (std::string line; std::getline(v4, line);) {
    const std::vector<std::string> words = Words(line);
    if (words.empty() || words[0] != "Udp:") continue;
    for (std::size_t i = 0; i < names.size() && i < words.size(); ++i) {
      if (names[i] == "RcvbufErrors") errors += std::stoull(words[i]);
    }
    names = words;
  }
  // IPv6: a name and a value per line.
  std::ifstream v6("/proc/net/snmp6");
  for (std::string name, value; v6 >> name >> value;) {
    if (name == "Udp6RcvbufErrors") errors += std::stoull(value);
  }
  return errors;
}

double OwnCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

}  // namespace millrace::load_check
