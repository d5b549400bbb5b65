// Key, length, value: SMPTE ST 336, as far as finding where an item ends.
//
// Shard: any; pure functions of bytes, any bytes allowed.
#pragma once

#include <cstddef>

#include "media/bitstream.h"

namespace millrace {

// How many bytes of `unit` are whole items with universal labels (06 0e 2b 34), end to end.
std::size_t KlvBytes(ByteSpan unit);

// The items of a packet of an MPEG transport stream. Where they come with a time (ISO 13818-1
// section 2.12.4), each is in a metadata access unit cell, whose header is left out; a packet that
// has several such cells has the first one's only.
ByteSpan KlvItems(ByteSpan packet);

}  // namespace millrace
