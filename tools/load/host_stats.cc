#include "tools/load/host_stats.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

namespace millrace::load {
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

// The first figure of /proc/PID/task/*/schedstat: nanoseconds on a CPU (kernel documentation,
// scheduler/sched-stats). Nothing when a kernel does not keep it.
std::optional<double> SchedulerCpuSeconds(const std::string& process) {
  std::error_code error;
  std::filesystem::directory_iterator tasks(process + "/task", error);
  double nanoseconds = 0;
  for (; !error && tasks != std::filesystem::directory_iterator(); tasks.increment(error)) {
    std::ifstream file(tasks->path() / "schedstat");
    double ran = 0;
    if (!(file >> ran)) return std::nullopt;
    nanoseconds += ran;
  }
  if (error || nanoseconds == 0) return std::nullopt;
  return nanoseconds / 1e9;
}

std::optional<std::uint64_t> CountDescriptors(const std::string& process) {
  std::error_code error;
  std::filesystem::directory_iterator entries(process + "/fd", error);
  std::uint64_t count = 0;
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    ++count;
  }
  if (error) return std::nullopt;
  return count;
}

}  // namespace

std::optional<ProcessStats> ReadProcessStats(pid_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  std::ifstream file(process + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The second field is the name in brackets and may hold anything; counted from after it, the
  // state is field 0, utime 11, stime 12, rss 21 (proc(5)).
  const std::vector<std::string> words = Words(line.substr(line.rfind(')') + 1));
  if (words.size() < 22) return std::nullopt;
  ProcessStats stats;
  const double ticks =
      std::strtod(words[11].c_str(), nullptr) + std::strtod(words[12].c_str(), nullptr);
  stats.cpu_seconds =
      SchedulerCpuSeconds(process).value_or(ticks / static_cast<double>(sysconf(_SC_CLK_TCK)));
  stats.resident_bytes = std::strtoull(words[21].c_str(), nullptr, 10) *
                         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  stats.descriptors = CountDescriptors(process);
  return stats;
}

double OwnCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

Duration OwnThreadCpu() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

Duration OwnThreadWait() {
  // Nanoseconds run, nanoseconds waited (kernel documentation, scheduler/sched-stats).
  std::ifstream file("/proc/thread-self/schedstat");
  Duration::rep ran = 0, waited = 0;
  return file >> ran >> waited ? Duration(waited) : Duration::zero();
}

void PinThreadTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

int UsableCpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

bool RaiseFileLimit(std::uint64_t wanted, std::uint64_t& limit) {
  rlimit now{};
  getrlimit(RLIMIT_NOFILE, &now);
  limit = now.rlim_cur;
  if (now.rlim_cur >= wanted) return true;
  rlimit raised{wanted, now.rlim_max > wanted ? now.rlim_max : wanted};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return true;
  raised = {now.rlim_max, now.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = now.rlim_max;
  return false;
}

}  // namespace millrace::load
