#include "rtp/payload/mpeg4_video.h"

#include "media/bitstream.h"
#include "media/start_code.h"
#include "rtp/payload/fragments.h"
#include "rtp/sdp_text.h"

namespace millrace {
namespace {

// Simple profile, level 1: what a stream is that does not say (RFC 6416 section 7.1).
constexpr int kProfileAndLevelDefault = 1;

// profile_and_level_indication of the visual object sequence header (ISO 14496-2 section 6.2.2).
int ProfileAndLevel(ByteSpan config) {
  for (std::size_t at = FindStartCode(config, 0); at + 4 < config.size();
       at = FindStartCode(config, at + 4)) {
    if (config[at + 3] == 0xb0) return config[at + 4];
  }
  return kProfileAndLevelDefault;
}

class Mpeg4VideoPacketizer final : public Packetizer {
 public:
  Mpeg4VideoPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (unit.data.empty()) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddFragments(unit.data, /*header_bytes=*/0, payload_max_, out,
                 [](const Fragment&, std::uint8_t*) {});
    out.EndUnit(/*marker=*/true);
    return true;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  const Track track_;
  const std::size_t payload_max_;
};

std::string Encoding(const Track& /*track*/) { return "MP4V-ES/90000"; }

std::string Parameters(const Track& track) {
  std::string text = "profile-level-id=" + std::to_string(ProfileAndLevel(track.config));
  if (!track.config.empty()) text += ";config=" + HexText(track.config);
  return text;
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<Mpeg4VideoPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kMpeg4VideoFormat = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
