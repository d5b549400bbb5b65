// Any bytes as metadata: what items are whole come out of the receiver.
#include "media/klv.h"
#include "rtp/payload/klv.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/klv_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 2) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[1]} * 5;
  // Short keys become whole ones, so that chance finds items.
  Bytes unit;
  for (std::size_t at = 2; at < size; ++at) {
    if (data[at] == 0xaa) {
      const std::uint8_t label[] = {0x06, 0x0e, 0x2b, 0x34};
      unit.insert(unit.end(), std::begin(label), std::end(label));
      unit.resize(unit.size() + 12);
    } else {
      unit.push_back(data[at]);
    }
  }
  const ByteSpan items = data[0] % 2 == 0 ? ByteSpan(unit) : KlvItems(unit);
  Require(items.size() <= unit.size(), "more than there was");
  const std::size_t whole = KlvBytes(items);
  Require(whole <= items.size(), "items beyond the end");
  bool sound = false;
  const PacketBlock block = testing::PacketizeOne(testing::MakeTrack(Codec::kKlv, 0), packet_bytes,
                                                  Bytes(items.begin(), items.end()), &sound);
  Require(sound == (whole != 0 && whole == items.size()), "soundness");
  testing::KlvDepacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.units.size() == (whole == 0 ? 0 : 1), "units");
  if (whole != 0) {
    Require(receiver.units[0].bytes ==
                Bytes(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(whole)),
            "bytes differ");
  }
  return 0;
}
