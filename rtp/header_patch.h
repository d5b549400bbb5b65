// A viewer's own numbering laid over the packets that all viewers share.
//
// A pause or a seek leaves a gap in the shared numbering, while RFC 2326 appendix B wants sequence
// numbers and timestamps that go on. The gap is added to each header as it leaves; the block is
// untouched. A viewer who never paused has the identity and sends the block's bytes as they lie.
//
// Shard: a value; any.
#pragma once

#include <cstdint>
#include <cstring>

#include "rtp/big_endian.h"

namespace millrace {

struct HeaderPatch {
  std::uint16_t sequence_offset = 0;   // added modulo 2^16
  std::uint32_t timestamp_offset = 0;  // added modulo 2^32
  std::uint32_t ssrc = 0;              // 0: keep the packet's own

  bool identity() const { return sequence_offset == 0 && timestamp_offset == 0 && ssrc == 0; }

  // Writes the patched copy of a fixed RTP header. `out12` may be `original_header12` itself.
  void Apply(const std::uint8_t* original_header12, std::uint8_t* out12) const {
    const std::uint16_t sequence = LoadBe16(original_header12 + 2);
    const std::uint32_t timestamp = LoadBe32(original_header12 + 4);
    const std::uint32_t own_ssrc = LoadBe32(original_header12 + 8);
    std::memmove(out12, original_header12, 2);
    StoreBe16(out12 + 2, static_cast<std::uint16_t>(sequence + sequence_offset));
    StoreBe32(out12 + 4, timestamp + timestamp_offset);
    StoreBe32(out12 + 8, ssrc != 0 ? ssrc : own_ssrc);
  }
};

}  // namespace millrace
