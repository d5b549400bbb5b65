// Any run of bytes as units of one or several frames: what frames are whole come out of the strict
// receiver in order, and a unit that is more than those is refused.
#include "rtp/payload/eac3.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/eac3_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Eac3Depacketizer;
  using testing::Require;
  if (size < 1) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[0]} * 5;
  const auto packetizer =
      kEac3Format.make_packetizer(testing::MakeTrack(Codec::kEac3, 0, 48000), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;

  // Seven bytes a frame: what its header says, whether it opens a unit or is cut short, and the
  // unit's duration.
  Bytes unit;
  std::size_t whole_bytes = 0;
  std::int64_t pts = 0;
  const auto send = [&](std::int64_t duration) {
    const bool taken = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = duration, .random_access = true, .data = unit},
        builder);
    Require(taken == (!unit.empty() && whole_bytes == unit.size()), "taken");
    unit.clear();
    whole_bytes = 0;
    pts = static_cast<std::int64_t>(static_cast<std::uint64_t>(pts) +
                                    static_cast<std::uint64_t>(duration));
  };
  for (std::size_t at = 1; at + 7 <= size; at += 7) {
    if (data[at + 5] % 4 == 0) send(data[at + 6] == 255 ? INT64_MAX : data[at + 6] * 16);
    Bytes frame = {0x0b,         0x77,
                   data[at],     data[at + 1],
                   data[at + 2], static_cast<std::uint8_t>(11 * 8 + data[at + 3] % 64)};
    frame.resize(std::max<std::size_t>(Eac3Depacketizer::FrameBytes(frame), 6));
    for (std::size_t i = 6; i < frame.size(); ++i) frame[i] = data[at + i % (size - at)];
    if (data[at + 4] == 255) frame.pop_back();
    const bool sound = data[at] >> 6 != 3 && data[at + 2] >> 6 != 3 && frame[5] / 8 <= 16 &&
                       Eac3Depacketizer::FrameBytes(frame) == frame.size() && frame.size() >= 8;
    if (unit.size() + frame.size() > kEac3UnitBytesMax) break;
    if (sound && whole_bytes == unit.size()) {
      whole_bytes += frame.size();
      expected.push_back(frame);
    }
    const bool reads_on = whole_bytes == unit.size() + frame.size();
    unit.insert(unit.end(), frame.begin(), frame.end());
    if (!reads_on) send(1536);
  }
  send(1536);
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  Eac3Depacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  std::vector<Bytes> frames;
  for (auto& frame : receiver.frames) frames.push_back(frame.bytes);
  Require(frames == expected, "frames differ");
  return 0;
}
