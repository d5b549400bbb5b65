// Any head of a frame as the track's, and any run of frames: what can be sent comes out of the
// strict receiver whole and in order, and what cannot is refused.
#include <algorithm>
#include <cstring>

#include "rtp/payload/dv.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/media/dv_testing.h"
#include "tests/rtp/dv_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 4) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[0]} * 5;
  Track track = testing::MakeTrack(Codec::kDv);
  track.config = testing::DvFrame({.lines_625 = data[1] >= 128,
                                   .application = data[1] & 7,
                                   .signal_type = data[2] & 31,
                                   .bytes = data[2] >= 128 ? data[1] * 80u : kDvHeadBytes});
  const DvFormat* const format = ReadDvFormat(track.config);
  Require(kDvFormat.parameters(track).empty() == (format == nullptr), "described");

  const auto packetizer = kDvFormat.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;
  // Four bytes a frame: its size, and the byte that one of its bytes becomes.
  std::int64_t pts = 0;
  for (std::size_t at = 3; at + 4 <= size; at += 4) {
    const std::size_t asked = std::size_t{data[at]} << 8 | data[at + 1];
    Bytes frame = testing::DvFrame(
        {.bytes = asked >= 0xff00 && format != nullptr ? format->frame_bytes : asked});
    if (data[at + 2] < frame.size()) frame[data[at + 2]] = data[at + 3];
    const bool whole = frame.size() % 80 == 0 && frame.size() >= 80 && frame[0] == 0x1f &&
                       frame[1] == 7 && frame[2] == 0 && frame[3] % 128 == 0x3f;
    const bool taken = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = 3003, .random_access = true, .data = frame}, builder);
    Require(taken == (whole && (format == nullptr || frame.size() == format->frame_bytes)),
            "taken");
    if (taken) expected.push_back(frame);
    pts += 3003;
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  testing::DvDepacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.frames == expected, "frames differ");
  return 0;
}
