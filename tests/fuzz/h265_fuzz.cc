#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/depacketizers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  const auto carries = [](const Bytes& nal) {
    const int type = nal[0] / 2 % 64;
    return type < 48 || type > 50;
  };
  testing::FuzzNalPacketizer<testing::H265Depacketizer>(Codec::kH265, 2, carries, data, size);
  return 0;
}
