// MP3 frames with a bit reservoir, as an encoder makes them. What they say is noise.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/random.h"
#include "tests/media/latm_testing.h"

namespace millrace::testing {

struct Mp3Kind {
  const char* what;
  bool version_1;
  bool mono;
  bool checksum;
  std::uint32_t bit_rate_index;
  std::size_t frame_bytes;  // at 48 or 24 kHz, where no frame is padded
};
inline constexpr Mp3Kind kMp3Kinds[] = {
    {"64 kbit/s mono", true, true, false, 5, 192},
    {"128 kbit/s stereo", true, false, false, 9, 384},
    {"128 kbit/s stereo with checksums", true, false, true, 9, 384},
    {"320 kbit/s stereo", true, false, false, 14, 960},
    {"32 kbit/s at 24 kHz, stereo", false, false, false, 4, 96},
    {"16 kbit/s at 24 kHz, mono with checksums", false, true, true, 2, 48},
};

struct Mp3Frame {
  Bytes frame;  // as the stream has it
  Bytes unit;   // RFC 5219 section 4.1
  std::size_t back_bytes = 0;
};

// Frames of 24 ms; each holds its own main data from `back_bytes` before it, of any length that
// leaves room, and stuffing where the next frame cannot reach back to it. `loud_every`, if not 0:
// only every so many frames have any, and then as much as there is room for.
inline std::vector<Mp3Frame> MakeMp3(const Mp3Kind& kind, std::size_t count, Random& random,
                                     std::size_t loud_every = 0) {
  const std::size_t side_bytes = kind.version_1 ? (kind.mono ? 17 : 32) : (kind.mono ? 9 : 17);
  const std::size_t head_bytes = 4 + (kind.checksum ? 2 : 0) + side_bytes;
  const std::size_t room = kind.frame_bytes - head_bytes;
  const std::size_t back_max = kind.version_1 ? 511 : 255;
  const std::size_t granules = (kind.version_1 ? 2u : 1u) * (kind.mono ? 1 : 2);
  std::vector<Mp3Frame> frames(count);
  Bytes stream;          // main data of all frames, end to end
  std::size_t used = 0;  // of it
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begins = i * room;
    used = std::max(used, begins - std::min(begins, back_max));
    const std::size_t back = begins - used;
    const std::size_t fits = std::min(back + room, granules * 4095 / 8);
    std::size_t bytes = random.Chance(0.2) ? random.Below(8) : fits - random.Below(fits / 2 + 1);
    bytes = std::min(bytes, fits);
    if (loud_every != 0) bytes = (i + 1) % loud_every == 0 ? fits : 0;
    // Now and then it ends within its last byte.
    std::size_t bits = 8 * bytes - (bytes > 0 ? random.Below(8) : 0);
    BitWriter head;
    head.Put(0x7ff, 11);
    head.Put(kind.version_1 ? 3 : 2, 2);
    head.Put(1, 2);  // layer III
    head.Put(kind.checksum ? 0 : 1, 1);
    head.Put(kind.bit_rate_index, 4);
    head.Put(1, 2);  // 48 or 24 kHz
    head.Put(0, 2);
    head.Put(kind.mono ? 3 : 0, 2);
    head.Put(0, 6);
    if (kind.checksum) head.Put(0xbeef, 16);
    head.Put(static_cast<std::uint32_t>(back), kind.version_1 ? 9 : 8);
    head.Put(0, kind.version_1 ? (kind.mono ? 5 : 3) : (kind.mono ? 1 : 2));
    if (kind.version_1) head.Put(0x5a, kind.mono ? 4 : 8);
    for (std::size_t granule = 0; granule < granules; ++granule) {
      const std::size_t part =
          granule + 1 == granules
              ? bits
              : std::min<std::size_t>({bits, 4095, bits / (granules - granule) + 1});
      head.Put(static_cast<std::uint32_t>(part), 12);
      bits -= part;
      for (int left = kind.version_1 ? 47 : 51; left > 0; left -= 8) {
        head.Put(random.Next32() & 0xff, std::min(left, 8));
      }
    }
    stream.resize(used);
    for (std::size_t left = bytes; left > 0; --left) {
      stream.push_back(static_cast<std::uint8_t>(random.Next32()));
    }
    frames[i].back_bytes = back;
    frames[i].frame = frames[i].unit = head.bytes();
    frames[i].unit.insert(frames[i].unit.end(), stream.begin() + static_cast<std::ptrdiff_t>(used),
                          stream.end());
    used += bytes;
  }
  stream.resize(std::max(stream.size(), count * room));
  for (std::size_t i = 0; i < count; ++i) {
    const auto from = stream.begin() + static_cast<std::ptrdiff_t>(i * room);
    frames[i].frame.insert(frames[i].frame.end(), from, from + static_cast<std::ptrdiff_t>(room));
  }
  return frames;
}

}  // namespace millrace::testing
