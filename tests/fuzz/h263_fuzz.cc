// Any run of pictures: what can be sent comes out of the strict receiver whole and in order, and
// what cannot is refused.
#include <algorithm>
#include <cstring>

#include "rtp/payload/h263.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/h263_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 1) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[0]} * 5;
  const auto packetizer =
      kH263Format.make_packetizer(testing::MakeTrack(Codec::kH263), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;

  // Three bytes a picture: its size, and bits; then its bytes as far as there are any, zeros
  // behind.
  std::int64_t pts = 0;
  for (std::size_t at = 1; at + 3 <= size;) {
    Bytes picture(std::size_t{data[at]} << 8 | data[at + 1]);
    const int bits = data[at + 2];
    at += 3;
    const std::size_t copied = std::min(picture.size(), size - at);
    if (copied != 0) std::memcpy(picture.data(), data + at, copied);
    at += copied;
    const bool sound = picture.size() >= 6 && picture[0] == 0 && picture[1] == 0 &&
                       picture[2] >= 0x80 && picture[2] <= 0x83;
    const bool taken = packetizer->Packetize({.pts = pts,
                                              .dts = pts,
                                              .duration = bits * 100,
                                              .random_access = (bits & 1) != 0,
                                              .data = picture},
                                             builder);
    Require(taken == sound, "taken");
    if (taken) expected.push_back(picture);
    pts += bits * 100;
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  const std::string fault = testing::FindFault(block, packet_bytes);
  Require(fault.empty(), fault);
  testing::H263Depacketizer receiver;
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const auto view = PacketView::Parse(block.packet(i));
    const std::string refused = receiver.Add(*view);
    // A start code of a picture inside a unit is for the receiver to wonder at, not a fault here.
    Require(refused.empty() || refused == "a picture inside a picture", refused);
    if (!refused.empty()) return 0;
  }
  Require(!receiver.open() && receiver.pictures == expected, "pictures differ");
  return 0;
}
