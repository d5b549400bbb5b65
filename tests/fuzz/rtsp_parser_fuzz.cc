// However a stream is split, the parser says the same, and every view lies inside its buffer.
// The first byte picks the limits, the next four seed the splits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string_view>
#include <vector>

#include "tests/net/parser_transcript.h"

namespace {

using millrace::rtsp::ParserLimits;
using millrace::rtsp::Transcribe;
using millrace::rtsp::Transcript;

constexpr std::size_t kPrefixBytes = 5;
constexpr std::size_t kByteAtATimeMax = 600;
constexpr ParserLimits kTight = {.request_line_bytes = 40, .headers_bytes = 80, .body_bytes = 16};

void Check(bool condition) {
  if (!condition) std::abort();
}

std::vector<std::size_t> RandomEnds(std::size_t size, std::size_t step_max, std::mt19937* random) {
  std::vector<std::size_t> ends;
  std::uniform_int_distribution<std::size_t> step(1, step_max);
  for (std::size_t at = step(*random); at < size; at += step(*random)) ends.push_back(at);
  return ends;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kPrefixBytes) return 0;
  const ParserLimits limits = data[0] % 2 == 0 ? kTight : ParserLimits();
  std::mt19937 random(std::accumulate(data + 1, data + kPrefixBytes, std::uint32_t{0},
                                      [](std::uint32_t a, std::uint8_t b) { return a << 8 | b; }));
  const std::string_view stream(reinterpret_cast<const char*>(data + kPrefixBytes),
                                size - kPrefixBytes);

  const Transcript whole = Transcribe(stream, {}, limits);
  Check(whole.views_inside && whole.wanted_kept);
  Check(Transcribe(stream, RandomEnds(stream.size(), 8, &random), limits) == whole);
  Check(Transcribe(stream, RandomEnds(stream.size(), 100, &random), limits) == whole);
  if (stream.size() <= kByteAtATimeMax) {
    std::vector<std::size_t> every(stream.size());
    std::iota(every.begin(), every.end(), std::size_t{0});
    Check(Transcribe(stream, every, limits) == whole);
  }
  return 0;
}
