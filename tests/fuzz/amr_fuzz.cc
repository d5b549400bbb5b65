// Any bytes as units of AMR and AMR-WB: the frames before the first fault come out of the strict
// receiver, and a unit with a fault is refused.
#include "rtp/payload/amr.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/amr_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::AmrDepacketizer;
  using testing::Require;
  if (size < 2) return 0;
  const bool wideband = data[0] % 2 == 1;
  const std::size_t packet_bytes = 128 + std::size_t{data[1]} * 5;
  const auto packetizer =
      (wideband ? kAmrWbFormat : kAmrFormat)
          .make_packetizer(testing::MakeTrack(wideband ? Codec::kAmrWb : Codec::kAmr, 0,
                                              wideband ? 16000 : 8000),
                           packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;
  std::uint64_t pts = 0;
  // Two bytes a unit, its size and what its time adds; then its bytes.
  for (std::size_t at = 2; at + 2 <= size;) {
    const std::size_t unit_bytes = std::min<std::size_t>(data[at], size - at - 2);
    if (data[at + 1] == 255) pts = static_cast<std::uint64_t>(INT64_MAX) - 200;
    pts += data[at + 1] % 64;
    const Bytes unit(data + at + 2, data + at + 2 + unit_bytes);
    at += 2 + unit_bytes;
    const auto signed_pts = static_cast<std::int64_t>(pts);
    const bool taken = packetizer->Packetize(
        {.pts = signed_pts, .dts = signed_pts, .random_access = true, .data = unit}, builder);
    std::size_t next = 0;
    while (next < unit.size() && unit[next] % 4 == 0 && unit[next] < 128) {
      const int bits = AmrDepacketizer::Bits(wideband, unit[next] >> 3);
      const std::size_t octets = bits < 0 ? unit.size() : (static_cast<std::size_t>(bits) + 7) / 8;
      if (octets >= unit.size() - next) break;
      expected.emplace_back(unit.begin() + static_cast<std::ptrdiff_t>(next),
                            unit.begin() + static_cast<std::ptrdiff_t>(next + 1 + octets));
      next += 1 + octets;
      pts += wideband ? 320 : 160;
    }
    Require(taken == (!unit.empty() && next == unit.size()), "taken");
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  AmrDepacketizer receiver(wideband);
  testing::RequireReceived(block, packet_bytes, &receiver);
  std::vector<Bytes> frames;
  for (auto& frame : receiver.frames) frames.push_back(frame.bytes);
  Require(frames == expected, "frames differ");
  return 0;
}
