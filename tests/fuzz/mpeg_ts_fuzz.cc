// Any bytes as a group of transport packets: the sound ones in front come out of the strict
// receiver in order, and the packetizer says whether that was all.
#include "rtp/payload/mpeg_ts.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/mpeg_ts_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 1) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{input[0]} * 6;
  const Bytes data(input + 1, input + size);
  std::size_t whole = 0;
  while (whole + 188 <= data.size() && data[whole] == 0x47) whole += 188;
  if (packet_bytes < 200) whole = 0;

  bool sound = false;
  const PacketBlock block =
      testing::PacketizeOne(testing::MakeTrack(Codec::kMpegTs), packet_bytes, data, &sound);
  Require(sound == (whole == data.size() && whole > 0), "soundness");
  testing::MpegTsDepacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.stream == Bytes(data.begin(), data.begin() + static_cast<long>(whole)),
          "packets differ");
  return 0;
}
