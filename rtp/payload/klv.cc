#include "rtp/payload/klv.h"

#include "media/klv.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

class KlvPacketizer final : public Packetizer {
 public:
  KlvPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (unit.data.size() > kKlvUnitBytesMax) return false;
    const std::size_t whole = KlvBytes(unit.data);
    if (whole == 0) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts), {}, unit.random_access);
    AddFragments(unit.data.first(whole), 0, payload_max_, out,
                 [](const Fragment&, std::uint8_t*) {});
    out.EndUnit(/*marker=*/true);
    return whole == unit.data.size();
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  const Track track_;
  const std::size_t payload_max_;
};

std::string Encoding(const Track& track) { return "smpte336m/" + std::to_string(track.clock_rate); }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<KlvPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kKlvFormat = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
