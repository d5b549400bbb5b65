#include "media/audio_frame.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "media/bit_reader.h"

namespace millrace {
namespace {

constexpr std::size_t kMpegHeaderBytes = 4;
constexpr std::uint32_t kMono = 3;
// As the header writes them.
constexpr std::uint32_t kVersion1 = 3, kVersionReserved = 1;
constexpr std::uint32_t kLayer1 = 3, kLayer2 = 2, kLayer3 = 1;

// kbit/s; ISO 11172-3 and 13818-3, table of bit_rate_index. Index 0 is free format.
constexpr std::array<std::array<std::uint16_t, 15>, 5> kBitRates = {{
    {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},  // 1, layer I
    {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},     // 1, layer II
    {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},      // 1, layer III
    {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},     // 2, layer I
    {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},          // 2, layers II, III
}};

const std::array<std::uint16_t, 15>& BitRates(bool version_1, std::uint32_t layer) {
  if (version_1) return kBitRates[layer == kLayer1 ? 0 : layer == kLayer2 ? 1 : 2];
  return kBitRates[layer == kLayer1 ? 3 : 4];
}

}  // namespace

std::optional<AudioFrameHeader> ParseMpegAudio(ByteSpan bytes) {
  constexpr std::array<std::uint32_t, 3> kRates = {44100, 48000, 32000};
  if (bytes.size() < kMpegHeaderBytes) return std::nullopt;
  BitReader bits(bytes);
  if (bits.Bits(11) != 0x7ff) return std::nullopt;
  const std::uint32_t version = bits.Bits(2);
  const std::uint32_t layer = bits.Bits(2);
  bits.Bit();  // checksum
  const std::uint32_t bit_rate_index = bits.Bits(4);
  const std::uint32_t rate_index = bits.Bits(2);
  const std::uint32_t padding = bits.Bit();
  bits.Bit();  // private
  const std::uint32_t mode = bits.Bits(2);
  if (version == kVersionReserved || layer == 0 || bit_rate_index == 0 || bit_rate_index == 15 ||
      rate_index == 3) {
    return std::nullopt;
  }
  const bool version_1 = version == kVersion1;
  // Version 2 halves the rates, 2.5 quarters them.
  const std::uint32_t rate_divisor = version_1 ? 1 : version == 2 ? 2 : 4;
  AudioFrameHeader header;
  header.sample_rate = kRates[rate_index] / rate_divisor;
  header.channels = mode == kMono ? 1 : 2;
  header.frame_samples = layer == kLayer1 ? 384 : layer == kLayer3 && !version_1 ? 576 : 1152;
  header.kind = version << 2 | layer;
  header.layer = 4 - layer;
  // A slot is four bytes in layer I, one in the others.
  const std::uint32_t slot = layer == kLayer1 ? 4 : 1;
  const std::uint32_t bits_per_second = BitRates(version_1, layer)[bit_rate_index] * 1000u;
  header.frame_bytes =
      (header.frame_samples / 8 / slot * bits_per_second / header.sample_rate + padding) * slot;
  if (header.frame_bytes <= kMpegHeaderBytes) return std::nullopt;
  return header;
}

std::optional<AudioFrameHeader> ParseAc3(ByteSpan bytes) {
  constexpr std::array<std::uint32_t, 3> kRates = {48000, 44100, 32000};
  // kbit/s; table 4.13, two codes each.
  constexpr std::array<std::uint16_t, 19> kAc3BitRates = {
      32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640};
  constexpr std::array<std::uint8_t, 8> kChannels = {2, 1, 2, 3, 3, 4, 4, 5};
  constexpr std::uint32_t kIdentificationMax = 10;
  constexpr std::uint32_t kFrameSamples = 1536;
  BitReader bits(bytes);
  if (bits.Bits(16) != 0x0b77) return std::nullopt;
  bits.Skip(16);  // checksum
  const std::uint32_t rate_index = bits.Bits(2);
  const std::uint32_t size_code = bits.Bits(6);
  const std::uint32_t identification = bits.Bits(5);
  bits.Skip(3);  // mode
  const std::uint32_t coding_mode = bits.Bits(3);
  if ((coding_mode & 1) != 0 && coding_mode != 1) bits.Skip(2);  // centre mix level
  if ((coding_mode & 4) != 0) bits.Skip(2);                      // surround mix level
  if (coding_mode == 2) bits.Skip(2);                            // Dolby Surround
  const std::uint32_t low_frequency = bits.Bit();
  if (!bits.ok() || rate_index == 3 || size_code >= 2 * kAc3BitRates.size() ||
      identification > kIdentificationMax) {
    return std::nullopt;
  }
  AudioFrameHeader header;
  // Identification 9 and 10 are half and quarter rates.
  const std::uint32_t halvings = identification > 8 ? identification - 8 : 0;
  header.sample_rate = kRates[rate_index] >> halvings;
  header.channels = kChannels[coding_mode] + low_frequency;
  header.frame_samples = kFrameSamples;
  header.kind = identification;
  // Words of 16 bits: 1536 samples at the bit rate; at 44.1 kHz every other code has one more.
  const std::uint32_t bits_per_second = kAc3BitRates[size_code / 2] * 1000u;
  const std::uint32_t words = static_cast<std::uint32_t>(std::uint64_t{kFrameSamples} *
                                                         bits_per_second / kRates[rate_index] / 16);
  header.frame_bytes = 2 * (words + (rate_index == 1 ? size_code & 1 : 0));
  return header;
}

std::optional<AudioFrameHeader> ParseEac3(ByteSpan bytes) {
  constexpr std::array<std::uint32_t, 3> kRates = {48000, 44100, 32000};
  constexpr std::array<std::uint8_t, 8> kChannels = {2, 1, 2, 3, 3, 4, 4, 5};
  constexpr std::array<std::uint8_t, 4> kBlocks = {1, 2, 3, 6};
  constexpr std::uint32_t kBlockSamples = 256;
  constexpr std::uint32_t kIndependent = 0, kConverted = 2, kReserved = 3;
  constexpr std::uint32_t kIdentificationMin = 11, kIdentificationMax = 16;
  if (std::optional<AudioFrameHeader> ac3 = ParseAc3(bytes)) {
    ac3->kind = ac3->frame_samples;
    return ac3;
  }
  BitReader bits(bytes);
  if (bits.Bits(16) != 0x0b77) return std::nullopt;
  const std::uint32_t type = bits.Bits(2);
  const std::uint32_t substream = bits.Bits(3);
  const std::uint32_t words = bits.Bits(11) + 1;
  const std::uint32_t rate_index = bits.Bits(2);
  const std::uint32_t blocks_index = bits.Bits(2);
  const std::uint32_t coding_mode = bits.Bits(3);
  const std::uint32_t low_frequency = bits.Bit();
  const std::uint32_t identification = bits.Bits(5);
  if (!bits.ok() || type == kReserved || rate_index == 3 || identification < kIdentificationMin ||
      identification > kIdentificationMax || 2 * words < 8) {
    return std::nullopt;
  }
  AudioFrameHeader header;
  header.sample_rate = kRates[rate_index];
  header.channels = kChannels[coding_mode] + low_frequency;
  header.frame_samples = kBlockSamples * kBlocks[blocks_index];
  header.frame_bytes = 2 * words;
  header.kind = header.frame_samples;
  header.starts_unit = (type == kIndependent || type == kConverted) && substream == 0;
  return header;
}

std::optional<AudioFrameHeader> ParseEac3Unit(ByteSpan unit) {
  const std::optional<AudioFrameHeader> first = ParseEac3(unit);
  if (!first) return std::nullopt;
  AudioFrameHeader header = *first;
  header.frame_bytes = header.frame_samples = 0;
  for (auto frame = first; frame && frame->frame_bytes <= unit.size(); frame = ParseEac3(unit)) {
    header.frame_bytes += frame->frame_bytes;
    if (frame->starts_unit) header.frame_samples += frame->frame_samples;
    unit = unit.subspan(frame->frame_bytes);
  }
  return header;
}

std::optional<AudioFrameHeader> ParseAmr(ByteSpan bytes, bool wideband) {
  // Octets behind the header by type: speech, then comfort noise; -1 is not of this codec.
  constexpr std::array<std::int8_t, 16> kNarrow = {12, 13, 15, 17, 19, 20, 26, 31,
                                                   5,  -1, -1, -1, -1, -1, -1, 0};
  constexpr std::array<std::int8_t, 16> kWide = {17, 23, 32, 36, 40, 46, 50, 58,
                                                 60, 5,  -1, -1, -1, -1, 0,  0};
  constexpr std::uint8_t kPadding = 0x83;  // what is zero in every header
  if (bytes.empty() || (bytes[0] & kPadding) != 0) return std::nullopt;
  const int octets = (wideband ? kWide : kNarrow)[bytes[0] >> 3];
  if (octets < 0) return std::nullopt;
  AudioFrameHeader header;
  header.sample_rate = wideband ? 16000 : 8000;
  header.channels = 1;
  header.frame_samples = header.sample_rate / 50;
  header.frame_bytes = 1 + static_cast<std::size_t>(octets);
  return header;
}

bool IsMp3InfoFrame(ByteSpan frame) {
  const std::optional<AudioFrameHeader> header = ParseMpegAudio(frame);
  if (!header || header->layer != 3) return false;
  const bool version_1 = header->kind >> 2 == kVersion1;
  const bool mono = header->channels == 1;
  const std::size_t side_bytes = version_1 ? (mono ? 17 : 32) : (mono ? 9 : 17);
  const auto holds = [frame](std::size_t at, const char* name) {
    return frame.size() >= at + 4 && std::memcmp(frame.data() + at, name, 4) == 0;
  };
  const std::size_t behind = kMpegHeaderBytes + side_bytes;
  return holds(behind, "Xing") || holds(behind, "Info") || holds(kMpegHeaderBytes + 32, "VBRI");
}

}  // namespace millrace
