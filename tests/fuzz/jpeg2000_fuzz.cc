// Any bytes as a codestream behind a main header, or as a whole picture with its boxes: what is
// sent comes out of the strict receiver and is the front of what went in.
#include <algorithm>

#include "media/jpeg2000_image.h"
#include "rtp/payload/jpeg2000.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/media/jpeg2000_testing.h"
#include "tests/rtp/jpeg2000_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 2) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[0]} * 5;
  const bool whole = data[1] % 2 != 0;
  Bytes picture = whole ? Bytes() : testing::J2kMainHeader({.comment_bytes = data[1] * 4u});
  picture.insert(picture.end(), data + 2, data + size);

  Track track = testing::MakeTrack(Codec::kJpeg2000);
  if (const auto image = ReadJpeg2000(picture)) {
    Require(image->head_bytes <= picture.size(), "a head beyond the end");
    track.config.assign(picture.begin(),
                        picture.begin() + static_cast<std::ptrdiff_t>(image->head_bytes));
    Require(!kJpeg2000Format.parameters(track).empty(), "the head does not tell the same");
  }
  const ByteSpan stream = Jpeg2000Codestream(picture);
  bool sound = false;
  const PacketBlock block =
      testing::PacketizeOne(track, packet_bytes, Bytes(stream.begin(), stream.end()), &sound);
  const std::string fault = testing::FindFault(block, packet_bytes);
  Require(fault.empty(), fault);
  testing::Jpeg2000Depacketizer receiver;
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const auto view = PacketView::Parse(block.packet(i));
    const std::string refused = receiver.Add(*view);
    // A fragment that begins like a tile-part is the fuzzer's doing.
    if (refused == "another tile's number") return 0;
    Require(refused.empty(), refused);
  }
  Require(!receiver.open() && receiver.pictures.size() <= 1, "not one picture");
  const Bytes sent = receiver.pictures.empty() ? Bytes() : receiver.pictures[0];
  Require(sent.size() <= stream.size() && std::equal(sent.begin(), sent.end(), stream.begin()),
          "pictures differ");
  Require(!sound || sent.size() == stream.size(), "sound, and not whole");
  return 0;
}
