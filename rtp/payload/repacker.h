// Splits the payload of a received packet that is larger than a viewer's packet may be, so that a
// receiver puts together the same NAL units or audio frames.
//
// H.264 (RFC 6184, modes 0 and 1): a NAL unit becomes FU-A, a STAP-A becomes smaller ones, an FU-A
// several. H.265 (RFC 7798, without decoding order numbers): the same with FU and AP. AAC (RFC
// 3640, AAC-hbr: 13 bits of size, 3 of index, no other AU header fields): fewer access units a
// packet, an access unit that is too large in fragments. Fragments of a unit are of one size, the
// last may be shorter, so that they make a train.
//
// Shard: any; a pure function that allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "media/track.h"

namespace millrace {

class RepackSink {
 public:
  virtual ~RepackSink() = default;
  // One payload: `head` (its own header, may be empty) followed by `body` (bytes of the original).
  // Both end with the call. `units_before`: access units of the original that lie in time before
  // the first of this payload; its RTP timestamp is the original's plus that many times the
  // duration of an access unit (RFC 3640 section 3.2.1). Always 0 for video.
  virtual void OnPayload(std::span<const std::uint8_t> head, std::span<const std::uint8_t> body,
                         bool marker, std::uint32_t units_before) = 0;
};

// Gives the parts in order, each of at most `payload_bytes_max` bytes; a payload that fits is given
// as it is, whatever it is. `marker` is the original's: of video the last part has it, of AAC every
// part that ends an access unit (section 3.1).
//
// False, and nothing given: it cannot be split (unknown codec, malformed, a packet type that is not
// listed above, or a bound that leaves no room for a byte behind the header).
bool Repack(std::optional<Codec> codec, std::span<const std::uint8_t> payload, bool marker,
            std::size_t payload_bytes_max, RepackSink* sink);

}  // namespace millrace
