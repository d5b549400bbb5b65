// Cutting media into packets and reading RTCP. Bytes per second are those of the input.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "core/random.h"
#include "rtp/header_patch.h"
#include "rtp/packet_view.h"
#include "rtp/payload/packetizer.h"
#include "rtp/rtcp.h"

namespace millrace {
namespace {

constexpr int kFramesPerSecond = 30;
constexpr std::size_t kSmallNalBytes = 24;  // SEI and the like, one before each picture

Bytes RandomBytes(std::size_t count, Random& random) {
  Bytes bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.Next64());
  return bytes;
}

void AppendNal(std::size_t nal_bytes, std::uint8_t header, std::uint32_t length_size,
               Random& random, Bytes* data) {
  if (length_size == 0) {
    data->insert(data->end(), {0, 0, 0, 1});
  } else {
    for (int shift = 24; shift >= 0; shift -= 8) {
      data->push_back(static_cast<std::uint8_t>(nal_bytes >> shift));
    }
  }
  Bytes nal = RandomBytes(nal_bytes, random);
  nal[0] = header;
  nal[1] |= 1;
  for (std::size_t i = 2; i < nal.size(); ++i) {
    if (nal[i] <= 3 && nal[i - 1] == 0) nal[i] = 4;  // no start code inside
  }
  data->insert(data->end(), nal.begin(), nal.end());
}

// One second of video at range(0) kbit/s, framed with lengths of range(1) bytes or start codes, cut
// into one sealed block per iteration.
void CutVideo(benchmark::State& state, Codec codec, std::uint8_t small, std::uint8_t slice) {
  const auto frame_bytes = static_cast<std::size_t>(state.range(0)) * 1000 / 8 / kFramesPerSecond;
  Track track;
  track.codec = codec;
  track.nal_length_size = static_cast<std::uint32_t>(state.range(1));
  SeededRandom random(1);
  std::vector<Bytes> frames;
  std::size_t bytes = 0;
  for (int i = 0; i < kFramesPerSecond; ++i) {
    frames.emplace_back();
    AppendNal(kSmallNalBytes, small, track.nal_length_size, random, &frames.back());
    AppendNal(frame_bytes, slice, track.nal_length_size, random, &frames.back());
    bytes += frames.back().size();
  }
  std::size_t packets = 0;
  for (auto _ : state) {
    PacketBlockBuilder builder({}, 0s, 0, 16);
    const auto packetizer = MakePacketizer(track, kPacketBytesDefault);
    std::int64_t time = 0;
    for (const Bytes& frame : frames) {
      packetizer->Packetize(
          {.pts = time, .dts = time, .duration = 3000, .random_access = time == 0, .data = frame},
          builder);
      time += 3000;
    }
    packetizer->Flush(builder);
    const PacketBlock block = std::move(builder).Seal();
    packets += block.packets().size();
    benchmark::DoNotOptimize(block.bytes());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  state.counters["packets/s"] =
      benchmark::Counter(static_cast<double>(packets), benchmark::Counter::kIsRate);
}

void BM_PacketizeH264(benchmark::State& state) { CutVideo(state, Codec::kH264, 6, 0x61); }
void BM_PacketizeH265(benchmark::State& state) { CutVideo(state, Codec::kH265, 39 << 1, 1 << 1); }
BENCHMARK(BM_PacketizeH264)
    ->ArgNames({"kbit", "length"})
    ->Args({2000, 4})
    ->Args({8000, 4})
    ->Args({40000, 4})
    ->Args({8000, 0});
BENCHMARK(BM_PacketizeH265)->ArgNames({"kbit", "length"})->Args({8000, 4})->Args({8000, 0});

// One second of 48 kHz AAC in units of range(0) bytes.
void BM_PacketizeAac(benchmark::State& state) {
  Track track;
  track.codec = Codec::kAac;
  track.clock_rate = 48000;
  SeededRandom random(1);
  const Bytes unit = RandomBytes(static_cast<std::size_t>(state.range(0)), random);
  std::size_t bytes = 0;
  for (auto _ : state) {
    PacketBlockBuilder builder({.clock_rate = 48000}, 0s, 0, 16);
    const auto packetizer = MakePacketizer(track, kPacketBytesDefault);
    for (std::int64_t time = 0; time < 48000; time += 1024) {
      packetizer->Packetize(
          {.pts = time, .dts = time, .duration = 1024, .random_access = true, .data = unit},
          builder);
      bytes += unit.size();
    }
    packetizer->Flush(builder);
    const PacketBlock block = std::move(builder).Seal();
    benchmark::DoNotOptimize(block.bytes());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(BM_PacketizeAac)->ArgName("unit_bytes")->Arg(340)->Arg(2000);

void BM_HeaderPatchApply(benchmark::State& state) {
  const HeaderPatch patch = {.sequence_offset = 7, .timestamp_offset = 90000};
  std::uint8_t header[12] = {0x80, 0x60};
  std::uint8_t out[12];
  for (auto _ : state) {
    benchmark::DoNotOptimize(header);
    patch.Apply(header, out);
    benchmark::DoNotOptimize(out);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_HeaderPatchApply);

void BM_PacketViewParse(benchmark::State& state) {
  Bytes packet(1400, 1);
  packet[0] = 0x80;
  for (auto _ : state) {
    benchmark::DoNotOptimize(packet.data());
    benchmark::ClobberMemory();
    benchmark::DoNotOptimize(PacketView::Parse(packet));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_PacketViewParse);

class Summing final : public rtcp::Visitor {
 public:
  void OnReportBlock(std::uint32_t, const rtcp::ReportBlock& block) override {
    sum += block.jitter;
  }
  void OnSenderInfo(const rtcp::SenderInfo& info) override { sum += info.packet_count; }
  void OnBye(std::uint32_t ssrc) override { sum += ssrc; }
  std::uint64_t sum = 0;
};

void BM_RtcpWriteSenderReport(benchmark::State& state) {
  std::uint8_t out[rtcp::kCompoundBytesMax];
  rtcp::SenderInfo info = {.ssrc = 1, .ntp = 2};
  for (auto _ : state) {
    ++info.packet_count;
    benchmark::DoNotOptimize(rtcp::WriteSenderReport(out, info, "0123456789abcdef", false));
    benchmark::DoNotOptimize(out);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RtcpWriteSenderReport);

// A receiver report with one block and a CNAME, as a player sends it.
void BM_RtcpReadReceiverReport(benchmark::State& state) {
  Bytes bytes = {0x81, 201, 0, 7};
  bytes.resize(32, 5);
  bytes.insert(bytes.end(), {0x81, 202, 0, 3, 5, 5, 5, 5, 1, 4, 'h', 'o', 's', 't', 0, 0});
  Summing visitor;
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes.data());
    benchmark::ClobberMemory();
    if (!rtcp::Read(bytes, &visitor)) state.SkipWithError("not understood");
  }
  benchmark::DoNotOptimize(visitor.sum);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RtcpReadReceiverReport);

}  // namespace
}  // namespace millrace
