#include "media/opus_packet.h"

namespace millrace {
namespace {

constexpr std::int64_t kSamplesPerMs = 48;

// Table 2 of section 3.1; `configuration` has 5 bits.
std::int64_t FrameSamples(unsigned configuration) {
  constexpr std::int64_t kSilkMs[] = {10, 20, 40, 60};
  if (configuration < 12) return kSilkMs[configuration % 4] * kSamplesPerMs;
  if (configuration < 16) return (configuration % 2 == 0 ? 10 : 20) * kSamplesPerMs;  // hybrid
  return std::int64_t{120} << configuration % 4;  // CELT: 2.5, 5, 10 and 20 ms
}

// Section 3.2; 0 when the packet ends before it tells.
std::int64_t FrameCount(ByteSpan packet) {
  switch (packet[0] & 3) {
    case 0:
      return 1;
    case 1:
    case 2:
      return 2;
    default:
      return packet.size() < 2 ? 0 : packet[1] & 0x3f;
  }
}

}  // namespace

std::int64_t OpusSamples(ByteSpan packet) {
  if (packet.empty()) return 0;
  const std::int64_t samples = FrameSamples(packet[0] >> 3) * FrameCount(packet);
  return samples <= kOpusPacketSamplesMax ? samples : 0;
}

}  // namespace millrace
