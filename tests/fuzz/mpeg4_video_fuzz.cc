// Any run of frames: what can be sent comes out of the strict receiver whole and in order, and what
// cannot is refused.
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/mpeg4_video_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 1) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[0]} * 5;
  std::vector<Bytes> expected;
  const auto told = [&](const testing::SourceUnit& unit, bool taken) {
    Require(taken == !unit.data.empty(), "taken");
    if (taken) expected.push_back(unit.data);
  };
  const std::vector<testing::SourceUnit> frames = testing::FuzzedFrames(data + 1, size - 1);
  const PacketBlock block =
      testing::PacketizeEach(testing::MakeTrack(Codec::kMpeg4Video), packet_bytes, frames, told);
  testing::Mpeg4VideoDepacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.frames == expected, "frames differ");
  return 0;
}
