#include "media/latm.h"

#include <algorithm>

#include "media/bit_reader.h"

namespace millrace {
namespace {

std::uint32_t ReadObjectType(BitReader* bits) {
  const std::uint32_t type = bits->Bits(5);
  return type == 31 ? 32 + bits->Bits(6) : type;
}

void SkipSampleRate(BitReader* bits) {
  constexpr std::uint32_t kEscape = 15;
  if (bits->Bits(4) == kEscape) bits->Skip(24);
}

// Moves to the end of an AudioSpecificConfig. It has no length of its own, so one that is not
// understood is not passed either.
bool SkipAacConfig(BitReader* bits) {
  constexpr std::uint32_t kSbr = 5, kPs = 29, kMain = 1, kLongTermPrediction = 4;
  std::uint32_t type = ReadObjectType(bits);
  SkipSampleRate(bits);
  const std::uint32_t channels = bits->Bits(4);
  if (type == kSbr || type == kPs) {
    SkipSampleRate(bits);
    type = ReadObjectType(bits);
  }
  // Channels 0 are told by a program config element, in a configuration of any length.
  if (type < kMain || type > kLongTermPrediction || channels == 0) return false;
  bits->Bit();                                    // frameLengthFlag
  const bool depends_on_core = bits->Bit() != 0;  // of scalable streams alone,
  const bool has_extension = bits->Bit() != 0;    // of error resilient ones
  return bits->ok() && !depends_on_core && !has_extension;
}

// LatmGetValue, table 1.43.
std::uint32_t ReadValue(BitReader* bits) {
  const std::uint32_t bytes = bits->Bits(2) + 1;
  return bits->Bits(8 * bytes);
}

// otherDataLenBits of audioMuxVersion 0: how much, does not matter. False: more than can be.
bool SkipOtherDataLength(BitReader* bits) {
  constexpr int kBytesMax = 4;
  for (int i = 0; i < kBytesMax; ++i) {
    const bool more = bits->Bit() != 0;
    bits->Skip(8);
    if (!more) return true;
  }
  return false;
}

AacConfigBits CopyConfig(ByteSpan bytes, std::size_t begin, std::size_t end) {
  AacConfigBits config;
  config.bits = end - begin;
  BitReader bits(bytes);
  bits.Skip(static_cast<unsigned>(begin));
  for (std::size_t i = 0; i < config.bits; ++i) {
    config.storage[i / 8] =
        static_cast<std::uint8_t>(config.storage[i / 8] | bits.Bit() << (7 - i % 8));
  }
  return config;
}

// StreamMuxConfig, table 1.42. Its length is bounded, for a damaged file may have one at any byte.
std::optional<AacConfigBits> ReadMuxConfig(ByteSpan element, BitReader* bits) {
  const bool version_1 = bits->Bit() != 0;
  if (version_1 && bits->Bit() != 0) return std::nullopt;  // audioMuxVersionA: reserved
  if (version_1) ReadValue(bits);                          // taraBufferFullness
  const bool same_framing = bits->Bit() != 0;
  const std::uint32_t more_frames = bits->Bits(6);
  const std::uint32_t more_programs = bits->Bits(4);
  const std::uint32_t more_layers = bits->Bits(3);
  if (!same_framing || more_frames != 0 || more_programs != 0 || more_layers != 0) {
    return std::nullopt;
  }
  const std::size_t told_bits = version_1 ? ReadValue(bits) : 0;
  const std::size_t begin = bits->position();
  if (!SkipAacConfig(bits)) return std::nullopt;
  const std::size_t end = bits->position();
  if (version_1) {
    constexpr std::size_t kConfigBitsMax = 1024;  // with what fills it up
    if (told_bits < end - begin || told_bits > kConfigBitsMax) return std::nullopt;
    bits->Skip(static_cast<unsigned>(told_bits - (end - begin)));
  }
  const bool variable_length = bits->Bits(3) == 0;  // frameLengthType
  bits->Skip(8);                                    // latmBufferFullness
  if (bits->Bit() != 0) {                           // otherDataPresent
    if (version_1) {
      ReadValue(bits);
    } else if (!SkipOtherDataLength(bits)) {
      return std::nullopt;
    }
  }
  if (bits->Bit() != 0) bits->Skip(8);  // checksum
  if (!bits->ok() || !variable_length) return std::nullopt;
  return CopyConfig(element, begin, end);
}

}  // namespace

std::optional<std::size_t> LoasFrameBytes(ByteSpan bytes) {
  if (bytes.size() < kLoasHeaderBytes || bytes[0] != 0x56 || (bytes[1] & 0xe0) != 0xe0) {
    return std::nullopt;
  }
  const std::size_t body = static_cast<std::size_t>(bytes[1] & 0x1f) << 8 | bytes[2];
  if (body == 0) return std::nullopt;
  return kLoasHeaderBytes + body;
}

std::optional<AacConfigBits> ReadAacConfigBits(ByteSpan config) {
  BitReader bits(config);
  if (!SkipAacConfig(&bits)) return std::nullopt;
  return CopyConfig(config, 0, bits.position());
}

std::optional<LatmElement> ParseLatm(ByteSpan bytes) {
  BitReader bits(bytes);
  LatmElement element;
  const bool as_before = bits.Bit() != 0;  // useSameStreamMux
  if (!as_before) {
    element.config = ReadMuxConfig(bytes, &bits);
    if (!element.config) return std::nullopt;
  }
  // PayloadLengthInfo, table 1.44. What exceeds the element is not read to its end.
  for (std::uint32_t byte = 255; byte == 255 && element.frame_bytes <= bytes.size();) {
    byte = bits.Bits(8);
    element.frame_bytes += byte;
  }
  element.frame_at = bits.position();
  if (!bits.ok() || element.frame_at + 8 * element.frame_bytes > 8 * bytes.size()) {
    return std::nullopt;
  }
  return element;
}

bool LatmFilter::Passes(ByteSpan element, const std::optional<LatmElement>& parsed) {
  const bool as_before = element.empty() || (element[0] & 0x80) != 0;  // useSameStreamMux
  if (!as_before) {
    foreign_ = !parsed || !parsed->config || !std::ranges::equal(parsed->config->bytes(), config_);
  }
  return !foreign_;
}

void CopyBits(ByteSpan bytes, std::size_t bit, std::span<std::uint8_t> out) {
  const std::size_t shift = bit % 8;
  for (std::size_t i = 0, at = bit / 8; i < out.size(); ++i, ++at) {
    const unsigned pair = static_cast<unsigned>(bytes[at] << 8) |
                          (shift != 0 ? static_cast<unsigned>(bytes[at + 1]) : 0u);
    out[i] = static_cast<std::uint8_t>(pair >> (8 - shift));
  }
}

}  // namespace millrace
