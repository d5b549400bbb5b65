// ADTS and AudioSpecificConfig; declared in bitstream.h.
#include <array>

#include "media/bit_reader.h"
#include "media/bitstream.h"

namespace millrace {
namespace {

// ISO 14496-3 table 1.18.
constexpr std::array<std::uint32_t, 13> kSampleRates = {
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350};
constexpr std::uint32_t kSampleRateEscape = 15;
// The largest rate any table or escape in use knows; more is damage.
constexpr std::uint32_t kSampleRateMax = 192000;

// ISO 14496-3 table 1.19.
std::uint32_t ChannelCount(std::uint32_t channel_config) {
  constexpr std::array<std::uint32_t, 16> kChannels = {0, 1, 2, 3, 4, 5,  6, 8,
                                                       0, 0, 0, 7, 8, 24, 8, 0};
  return kChannels[channel_config & 15];
}

std::uint32_t ReadObjectType(BitReader* bits) {
  const std::uint32_t type = bits->Bits(5);
  return type == 31 ? 32 + bits->Bits(6) : type;
}

std::uint32_t ReadSampleRate(BitReader* bits) {
  const std::uint32_t index = bits->Bits(4);
  if (index == kSampleRateEscape) return bits->Bits(24);
  return index < kSampleRates.size() ? kSampleRates[index] : 0;
}

// Object types whose configuration starts with GASpecificConfig, and so with frameLengthFlag.
bool IsGeneralAudio(std::uint32_t object_type) {
  return (object_type >= 1 && object_type <= 4) || object_type == 6 || object_type == 7 ||
         object_type == 17 || (object_type >= 19 && object_type <= 23);
}

// Samples of one frame at the core's rate.
std::uint32_t CoreFrameSamples(std::uint32_t object_type, bool short_frames) {
  constexpr std::uint32_t kLowDelay = 23, kEnhancedLowDelay = 39;
  if (object_type == kLowDelay || object_type == kEnhancedLowDelay) return short_frames ? 480 : 512;
  return short_frames ? 960 : 1024;
}

}  // namespace

std::optional<AdtsHeader> ParseAdts(ByteSpan bytes) {
  constexpr std::size_t kHeaderBytes = 7, kChecksumBytes = 2;
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  BitReader bits(bytes);
  if (bits.Bits(12) != 0xfff) return std::nullopt;
  bits.Bit();                                  // MPEG-2 or MPEG-4
  if (bits.Bits(2) != 0) return std::nullopt;  // layer
  const bool no_checksum = bits.Bit() != 0;
  AdtsHeader header;
  header.object_type = bits.Bits(2) + 1;
  const std::uint32_t rate_index = bits.Bits(4);
  if (rate_index >= kSampleRates.size()) return std::nullopt;
  header.sample_rate = kSampleRates[rate_index];
  bits.Bit();  // private
  header.channel_config = bits.Bits(3);
  bits.Skip(4);  // original, home, copyright identification
  header.frame_bytes = bits.Bits(13);
  bits.Skip(11);  // buffer fullness
  header.raw_data_blocks = bits.Bits(2) + 1;
  header.header_bytes = kHeaderBytes + (no_checksum ? 0 : kChecksumBytes);
  if (header.frame_bytes <= header.header_bytes) return std::nullopt;
  const std::uint32_t config =
      header.object_type << 11 | rate_index << 7 | header.channel_config << 3;
  header.audio_specific_config[0] = static_cast<std::uint8_t>(config >> 8);
  header.audio_specific_config[1] = static_cast<std::uint8_t>(config);
  return header;
}

std::optional<AudioConfig> ReadAudioSpecificConfig(ByteSpan config) {
  constexpr std::uint32_t kSbr = 5, kPs = 29;
  BitReader bits(config);
  AudioConfig audio;
  audio.object_type = ReadObjectType(&bits);
  audio.core_rate = audio.sample_rate = ReadSampleRate(&bits);
  audio.channel_config = bits.Bits(4);
  if (audio.object_type == kSbr || audio.object_type == kPs) {
    audio.sbr = true;
    audio.ps = audio.object_type == kPs;
    audio.sample_rate = ReadSampleRate(&bits);
    audio.object_type = ReadObjectType(&bits);
  }
  const bool short_frames = IsGeneralAudio(audio.object_type) && bits.Bit() != 0;
  if (!bits.ok() || audio.object_type == 0 || audio.sample_rate == 0 || audio.core_rate == 0 ||
      audio.sample_rate > kSampleRateMax || audio.core_rate > kSampleRateMax) {
    return std::nullopt;
  }
  audio.channels = ChannelCount(audio.channel_config);
  if (audio.ps && audio.channels == 1) audio.channels = 2;
  const std::uint32_t core_samples = CoreFrameSamples(audio.object_type, short_frames);
  // SBR may also run at the core's own rate ("downsampled"); then nothing doubles.
  audio.frame_samples = audio.sample_rate == audio.core_rate * 2 ? core_samples * 2 : core_samples;
  return audio;
}

}  // namespace millrace
