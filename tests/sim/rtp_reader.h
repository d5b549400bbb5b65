// RTP read by the tests' own code, independent of rtp/: headers, H.264 (RFC 6184) and AAC (RFC
// 3640) payloads put together again, with every deviation from the formats named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/clock.h"
#include "media/track.h"

namespace millrace::sim {

struct RtpPacket {
  Instant arrival{};
  Bytes bytes;  // header included

  bool marker() const { return (bytes[1] & 0x80) != 0; }
  std::uint8_t payload_type() const { return bytes[1] & 0x7f; }
  std::uint16_t sequence() const { return static_cast<std::uint16_t>(bytes[2] << 8 | bytes[3]); }
  std::uint32_t timestamp() const { return Word(4); }
  std::uint32_t ssrc() const { return Word(8); }
  std::span<const std::uint8_t> payload() const {
    return std::span<const std::uint8_t>(bytes).subspan(12);
  }
  // What is not plain RTP as this server sends it (version 2, nothing but the fixed header, a
  // payload).
  std::optional<std::string> Fault() const;

 private:
  std::uint32_t Word(std::size_t at) const {
    return static_cast<std::uint32_t>(bytes[at]) << 24 |
           static_cast<std::uint32_t>(bytes[at + 1]) << 16 |
           static_cast<std::uint32_t>(bytes[at + 2]) << 8 | bytes[at + 3];
  }
};

// Collects the NAL units of one H.264 access unit, packet by packet.
class H264Assembler {
 public:
  // What is wrong with the packet, if anything.
  std::optional<std::string> Add(std::span<const std::uint8_t> payload);
  bool mid_fragment() const { return in_fragment_; }
  // The units so far; starts afresh.
  std::vector<Bytes> Take();

 private:
  std::optional<std::string> AddStap(std::span<const std::uint8_t> payload);
  std::optional<std::string> AddFragment(std::span<const std::uint8_t> payload);

  std::vector<Bytes> nals_;
  Bytes fragment_;
  bool in_fragment_ = false;
};

// Reads AAC packets: whole frames, or one fragment of a frame.
class AacAssembler {
 public:
  // `frames`: those that this packet completes.
  std::optional<std::string> Add(std::span<const std::uint8_t> payload, std::vector<Bytes>* frames);
  bool mid_fragment() const { return !fragment_.empty(); }
  void Reset() { fragment_.clear(); }

 private:
  Bytes fragment_;
  std::size_t fragment_total_ = 0;
};

}  // namespace millrace::sim
