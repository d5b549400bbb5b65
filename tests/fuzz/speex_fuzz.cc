// Speex units of any size: those that fit a packet come out as they went in.
#include "rtp/payload/speex.h"
#include "tests/fuzz/sample_fuzzing.h"
#include "tests/rtp/speex_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 1) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[0]} * 5;
  const Track track = testing::MakeTrack(Codec::kSpeex, 0, 16000);
  const std::vector<testing::SampleUnit> units = testing::SampleUnits(data + 1, size - 1);
  std::vector<bool> taken;
  const PacketBlock block =
      testing::PacketizeSamples(kSpeexFormat, track, units, packet_bytes, &taken);
  const std::string fault = testing::FindFault(block, packet_bytes);
  Require(fault.empty(), fault);
  std::vector<Bytes> expected;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const std::size_t bytes = units[i].data.size();
    Require(taken[i] == (bytes != 0 && bytes <= packet_bytes - kRtpHeaderBytes), "taken");
    if (taken[i]) expected.push_back(units[i].data);
  }
  Require(testing::Payloads(block) == expected, "units differ");
  return 0;
}
