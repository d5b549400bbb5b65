// Any bytes as configuration record and as temporal units: what a plain reader finds in them, less
// what is not to be sent, comes out of the strict receiver.
#include <algorithm>
#include <cstring>

#include "rtp/payload/av1.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/av1_depacketizer.h"

namespace {

using namespace millrace;

int TypeOf(const Bytes& obu) { return obu[0] / 8 % 16; }

// The OBUs of `data` that are to be sent, without size fields, found in the plainest way there is.
std::vector<Bytes> PlainObus(const Bytes& data, bool* sound) {
  std::vector<Bytes> obus;
  *sound = false;
  for (std::size_t at = 0; at < data.size();) {
    Bytes obu = {data[at++]};
    const bool sized = obu[0] / 2 % 2 != 0;
    if (obu[0] >= 128) return obus;
    if (obu[0] / 4 % 2 != 0) {
      if (at == data.size()) return obus;
      obu.push_back(data[at++]);
    }
    std::uint64_t size = 0;
    for (int i = 0; sized; ++i) {
      if (at == data.size() || i == 8) return obus;
      size += std::uint64_t{data[at] % 128u} << (7 * i);
      if (data[at++] < 128) break;
    }
    if (!sized) size = data.size() - at;
    if (size > data.size() - at) return obus;
    const auto begin = data.begin() + static_cast<std::ptrdiff_t>(at);
    obu.insert(obu.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
    obu[0] = static_cast<std::uint8_t>(obu[0] & ~2);
    at += size;
    const int type = TypeOf(obu);
    if (size != 0 && type != 2 && type != 8 && type != 15) obus.push_back(obu);
  }
  *sound = true;
  return obus;
}

bool HasSequenceHeader(const std::vector<Bytes>& obus) {
  return std::any_of(obus.begin(), obus.end(), [](const Bytes& obu) { return TypeOf(obu) == 1; });
}

// What the configuration record has to give.
std::vector<Bytes> PlainConfig(const Bytes& config) {
  if (config.size() < 4 || config[0] != 0x81) return {};
  bool sound = false;
  const std::vector<Bytes> obus = PlainObus(Bytes(config.begin() + 4, config.end()), &sound);
  return sound && !obus.empty() && TypeOf(obus[0]) == 1 ? obus : std::vector<Bytes>{};
}

Bytes Take(std::size_t bytes, const std::uint8_t** data, std::size_t* size) {
  bytes = std::min(bytes, *size);
  Bytes taken(*data, *data + bytes);
  *data += bytes;
  *size -= bytes;
  return taken;
}

}  // namespace

// A byte of packet size, one of the record's size, the record; then units of two bytes of size (the
// upper bit: decoding can start) and their bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using testing::Require;
  if (size < 2) return 0;
  const Bytes head = Take(2, &data, &size);
  const std::size_t packet_bytes = 128 + std::size_t{head[0]} * 5;
  Track track = testing::MakeTrack(Codec::kAv1);
  track.config = Take(head[1], &data, &size);
  const std::vector<Bytes> config = PlainConfig(track.config);
  const auto packetizer = kAv1Format.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<testing::Av1TemporalUnit> expected;
  while (size >= 2) {
    const Bytes field = Take(2, &data, &size);
    const bool random_access = field[0] >= 128;
    const Bytes unit = Take(std::size_t{field[0] % 128u} * 256 + field[1], &data, &size);

    bool sound = false;
    std::vector<Bytes> obus = PlainObus(unit, &sound);
    const bool taken = packetizer->Packetize(
        {.duration = 3000, .random_access = random_access, .data = unit}, builder);
    Require(taken == (sound && !obus.empty()), "soundness");
    if (obus.empty()) continue;
    if (random_access && !HasSequenceHeader(obus)) {
      obus.insert(obus.begin(), config.begin(), config.end());
    }
    const bool starts_sequence = random_access && HasSequenceHeader(obus);
    expected.push_back({.obus = std::move(obus), .starts_sequence = starts_sequence});
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  testing::Av1Depacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.units.size() == expected.size(), "units");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    Require(receiver.units[i].obus == expected[i].obus, "OBUs differ");
    Require(receiver.units[i].starts_sequence == expected[i].starts_sequence, "N");
  }
  return 0;
}
