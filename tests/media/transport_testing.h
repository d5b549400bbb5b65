// Transport streams made packet by packet, for what no encoder would make.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "media/track.h"
#include "media/transport_packet.h"

namespace millrace::testing {

inline constexpr std::uint16_t kMapPid = 0x100, kPicturePid = 0x101;

struct PacketSpec {
  std::uint16_t pid = kPicturePid;
  std::optional<std::int64_t> pcr;
  bool unit_start = false, random_access = false, discontinuity = false;
  Bytes payload = {};  // cut or filled up with 0xff
};

inline Bytes MakeTransportPacket(const PacketSpec& spec) {
  const bool adaptation = spec.pcr || spec.random_access || spec.discontinuity;
  Bytes packet = {
      kTransportSync, static_cast<std::uint8_t>((spec.unit_start ? 0x40 : 0) | spec.pid >> 8),
      static_cast<std::uint8_t>(spec.pid), static_cast<std::uint8_t>(adaptation ? 0x30 : 0x10)};
  if (adaptation) {
    packet.push_back(spec.pcr ? 7 : 1);
    packet.push_back(static_cast<std::uint8_t>(
        (spec.discontinuity ? 0x80 : 0) | (spec.random_access ? 0x40 : 0) | (spec.pcr ? 0x10 : 0)));
  }
  if (spec.pcr) {
    const std::int64_t base = *spec.pcr / 300, extension = *spec.pcr % 300;
    for (const int shift : {25, 17, 9, 1}) {
      packet.push_back(static_cast<std::uint8_t>(base >> shift));
    }
    packet.push_back(static_cast<std::uint8_t>((base & 1) << 7 | 0x7e | extension >> 8));
    packet.push_back(static_cast<std::uint8_t>(extension));
  }
  packet.insert(packet.end(), spec.payload.begin(), spec.payload.end());
  packet.resize(kTransportPacketBytes, 0xff);
  return packet;
}

// With the pointer in front and room for the checksum, which is not looked at.
inline Bytes MakeSection(std::uint8_t table_id, const Bytes& body) {
  const std::size_t length = 5 + body.size() + 4;
  Bytes section = {0,
                   table_id,
                   static_cast<std::uint8_t>(0xb0 | length >> 8),
                   static_cast<std::uint8_t>(length),
                   0,
                   1,
                   0xc1,
                   0,
                   0};
  section.insert(section.end(), body.begin(), body.end());
  section.insert(section.end(), {1, 2, 3, 4});
  return section;
}

// A program association table: the network's own entry, then one program.
inline Bytes MakePat() {
  return MakeTransportPacket(
      {.pid = 0,
       .unit_start = true,
       .payload = MakeSection(
           0, {0, 0, 0xe0, 0x10, 0, 1, 0xe0 | kMapPid >> 8, static_cast<std::uint8_t>(kMapPid)})});
}

// A map table: a descriptor, the clock on `clock`, sound, and H.264 on kPicturePid.
inline Bytes MakePmt(std::uint16_t clock = kPicturePid) {
  return MakeTransportPacket(
      {.pid = kMapPid,
       .unit_start = true,
       .payload = MakeSection(
           2, {static_cast<std::uint8_t>(0xe0 | clock >> 8), static_cast<std::uint8_t>(clock), 0xf0,
               2, 0x0c, 0, 0x0f, 0xe1, 0x02, 0xf0, 0, 0x1b, 0xe0 | kPicturePid >> 8,
               static_cast<std::uint8_t>(kPicturePid), 0xf0, 0})});
}

// A stream of constant rate: tables, then pictures, a clock reference every kReferenceEvery packets
// and tables with a picture to begin with every kStartEvery.
struct StreamSpec {
  static constexpr int kReferenceEvery = 20, kStartEvery = 400;
  int packets = 10000;
  std::int64_t ticks_per_packet = 27000;  // 1504 kbit/s
  std::int64_t first_pcr = 1'000'000;
  bool marked = true;  // random access indicators
  bool tables = true;
  int picture_behind = 2;  // packets behind the tables' first: the picture to begin with
  int jump_at = -1;        // packets; from there on the clock is `jump` ahead
  std::int64_t jump = 0;
  bool jump_told = false;
};

inline Bytes MakeStream(const StreamSpec& spec) {
  Bytes stream;
  bool told = !spec.jump_told;
  for (int i = 0; i < spec.packets; ++i) {
    const int place = i % StreamSpec::kStartEvery;
    Bytes packet;
    if (spec.tables && place < 2) {
      packet = place == 0 ? MakePat() : MakePmt();
    } else {
      PacketSpec picture{
          .payload = {static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}};
      picture.unit_start = picture.random_access = spec.marked && place == spec.picture_behind;
      if (i % StreamSpec::kReferenceEvery == 5) {
        const bool jumped = spec.jump_at >= 0 && i >= spec.jump_at;
        picture.discontinuity = jumped && !std::exchange(told, true);
        const std::int64_t pcr =
            spec.first_pcr + i * spec.ticks_per_packet + (jumped ? spec.jump : 0);
        picture.pcr = (pcr % kPcrModulus + kPcrModulus) % kPcrModulus;
      }
      packet = MakeTransportPacket(picture);
    }
    stream.insert(stream.end(), packet.begin(), packet.end());
  }
  return stream;
}

}  // namespace millrace::testing
