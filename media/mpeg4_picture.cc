#include "media/mpeg4_picture.h"

#include <algorithm>
#include <bit>

#include "media/bit_reader.h"
#include "media/start_code.h"

namespace millrace {

std::vector<Mpeg4Plane> FindMpeg4Planes(ByteSpan bytes) {
  constexpr std::size_t kStartCodeBytes = 4, kPlanesMax = 2;
  constexpr std::uint8_t kObjectPlane = 0xb6;
  std::vector<Mpeg4Plane> planes;
  for (std::size_t at = FindStartCode(bytes, 0);
       at + kStartCodeBytes < bytes.size() && planes.size() < kPlanesMax;
       at = FindStartCode(bytes, at + kStartCodeBytes)) {
    if (bytes[at + 3] != kObjectPlane) continue;
    planes.push_back({at, static_cast<PlaneType>(bytes[at + kStartCodeBytes] >> 6)});
  }
  return planes;
}

std::optional<Mpeg4Layer> ReadMpeg4Layer(ByteSpan headers) {
  constexpr std::uint8_t kLayerFirst = 0x20, kLayerLast = 0x2f;
  constexpr std::uint32_t kExtendedAspect = 15, kGrayscale = 3;
  constexpr unsigned kVbvBits = 79;
  std::size_t at = FindStartCode(headers, 0);
  while (at + 4 < headers.size() && (headers[at + 3] < kLayerFirst || headers[at + 3] > kLayerLast))
    at = FindStartCode(headers, at + 4);
  if (at + 4 >= headers.size()) return std::nullopt;
  BitReader bits(headers.subspan(at + 4));
  bits.Skip(1 + 8);  // random accessible, type
  std::uint32_t version = 1;
  if (bits.Bit() != 0) {
    version = bits.Bits(4);
    bits.Skip(3);  // priority
  }
  if (bits.Bits(4) == kExtendedAspect) bits.Skip(16);
  if (bits.Bit() != 0) {
    bits.Skip(2 + 1);  // chroma format, low delay
    if (bits.Bit() != 0) bits.Skip(kVbvBits);
  }
  if (bits.Bits(2) == kGrayscale && version != 1) bits.Skip(4);
  bits.Skip(1);  // marker
  Mpeg4Layer layer{.resolution = bits.Bits(16)};
  bits.Skip(1);
  if (layer.resolution == 0 || !bits.ok()) return std::nullopt;
  if (bits.Bit() != 0) {
    layer.fixed_increment = bits.Bits(std::max<unsigned>(std::bit_width(layer.resolution - 1), 1));
  }
  return layer;
}

std::optional<std::int64_t> Mpeg4Times::TimeOf(ByteSpan access_unit) {
  constexpr std::uint8_t kGroup = 0xb3, kObjectPlane = 0xb6;
  for (std::size_t at = FindStartCode(access_unit, 0); at + 4 < access_unit.size();
       at = FindStartCode(access_unit, at + 4)) {
    BitReader bits(access_unit.subspan(at + 4));
    if (access_unit[at + 3] == kGroup) {
      const std::int64_t hours = bits.Bits(5), minutes = bits.Bits(6);
      bits.Skip(1);
      seconds_ = (hours * 60 + minutes) * 60 + bits.Bits(6);
    }
    if (access_unit[at + 3] != kObjectPlane) continue;
    const bool bidirectional = static_cast<PlaneType>(bits.Bits(2)) == PlaneType::kBidirectional;
    std::int64_t more = 0;
    while (bits.ok() && bits.Bit() != 0) ++more;
    bits.Skip(1);
    const std::int64_t ticks = bits.Bits(std::max<unsigned>(std::bit_width(resolution_ - 1), 1));
    if (!bidirectional) {
      seconds_before_ = seconds_;
      seconds_ += more;
    }
    return (bidirectional ? seconds_before_ + more : seconds_) * resolution_ + ticks;
  }
  return std::nullopt;
}

std::vector<std::size_t> ShownPlaces(std::span<const PlaneType> coded) {
  std::vector<std::size_t> places(coded.size());
  std::optional<std::size_t> reference;  // coded, and not shown yet
  for (std::size_t i = 0; i < coded.size(); ++i) {
    const std::size_t now = i == 0 ? 0 : i - 1;
    if (coded[i] == PlaneType::kBidirectional) {
      places[i] = now;
      continue;
    }
    if (reference) places[*reference] = now;
    reference = i;
  }
  if (reference) places[*reference] = coded.size() - 1;
  return places;
}

}  // namespace millrace
