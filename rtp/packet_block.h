// An immutable run of finished RTP packets of one stream, laid end to end, with its index.
//
// A block holds the access units whose decoding time lies in one stretch of kBlockDuration
// (or kGrowingBlockDuration). Every
// viewer of the file sends from the same bytes. Packets of one access unit are contiguous and equal
// in length but for the last, so that a run of them is one iovec and one GSO train.
//
// Shard: built by one loader thread, immutable once sealed, then read by any.
// Limits: kBlockBytesMax of packets; times within a block below 71 minutes after its start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/clock.h"

namespace millrace {

inline constexpr std::size_t kRtpHeaderBytes = 12;
// Media time covered by a block: about one reference and one look-up a second per viewer.
inline constexpr Duration kBlockDuration = 1s;
// The same of a file that is still being written, which has its blocks once they are whole.
inline constexpr Duration kGrowingBlockDuration = 200ms;
// Two gigabits a second; a file that claims more is damaged, and must not take the memory of all.
inline constexpr std::size_t kBlockBytesMax = std::size_t{256} << 20;

enum PacketFlags : std::uint16_t {
  kPacketMarker = 1,        // RTP marker bit: last packet of an access unit (video)
  kPacketRandomAccess = 2,  // first packet of an access unit at which decoding can start
  kPacketUnitStart = 4,     // first packet of an access unit
};

struct PacketEntry {
  std::int64_t pts;      // of its (first) access unit, in the track's clock from npt 0
  std::uint32_t offset;  // of the RTP header in the block's bytes
  std::uint32_t due_us;  // when to send, microseconds of media time after the block's start
  std::uint16_t length;  // whole packet, header included
  std::uint16_t flags;   // PacketFlags
};
static_assert(sizeof(PacketEntry) == 24);

class PacketBlock {
 public:
  PacketBlock() = default;

  // Of packet 0; the others count up from it.
  std::uint16_t first_sequence() const { return first_sequence_; }
  // Media time (npt) at which the block begins: its number times their duration.
  Duration start() const { return start_; }
  std::span<const PacketEntry> packets() const { return packets_; }
  const std::uint8_t* bytes() const { return bytes_.get(); }
  std::size_t byte_count() const { return byte_count_; }
  // What it costs the cache.
  std::size_t memory_bytes() const {
    return byte_capacity_ + packets_.capacity() * sizeof(PacketEntry);
  }
  Duration due(std::size_t i) const {
    return start_ + std::chrono::microseconds(packets_[i].due_us);
  }
  std::span<const std::uint8_t> packet(std::size_t i) const {
    return {bytes_.get() + packets_[i].offset, packets_[i].length};
  }

 private:
  friend class PacketBlockBuilder;
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t byte_count_ = 0;
  std::size_t byte_capacity_ = 0;
  std::vector<PacketEntry> packets_;
  Duration start_{};
  std::uint16_t first_sequence_ = 0;
};

// Fills one block. Packetizers see only BeginUnit … AddPacket … EndUnit.
class PacketBlockBuilder {
 public:
  struct Stream {
    std::uint8_t payload_type = 96;
    std::uint32_t ssrc = 0;
    std::uint32_t first_timestamp = 0;  // RTP timestamp of npt 0
    std::uint32_t clock_rate = 90000;
  };

  // `first_sequence` is given to the block's first packet.
  PacketBlockBuilder(const Stream& stream, Duration start, std::uint16_t first_sequence,
                     std::size_t burst_packets);

  // Opens an access unit (or, for audio, the group of units that share a packet). `due` is the
  // media time at which its first packet may leave, `spread` the time until the next unit's.
  void BeginUnit(std::int64_t pts, Duration due, Duration spread, bool random_access);
  // Room for one packet's payload behind a finished RTP header (V=2, marker 0). Valid until the
  // next call. `payload_bytes` in [1, 65523]. Beyond kBlockBytesMax the packet is dropped: the room
  // is still given, and dropped_packets counts it.
  std::uint8_t* AddPacket(std::size_t payload_bytes);
  // Closes the unit; `marker` sets the bit on its last packet. Due times: the first `burst_packets`
  // at `due`, the next that many a proportional part of `spread` later, and so on; never before the
  // block's start nor before an earlier packet's.
  void EndUnit(bool marker);

  std::size_t packet_count() const { return block_.packets_.size(); }
  std::size_t dropped_packets() const { return dropped_packets_; }
  // The finished block, its memory shrunk to fit when much of it is spare.
  PacketBlock Seal() &&;

 private:
  // Makes room for `length` more bytes; false when that would exceed kBlockBytesMax.
  bool Grow(std::size_t length);
  void Resize(std::size_t capacity);

  Stream stream_;
  std::size_t burst_packets_;
  PacketBlock block_;
  std::size_t unit_first_ = 0;  // index of the open unit's first packet
  std::int64_t unit_pts_ = 0;
  Duration unit_due_{};
  Duration unit_spread_{};
  bool unit_random_access_ = false;
  std::unique_ptr<std::uint8_t[]> overflow_;  // where dropped packets are written
  std::size_t dropped_packets_ = 0;
};

}  // namespace millrace
