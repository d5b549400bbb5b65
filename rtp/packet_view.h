// One RTP packet (RFC 3550 section 5.1) as received or sent, read in place once it is checked.
//
// Shard: a value that borrows the packet's bytes; any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace millrace {

struct PacketView {
  bool marker = false;
  std::uint8_t payload_type = 0;  // 7 bits
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 0;

  std::span<const std::uint8_t> csrcs;  // four bytes each, network order
  // Header extension (section 5.3.1): the 16 bits "defined by profile" and the words behind.
  bool has_extension = false;
  std::uint16_t extension_profile = 0;
  std::span<const std::uint8_t> extension;

  std::span<const std::uint8_t> payload;  // may be empty; padding excluded
  std::size_t padding_bytes = 0;          // the count octet included

  // Nothing when `bytes` is no RTP packet: shorter than its own fields, another version than 2, or
  // padding that is zero or longer than what it pads. Never reads beyond `bytes`.
  static std::optional<PacketView> Parse(std::span<const std::uint8_t> bytes);
};

}  // namespace millrace
