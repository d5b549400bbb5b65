#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/depacketizers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  const auto carries = [](const Bytes& nal) { return nal[1] / 8 != 28 && nal[1] / 8 != 29; };
  testing::FuzzNalPacketizer<testing::H266Depacketizer>(Codec::kH266, 2, carries, data, size);
  return 0;
}
