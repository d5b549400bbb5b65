#include "rtp/packet_block.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "rtp/big_endian.h"

namespace millrace {
namespace {

// A second of audio fits; a second of 4 Mbit/s video takes five doublings.
constexpr std::size_t kFirstBytes = 16 << 10;
constexpr std::size_t kPacketBytesMax = UINT16_MAX;

// Spare memory a sealed block may keep: copying it over costs more than an eighth is worth.
bool MuchIsSpare(std::size_t used, std::size_t capacity) { return capacity - used > used / 8; }

double Microseconds(Duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

}  // namespace

PacketBlockBuilder::PacketBlockBuilder(const Stream& stream, Duration start,
                                       std::uint16_t first_sequence, std::size_t burst_packets)
    : stream_(stream), burst_packets_(std::max<std::size_t>(burst_packets, 1)) {
  block_.start_ = start;
  block_.first_sequence_ = first_sequence;
}

void PacketBlockBuilder::BeginUnit(std::int64_t pts, Duration due, Duration spread,
                                   bool random_access) {
  unit_first_ = block_.packets_.size();
  unit_pts_ = pts;
  unit_due_ = due;
  unit_spread_ = spread;
  unit_random_access_ = random_access;
}

std::uint8_t* PacketBlockBuilder::AddPacket(std::size_t payload_bytes) {
  const std::size_t length = kRtpHeaderBytes + payload_bytes;
  if (payload_bytes == 0 || length > kPacketBytesMax) std::abort();  // a packetizer's bug
  if (block_.byte_count_ + length > block_.byte_capacity_ && !Grow(length)) {
    ++dropped_packets_;
    return overflow_.get();
  }

  const std::size_t index = block_.packets_.size();
  std::uint16_t flags = 0;
  if (index == unit_first_) {
    flags = kPacketUnitStart;
    if (unit_random_access_) flags |= kPacketRandomAccess;
  }
  block_.packets_.push_back({.pts = unit_pts_,
                             .offset = static_cast<std::uint32_t>(block_.byte_count_),
                             .due_us = 0,
                             .length = static_cast<std::uint16_t>(length),
                             .flags = flags});

  std::uint8_t* header = block_.bytes_.get() + block_.byte_count_;
  block_.byte_count_ += length;
  header[0] = 0x80;  // V=2, no padding, no extension, no CSRC
  header[1] = stream_.payload_type & 0x7f;
  StoreBe16(header + 2, static_cast<std::uint16_t>(block_.first_sequence_ + index));
  StoreBe32(header + 4, stream_.first_timestamp + static_cast<std::uint32_t>(unit_pts_));
  StoreBe32(header + 8, stream_.ssrc);
  return header + kRtpHeaderBytes;
}

void PacketBlockBuilder::EndUnit(bool marker) {
  std::vector<PacketEntry>& packets = block_.packets_;
  const std::size_t count = packets.size() - unit_first_;
  if (count == 0) return;

  std::uint32_t earliest = unit_first_ == 0 ? 0 : packets[unit_first_ - 1].due_us;
  // In floating point, since a damaged file's times would overflow integers.
  const double due_us = Microseconds(unit_due_) - Microseconds(block_.start_);
  const double spread_us = std::max(0.0, Microseconds(unit_spread_));
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t burst_first = i / burst_packets_ * burst_packets_;
    const double wanted =
        due_us + spread_us * static_cast<double>(burst_first) / static_cast<double>(count);
    const double bounded = std::clamp(wanted, double{0}, double{UINT32_MAX});
    earliest = std::max(earliest, static_cast<std::uint32_t>(bounded));
    packets[unit_first_ + i].due_us = earliest;
  }

  if (marker) {
    PacketEntry& last = packets.back();
    last.flags |= kPacketMarker;
    block_.bytes_[last.offset + 1] |= 0x80;
  }
  unit_first_ = packets.size();
}

bool PacketBlockBuilder::Grow(std::size_t length) {
  const std::size_t needed = block_.byte_count_ + length;
  if (needed > kBlockBytesMax) {
    if (overflow_ == nullptr) {
      overflow_ = std::make_unique_for_overwrite<std::uint8_t[]>(kPacketBytesMax);
    }
    return false;
  }
  Resize(std::min(kBlockBytesMax, std::max({needed, kFirstBytes, block_.byte_capacity_ * 2})));
  return true;
}

void PacketBlockBuilder::Resize(std::size_t capacity) {
  auto bytes = std::make_unique_for_overwrite<std::uint8_t[]>(capacity);
  if (block_.byte_count_ != 0) std::memcpy(bytes.get(), block_.bytes_.get(), block_.byte_count_);
  block_.bytes_ = std::move(bytes);
  block_.byte_capacity_ = capacity;
}

PacketBlock PacketBlockBuilder::Seal() && {
  if (block_.byte_count_ == 0) {
    block_.bytes_.reset();
    block_.byte_capacity_ = 0;
  } else if (MuchIsSpare(block_.byte_count_, block_.byte_capacity_)) {
    Resize(block_.byte_count_);
  }
  if (MuchIsSpare(block_.packets_.size(), block_.packets_.capacity())) {
    block_.packets_.shrink_to_fit();
  }
  return std::move(block_);
}

}  // namespace millrace
