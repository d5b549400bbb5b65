#include "rtp/payload/stream_inspector.h"

#include <algorithm>
#include <optional>

#include "media/bit_reader.h"
#include "media/bitstream.h"
#include "rtp/big_endian.h"

namespace millrace {
namespace {

constexpr std::uint8_t kFragmentStart = 0x80;

// RFC 6184 section 5.2.
constexpr std::uint8_t kStapA = 24;
constexpr std::uint8_t kFuA = 28;
// RFC 7798 section 4.4.
constexpr std::uint8_t kAggregation = 48;
constexpr std::uint8_t kFragmentation = 49;

constexpr std::size_t kH264HeaderBytes = 1;
constexpr std::size_t kH265HeaderBytes = 2;

// Takes a unit with its 16-bit length off an aggregation packet; false at the end or when the
// length is wrong.
bool TakeUnit(ByteSpan* rest, ByteSpan* unit) {
  if (rest->size() < 2) return false;
  const std::size_t size = LoadBe16(rest->data());
  if (size == 0 || size > rest->size() - 2) return false;
  *unit = rest->subspan(2, size);
  *rest = rest->subspan(2 + size);
  return true;
}

// One number of SEI's kind: bytes of 255 add up until one is less (ISO 14496-10 section 7.3.2.3.1).
std::uint32_t ReadSeiNumber(BitReader* bits) {
  std::uint32_t sum = 0;
  for (;;) {
    const std::uint32_t byte = bits->Bits(8);
    sum += byte;
    if (byte != 0xff) return sum;
  }
}

// Whether a recovery point message is among those of an SEI unit, given without its header. Those
// before it are skipped bit by bit, so not more than so many bytes of them.
bool HasRecoveryPoint(ByteSpan messages) {
  constexpr std::uint32_t kRecoveryPoint = 6;
  constexpr std::size_t kBytesMax = 2048;
  BitReader bits(messages.first(std::min(messages.size(), kBytesMax)), true);
  for (;;) {
    const std::uint32_t type = ReadSeiNumber(&bits);
    const std::uint32_t size = ReadSeiNumber(&bits);
    if (!bits.ok()) return false;
    if (type == kRecoveryPoint) {
      bits.Unsigned();  // recovery_frame_cnt
      return bits.ok();
    }
    for (std::uint32_t i = 0; i < size && bits.ok(); ++i) bits.Skip(8);
  }
}

bool StartsH264(std::uint8_t type, ByteSpan behind_header) {
  return type == kH264Idr || type == kH264Sps ||
         (type == kH264Sei && HasRecoveryPoint(behind_header));
}

bool StartsH265(std::uint8_t type) {
  return (type >= kH265BlaFirst && type <= kH265Cra) || type == kH265Vps || type == kH265Sps;
}

// Layers above the base are an enhancement that has its own parameter sets.
bool IsBaseLayer(ByteSpan payload) { return (LoadBe16(payload.data()) & 0x01f8) == 0; }

// The ids of parameter sets; nothing when the unit is too short or the id out of its range.
constexpr std::uint32_t kH264SpsIdMax = 31, kH264PpsIdMax = 255;
constexpr std::uint32_t kH265SpsIdMax = 15, kH265PpsIdMax = 63;

std::optional<std::uint16_t> Checked(const BitReader& bits, std::uint32_t id, std::uint32_t max) {
  if (!bits.ok() || id > max) return std::nullopt;
  return static_cast<std::uint16_t>(id);
}

std::optional<std::uint16_t> H264SetId(ByteSpan nal, bool sps) {
  BitReader bits(nal.subspan(kH264HeaderBytes), true);
  if (sps) bits.Skip(24);  // profile, constraints, level
  const std::uint32_t id = bits.Unsigned();
  return Checked(bits, id, sps ? kH264SpsIdMax : kH264PpsIdMax);
}

// profile_tier_level( 1, sub_layers - 1 ), ISO 23008-2 section 7.3.3.
void SkipProfileTierLevel(BitReader* bits, std::uint32_t sub_layers_minus_1) {
  constexpr unsigned kProfileBits = 88, kLevelBits = 8;
  bits->Skip(kProfileBits + kLevelBits);
  if (sub_layers_minus_1 == 0) return;
  unsigned behind = 0;
  for (std::uint32_t i = 0; i < 8; ++i) {  // beyond the sub-layers the two flags are reserved bits
    const bool profile = bits->Bit() != 0;
    const bool level = bits->Bit() != 0;
    if (i < sub_layers_minus_1) behind += (profile ? kProfileBits : 0) + (level ? kLevelBits : 0);
  }
  bits->Skip(behind);
}

std::optional<std::uint16_t> H265SetId(ByteSpan nal, std::uint8_t type) {
  BitReader bits(nal.subspan(kH265HeaderBytes), true);
  if (type == kH265Vps) return Checked(bits, bits.Bits(4), 15);
  if (type == kH265Sps) {
    bits.Skip(4);  // of the VPS
    const std::uint32_t sub_layers_minus_1 = bits.Bits(3);
    bits.Skip(1);
    SkipProfileTierLevel(&bits, sub_layers_minus_1);
  }
  const std::uint32_t id = bits.Unsigned();
  return Checked(bits, id, type == kH265Sps ? kH265SpsIdMax : kH265PpsIdMax);
}

}  // namespace

bool StreamInspector::Inspect(std::span<const std::uint8_t> payload) {
  switch (codec_) {
    case Codec::kH264:
      return InspectH264(payload);
    case Codec::kH265:
      return InspectH265(payload);
    default:
      return true;
  }
}

bool StreamInspector::InspectH264(std::span<const std::uint8_t> payload) {
  const std::uint8_t type = H264NalType(payload);
  if (type == kFuA) {
    if (payload.size() < 3 || (payload[1] & kFragmentStart) == 0) return false;
    return StartsH264(payload[1] & 0x1f, payload.subspan(2));
  }
  if (type != kStapA) return InspectH264Unit(payload);
  bool starts = false;
  ByteSpan unit;
  for (ByteSpan rest = payload.subspan(kH264HeaderBytes); TakeUnit(&rest, &unit);) {
    starts = InspectH264Unit(unit) || starts;
  }
  return starts;
}

bool StreamInspector::InspectH264Unit(std::span<const std::uint8_t> nal) {
  if (nal.size() <= kH264HeaderBytes) return false;
  const std::uint8_t type = H264NalType(nal);
  if (type == kH264Sps || type == kH264Pps) {
    const bool sps = type == kH264Sps;
    if (const auto id = H264SetId(nal, sps)) Note(*id, nal, sps ? &sps_ : &pps_);
  }
  return StartsH264(type, nal.subspan(kH264HeaderBytes));
}

bool StreamInspector::InspectH265(std::span<const std::uint8_t> payload) {
  if (payload.size() <= kH265HeaderBytes) return false;
  const std::uint8_t type = H265NalType(payload);
  if (type == kFragmentation) {
    return IsBaseLayer(payload) && (payload[2] & kFragmentStart) != 0 &&
           StartsH265(payload[2] & 0x3f);
  }
  if (type != kAggregation) return InspectH265Unit(payload);
  bool starts = false;
  ByteSpan unit;
  for (ByteSpan rest = payload.subspan(kH265HeaderBytes); TakeUnit(&rest, &unit);) {
    starts = InspectH265Unit(unit) || starts;
  }
  return starts;
}

bool StreamInspector::InspectH265Unit(std::span<const std::uint8_t> nal) {
  if (nal.size() <= kH265HeaderBytes || !IsBaseLayer(nal)) return false;
  const std::uint8_t type = H265NalType(nal);
  if (type == kH265Vps || type == kH265Sps || type == kH265Pps) {
    SetList* list = type == kH265Vps ? &vps_ : type == kH265Sps ? &sps_ : &pps_;
    if (const auto id = H265SetId(nal, type)) Note(*id, nal, list);
  }
  return StartsH265(type);
}

void StreamInspector::Note(std::uint16_t id, std::span<const std::uint8_t> nal, SetList* list) {
  if (nal.size() > kSetBytesMax) return;
  const auto ids_end = list->ids.begin() + static_cast<std::ptrdiff_t>(list->sets.size());
  const auto place =
      static_cast<std::size_t>(std::find(list->ids.begin(), ids_end, id) - list->ids.begin());
  if (place == list->sets.size()) {
    if (place == kSetsMax) return;
    list->ids[place] = id;
    list->sets.emplace_back();
  } else if (std::ranges::equal(list->sets[place], nal)) {
    return;
  }
  list->sets[place].assign(nal.begin(), nal.end());
  ++changed_;
}

}  // namespace millrace
