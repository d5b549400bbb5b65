#include "rtp/payload/g726.h"

#include "absl/strings/str_cat.h"
#include "rtp/payload/sample_packetizer.h"

namespace millrace {
namespace {

constexpr std::size_t kGroupWords = 8;

// 0: not known.
std::size_t WordBits(const Track& track) {
  if (track.config.size() != 1 || track.config[0] < 2 || track.config[0] > 5) return 0;
  return track.config[0];
}

// From the most significant bits first to the least. Both packings agree on where a group ends.
template <std::size_t bits>
void CopyRepacked(ByteSpan groups, std::uint8_t* out) {
  constexpr std::uint64_t kWord = (1u << bits) - 1;
  for (std::size_t at = 0; at + bits <= groups.size(); at += bits) {
    std::uint64_t packed = 0, repacked = 0;
    for (std::size_t i = 0; i < bits; ++i) packed = packed << 8 | groups[at + i];
    for (std::size_t word = 0; word < kGroupWords; ++word) {
      repacked |= (packed >> bits * (kGroupWords - 1 - word) & kWord) << bits * word;
    }
    for (std::size_t i = 0; i < bits; ++i) {
      out[at + i] = static_cast<std::uint8_t>(repacked >> 8 * i);
    }
  }
}

std::string Encoding(const Track& track) {
  return absl::StrCat("G726-", WordBits(track) * 8, "/", track.clock_rate);
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  constexpr SampleCopy kRepack[] = {CopyRepacked<2>, CopyRepacked<3>, CopyRepacked<4>,
                                    CopyRepacked<5>};
  const std::size_t bits = WordBits(track);
  return MakeGroupPacketizer(track, {.bytes = bits, .ticks = kGroupWords},
                             bits == 0 || track.little_endian ? CopySamples : kRepack[bits - 2],
                             packet_bytes);
}

}  // namespace

const PayloadFormat kG726Format = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
