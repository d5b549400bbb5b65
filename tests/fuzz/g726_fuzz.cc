// G.726 of every bit rate and packing: whole groups come out of the strict receiver as the words
// that a plain reader finds.
#include "rtp/payload/g726.h"
#include "tests/fuzz/sample_fuzzing.h"
#include "tests/rtp/g726_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 2) return 0;
  const std::size_t bits = 2 + data[0] % 4;
  Track track = testing::MakeTrack(Codec::kG726, 0, 8000);
  track.channels = 1;
  track.config = {static_cast<std::uint8_t>(bits)};
  track.little_endian = data[0] >= 128;
  const std::size_t packet_bytes = 128 + std::size_t{data[1]} * 5;
  std::vector<testing::SampleUnit> units = testing::SampleUnits(data + 2, size - 2);
  std::vector<int> expected;
  for (testing::SampleUnit& unit : units) {
    unit.pts = static_cast<std::int64_t>(expected.size());
    const std::size_t whole = unit.data.size() / bits * 8 * bits;  // of bits
    for (std::size_t bit = 0; bit < whole; bit += bits) {
      int word = 0;
      for (std::size_t i = 0; i < bits; ++i) {
        const std::uint8_t byte = unit.data[(bit + i) / 8];
        word = track.little_endian ? word | (byte >> (bit + i) % 8 & 1) << i
                                   : word << 1 | (byte >> (7 - (bit + i) % 8) & 1);
      }
      expected.push_back(word);
    }
  }
  std::vector<bool> taken;
  const PacketBlock block =
      testing::PacketizeSamples(kG726Format, track, units, packet_bytes, &taken);
  for (std::size_t i = 0; i < units.size(); ++i) {
    const std::size_t bytes = units[i].data.size();
    Require(taken[i] == (bytes != 0 && bytes % bits == 0), "taken");
  }
  testing::G726Depacketizer receiver(bits);
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.words == expected, "words differ");
  return 0;
}
