#include "media/start_code.h"

#include <cstdint>
#include <cstring>

namespace millrace {
namespace {

constexpr std::size_t kStartCodeBytes = 4;
constexpr std::uint8_t kPicture = 0x00, kSequence = 0xb3;
constexpr std::uint8_t kObjectLayerFirst = 0x20, kObjectLayerLast = 0x2f;
constexpr std::uint8_t kObjectPlaneGroup = 0xb3, kObjectPlane = 0xb6;

bool IsNamed(ByteSpan data, std::size_t at) { return at + kStartCodeBytes <= data.size(); }

}  // namespace

std::size_t FindStartCode(ByteSpan data, std::size_t from) {
  for (std::size_t at = from + 2; at < data.size(); ++at) {
    // The 01 is rarer than the zeros before it.
    const void* const one = std::memchr(data.data() + at, 1, data.size() - at);
    if (one == nullptr) break;
    at = static_cast<std::size_t>(static_cast<const std::uint8_t*>(one) - data.data());
    if (data[at - 1] == 0 && data[at - 2] == 0) return at - 2;
  }
  return data.size();
}

bool StartsMpegSequence(ByteSpan access_unit) {
  for (std::size_t at = FindStartCode(access_unit, 0); IsNamed(access_unit, at);
       at = FindStartCode(access_unit, at + kStartCodeBytes)) {
    const std::uint8_t name = access_unit[at + 3];
    if (name == kSequence) return true;
    if (name == kPicture) return false;
  }
  return false;
}

bool StartsMpeg4Video(ByteSpan access_unit) {
  for (std::size_t at = FindStartCode(access_unit, 0); IsNamed(access_unit, at);
       at = FindStartCode(access_unit, at + kStartCodeBytes)) {
    if (access_unit[at + 3] != kObjectPlane) continue;
    return at + kStartCodeBytes < access_unit.size() && access_unit[at + kStartCodeBytes] >> 6 == 0;
  }
  return false;
}

ByteSpan Mpeg4VideoHeaders(ByteSpan access_unit) {
  bool layer = false;
  for (std::size_t at = FindStartCode(access_unit, 0); IsNamed(access_unit, at);
       at = FindStartCode(access_unit, at + kStartCodeBytes)) {
    const std::uint8_t name = access_unit[at + 3];
    if (name >= kObjectLayerFirst && name <= kObjectLayerLast) layer = true;
    if (name == kObjectPlaneGroup || name == kObjectPlane) {
      return layer ? access_unit.first(at) : ByteSpan();
    }
  }
  return {};
}

}  // namespace millrace
