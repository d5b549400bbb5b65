// Any run of bytes as frames, of any sizes and times: what begins like a frame comes out of the
// strict receiver in order, and what does not is refused.
#include <algorithm>

#include "rtp/payload/mpeg_audio.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/mpeg_audio_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::MpegAudioDepacketizer;
  using testing::Require;
  if (size < 1) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[0]} * 5;
  const auto packetizer =
      kMpegAudioFormat.make_packetizer(testing::MakeTrack(Codec::kMpegAudio, 0), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  Bytes expected;

  // Eight bytes a frame: the header, the size unless the header is to tell it, and the times; what
  // lies behind them in the input fills the frame, without further sync words, since a receiver
  // cannot tell the fragment of a damaged frame from whole ones.
  std::int64_t pts = 0;
  for (std::size_t at = 1; at + 8 <= size; at += 8) {
    Bytes frame(data + at, data + at + 4);
    if (data[at + 7] % 4 != 0) frame[0] = 0xff;
    std::size_t frame_bytes = (std::size_t{data[at + 4]} << 8 | data[at + 5]) % 3000;
    if (data[at + 7] % 2 == 0 && MpegAudioDepacketizer::Begins(frame)) {
      frame_bytes = MpegAudioDepacketizer::FrameBytes(frame);
    }
    if (data[at + 7] == 255) frame_bytes += 64000;
    frame.resize(frame_bytes);
    for (std::size_t i = 4; i < frame_bytes; ++i) {
      frame[i] = std::min<std::uint8_t>(data[at + i % (size - at)], 0xfe);
    }
    const std::int64_t duration = data[at + 6] == 255 ? INT64_MAX : data[at + 6] * 32;
    if (data[at + 7] == 254) pts = INT64_MIN;
    const bool taken = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = duration, .random_access = true, .data = frame},
        builder);
    const bool sent = MpegAudioDepacketizer::Begins(frame) && frame_bytes <= 65535;
    const std::size_t told = sent ? MpegAudioDepacketizer::FrameBytes(frame) : 0;
    Require(taken == (sent && (told == 0 || told == frame_bytes)), "taken");
    if (sent) expected.insert(expected.end(), frame.begin(), frame.end());
    pts = static_cast<std::int64_t>(static_cast<std::uint64_t>(pts) +
                                    static_cast<std::uint64_t>(data[at + 6] * 32) +
                                    data[at + 7] % 8 * 30);
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  MpegAudioDepacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.bytes == expected, "bytes differ");
  return 0;
}
