// Elementary stream syntax, as far as cutting and describing needs it: NAL units of H.264 and
// H.265, their parameter sets, ADTS and AudioSpecificConfig of AAC.
//
// The data's way: a demuxer reads parameter sets and configurations once at open; a packetizer
// walks the NAL units of every access unit.
//
// Shard: any. Everything is a pure function of bytes; iterating allocates nothing. Any bytes are
// allowed as input: damaged ones give false, an empty optional, or malformed().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "media/track.h"

namespace millrace {

using ByteSpan = std::span<const std::uint8_t>;

// The NAL units of one access unit, in order, without start codes or length fields.
class NalIterator {
 public:
  // `nal_length_size` as in Track: 1, 2 or 4 bytes of length, 0 for Annex B start codes.
  NalIterator(ByteSpan access_unit, std::uint32_t nal_length_size);

  // False at the end. `*nal` is never empty. Annex B: three- and four-byte start codes, trailing
  // zeros belong to no NAL unit (ISO 14496-10 annex B.1).
  bool Next(ByteSpan* nal);
  // A length field pointed beyond the end (that NAL unit and what follows it is not given), or
  // bytes lay before the first start code. Final once Next has returned false.
  bool malformed() const { return malformed_; }

 private:
  bool NextLengthPrefixed(ByteSpan* nal);
  bool NextAnnexB(ByteSpan* nal);

  ByteSpan rest_;  // Annex B: begins behind a start code
  std::uint32_t length_size_;
  bool malformed_ = false;
};

// H.264, table 7-1 of ISO 14496-10.
inline constexpr std::uint8_t kH264Slice = 1;
inline constexpr std::uint8_t kH264Idr = 5;
inline constexpr std::uint8_t kH264Sei = 6;
inline constexpr std::uint8_t kH264Sps = 7;
inline constexpr std::uint8_t kH264Pps = 8;
inline constexpr std::uint8_t kH264Aud = 9;
inline constexpr std::uint8_t kH264EndOfSequence = 10;

// H.265, table 7-1 of ISO 23008-2.
inline constexpr std::uint8_t kH265BlaFirst = 16;
inline constexpr std::uint8_t kH265BlaLast = 18;
inline constexpr std::uint8_t kH265IdrWRadl = 19;
inline constexpr std::uint8_t kH265IdrNLp = 20;
inline constexpr std::uint8_t kH265Cra = 21;
inline constexpr std::uint8_t kH265Vps = 32;
inline constexpr std::uint8_t kH265Sps = 33;
inline constexpr std::uint8_t kH265Pps = 34;
inline constexpr std::uint8_t kH265Aud = 35;
inline constexpr std::uint8_t kH265EndOfSequence = 36;

// H.266, table 5 of ISO 23090-3. Types below 12 are slices.
inline constexpr std::uint8_t kH266FirstNotSlice = 12;
inline constexpr std::uint8_t kH266OperatingPoint = 12;
inline constexpr std::uint8_t kH266DecodingCapability = 13;
inline constexpr std::uint8_t kH266Vps = 14;
inline constexpr std::uint8_t kH266Sps = 15;
inline constexpr std::uint8_t kH266Pps = 16;

inline std::uint8_t H264NalType(ByteSpan nal) { return nal.empty() ? 0 : nal[0] & 0x1f; }
inline std::uint8_t H264RefIdc(ByteSpan nal) { return nal.empty() ? 0 : (nal[0] >> 5) & 3; }
inline std::uint8_t H265NalType(ByteSpan nal) { return nal.empty() ? 63 : (nal[0] >> 1) & 0x3f; }
inline std::uint8_t H266NalType(ByteSpan nal) { return nal.size() < 2 ? 31 : nal[1] >> 3; }
inline bool IsH265Irap(std::uint8_t type) { return type >= 16 && type <= 23; }

// Which place of a coded video sequence an access unit can take.
enum class PictureStart {
  kNone,          // needs earlier pictures
  kRandomAccess,  // decoding can start here, order counts go on (H.264 recovery point, H.265 CRA)
  kSequence,      // a new coded video sequence: order counts start again (IDR, BLA)
};
PictureStart ClassifyAccessUnit(Codec codec, ByteSpan access_unit, std::uint32_t nal_length_size);

// True when the access unit carries an end of sequence NAL unit: a CRA behind it starts a sequence.
bool EndsSequence(Codec codec, ByteSpan access_unit, std::uint32_t nal_length_size);

// Adds the parameter sets found in an access unit (or Annex B extradata) to the track's lists,
// those it has already left out.
void CollectParameterSets(ByteSpan access_unit, std::uint32_t nal_length_size, Track* track);

// AVCDecoderConfigurationRecord, ISO 14496-15 section 5.3.3: sps, pps, nal_length_size.
// False, with the track untouched, when it is damaged.
bool ParseAvcC(ByteSpan record, Track* track);
// HEVCDecoderConfigurationRecord, ISO 14496-15 section 8.3.3: vps, sps, pps, nal_length_size.
bool ParseHvcC(ByteSpan record, Track* track);
// VvcDecoderConfigurationRecord, ISO 14496-15 section 11.2.4.2: vps, sps, pps, nal_length_size.
bool ParseVvcC(ByteSpan record, Track* track);
// One of the three, or Annex B (nal_length_size 0), as the first bytes tell.
bool ParseVideoExtradata(ByteSpan extradata, Track* track);

// What the VUI of an H.264 sequence parameter set says of time.
std::optional<FrameRate> ReadH264FrameRate(ByteSpan sps);

// The fixed and variable header of an ADTS frame, ISO 13818-7 section 6.2.
struct AdtsHeader {
  std::uint32_t object_type = 0;            // MPEG-4 audio object type, 2 for LC
  std::uint32_t sample_rate = 0;            // Hz
  std::uint32_t channel_config = 0;         // 0: told by a program config element in the stream
  std::size_t header_bytes = 0;             // 7, or 9 with a checksum
  std::size_t frame_bytes = 0;              // header included
  std::uint32_t raw_data_blocks = 1;        // more than one cannot be split without decoding
  std::uint8_t audio_specific_config[2]{};  // ISO 14496-3 section 1.6.2.1
};
std::optional<AdtsHeader> ParseAdts(ByteSpan bytes);

// ISO 14496-3 section 1.6.2.1.
struct AudioConfig {
  std::uint32_t object_type = 0;       // of the core: 2 for LC also when SBR or PS is signalled
  std::uint32_t sample_rate = 0;       // Hz, of what comes out: doubled by signalled SBR
  std::uint32_t core_rate = 0;         // Hz, as the first index or escape says
  std::uint32_t channel_config = 0;    // 0: told by a program config element
  std::uint32_t channels = 0;          // 0: unknown
  bool sbr = false, ps = false;        // signalled explicitly, object type 5 or 29 in front
  std::uint32_t frame_samples = 1024;  // at sample_rate, per access unit
};
std::optional<AudioConfig> ReadAudioSpecificConfig(ByteSpan config);

}  // namespace millrace
