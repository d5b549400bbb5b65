// G.711 of any number of channels up to 256 and at any of some rates.
#include "rtp/payload/g711.h"
#include "tests/fuzz/sample_fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size < 3) return 0;
  constexpr std::uint32_t kRates[] = {8000, 11025, 49, 96000};
  Track track = testing::MakeTrack(Codec::kPcmu, 0, kRates[data[0] % 4]);
  track.channels = data[2] + 1u;
  testing::FuzzSamples(data[0] >= 128 ? kPcmaFormat : kPcmuFormat, track, 1,
                       128 + std::size_t{data[1]} * 5, testing::SampleUnits(data + 3, size - 3));
  return 0;
}
