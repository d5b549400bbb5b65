#include "rtp/payload/packetizer.h"

#include <algorithm>
#include <cstdlib>

#include "rtp/payload/aac.h"
#include "rtp/payload/h264.h"
#include "rtp/payload/h265.h"

namespace millrace {

std::size_t PayloadBytesMax(std::size_t packet_bytes) {
  return std::clamp<std::size_t>(packet_bytes, kPacketBytesMin, UINT16_MAX) - kRtpHeaderBytes;
}

std::unique_ptr<Packetizer> MakePacketizer(const Track& track, std::size_t packet_bytes) {
  switch (track.codec) {
    case Codec::kH264:
      return MakeH264Packetizer(track, packet_bytes);
    case Codec::kH265:
      return MakeH265Packetizer(track, packet_bytes);
    case Codec::kAac:
      return MakeAacPacketizer(track, packet_bytes);
  }
  std::abort();  // no such codec
}

}  // namespace millrace
