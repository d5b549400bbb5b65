// The live stream that millrace-load publishes, made up packet by packet, and how a viewer reads
// it.
//
// Track 0 has the shape of H.264 at 25 pictures a second and 2 Mbit/s, a key frame every second, in
// FU-A (RFC 6184 section 5.8); track 1 that of AAC at 48 kHz, one access unit per packet (RFC
// 3640). After the payload format's own header every packet carries the time at which it was made,
// of which no byte is zero, so that it may stand in a NAL unit.
//
// Thread: the publisher's; the functions for viewers belong to nobody.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/clock.h"

namespace millrace::load {

inline constexpr std::size_t kStampedTracks = 2;
inline constexpr std::size_t kStampedVideo = 0;
inline constexpr std::size_t kStampedAudio = 1;

class StampedStream {
 public:
  // Before each packet there is room for the prefix of an interleaved frame (RFC 2326 section
  // 10.12), so that an access unit can go out over TCP with one call.
  static constexpr std::size_t kPrefixBytes = 4;

  struct Unit {
    std::size_t track = 0;
    // Each with its prefix, not filled in, end to end in memory; valid until the next `Next`.
    std::vector<std::span<std::uint8_t>> packets;
  };

  explicit StampedStream(Instant start);

  static std::string Sdp();

  Instant next_due() const;
  // The access unit due next, stamped with `now`.
  const Unit& Next(Instant now);
  // SR and SDES for what was sent of a track so far.
  std::vector<std::uint8_t> SenderReport(std::size_t track, Instant now, WallTime wall) const;

 private:
  struct Track {
    std::uint64_t units = 0;
    std::uint16_t sequence = 0;
    std::uint32_t packets = 0;
    std::uint32_t payload_bytes = 0;
  };

  Instant Due(std::size_t track) const;
  void MakeVideo(Instant now);
  void MakeAudio(Instant now);
  // Room for one packet of the unit, its RTP header written; the rest is the payload.
  std::span<std::uint8_t> AddPacket(std::size_t payload_bytes, bool marker);

  const Instant start_;
  std::array<Track, kStampedTracks> tracks_;
  std::vector<std::uint8_t> memory_;
  std::size_t used_ = 0;
  Unit unit_;
};

// When the packet of this track was made; nothing when it is none of StampedStream's.
std::optional<Instant> SentAt(std::size_t track, std::span<const std::uint8_t> packet);
// Whether this packet of the video track is the first of a key frame.
bool StartsKeyFrame(std::span<const std::uint8_t> packet);

}  // namespace millrace::load
