#include "media/transport_packet.h"

#include <algorithm>

namespace millrace {
namespace {

constexpr std::size_t kHeaderBytes = 4;
constexpr std::uint16_t kAssociationPid = 0;
constexpr std::uint16_t kNullPid = 0x1fff;
// Packets in a row that make a synchronization: few enough for a torn file, enough against chance.
constexpr std::size_t kPacketsInARow = 3;
constexpr std::size_t kPacketsAtTheStart = 5;

std::uint16_t PidAt(ByteSpan bytes, std::size_t at) {
  return static_cast<std::uint16_t>((bytes[at] & 0x1f) << 8 | bytes[at + 1]);
}

// The section that begins in the packet, from its table_id to what its length says or the packet
// has; empty when it is not that table.
ByteSpan SectionIn(const TransportHeader& header, ByteSpan packet, std::uint8_t table_id) {
  constexpr std::size_t kSectionHeaderBytes = 3, kCheckBytes = 4;
  if (!header.unit_start || header.payload >= packet.size()) return {};
  const std::size_t begin = header.payload + 1 + packet[header.payload];
  if (begin + kSectionHeaderBytes > packet.size() || packet[begin] != table_id) return {};
  const ByteSpan section = packet.subspan(begin);
  const std::size_t length = kSectionHeaderBytes + ((section[1] & 0x0fu) << 8 | section[2]);
  if (length < kSectionHeaderBytes + kCheckBytes) return {};
  return section.first(std::min(section.size(), length - kCheckBytes));
}

// ISO 13818-1 table 2-34, and what registrations outside it have made common.
bool IsVideo(std::uint8_t stream_type) {
  constexpr std::uint8_t kTypes[] = {0x01, 0x02, 0x10, 0x1b, 0x20, 0x21,
                                     0x24, 0x33, 0x42, 0xd1, 0xea};
  return std::ranges::find(kTypes, stream_type) != std::end(kTypes);
}

}  // namespace

TransportHeader ReadTransportHeader(ByteSpan packet) {
  TransportHeader header;
  header.pid = PidAt(packet, 1);
  header.unit_start = (packet[1] & 0x40) != 0;
  const bool has_adaptation = (packet[3] & 0x20) != 0;
  const bool has_payload = (packet[3] & 0x10) != 0;
  std::size_t at = kHeaderBytes;
  if (has_adaptation) {
    const std::size_t length = packet[at];
    at += 1 + length;
    if (length > 0 && at <= packet.size()) {
      const std::uint8_t flags = packet[5];
      header.discontinuity = (flags & 0x80) != 0;
      header.random_access = (flags & 0x40) != 0;
      if ((flags & 0x10) != 0 && length >= 7) {
        std::int64_t base = 0;
        for (std::size_t i = 6; i < 10; ++i) base = base << 8 | packet[i];
        base = base << 1 | packet[10] >> 7;
        const std::int64_t extension = (packet[10] & 1) << 8 | packet[11];
        header.pcr = (base * 300 + extension) % kPcrModulus;
      }
    }
  }
  if (has_payload) header.payload = std::min(at, packet.size());
  return header;
}

void TransportProgram::Learn(const TransportHeader& header, ByteSpan packet) {
  if (!tables && header.pid == kAssociationPid) {
    const ByteSpan section = SectionIn(header, packet, 0x00);
    for (std::size_t at = 8; at + 4 <= section.size(); at += 4) {
      const bool network = section[at] == 0 && section[at + 1] == 0;
      if (network) continue;
      tables = PidAt(section, at + 2);
      return;
    }
  }
  if (complete() || header.pid != tables) return;
  const ByteSpan section = SectionIn(header, packet, 0x02);
  if (section.size() < 12) return;
  const std::uint16_t pid = PidAt(section, 8);
  if (pid != kNullPid) clock = pid;
  std::size_t at = 12 + ((section[10] & 0x0fu) << 8 | section[11]);
  while (!video && at + 5 <= section.size()) {
    if (IsVideo(section[at])) video = PidAt(section, at + 1);
    at += 5 + ((section[at + 3] & 0x0fu) << 8 | section[at + 4]);
  }
}

std::optional<TransportFraming> FindTransportFraming(const MediaFile& file) {
  constexpr std::size_t kHeadBytes = std::size_t{64} << 10;
  // A time of arrival can look like a row of sync bytes, so whole files come first.
  constexpr TransportFraming kWhole[] = {{0, 188}, {4, 192}, {0, 204}};
  std::vector<std::uint8_t> head(kHeadBytes + kPacketsAtTheStart * 204);
  head.resize(file.ReadAt(0, head).value_or(0));
  const auto fits = [&head](const TransportFraming& framing) {
    for (std::size_t i = 0; i < kPacketsAtTheStart; ++i) {
      const std::size_t at = framing.start + i * framing.stride;
      if (at + kTransportPacketBytes > head.size() || head[at] != kTransportSync) return false;
    }
    return true;
  };
  const auto whole = std::ranges::find_if(kWhole, fits);
  if (whole != std::end(kWhole)) return *whole;
  for (std::size_t start = 0; start < std::min(head.size(), kHeadBytes); ++start) {
    if (head[start] != kTransportSync) continue;
    for (const TransportFraming& framing : kWhole) {
      if (fits({start, framing.stride})) return TransportFraming{start, framing.stride};
    }
  }
  return std::nullopt;
}

TransportCursor::TransportCursor(const MediaFile& file, std::size_t stride, std::size_t window)
    : file_(file), stride_(stride), buffer_(std::max(window, stride * (kPacketsInARow + 1))) {}

void TransportCursor::MoveTo(std::uint64_t offset, bool somewhere) {
  next_ = offset;
  synchronized_ = !somewhere;
}

ByteSpan TransportCursor::At(std::uint64_t offset, std::size_t wanted) {
  const bool reaches = offset + wanted <= start_ + filled_ || start_ + filled_ >= file_.size();
  if (offset < start_ || !reaches || offset > start_ + filled_) {
    start_ = offset;
    filled_ = 0;
    const absl::StatusOr<std::size_t> got = file_.ReadAt(offset, buffer_);
    if (!got.ok()) status_ = got.status();
    filled_ = got.value_or(0);
    bytes_read_ += filled_;
  }
  const auto from = static_cast<std::size_t>(offset - start_);
  return ByteSpan(buffer_).first(filled_).subspan(std::min(from, filled_));
}

// A sync byte here, and in the places of the packets behind it as far as the file goes.
bool TransportCursor::IsSync(std::uint64_t offset) {
  const ByteSpan bytes = At(offset, stride_ * (kPacketsInARow - 1) + 1);
  for (std::size_t i = 0; i < kPacketsInARow; ++i) {
    if (i * stride_ >= bytes.size()) return i > 0;
    if (bytes[i * stride_] != kTransportSync) return false;
  }
  return true;
}

bool TransportCursor::FindSync(std::uint64_t end) {
  while (next_ + kTransportPacketBytes <= end) {
    const ByteSpan bytes = At(next_, kTransportPacketBytes);
    if (bytes.empty()) return false;
    const auto found = std::ranges::find(bytes, kTransportSync);
    next_ += static_cast<std::uint64_t>(found - bytes.begin());
    if (found == bytes.end()) continue;
    if (IsSync(next_)) return synchronized_ = true;
    ++next_;
  }
  return false;
}

bool TransportCursor::Next(std::uint64_t end) {
  while (next_ + kTransportPacketBytes <= end && status_.ok()) {
    if (!synchronized_ && !FindSync(end)) return false;
    const ByteSpan bytes = At(next_, kTransportPacketBytes);
    if (bytes.size() < kTransportPacketBytes || next_ + kTransportPacketBytes > end) return false;
    if (bytes[0] != kTransportSync) {
      synchronized_ = false;
      continue;
    }
    packet_ = bytes.first(kTransportPacketBytes);
    offset_ = next_;
    next_ += stride_;
    return true;
  }
  return false;
}

}  // namespace millrace
