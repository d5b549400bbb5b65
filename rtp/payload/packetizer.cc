#include "rtp/payload/packetizer.h"

#include <algorithm>

#include "rtp/payload/payload_format.h"

namespace millrace {

std::size_t PayloadBytesMax(std::size_t packet_bytes) {
  return std::clamp<std::size_t>(packet_bytes, kPacketBytesMin, UINT16_MAX) - kRtpHeaderBytes;
}

std::unique_ptr<Packetizer> MakePacketizer(const Track& track, std::size_t packet_bytes) {
  return PayloadFormatOf(track.codec).make_packetizer(track, packet_bytes);
}

}  // namespace millrace
