#include "rtp/payload/g722.h"

#include "rtp/payload/sample_packetizer.h"

namespace millrace {
namespace {

constexpr std::uint8_t kG722Type = 9;

std::string Encoding(const Track& track) { return SampleEncoding("G722", track); }

std::optional<std::uint8_t> StaticType(const Track& track) {
  return track.clock_rate == 8000 && track.channels <= 1 ? std::optional(kG722Type) : std::nullopt;
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return MakeSamplePacketizer(track, /*sample_bytes=*/1, /*swap=*/false, packet_bytes);
}

}  // namespace

const PayloadFormat kG722Format = {
    .encoding = Encoding, .make_packetizer = Make, .static_type = StaticType};

}  // namespace millrace
