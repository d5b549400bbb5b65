// AudioMuxElements (ISO 14496-3 section 1.7.3) written bit by bit, of every kind, and read in the
// plainest way there is.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "media/track.h"

namespace millrace::testing {

class BitWriter {
 public:
  void Put(std::uint32_t value, int count) {
    while (count-- > 0) {
      if (bits_ % 8 == 0) bytes_.push_back(0);
      bytes_.back() |= static_cast<std::uint8_t>((value >> count & 1) << (7 - bits_ % 8));
      ++bits_;
    }
  }
  std::size_t bits() const { return bits_; }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
  std::size_t bits_ = 0;
};

// AudioSpecificConfigs in their bits.
struct AacConfig {
  std::uint32_t type = 2, rate_index = 4, channels = 2;
  std::uint32_t rate = 0;  // of index 15
  int sbr_type = 0;        // 5, 29
  std::uint32_t sbr_rate_index = 3;
  bool short_frames = false, depends_on_core = false, has_extension = false;
};

inline void PutConfig(const AacConfig& config, BitWriter* out) {
  out->Put(static_cast<std::uint32_t>(config.sbr_type != 0 ? config.sbr_type : config.type), 5);
  out->Put(config.rate_index, 4);
  if (config.rate_index == 15) out->Put(config.rate, 24);
  out->Put(config.channels, 4);
  if (config.sbr_type != 0) {
    out->Put(config.sbr_rate_index, 4);
    out->Put(config.type, 5);
  }
  out->Put(config.short_frames ? 1 : 0, 1);
  out->Put(config.depends_on_core ? 1 : 0, 1);
  out->Put(config.has_extension ? 1 : 0, 1);
}

struct LatmKind {
  bool as_before = false;
  bool version_1 = false, version_a = false;
  bool same_framing = true;
  std::uint32_t more_frames = 0, more_programs = 0, more_layers = 0;
  AacConfig config;
  std::uint32_t fill_bits = 0;  // version 1: behind the configuration
  std::uint32_t length_type = 0;
  bool other_data = false, checksum = false;
  int other_length_bytes = 2;  // version 0
};

inline Bytes MakeLatm(const LatmKind& kind, const Bytes& frame) {
  BitWriter out;
  out.Put(kind.as_before ? 1 : 0, 1);
  if (!kind.as_before) {
    out.Put(kind.version_1 ? 1 : 0, 1);
    if (kind.version_1) {
      out.Put(kind.version_a ? 1 : 0, 1);
      out.Put(1, 2);  // a value of two bytes
      out.Put(0xabcd, 16);
    }
    out.Put(kind.same_framing ? 1 : 0, 1);
    out.Put(kind.more_frames, 6);
    out.Put(kind.more_programs, 4);
    out.Put(kind.more_layers, 3);
    if (kind.version_1) {
      BitWriter config;
      PutConfig(kind.config, &config);
      const auto length = static_cast<std::uint32_t>(config.bits()) + kind.fill_bits;
      out.Put(length < 256 ? 0 : 1, 2);  // bytes of the value, less one
      out.Put(length, length < 256 ? 8 : 16);
    }
    PutConfig(kind.config, &out);
    for (std::uint32_t i = 0; kind.version_1 && i < kind.fill_bits; ++i) out.Put(1, 1);
    out.Put(kind.length_type, 3);
    out.Put(0xff, 8);
    out.Put(kind.other_data ? 1 : 0, 1);
    if (kind.other_data && kind.version_1) {
      out.Put(0, 2);
      out.Put(8, 8);
    } else if (kind.other_data) {
      for (int i = 1; i < kind.other_length_bytes; ++i) {
        out.Put(1, 1);  // another byte of length follows
        out.Put(0, 8);
      }
      out.Put(0, 1);
      out.Put(8, 8);
    }
    out.Put(kind.checksum ? 1 : 0, 1);
    if (kind.checksum) out.Put(0x5a, 8);
  }
  for (std::size_t left = frame.size();; left -= 255) {
    out.Put(static_cast<std::uint32_t>(left < 255 ? left : 255), 8);
    if (left < 255) break;
  }
  for (const std::uint8_t byte : frame) out.Put(byte, 8);
  if (kind.other_data) out.Put(0x77, 8);
  return out.bytes();
}

// As MP4A-LATM's receivers know it, with what follows cut off.
inline Bytes ConfigBytes(const AacConfig& config) {
  BitWriter out;
  PutConfig(config, &out);
  return out.bytes();
}

}  // namespace millrace::testing
