#include "rtp/payload/mpeg_ts.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "media/transport_packet.h"

namespace millrace {
namespace {

constexpr std::size_t kTransportPacketsMax = 7;  // 1316 bytes, what all receivers are made for
constexpr std::uint8_t kStaticType = 33;

// The bytes in front of the first that is no whole transport packet.
std::size_t SoundBytes(ByteSpan data) {
  std::size_t sound = 0;
  while (data.size() - sound >= kTransportPacketBytes && data[sound] == kTransportSync) {
    sound += kTransportPacketBytes;
  }
  return sound;
}

class MpegTsPacketizer final : public Packetizer {
 public:
  MpegTsPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track),
        run_bytes_(kTransportPacketBytes *
                   std::min(PayloadBytesMax(packet_bytes) / kTransportPacketBytes,
                            kTransportPacketsMax)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    const ByteSpan sound = unit.data.first(SoundBytes(unit.data));
    if (sound.empty() || run_bytes_ == 0) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    for (std::size_t at = 0; at < sound.size(); at += run_bytes_) {
      const ByteSpan run = sound.subspan(at, std::min(run_bytes_, sound.size() - at));
      std::memcpy(out.AddPacket(run.size()), run.data(), run.size());
    }
    out.EndUnit(/*marker=*/false);
    return sound.size() == unit.data.size();
  }

  void Flush(PacketBlockBuilder& /*out*/) override {}

 private:
  const Track track_;
  const std::size_t run_bytes_;  // 0: not even one fits
};

std::string Encoding(const Track& /*track*/) { return "MP2T/90000"; }

std::optional<std::uint8_t> StaticType(const Track& /*track*/) { return kStaticType; }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<MpegTsPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kMpegTsFormat = {
    .encoding = Encoding, .make_packetizer = Make, .static_type = StaticType};

}  // namespace millrace
