#include "rtp/payload/linear_pcm.h"

#include "absl/strings/str_cat.h"
#include "rtp/payload/sample_packetizer.h"

namespace millrace {
namespace {

constexpr std::uint8_t kStereoType = 10;
constexpr std::uint8_t kMonoType = 11;

std::string Encoding(const Track& track) {
  return SampleEncoding(absl::StrCat("L", track.sample_bytes * 8), track);
}

std::optional<std::uint8_t> StaticType(const Track& track) {
  if (track.sample_bytes != 2 || track.clock_rate != 44100 || track.channels > 2) {
    return std::nullopt;
  }
  return track.channels == 2 ? kStereoType : kMonoType;
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return MakeSamplePacketizer(track, track.sample_bytes, track.little_endian, packet_bytes);
}

}  // namespace

const PayloadFormat kLinearPcmFormat = {
    .encoding = Encoding, .make_packetizer = Make, .static_type = StaticType};

}  // namespace millrace
