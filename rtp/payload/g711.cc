#include "rtp/payload/g711.h"

#include "rtp/payload/sample_packetizer.h"

namespace millrace {
namespace {

constexpr std::uint8_t kPcmuType = 0;
constexpr std::uint8_t kPcmaType = 8;

bool IsTelephone(const Track& track) { return track.clock_rate == 8000 && track.channels <= 1; }

std::string PcmuEncoding(const Track& track) { return SampleEncoding("PCMU", track); }
std::string PcmaEncoding(const Track& track) { return SampleEncoding("PCMA", track); }

std::optional<std::uint8_t> PcmuStaticType(const Track& track) {
  return IsTelephone(track) ? std::optional(kPcmuType) : std::nullopt;
}
std::optional<std::uint8_t> PcmaStaticType(const Track& track) {
  return IsTelephone(track) ? std::optional(kPcmaType) : std::nullopt;
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return MakeSamplePacketizer(track, /*sample_bytes=*/1, /*swap=*/false, packet_bytes);
}

}  // namespace

const PayloadFormat kPcmuFormat = {
    .encoding = PcmuEncoding, .make_packetizer = Make, .static_type = PcmuStaticType};
const PayloadFormat kPcmaFormat = {
    .encoding = PcmaEncoding, .make_packetizer = Make, .static_type = PcmaStaticType};

}  // namespace millrace
