// Any run of frames, of any sizes and times: what can be sent comes out of the strict receiver
// whole and in order, and what cannot is refused.
#include <cstring>

#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/depacketizers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 2) return 0;
  constexpr std::uint32_t kRates[] = {8000, 44100, 48000, 96000};
  const std::size_t packet_bytes = 128 + std::size_t{data[1]} * 5;
  const auto packetizer =
      MakePacketizer(testing::MakeTrack(Codec::kAac, 0, kRates[data[0] % 4]), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;

  // Four bytes a frame: its size, its duration, and how far it lies behind where it should.
  std::int64_t pts = 0;
  for (std::size_t at = 2; at + 4 <= size; at += 4) {
    const std::size_t frame_bytes = (std::size_t{data[at]} << 8 | data[at + 1]) % 9000;
    const std::int64_t duration = data[at + 2] == 255 ? INT64_MAX : data[at + 2] * 8;
    if (data[at + 3] == 255) pts = INT64_MIN;
    pts += data[at + 3] / 64;
    const Bytes frame(frame_bytes, data[at + 3]);
    const bool taken = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = duration, .random_access = true, .data = frame},
        builder);
    Require(taken == (frame_bytes >= 1 && frame_bytes <= 8191), "taken");
    if (taken) expected.push_back(frame);
    pts =
        static_cast<std::int64_t>(static_cast<std::uint64_t>(pts) +
                                  static_cast<std::uint64_t>(duration == INT64_MAX ? 1 : duration));
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  testing::AacDepacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.frames == expected, "frames differ");
  return 0;
}
