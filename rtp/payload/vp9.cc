#include "rtp/payload/vp9.h"

#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

// The payload descriptor's first byte, here its only one (section 4.2).
constexpr std::size_t kDescriptorBytes = 1;
constexpr std::uint8_t kInterPicture = 0x40;  // P
constexpr std::uint8_t kFrameStart = 0x08;    // B
constexpr std::uint8_t kFrameEnd = 0x04;      // E

class Vp9Packetizer final : public Packetizer {
 public:
  Vp9Packetizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (unit.data.empty()) return false;
    const int prediction = unit.random_access ? 0 : kInterPicture;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddFragments(unit.data, kDescriptorBytes, payload_max_, out,
                 [prediction](const Fragment& fragment, std::uint8_t* header) {
                   *header =
                       static_cast<std::uint8_t>(prediction | (fragment.first ? kFrameStart : 0) |
                                                 (fragment.last ? kFrameEnd : 0));
                 });
    out.EndUnit(/*marker=*/true);
    return true;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  const Track track_;
  const std::size_t payload_max_;
};

std::string Encoding(const Track& /*track*/) { return "VP9/90000"; }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<Vp9Packetizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kVp9Format = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
