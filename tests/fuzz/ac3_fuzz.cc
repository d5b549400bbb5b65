// Any run of bytes as frames, of any sizes and times: what begins like an AC-3 frame comes out of
// the strict receiver whole and in order, and what does not is refused.
#include "rtp/payload/ac3.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/ac3_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Ac3Depacketizer;
  using testing::Require;
  if (size < 2) return 0;
  constexpr std::uint32_t kRates[] = {32000, 44100, 48000};
  const std::size_t packet_bytes = 128 + std::size_t{data[1]} * 5;
  const auto packetizer = kAc3Format.make_packetizer(
      testing::MakeTrack(Codec::kAc3, 0, kRates[data[0] % 3]), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;

  // Eight bytes a frame: what lies behind the sync word, the size unless the header is to tell it,
  // and the times; what lies behind them in the input fills the frame.
  std::int64_t pts = 0;
  for (std::size_t at = 2; at + 8 <= size; at += 8) {
    Bytes frame = {0x0b, 0x77, 0, 0, data[at], data[at + 1]};
    if (data[at + 2] % 8 == 7) frame[data[at + 2] / 128] ^= 1;
    std::size_t frame_bytes = (std::size_t{data[at + 3]} << 8 | data[at + 4]) % 4096;
    if (data[at + 2] % 2 == 0) frame_bytes = Ac3Depacketizer::FrameBytes(frame);
    frame.resize(frame_bytes);
    for (std::size_t i = 6; i < frame_bytes; ++i) frame[i] = data[at + i % (size - at)];
    const std::int64_t duration = data[at + 5] == 255 ? INT64_MAX : data[at + 5] * 16;
    if (data[at + 6] == 255) pts = INT64_MIN;
    const bool taken = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = duration, .random_access = true, .data = frame},
        builder);
    const bool sent = frame_bytes >= 6 && frame_bytes <= 3840 && frame[0] == 0x0b &&
                      frame[1] == 0x77 && frame[5] / 8 <= 10;
    Require(taken == (sent && Ac3Depacketizer::FrameBytes(frame) == frame_bytes), "taken");
    if (sent) expected.push_back(frame);
    pts = static_cast<std::int64_t>(static_cast<std::uint64_t>(pts) +
                                    static_cast<std::uint64_t>(data[at + 5] * 16) +
                                    data[at + 6] / 64);
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  Ac3Depacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.frames == expected, "frames differ");
  return 0;
}
