// What the tests and fuzz targets of packets share: tracks, access units, and a strict reader that
// checks a sealed block against the rules of its header and of RFC 3550.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/random.h"
#include "rtp/packet_block.h"
#include "rtp/packet_view.h"
#include "rtp/payload/packetizer.h"

namespace millrace::testing {

inline constexpr PacketBlockBuilder::Stream kTestStream = {
    .payload_type = 97, .ssrc = 0x11223344, .first_timestamp = 1000, .clock_rate = 90000};
inline constexpr std::uint16_t kTestFirstSequence = 65530;  // wraps soon

inline Track MakeTrack(Codec codec, std::uint32_t nal_length_size = 4,
                       std::uint32_t clock_rate = 90000) {
  Track track;
  track.codec = codec;
  track.clock_rate = clock_rate;
  track.nal_length_size = nal_length_size;
  return track;
}

inline Bytes RandomBytes(std::size_t count, Random& random) {
  Bytes bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.Next64());
  return bytes;
}

// Frames NAL units as an access unit: length fields of that size, or start codes for 0.
inline Bytes FrameNalUnits(const std::vector<Bytes>& nals, std::size_t nal_length_size) {
  Bytes data;
  for (const Bytes& nal : nals) {
    if (nal_length_size == 0) {
      data.insert(data.end(), {0, 0, 0, 1});
    } else {
      for (std::size_t i = nal_length_size; i-- > 0;) {
        data.push_back(static_cast<std::uint8_t>(nal.size() >> (8 * i)));
      }
    }
    data.insert(data.end(), nal.begin(), nal.end());
  }
  return data;
}

inline PacketBlockBuilder MakeBuilder(const PacketBlockBuilder::Stream& stream = kTestStream) {
  return PacketBlockBuilder(stream, Duration::zero(), kTestFirstSequence, 16);
}

// One access unit's packets.
inline PacketBlock PacketizeOne(const Track& track, std::size_t packet_bytes, const Bytes& data,
                                bool* sound = nullptr) {
  const std::unique_ptr<Packetizer> packetizer = MakePacketizer(track, packet_bytes);
  PacketBlockBuilder builder = MakeBuilder();
  const AccessUnit unit = {.duration = 3000, .random_access = true, .data = data};
  const bool result = packetizer->Packetize(unit, builder);
  packetizer->Flush(builder);
  if (sound != nullptr) *sound = result;
  return std::move(builder).Seal();
}

// An access unit that is decoded when it is shown.
struct SourceUnit {
  std::int64_t pts = 0;
  std::int64_t duration = 3000;
  Bytes data;
  bool random_access = true;
};

// One behind the other, and each can be started at, as in audio.
inline std::vector<SourceUnit> Contiguous(const std::vector<Bytes>& frames, std::int64_t duration) {
  std::vector<SourceUnit> units;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    units.push_back({static_cast<std::int64_t>(i) * duration, duration, frames[i]});
  }
  return units;
}

// One behind the other, 3000 ticks each; only the first can be started at.
inline std::vector<SourceUnit> GroupOfPictures(const std::vector<Bytes>& frames) {
  std::vector<SourceUnit> units = Contiguous(frames, 3000);
  for (std::size_t i = 1; i < units.size(); ++i) units[i].random_access = false;
  return units;
}

// The units' packets; `told(unit, whether Packetize found it sound)` for each.
template <typename Told>
PacketBlock PacketizeEach(const Track& track, std::size_t packet_bytes,
                          const std::vector<SourceUnit>& units, Told told) {
  const std::unique_ptr<Packetizer> packetizer = MakePacketizer(track, packet_bytes);
  PacketBlockBuilder builder = MakeBuilder();
  for (const SourceUnit& unit : units) {
    const Bytes lent = unit.data;  // gone after the call, as a demuxer's buffer may be
    told(unit, packetizer->Packetize({.pts = unit.pts,
                                      .dts = unit.pts,
                                      .duration = unit.duration,
                                      .random_access = unit.random_access,
                                      .data = lent},
                                     builder));
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

// `refused` counts the units that were not sound.
inline PacketBlock PacketizeAll(const Track& track, std::size_t packet_bytes,
                                const std::vector<SourceUnit>& units,
                                std::size_t* refused = nullptr) {
  return PacketizeEach(track, packet_bytes, units, [refused](const SourceUnit&, bool sound) {
    if (!sound && refused != nullptr) ++*refused;
  });
}

// Gives a strict receiver the packets. The first fault, or that the last unit has no end; empty:
// neither.
template <typename Receiver>
std::string Receive(const PacketBlock& block, Receiver* receiver) {
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const auto view = PacketView::Parse(block.packet(i));
    if (!view) return "malformed";
    const std::string fault = receiver->Add(*view);
    if (!fault.empty()) return "packet " + std::to_string(i) + ": " + fault;
  }
  if constexpr (requires { receiver->open(); }) {
    if (receiver->open()) return "the last unit was not finished";
  }
  return "";
}

// What is wrong with the block as a whole; empty when nothing is.
inline std::string FindFault(const PacketBlock& block, std::size_t packet_bytes) {
  std::uint32_t offset = 0;
  std::uint32_t due_us = 0;
  auto sequence = block.first_sequence();
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const PacketEntry& entry = block.packets()[i];
    const std::string where = "packet " + std::to_string(i) + ": ";
    if (entry.offset != offset) return where + "not behind the one before";
    offset += entry.length;
    if (entry.length > packet_bytes) return where + "longer than a packet may be";
    if (entry.due_us < due_us) return where + "due before the one before";
    due_us = entry.due_us;
    const auto view = PacketView::Parse(block.packet(i));
    if (!view) return where + "malformed";
    if (view->sequence != sequence++) return where + "out of sequence";
    if (view->has_extension || !view->csrcs.empty() || view->padding_bytes != 0) {
      return where + "more than a plain header";
    }
    if (view->payload_type != kTestStream.payload_type || view->ssrc != kTestStream.ssrc) {
      return where + "of another stream";
    }
    const auto ticks = static_cast<std::uint32_t>(entry.pts);
    if (view->timestamp != kTestStream.first_timestamp + ticks) return where + "timestamp";
    if (view->marker != ((entry.flags & kPacketMarker) != 0))
      return where + "marker and flag differ";
    if (view->payload.empty()) return where + "no payload";
  }
  if (offset != block.byte_count()) return "the packets do not fill the block";
  return "";
}

inline std::vector<Bytes> Payloads(const PacketBlock& block) {
  std::vector<Bytes> payloads;
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const std::span<const std::uint8_t> packet = block.packet(i);
    payloads.emplace_back(packet.begin() + kRtpHeaderBytes, packet.end());
  }
  return payloads;
}

inline std::vector<std::size_t> PayloadSizes(const PacketBlock& block) {
  std::vector<std::size_t> sizes;
  for (const Bytes& payload : Payloads(block)) sizes.push_back(payload.size());
  return sizes;
}

// Lengths of whole packets, header included.
inline std::vector<std::size_t> PacketLengths(const PacketBlock& block) {
  std::vector<std::size_t> lengths;
  for (const PacketEntry& entry : block.packets()) lengths.push_back(entry.length);
  return lengths;
}

}  // namespace millrace::testing
