// Linear PCM of every sample size and byte order, any number of channels up to 64.
#include "rtp/payload/linear_pcm.h"
#include "tests/fuzz/sample_fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size < 3) return 0;
  constexpr std::uint32_t kRates[] = {8000, 44100, 48000, 192000};
  Track track = testing::MakeTrack(Codec::kLinearPcm, 0, kRates[data[0] % 4]);
  track.sample_bytes = data[0] / 4 % 3 + 1u;
  track.little_endian = data[0] >= 128;
  track.channels = data[2] % 64 + 1u;
  testing::FuzzSamples(kLinearPcmFormat, track, track.sample_bytes, 128 + std::size_t{data[1]} * 5,
                       testing::SampleUnits(data + 3, size - 3));
  return 0;
}
