// Cutting a unit that is larger than a packet: as few packets as hold it, of equal length but for
// the last, which makes them one GSO train.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "media/bitstream.h"
#include "rtp/packet_block.h"

namespace millrace {

struct Fragment {
  std::size_t offset = 0;  // in the unit
  ByteSpan bytes;
  bool first = false, last = false;
};

// Adds `unit` to the open access unit of `out`, in packets of at most `payload_max` bytes of
// payload that begin with `header_bytes` bytes each, which `write(fragment, header)` fills. A unit
// that fits is one fragment; an empty one none. `payload_max` > `header_bytes`.
template <typename Write>
void AddFragments(ByteSpan unit, std::size_t header_bytes, std::size_t payload_max,
                  PacketBlockBuilder& out, Write&& write) {
  if (unit.empty()) return;
  const std::size_t fragment_max = payload_max - header_bytes;
  const std::size_t count = (unit.size() + fragment_max - 1) / fragment_max;
  const std::size_t fragment_bytes = (unit.size() + count - 1) / count;
  for (std::size_t offset = 0; offset < unit.size(); offset += fragment_bytes) {
    const std::size_t bytes = std::min(fragment_bytes, unit.size() - offset);
    const Fragment fragment = {.offset = offset,
                               .bytes = unit.subspan(offset, bytes),
                               .first = offset == 0,
                               .last = offset + bytes == unit.size()};
    std::uint8_t* const p = out.AddPacket(header_bytes + bytes);
    write(fragment, p);
    std::memcpy(p + header_bytes, fragment.bytes.data(), bytes);
  }
}

}  // namespace millrace
