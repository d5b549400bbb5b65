#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/depacketizers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  const auto carries = [](const Bytes& nal) { return nal[0] % 32 >= 1 && nal[0] % 32 <= 23; };
  testing::FuzzNalPacketizer<testing::H264Depacketizer>(Codec::kH264, 1, carries, data, size);
  return 0;
}
