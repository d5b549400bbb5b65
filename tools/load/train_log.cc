#include "tools/load/train_log.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace millrace::load {

void TrainLog::Add(Instant arrived, std::size_t track, std::size_t packets,
                   std::size_t segment_bytes, std::size_t bytes) {
  trains_.push_back({arrived, static_cast<std::uint32_t>(track),
                     static_cast<std::uint32_t>(packets), static_cast<std::uint32_t>(segment_bytes),
                     static_cast<std::uint32_t>(bytes)});
}

std::string TrainLog::Write(const std::string& path) const {
  // Each socket is read by itself, so the tracks are in order and their union is not.
  std::vector<Train> trains = trains_;
  std::stable_sort(trains.begin(), trains.end(),
                   [](const Train& a, const Train& b) { return a.arrived < b.arrived; });
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return path + ": " + std::strerror(errno);
  for (const Train& train : trains) {
    const Duration since = train.arrived - trains.front().arrived;
    std::fprintf(file, "%lld %u %u %u %u\n", static_cast<long long>(since / 1us), train.track,
                 train.packets, train.segment_bytes, train.bytes);
  }
  return std::fclose(file) == 0 ? "" : path + ": " + std::strerror(errno);
}

}  // namespace millrace::load
