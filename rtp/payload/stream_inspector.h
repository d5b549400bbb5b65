// What a live stream of a known codec tells about itself, packet by packet: where decoding can
// start, and which parameter sets it carries.
//
// Understands single NAL unit packets, aggregation packets and the first fragments of fragmented
// units, of H.264 (RFC 6184) and H.265 (RFC 7798, without decoding order numbers). Any bytes are
// allowed: what is malformed tells nothing, the sound units before it count.
//
// Shard: the home of the publisher.
// Limits: kSetsMax parameter sets of each kind, kSetBytesMax each; more or larger ones are ignored.
//
// Invariants
//   1. At most one set of each kind has an id: the newest.
//   2. Nothing is allocated for a packet that brings no new or changed set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "media/track.h"

namespace millrace {

class StreamInspector {
 public:
  static constexpr std::size_t kSetsMax = 32;
  static constexpr std::size_t kSetBytesMax = 4096;

  explicit StreamInspector(Codec codec) : codec_(codec) {}

  // Takes one packet's payload. Whether decoding can start at the access unit it belongs to, as far
  // as this packet alone tells. H.264: an IDR slice, an SPS, or a recovery point SEI message.
  // H.265: a picture of an IRAP type, a VPS or an SPS, of the base layer. Audio: always.
  bool Inspect(std::span<const std::uint8_t> payload);

  // NAL units as received, in the order their ids were first seen. Fragmented ones are not put
  // together, so they are missing here.
  const std::vector<Bytes>& vps() const { return vps_.sets; }
  const std::vector<Bytes>& sps() const { return sps_.sets; }
  const std::vector<Bytes>& pps() const { return pps_.sets; }
  // Rises whenever a set was new or differed from the one of its id before.
  std::uint64_t changed() const { return changed_; }

 private:
  struct SetList {
    std::vector<Bytes> sets;
    std::array<std::uint16_t, kSetsMax> ids{};  // of each set
  };

  bool InspectH264(std::span<const std::uint8_t> payload);
  bool InspectH264Unit(std::span<const std::uint8_t> nal);
  bool InspectH265(std::span<const std::uint8_t> payload);
  bool InspectH265Unit(std::span<const std::uint8_t> nal);
  void Note(std::uint16_t id, std::span<const std::uint8_t> nal, SetList* list);

  const Codec codec_;
  SetList vps_, sps_, pps_;
  std::uint64_t changed_ = 0;
};

}  // namespace millrace
