// What the tests and fuzz targets of G.711 and linear PCM share: units of samples, and what a
// receiver has to make of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rtp/payload/payload_format.h"
#include "tests/rtp/packet_testing.h"
#include "tests/rtp/sample_depacketizer.h"

namespace millrace::testing {

struct SampleUnit {
  std::int64_t pts = 0;
  Bytes data;
};

// `taken` has what Packetize said of each unit.
inline PacketBlock PacketizeSamples(const PayloadFormat& format, const Track& track,
                                    const std::vector<SampleUnit>& units, std::size_t packet_bytes,
                                    std::vector<bool>* taken = nullptr) {
  const std::unique_ptr<Packetizer> packetizer = format.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = MakeBuilder();
  for (const SampleUnit& unit : units) {
    const bool result = packetizer->Packetize(
        {.pts = unit.pts, .dts = unit.pts, .random_access = true, .data = unit.data}, builder);
    if (taken != nullptr) taken->push_back(result);
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

// The whole groups of the units, as runs without a gap, in network byte order.
inline std::vector<SampleDepacketizer::Run> ExpectedRuns(const std::vector<SampleUnit>& units,
                                                         std::size_t sample_bytes,
                                                         std::size_t channels, bool little_endian) {
  std::vector<SampleDepacketizer::Run> runs;
  std::uint32_t next = 0;
  for (const SampleUnit& unit : units) {
    const std::size_t groups = unit.data.size() / (sample_bytes * channels);
    if (groups == 0) continue;
    const std::uint32_t timestamp =
        kTestStream.first_timestamp + static_cast<std::uint32_t>(unit.pts);
    if (runs.empty() || timestamp != next) runs.push_back({timestamp, {}});
    for (std::size_t sample = 0; sample < groups * channels; ++sample) {
      for (std::size_t byte = 0; byte < sample_bytes; ++byte) {
        const std::size_t from = little_endian ? sample_bytes - 1 - byte : byte;
        runs.back().bytes.push_back(unit.data[sample * sample_bytes + from]);
      }
    }
    next = timestamp + static_cast<std::uint32_t>(groups);
  }
  return runs;
}

inline std::string ReceiveSamples(const PacketBlock& block, SampleDepacketizer* receiver) {
  return Receive(block, receiver);
}

}  // namespace millrace::testing
