// Any run of frames: what can be sent comes out of the strict receiver whole and in order, and what
// cannot is refused.
#include <algorithm>
#include <cstring>

#include "rtp/payload/vp8.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/vp8_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 1) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[0]} * 5;
  const auto packetizer = kVp8Format.make_packetizer(testing::MakeTrack(Codec::kVp8), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;

  // Three bytes a frame: its size, and bits; then its bytes as far as there are any, zeros behind.
  std::int64_t pts = 0;
  for (std::size_t at = 1; at + 3 <= size;) {
    Bytes frame(std::size_t{data[at]} << 8 | data[at + 1]);
    const int bits = data[at + 2];
    at += 3;
    const std::size_t copied = std::min(frame.size(), size - at);
    if (copied != 0) std::memcpy(frame.data(), data + at, copied);
    at += copied;
    if (bits >> 1 == 127) pts = INT64_MIN;
    const bool taken = packetizer->Packetize({.pts = pts,
                                              .dts = pts,
                                              .duration = bits * 100,
                                              .random_access = (bits & 1) != 0,
                                              .data = frame},
                                             builder);
    Require(taken == (frame.size() >= 10 || (frame.size() >= 3 && frame[0] % 2 == 1)), "taken");
    if (taken) expected.push_back(frame);
    pts += bits * 100;
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  const std::string fault = testing::FindFault(block, packet_bytes);
  Require(fault.empty(), fault);
  testing::Vp8Depacketizer receiver;
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const auto view = PacketView::Parse(block.packet(i));
    const std::string refused = receiver.Add(view->payload, view->marker);
    Require(refused.empty(), refused);
  }
  Require(!receiver.open() && receiver.frames == expected, "frames differ");
  return 0;
}
