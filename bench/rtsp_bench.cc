// Reading RTSP requests and frames, their headers, and writing responses: time and heap allocations
// per call, on one core.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/memory.h"
#include "net/rtsp/headers.h"
#include "net/rtsp/parser.h"
#include "net/rtsp/response_writer.h"

namespace millrace::rtsp {
namespace {

constexpr std::string_view kPlay =
    "PLAY rtsp://10.0.0.7:8554/films/big_buck_bunny.mp4/ RTSP/1.0\r\n"
    "CSeq: 5\r\n"
    "User-Agent: Lavf59.27.100\r\n"
    "Session: 3f0c9d1e77ab4c20b6d5f1a2937c8e64\r\n"
    "Range: npt=0.000-\r\n"
    "\r\n";

constexpr std::string_view kSetup =
    "SETUP rtsp://10.0.0.7:8554/films/big_buck_bunny.mp4/track=1 RTSP/1.0\r\n"
    "CSeq: 3\r\n"
    "User-Agent: LibVLC/3.0.18 (LIVE555 Streaming Media v2016.11.28)\r\n"
    "Transport: RTP/AVP;unicast;client_port=51372-51373\r\n"
    "\r\n";

constexpr std::string_view kTransport =
    "RTP/AVP;unicast;client_port=51372-51373;mode=\"PLAY\",RTP/AVP/TCP;unicast;interleaved=0-1";

// Runs `work` for as long as asked and reports calls per second and heap allocations per call.
template <typename Work>
void Measure(benchmark::State& state, const Work& work) {
  const std::uint64_t before = ThreadAllocations().allocations;
  for (auto _ : state) work();
  const auto allocations = static_cast<double>(ThreadAllocations().allocations - before);
  state.counters["allocations"] =
      benchmark::Counter(allocations, benchmark::Counter::kAvgIterations);
  state.SetItemsProcessed(state.iterations());
}

void ParseOne(benchmark::State& state, std::string_view request) {
  const auto message = std::make_unique<Message>();
  Parser parser;
  Measure(state, [&] {
    const ParseResult result = parser.Parse(request, message.get());
    if (result.consumed != request.size()) state.SkipWithError("the request was not read");
    benchmark::DoNotOptimize(message->header_count);
  });
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(request.size()));
}

void BM_ParsePlay(benchmark::State& state) { ParseOne(state, kPlay); }
BENCHMARK(BM_ParsePlay);

void BM_ParseSetup(benchmark::State& state) { ParseOne(state, kSetup); }
BENCHMARK(BM_ParseSetup);

// A receiver report as it comes on a channel.
void BM_ParseInterleaved(benchmark::State& state) {
  constexpr std::array<char, 56> kFrame = {'$', 1, 0, 52};
  ParseOne(state, std::string_view(kFrame.data(), kFrame.size()));
}
BENCHMARK(BM_ParseInterleaved);

// The same request in pieces of that many bytes.
void BM_ParsePlayInPieces(benchmark::State& state) {
  const auto message = std::make_unique<Message>();
  const auto piece = static_cast<std::size_t>(state.range(0));
  Parser parser;
  Measure(state, [&] {
    std::size_t size = 0;
    ParseResult result;
    do {
      size = std::min(size + piece, kPlay.size());
      result = parser.Parse(kPlay.substr(0, size), message.get());
    } while (result.status == ParseStatus::kIncomplete);
    if (result.consumed != kPlay.size()) state.SkipWithError("the request was not read");
  });
}
BENCHMARK(BM_ParsePlayInPieces)->Arg(1)->Arg(16)->Arg(100);

void BM_ReadTransport(benchmark::State& state) {
  Measure(state, [] {
    TransportReader reader(kTransport);
    TransportSpec spec;
    while (reader.Next(&spec) == TransportReader::Result::kSpec) benchmark::DoNotOptimize(spec);
  });
}
BENCHMARK(BM_ReadTransport);

void BM_ReadRange(benchmark::State& state) {
  Measure(state, [] { benchmark::DoNotOptimize(ParseRange("npt=12.500-3600.250")); });
}
BENCHMARK(BM_ReadRange);

void BM_ReadUri(benchmark::State& state) {
  Measure(state, [] {
    benchmark::DoNotOptimize(ParseUri("rtsp://10.0.0.7:8554/films/big_buck_bunny.mp4/track=1"));
  });
}
BENCHMARK(BM_ReadUri);

void BM_WritePlayResponse(benchmark::State& state) {
  std::string out;
  out.reserve(1024);
  Measure(state, [&] {
    out.clear();
    ResponseWriter response(&out, 200, "5");
    response.Add("Session", "3f0c9d1e77ab4c20b6d5f1a2937c8e64;timeout=", 60);
    response.Add("Range", "npt=0.000-596.474");
    response.Add("RTP-Info", "url=rtsp://10.0.0.7:8554/films/big_buck_bunny.mp4/track=1;seq=",
                 std::uint16_t{4711}, ";rtptime=", std::uint32_t{2882400001});
    response.Finish();
    benchmark::DoNotOptimize(out.data());
  });
}
BENCHMARK(BM_WritePlayResponse);

}  // namespace
}  // namespace millrace::rtsp
