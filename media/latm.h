// AAC in LATM (ISO 14496-3 section 1.7): a low overhead audio stream (LOAS) of AudioMuxElements
// that carry their configuration with them, now and then or always.
//
// The data's way: a container's frame, an AudioSyncStream, loses its sync word and is a unit; the
// packetizer takes the raw AAC frame out of it, bit by bit, for nothing in it is aligned.
//
// Read is what broadcasters and encoders use: one program of one layer, one frame an element, of
// AAC Main, LC, SSR or LTP, with SBR or without. Others are refused. So where an element says "as
// before", how to read it does not depend on what came before; what it is to be played with does.
//
// Shard: any; pure functions of bytes, any bytes allowed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "media/bitstream.h"

namespace millrace {

// Sync word and length of an AudioSyncStream, section 1.7.2.
inline constexpr std::size_t kLoasHeaderBytes = 3;
// Of the whole frame, header included; nothing when there is no sync word.
std::optional<std::size_t> LoasFrameBytes(ByteSpan bytes);

// An AudioSpecificConfig, section 1.6.2.1, in exactly its bits; those behind them are zero.
struct AacConfigBits {
  std::array<std::uint8_t, 12> storage{};
  std::size_t bits = 0;

  ByteSpan bytes() const { return ByteSpan(storage).first((bits + 7) / 8); }
  friend bool operator==(const AacConfigBits&, const AacConfigBits&) = default;
};
// Cuts off what follows; nothing for a configuration that is not read here.
std::optional<AacConfigBits> ReadAacConfigBits(ByteSpan config);

// An AudioMuxElement with muxConfigPresent, section 1.7.3.1.
struct LatmElement {
  std::optional<AacConfigBits> config;  // nothing: as before
  std::size_t frame_at = 0;             // in bits from the element's start
  std::size_t frame_bytes = 0;          // may be 0
};
std::optional<LatmElement> ParseLatm(ByteSpan element);

// Tells a stream's elements of one configuration from those of others. "As before" is what the last
// configuration was that was told, be it one that is read here or not; at first it is this one.
class LatmFilter {
 public:
  explicit LatmFilter(ByteSpan config) : config_(config.begin(), config.end()) {}

  // Of one element after the other, `parsed` by ParseLatm.
  bool Passes(ByteSpan element, const std::optional<LatmElement>& parsed);
  // What follows has nothing to do with what came before.
  void Forget() { foreign_ = false; }

 private:
  Bytes config_;  // not const: tracks are moved
  bool foreign_ = false;
};

// Fills `out` with what lies `bit` bits from the start of `bytes`, which has all of it.
void CopyBits(ByteSpan bytes, std::size_t bit, std::span<std::uint8_t> out);

}  // namespace millrace
