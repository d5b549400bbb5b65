#include "media/klv.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace millrace {
namespace {

constexpr std::uint8_t kLabel[] = {0x06, 0x0e, 0x2b, 0x34};
constexpr std::size_t kKeyBytes = 16;
constexpr std::size_t kCellHeaderBytes = 5;  // service, sequence, flags, length

bool StartsWithLabel(ByteSpan bytes) {
  return bytes.size() >= std::size(kLabel) &&
         std::memcmp(bytes.data(), kLabel, std::size(kLabel)) == 0;
}

// Of the item that begins `unit`; 0 when it is none, or not whole.
std::size_t ItemBytes(ByteSpan unit) {
  if (!StartsWithLabel(unit) || unit.size() <= kKeyBytes) return 0;
  std::size_t at = kKeyBytes;
  std::uint64_t length = unit[at++];
  if (length >= 0x80) {  // BER's long form: so many bytes of length
    const std::size_t bytes = length & 0x7f;
    if (bytes == 0 || bytes > 8 || bytes > unit.size() - at) return 0;
    length = 0;
    for (std::size_t i = 0; i < bytes; ++i) length = length << 8 | unit[at++];
  }
  return length > unit.size() - at ? 0 : at + static_cast<std::size_t>(length);
}

}  // namespace

std::size_t KlvBytes(ByteSpan unit) {
  std::size_t whole = 0;
  while (const std::size_t item = ItemBytes(unit.subspan(whole))) whole += item;
  return whole;
}

ByteSpan KlvItems(ByteSpan packet) {
  if (StartsWithLabel(packet) || packet.size() < kCellHeaderBytes ||
      !StartsWithLabel(packet.subspan(kCellHeaderBytes))) {
    return packet;
  }
  const std::size_t told = std::size_t{packet[3]} << 8 | packet[4];
  packet = packet.subspan(kCellHeaderBytes);
  return packet.first(std::min(told, packet.size()));
}

}  // namespace millrace
