#include "media/bitstream.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "media/bit_reader.h"

namespace millrace {
namespace {

// Offset of the next 00 00 01 at or behind `from`, or the size. memchr looks for the rare 01.
std::size_t FindStartCode(ByteSpan bytes, std::size_t from) {
  std::size_t at = from + 2;
  while (at < bytes.size()) {
    const void* one = std::memchr(bytes.data() + at, 1, bytes.size() - at);
    if (one == nullptr) break;
    at = static_cast<std::size_t>(static_cast<const std::uint8_t*>(one) - bytes.data());
    if (bytes[at - 1] == 0 && bytes[at - 2] == 0) return at - 2;
    ++at;
  }
  return bytes.size();
}

std::uint32_t ReadBigEndian(ByteSpan bytes, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = (value << 8) | bytes[i];
  return value;
}

// A cursor over a configuration record.
class RecordReader {
 public:
  explicit RecordReader(ByteSpan bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  std::uint32_t Byte() { return Number(1); }
  std::uint32_t Number(std::size_t bytes) {
    if (!Has(bytes)) return 0;
    const std::uint32_t value = ReadBigEndian(rest_, bytes);
    rest_ = rest_.subspan(bytes);
    return value;
  }
  void Skip(std::size_t bytes) {
    if (Has(bytes)) rest_ = rest_.subspan(bytes);
  }
  Bytes Nal() {
    const std::size_t size = Number(2);
    if (!Has(size)) return {};
    Bytes nal(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(size));
    rest_ = rest_.subspan(size);
    return nal;
  }

 private:
  bool Has(std::size_t bytes) { return ok_ = ok_ && rest_.size() >= bytes; }

  ByteSpan rest_;
  bool ok_ = true;
};

bool ValidLengthSize(std::uint32_t size) { return size == 1 || size == 2 || size == 4; }

// From behind ptl_present_flag to num_of_arrays of a VvcDecoderConfigurationRecord.
void SkipVvcProfile(RecordReader* reader) {
  const std::uint32_t sub_layers = reader->Number(2) >> 4 & 7;
  reader->Skip(1);  // bit depth
  const std::uint32_t constraint_bytes = reader->Byte() & 0x3f;
  reader->Skip(2);                                             // profile, tier, level
  reader->Skip(std::max<std::uint32_t>(constraint_bytes, 1));  // and two flags
  if (sub_layers > 1) {
    // Those beyond the sub-layers are reserved, and zero.
    const std::uint32_t told = reader->Byte();
    reader->Skip(static_cast<std::size_t>(std::popcount(told)));
  }
  reader->Skip(4 * std::size_t{reader->Byte()});  // sub-profiles
  reader->Skip(6);                                // size, frame rate
}

// One sei_message of type 6, recovery point, among those of an H.264 SEI NAL unit.
bool HasRecoveryPoint(ByteSpan nal) {
  BitReader bits(nal.subspan(1), true);
  for (;;) {
    std::uint32_t type = 0, size = 0, byte = 0;
    do {
      byte = bits.Bits(8);
      type += byte;
    } while (bits.ok() && byte == 0xff);
    do {
      byte = bits.Bits(8);
      size += byte;
    } while (bits.ok() && byte == 0xff);
    if (!bits.ok()) return false;
    if (type == 6) return true;
    for (std::uint32_t i = 0; i < size && bits.ok(); ++i) bits.Bits(8);
  }
}

void AddUnique(ByteSpan nal, std::vector<Bytes>* list) {
  // A stream that changes them endlessly must not grow the track without bound.
  constexpr std::size_t kParameterSetsMax = 64;
  const auto same = [nal](const Bytes& known) { return std::ranges::equal(known, nal); };
  if (list->size() < kParameterSetsMax && std::ranges::none_of(*list, same)) {
    list->emplace_back(nal.begin(), nal.end());
  }
}

void SkipScalingLists(BitReader* bits, unsigned lists) {
  for (unsigned i = 0; i < lists && bits->ok(); ++i) {
    if (bits->Bit() == 0) continue;
    std::int32_t last = 8, next = 8;
    for (unsigned j = 0; j < (i < 6 ? 16u : 64u) && bits->ok(); ++j) {
      if (next != 0) next = (last + (bits->Signed() & 0xff)) & 0xff;
      if (next != 0) last = next;
    }
  }
}

// seq_parameter_set_data up to vui_parameters_present_flag, ISO 14496-10 section 7.3.2.1.1.
void SkipToVui(BitReader* bits) {
  const std::uint32_t profile = bits->Bits(8);
  bits->Skip(16);  // constraint flags, level_idc
  bits->Unsigned();
  constexpr std::uint32_t kWithChroma[] = {100, 110, 122, 244, 44,  83, 86,
                                           118, 128, 138, 139, 134, 135};
  if (std::ranges::find(kWithChroma, profile) != std::end(kWithChroma)) {
    const std::uint32_t chroma = bits->Unsigned();
    if (chroma == 3) bits->Bit();
    bits->Unsigned();
    bits->Unsigned();
    bits->Bit();
    if (bits->Bit() != 0) SkipScalingLists(bits, chroma == 3 ? 12 : 8);
  }
  bits->Unsigned();  // log2_max_frame_num_minus4
  const std::uint32_t order_type = bits->Unsigned();
  if (order_type == 0) {
    bits->Unsigned();
  } else if (order_type == 1) {
    bits->Bit();
    bits->Signed();
    bits->Signed();
    const std::uint32_t cycle = std::min(bits->Unsigned(), 255u);
    for (std::uint32_t i = 0; i < cycle; ++i) bits->Signed();
  }
  bits->Unsigned();  // max_num_ref_frames
  bits->Bit();
  bits->Unsigned();  // width and height in macroblocks
  bits->Unsigned();
  if (bits->Bit() == 0) bits->Bit();
  bits->Bit();
  if (bits->Bit() != 0) {  // frame_cropping_flag
    for (int i = 0; i < 4; ++i) bits->Unsigned();
  }
}

}  // namespace

NalIterator::NalIterator(ByteSpan access_unit, std::uint32_t nal_length_size)
    : rest_(access_unit), length_size_(nal_length_size) {
  if (length_size_ != 0) return;
  const std::size_t start = FindStartCode(rest_, 0);
  const auto before = rest_.first(start);
  malformed_ = std::ranges::any_of(before, [](std::uint8_t byte) { return byte != 0; });
  rest_ = start == rest_.size() ? ByteSpan() : rest_.subspan(start + 3);
}

bool NalIterator::Next(ByteSpan* nal) {
  return length_size_ == 0 ? NextAnnexB(nal) : NextLengthPrefixed(nal);
}

bool NalIterator::NextLengthPrefixed(ByteSpan* nal) {
  while (!rest_.empty()) {
    malformed_ = rest_.size() < length_size_;
    if (malformed_) break;
    const std::size_t size = ReadBigEndian(rest_, length_size_);
    rest_ = rest_.subspan(length_size_);
    malformed_ = size > rest_.size();
    if (malformed_) break;
    *nal = rest_.first(size);
    rest_ = rest_.subspan(size);
    if (size != 0) return true;
  }
  rest_ = {};
  return false;
}

bool NalIterator::NextAnnexB(ByteSpan* nal) {
  while (!rest_.empty()) {
    const std::size_t end = FindStartCode(rest_, 0);
    ByteSpan found = rest_.first(end);
    rest_ = end == rest_.size() ? ByteSpan() : rest_.subspan(end + 3);
    // The zeros before a start code, its own zero_byte included, are not the NAL unit's.
    while (!found.empty() && found.back() == 0) found = found.first(found.size() - 1);
    if (!found.empty()) {
      *nal = found;
      return true;
    }
  }
  return false;
}

PictureStart ClassifyAccessUnit(Codec codec, ByteSpan access_unit, std::uint32_t nal_length_size) {
  NalIterator nals(access_unit, nal_length_size);
  ByteSpan nal;
  bool recovery = false;
  while (nals.Next(&nal)) {
    if (codec == Codec::kH264) {
      const std::uint8_t type = H264NalType(nal);
      if (type == kH264Idr) return PictureStart::kSequence;
      if (type == kH264Sei) recovery = recovery || HasRecoveryPoint(nal);
      if (type >= kH264Slice && type < kH264Idr) break;  // the first slice decides
    } else {
      const std::uint8_t type = H265NalType(nal);
      if (type == kH265Cra) return PictureStart::kRandomAccess;
      if (type >= kH265BlaFirst && type <= kH265IdrNLp) return PictureStart::kSequence;
      if (type < 32) break;
    }
  }
  return recovery ? PictureStart::kRandomAccess : PictureStart::kNone;
}

bool EndsSequence(Codec codec, ByteSpan access_unit, std::uint32_t nal_length_size) {
  NalIterator nals(access_unit, nal_length_size);
  ByteSpan nal;
  bool ends = false;
  while (nals.Next(&nal)) {
    ends = codec == Codec::kH264 ? H264NalType(nal) == kH264EndOfSequence
                                 : H265NalType(nal) == kH265EndOfSequence;
  }
  return ends;
}

void CollectParameterSets(ByteSpan access_unit, std::uint32_t nal_length_size, Track* track) {
  NalIterator nals(access_unit, nal_length_size);
  ByteSpan nal;
  while (nals.Next(&nal)) {
    if (track->codec == Codec::kH264) {
      const std::uint8_t type = H264NalType(nal);
      if (type == kH264Sps && nal.size() >= 4) AddUnique(nal, &track->sps);
      if (type == kH264Pps) AddUnique(nal, &track->pps);
    } else if (track->codec == Codec::kH265) {
      const std::uint8_t type = H265NalType(nal);
      if (type == kH265Vps) AddUnique(nal, &track->vps);
      if (type == kH265Sps) AddUnique(nal, &track->sps);
      if (type == kH265Pps) AddUnique(nal, &track->pps);
    } else if (track->codec == Codec::kH266) {
      const std::uint8_t type = H266NalType(nal);
      if (type == kH266Vps) AddUnique(nal, &track->vps);
      if (type == kH266Sps) AddUnique(nal, &track->sps);
      if (type == kH266Pps) AddUnique(nal, &track->pps);
    }
  }
}

bool ParseAvcC(ByteSpan record, Track* track) {
  RecordReader reader(record);
  if (reader.Byte() != 1) return false;  // configurationVersion
  reader.Skip(3);                        // profile, compatibility, level: the SPS has them too
  const std::uint32_t length_size = (reader.Byte() & 3) + 1;
  std::vector<Bytes> sps, pps;
  for (std::uint32_t left = reader.Byte() & 0x1f; left > 0; --left) sps.push_back(reader.Nal());
  for (std::uint32_t left = reader.Byte(); left > 0; --left) pps.push_back(reader.Nal());
  if (!reader.ok() || !ValidLengthSize(length_size)) return false;
  const auto wrong = [](std::uint8_t type) {
    return [type](const Bytes& nal) { return H264NalType(nal) != type; };
  };
  std::erase_if(sps, [&](const Bytes& nal) { return nal.size() < 4 || wrong(kH264Sps)(nal); });
  std::erase_if(pps, wrong(kH264Pps));
  track->nal_length_size = length_size;
  track->sps = std::move(sps);
  track->pps = std::move(pps);
  return true;
}

bool ParseHvcC(ByteSpan record, Track* track) {
  RecordReader reader(record);
  // Old files say 0. What lies between repeats the parameter sets.
  if (reader.Byte() > 1) return false;
  reader.Skip(20);
  const std::uint32_t length_size = (reader.Byte() & 3) + 1;
  std::vector<Bytes> vps, sps, pps;
  for (std::uint32_t arrays = reader.Byte(); arrays > 0 && reader.ok(); --arrays) {
    reader.Byte();  // completeness and type; the NAL unit says its type itself
    for (std::uint32_t left = reader.Number(2); left > 0 && reader.ok(); --left) {
      Bytes nal = reader.Nal();
      const std::uint8_t type = H265NalType(nal);
      if (type == kH265Vps)
        vps.push_back(std::move(nal));
      else if (type == kH265Sps)
        sps.push_back(std::move(nal));
      else if (type == kH265Pps)
        pps.push_back(std::move(nal));
    }
  }
  if (!reader.ok() || !ValidLengthSize(length_size)) return false;
  track->nal_length_size = length_size;
  track->vps = std::move(vps);
  track->sps = std::move(sps);
  track->pps = std::move(pps);
  return true;
}

bool ParseVvcC(ByteSpan record, Track* track) {
  RecordReader reader(record);
  const std::uint32_t head = reader.Byte();
  const std::uint32_t length_size = (head >> 1 & 3) + 1;
  if ((head & 1) != 0) SkipVvcProfile(&reader);
  std::vector<Bytes> vps, sps, pps;
  for (std::uint32_t arrays = reader.Byte(); arrays > 0 && reader.ok(); --arrays) {
    const std::uint32_t type = reader.Byte() & 0x1f;
    const bool single = type == kH266OperatingPoint || type == kH266DecodingCapability;
    for (std::uint32_t left = single ? 1 : reader.Number(2); left > 0 && reader.ok(); --left) {
      Bytes nal = reader.Nal();
      if (H266NalType(nal) != type) continue;
      if (type == kH266Vps) vps.push_back(std::move(nal));
      if (type == kH266Sps) sps.push_back(std::move(nal));
      if (type == kH266Pps) pps.push_back(std::move(nal));
    }
  }
  if (!reader.ok() || !ValidLengthSize(length_size)) return false;
  track->nal_length_size = length_size;
  track->vps = std::move(vps);
  track->sps = std::move(sps);
  track->pps = std::move(pps);
  return true;
}

bool ParseVideoExtradata(ByteSpan extradata, Track* track) {
  const bool annex_b = extradata.size() >= 4 && extradata[0] == 0 && extradata[1] == 0 &&
                       (extradata[2] == 1 || (extradata[2] == 0 && extradata[3] == 1));
  if (annex_b) {
    track->nal_length_size = 0;
    CollectParameterSets(extradata, 0, track);
    return true;
  }
  if (track->codec == Codec::kH266) return ParseVvcC(extradata, track);
  return track->codec == Codec::kH264 ? ParseAvcC(extradata, track) : ParseHvcC(extradata, track);
}

std::optional<FrameRate> ReadH264FrameRate(ByteSpan sps) {
  if (sps.size() < 4) return std::nullopt;
  BitReader bits(sps.subspan(1), true);
  SkipToVui(&bits);
  if (bits.Bit() == 0) return std::nullopt;
  // vui_parameters, ISO 14496-10 annex E.1.1.
  constexpr std::uint32_t kExtendedAspectRatio = 255;
  if (bits.Bit() != 0 && bits.Bits(8) == kExtendedAspectRatio) bits.Skip(32);
  if (bits.Bit() != 0) bits.Bit();  // overscan
  if (bits.Bit() != 0) {            // video signal type
    bits.Skip(4);
    if (bits.Bit() != 0) bits.Skip(24);
  }
  if (bits.Bit() != 0) {  // chroma location
    bits.Unsigned();
    bits.Unsigned();
  }
  if (bits.Bit() == 0) return std::nullopt;  // timing_info_present_flag
  const std::uint32_t units_in_tick = bits.Bits(32);
  const std::uint32_t time_scale = bits.Bits(32);
  if (!bits.ok() || units_in_tick == 0 || time_scale == 0 || units_in_tick > UINT32_MAX / 2) {
    return std::nullopt;
  }
  return FrameRate{time_scale, units_in_tick * 2};  // a tick is a field's time
}

}  // namespace millrace
