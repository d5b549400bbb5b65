#include "media/mpeg_picture.h"

#include <algorithm>

#include "media/bit_reader.h"
#include "media/start_code.h"
#include "media/timeline.h"

namespace millrace {
namespace {

constexpr std::size_t kStartCodeBytes = 4;
constexpr std::uint8_t kPicture = 0x00, kSequence = 0xb3, kExtension = 0xb5, kGroup = 0xb8;
constexpr std::uint32_t kSequenceExtension = 1, kPictureCodingExtension = 8;
constexpr std::int64_t kReferences = 1024;  // what temporal references count to
constexpr FrameRate kAssumedRate{25, 1};

// ISO 13818-2 table 6-4.
FrameRate RateOfCode(std::uint32_t code) {
  constexpr FrameRate kRates[] = {{0, 1},  {24000, 1001}, {24, 1},       {25, 1}, {30000, 1001},
                                  {30, 1}, {50, 1},       {60000, 1001}, {60, 1}};
  return code < std::size(kRates) ? kRates[code] : FrameRate{};
}

// What the part of that name adds to `picture`. True: it was the picture header.
bool ReadPart(std::uint8_t name, BitReader bits, MpegPicture* picture) {
  switch (name) {
    case kPicture:
      picture->temporal_reference = static_cast<std::uint16_t>(bits.Bits(10));
      return bits.ok();
    case kSequence:
      picture->sequence = true;
      picture->width = bits.Bits(12);
      picture->height = bits.Bits(12);
      bits.Skip(4);  // aspect ratio
      picture->rate = RateOfCode(bits.Bits(4));
      break;
    case kGroup:
      picture->group = true;
      break;
    case kExtension:
      if (bits.Bits(4) == kSequenceExtension && picture->sequence) {
        bits.Skip(8 + 1 + 2);  // profile and level, progressive, chroma format
        picture->width |= bits.Bits(2) << 12;
        picture->height |= bits.Bits(2) << 12;
        bits.Skip(12 + 1 + 8 + 1);  // bit rate, marker, buffer, low delay
        picture->rate.numerator *= bits.Bits(2) + 1;
        picture->rate.denominator *= bits.Bits(5) + 1;
      }
      break;
    default:
      break;
  }
  return false;
}

// Whether the picture coding extension right behind the header at `at` says that this is one field,
// and the access unit ends without another.
bool IsLoneField(ByteSpan unit, std::size_t at) {
  std::size_t pictures = 1;
  bool field = false;
  for (at = FindStartCode(unit, at); at + kStartCodeBytes < unit.size();
       at = FindStartCode(unit, at + kStartCodeBytes)) {
    const std::uint8_t name = unit[at + 3];
    if (name == kPicture) ++pictures;
    if (name != kExtension) continue;
    BitReader bits(unit.subspan(at + kStartCodeBytes));
    if (bits.Bits(4) != kPictureCodingExtension) continue;
    bits.Skip(16 + 2);  // f_codes, precision
    field = bits.Bits(2) != 3 && bits.ok();
  }
  return field && pictures == 1;
}

}  // namespace

std::optional<MpegPicture> ReadMpegPicture(ByteSpan unit) {
  MpegPicture picture;
  for (std::size_t at = FindStartCode(unit, 0); at + kStartCodeBytes <= unit.size();
       at = FindStartCode(unit, at + kStartCodeBytes)) {
    const ByteSpan behind = unit.subspan(at + kStartCodeBytes);
    if (!ReadPart(unit[at + 3], BitReader(behind), &picture)) continue;
    picture.field = IsLoneField(unit, at + kStartCodeBytes);
    return picture;
  }
  return std::nullopt;
}

std::int64_t PicturePlaces::PlaceOf(const MpegPicture& picture) {
  if (picture.group) group_first_ = last_ + 1;
  std::int64_t place = group_first_ + picture.temporal_reference;
  if (!picture.group) {  // in a long group, references start again
    const std::int64_t laps = (last_ - place + kReferences / 2) / kReferences;
    place += std::max<std::int64_t>(laps, 0) * kReferences;
  }
  last_ = std::max(last_, place);
  return place;
}

std::optional<std::int64_t> PictureClock::TimeOf(ByteSpan access_unit,
                                                 std::optional<std::int64_t> stamp) {
  const std::optional<MpegPicture> picture = ReadMpegPicture(access_unit);
  if (!picture) return std::nullopt;
  if (rate_.numerator == 0) rate_ = picture->rate;
  begun_ = begun_ || picture->group || picture->sequence;
  if (!begun_) return std::nullopt;
  const std::int64_t place = places_.PlaceOf(*picture);
  if (stamp && Plausible(*stamp)) {
    stamped_ = {place, *stamp};
    return stamp;
  }
  if (!stamped_) return std::nullopt;
  const FrameRate rate = rate_.numerator == 0 ? kAssumedRate : rate_;
  const FrameGrid frames{rate.denominator, rate.numerator,
                         static_cast<std::uint32_t>(ticks_per_second_)};
  return stamped_->time + frames.TimeOf(place - stamped_->place);
}

void PictureClock::Forget() {
  begun_ = false;
  places_ = {};
  stamped_.reset();
}

}  // namespace millrace
