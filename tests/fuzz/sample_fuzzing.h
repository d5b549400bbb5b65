// Any bytes as units of samples: what is whole comes out of the strict receiver in order, at its
// time and in network byte order.
#pragma once

#include <algorithm>
#include <vector>

#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/sample_testing.h"

namespace millrace::testing {

// Four bytes a unit, its size and its time; then its bytes, of which those that the input lacks are
// filled in.
inline std::vector<SampleUnit> SampleUnits(const std::uint8_t* data, std::size_t size) {
  std::vector<SampleUnit> units;
  constexpr std::size_t kUnitsMax = 64;  // with a packet for every sample that is enough
  std::uint64_t next = 0;
  for (std::size_t at = 0; at + 4 <= size && units.size() < kUnitsMax;) {
    const std::size_t unit_bytes = (std::size_t{data[at]} << 8 | data[at + 1]) % 5000;
    if (data[at + 2] == 255) next = static_cast<std::uint64_t>(INT64_MAX) - data[at + 3];
    if (data[at + 2] >= 128) next += data[at + 3];
    at += 4;
    const std::size_t given = std::min(unit_bytes, size - at);
    Bytes unit(data + at, data + at + given);
    for (std::size_t i = given; i < unit_bytes; ++i) unit.push_back(static_cast<std::uint8_t>(i));
    at += given;
    units.push_back({static_cast<std::int64_t>(next), std::move(unit)});
    next += unit_bytes;
  }
  return units;
}

inline void FuzzSamples(const PayloadFormat& format, const Track& track, std::size_t sample_bytes,
                        std::size_t packet_bytes, const std::vector<SampleUnit>& units) {
  const std::size_t group_bytes = sample_bytes * track.channels;
  const bool sendable = group_bytes <= packet_bytes - kRtpHeaderBytes;
  std::vector<bool> taken;
  const PacketBlock block = PacketizeSamples(format, track, units, packet_bytes, &taken);
  for (std::size_t i = 0; i < units.size(); ++i) {
    const std::size_t bytes = units[i].data.size();
    Require(taken[i] == (sendable && bytes != 0 && bytes % group_bytes == 0), "taken");
  }
  SampleDepacketizer receiver(track.clock_rate, group_bytes);
  RequireReceived(block, packet_bytes, &receiver);
  if (!sendable) {
    Require(receiver.runs.empty(), "sent what cannot be");
    return;
  }
  Require(receiver.runs == ExpectedRuns(units, sample_bytes, track.channels, track.little_endian),
          "samples differ");
}

}  // namespace millrace::testing
