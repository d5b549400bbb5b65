// G.722, whatever the units are.
#include "rtp/payload/g722.h"
#include "tests/fuzz/sample_fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size < 1) return 0;
  Track track = testing::MakeTrack(Codec::kG722, 0, 8000);
  track.channels = 1;
  testing::FuzzSamples(kG722Format, track, 1, 128 + std::size_t{data[0]} * 5,
                       testing::SampleUnits(data + 1, size - 1));
  return 0;
}
