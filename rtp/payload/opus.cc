#include "rtp/payload/opus.h"

#include <cstring>

namespace millrace {
namespace {

class OpusPacketizer final : public Packetizer {
 public:
  OpusPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (unit.data.empty() || unit.data.size() > payload_max_) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    std::memcpy(out.AddPacket(unit.data.size()), unit.data.data(), unit.data.size());
    out.EndUnit(/*marker=*/false);
    return true;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  const Track track_;
  const std::size_t payload_max_;
};

std::string Encoding(const Track&) { return "opus/48000/2"; }

std::string Parameters(const Track& track) {
  return track.channels == 2 ? "sprop-stereo=1" : "sprop-stereo=0";
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<OpusPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kOpusFormat = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
