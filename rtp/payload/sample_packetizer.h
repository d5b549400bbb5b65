// What G.711, linear PCM, G.722 and G.726 have in common: samples that stand alone, so that any
// number of them may make a packet (RFC 3551 section 4.3).
//
// An access unit of any length is cut into equal packets but for the last. Each holds whole sample
// groups (one sample of every channel, section 4.3), lasts at most 20 ms (section 4.2),
// and goes into the block as an access unit of its own: with the exact timestamp of its first
// sample, due when that is, and decodable by itself. The marker is 0, for there is no silence
// suppression (section 4.1).
//
// Bytes at the end that are no whole group are left out, and the unit is malformed. Nothing can be
// sent of a track whose groups are larger than the payload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "media/bitstream.h"
#include "rtp/payload/packetizer.h"

namespace millrace {

// `sample_bytes`: of one channel's sample, 1 to 3; of a track with any other nothing is sent.
// `swap`: samples come with the least significant byte first.
std::unique_ptr<Packetizer> MakeSamplePacketizer(const Track& track, std::size_t sample_bytes,
                                                 bool swap, std::size_t packet_bytes);

// The least run of samples that fills whole octets, for every channel.
struct SampleGroup {
  std::size_t bytes = 1;  // 0: nothing can be sent
  std::size_t ticks = 1;  // what it lasts
};
// Whole groups as they go into a packet.
using SampleCopy = void (*)(ByteSpan samples, std::uint8_t* out);
void CopySamples(ByteSpan samples, std::uint8_t* out);  // as they are
std::unique_ptr<Packetizer> MakeGroupPacketizer(const Track& track, SampleGroup group,
                                                SampleCopy copy, std::size_t packet_bytes);

// "NAME/RATE", and "/CHANNELS" when there is more than one (RFC 8866 section 6.6).
std::string SampleEncoding(absl::string_view name, const Track& track);

}  // namespace millrace
