#include "rtp/payload/mp3_adu.h"

#include <string>

#include "rtp/big_endian.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

constexpr std::size_t kDescriptorBytes = 2;
constexpr std::uint16_t kGoesOn = 0x8000;    // C
constexpr std::uint16_t kTwoBytes = 0x4000;  // T

// The sync word, and a version and a layer that exist (ISO 11172-3 section 2.4.2.3).
bool IsUnit(ByteSpan data) {
  constexpr std::size_t kFrameHeaderBytes = 4;
  constexpr std::uint8_t kVersionMask = 0x18, kVersionReserved = 0x08, kLayerMask = 0x06;
  return data.size() >= kFrameHeaderBytes && data[0] == 0xff && (data[1] & 0xe0) == 0xe0 &&
         (data[1] & kVersionMask) != kVersionReserved && (data[1] & kLayerMask) != 0;
}

class Mp3AduPacketizer final : public Packetizer {
 public:
  Mp3AduPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (!IsUnit(unit.data) || unit.data.size() > kMp3AduBytesMax) return false;
    const auto descriptor = static_cast<std::uint16_t>(kTwoBytes | unit.data.size());
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddFragments(unit.data, kDescriptorBytes, payload_max_, out,
                 [descriptor](const Fragment& fragment, std::uint8_t* p) {
                   const std::uint16_t goes_on = fragment.first ? 0 : kGoesOn;
                   StoreBe16(p, static_cast<std::uint16_t>(goes_on | descriptor));
                 });
    out.EndUnit(/*marker=*/false);
    return true;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  const Track track_;
  const std::size_t payload_max_;
};

std::string Encoding(const Track&) { return "mpa-robust/90000"; }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<Mp3AduPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kMp3AduFormat = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
