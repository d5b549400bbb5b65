#include "rtp/payload/vp8.h"

#include "media/bitstream.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

// The payload descriptor's first byte, here its only one (section 4.2).
constexpr std::size_t kDescriptorBytes = 1;
constexpr std::uint8_t kStartOfPartition = 0x10;  // S

// RFC 6386 section 9.1.
constexpr std::size_t kFrameTagBytes = 3;
constexpr std::size_t kKeyFrameHeaderBytes = 10;  // start code and dimensions follow the tag
constexpr std::uint8_t kInterFrame = 1;

bool HeaderIsWhole(ByteSpan frame) {
  if (frame.size() < kFrameTagBytes) return false;
  return (frame[0] & kInterFrame) != 0 || frame.size() >= kKeyFrameHeaderBytes;
}

class Vp8Packetizer final : public Packetizer {
 public:
  Vp8Packetizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (!HeaderIsWhole(unit.data)) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddFragments(unit.data, kDescriptorBytes, payload_max_, out,
                 [](const Fragment& fragment, std::uint8_t* header) {
                   *header = fragment.first ? kStartOfPartition : 0;
                 });
    out.EndUnit(/*marker=*/true);
    return true;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  const Track track_;
  const std::size_t payload_max_;
};

std::string Encoding(const Track& /*track*/) { return "VP8/90000"; }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<Vp8Packetizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kVp8Format = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
