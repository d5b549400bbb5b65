#include "tools/load/json_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

namespace millrace::load {

double JsonMilliseconds(Duration duration) { return ToSeconds(duration) * 1e3; }

Json JsonOf(const Histogram& histogram) {
  return {{"count", histogram.count()},
          {"p50", JsonMilliseconds(histogram.Percentile(0.5))},
          {"p99", JsonMilliseconds(histogram.Percentile(0.99))},
          {"p999", JsonMilliseconds(histogram.Percentile(0.999))},
          {"max", JsonMilliseconds(histogram.max())}};
}

std::string WriteJsonFile(const Json& json, const std::string& path) {
  std::string text;
  try {
    // What is not UTF-8 may stand in a server's reason phrase.
    text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  } catch (const std::exception& error) {
    return path + ": " + error.what();
  }
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return path + ": " + std::strerror(errno);
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  return std::fclose(file) == 0 && written ? "" : path + ": " + std::strerror(errno);
}

}  // namespace millrace::load
