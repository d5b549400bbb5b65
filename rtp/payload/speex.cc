#include "rtp/payload/speex.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

class SpeexPacketizer final : public Packetizer {
 public:
  SpeexPacketizer(const Track& track, std::size_t packet_bytes)
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

std::string Encoding(const Track& track) { return absl::StrCat("speex/", track.clock_rate); }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<SpeexPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kSpeexFormat = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
