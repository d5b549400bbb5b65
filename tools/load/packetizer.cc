#include "tools/load/packetizer.h"

#include <algorithm>
#include <array>

#include "media/bitstream.h"
#include "tools/load/big_endian.h"

namespace millrace::load {
namespace {

using ByteSpan = std::span<const std::uint8_t>;

constexpr std::size_t kPayloadBytesMax = kPacketBytesMax - kRtpHeaderBytes;

// NAL unit types from here on name RTP's own structures.
constexpr std::uint8_t kH264TypesEnd = 24;
constexpr std::uint8_t kH265TypesEnd = 48;
constexpr std::uint8_t kFuA = 28;  // RFC 6184 section 5.8
constexpr std::uint8_t kFu = 49;   // RFC 7798 section 4.4.3
constexpr std::uint8_t kFuStart = 0x80;
constexpr std::uint8_t kFuEnd = 0x40;
constexpr std::size_t kH265HeaderBytes = 2;

// AU-headers-length, then one AU-header: 13 bits of size, 3 of index (RFC 3640 section 3.3.6).
constexpr std::size_t kAuHeadersBytes = 4;
constexpr std::uint8_t kAuHeadersBits = 16;
constexpr std::size_t kAudioFrameBytesMax = (1 << 13) - 1;

constexpr std::uint8_t kRtpVersion = 0x80;
constexpr std::uint8_t kMarker = 0x80;

void AddPacket(ByteSpan payload_header, ByteSpan data, PacketMemory& memory) {
  std::vector<std::uint8_t>& bytes = memory.bytes;
  bytes.resize(bytes.size() + memory.prefix_bytes);
  CutPacket packet;
  packet.offset = bytes.size();
  packet.bytes = static_cast<std::uint16_t>(kRtpHeaderBytes + payload_header.size() + data.size());
  bytes.resize(bytes.size() + kRtpHeaderBytes);
  bytes.insert(bytes.end(), payload_header.begin(), payload_header.end());
  bytes.insert(bytes.end(), data.begin(), data.end());
  memory.packets.push_back(packet);
}

// As few fragments as hold `bytes`, all as long as the first but for the last.
std::size_t FragmentBytes(std::size_t bytes, std::size_t fragment_bytes_max) {
  const std::size_t count = (bytes + fragment_bytes_max - 1) / fragment_bytes_max;
  return (bytes + count - 1) / count;
}

// Fragmentation units. The last byte of `header` is the FU header: `type` and where we are; the
// NAL unit's own header is told by it and not sent.
template <std::size_t kHeaderBytes>
void AddFragments(std::array<std::uint8_t, kHeaderBytes> header, std::uint8_t type, ByteSpan data,
                  PacketMemory& memory) {
  const std::size_t step = FragmentBytes(data.size(), kPayloadBytesMax - kHeaderBytes);
  for (std::size_t at = 0; at < data.size(); at += step) {
    const bool last = at + step >= data.size();
    header.back() =
        static_cast<std::uint8_t>((at == 0 ? kFuStart : 0) | (last ? kFuEnd : 0) | type);
    AddPacket(header, data.subspan(at, std::min(step, data.size() - at)), memory);
  }
}

bool AddH264(ByteSpan nal, PacketMemory& memory) {
  const std::uint8_t type = H264NalType(nal);
  if (type == 0 || type >= kH264TypesEnd) return false;
  if (nal.size() <= kPayloadBytesMax) {
    AddPacket({}, nal, memory);
    return true;
  }
  // The FU indicator keeps the importance (NRI) of what is cut up.
  const auto indicator = static_cast<std::uint8_t>((nal[0] & 0xe0) | kFuA);
  AddFragments<2>({indicator, 0}, type, nal.subspan(1), memory);
  return true;
}

bool AddH265(ByteSpan nal, PacketMemory& memory) {
  const std::uint8_t type = H265NalType(nal);
  if (nal.size() <= kH265HeaderBytes || type >= kH265TypesEnd) return false;
  if (nal.size() <= kPayloadBytesMax) {
    AddPacket({}, nal, memory);
    return true;
  }
  // The payload header keeps layer and temporal identifiers.
  const auto first = static_cast<std::uint8_t>((nal[0] & 0x81) | kFu << 1);
  AddFragments<3>({first, nal[1], 0}, type, nal.subspan(kH265HeaderBytes), memory);
  return true;
}

bool AddAudio(ByteSpan frame, PacketMemory& memory) {
  if (frame.empty() || frame.size() > kAudioFrameBytesMax) return false;
  std::array<std::uint8_t, kAuHeadersBytes> header{};
  header[1] = kAuHeadersBits;
  // Every fragment tells the size of the whole frame (RFC 3640 section 3.2.3.1).
  Put16(&header[2], static_cast<std::uint32_t>(frame.size() << 3));
  const std::size_t step = FragmentBytes(frame.size(), kPayloadBytesMax - kAuHeadersBytes);
  for (std::size_t at = 0; at < frame.size(); at += step) {
    AddPacket(header, frame.subspan(at, std::min(step, frame.size() - at)), memory);
  }
  return true;
}

std::size_t CutVideo(const Track& track, ByteSpan unit, PacketMemory& memory) {
  std::size_t left_out = 0;
  NalIterator nals(unit, track.nal_length_size);
  for (ByteSpan nal; nals.Next(&nal);) {
    const bool added = track.codec == Codec::kH264 ? AddH264(nal, memory) : AddH265(nal, memory);
    left_out += added ? 0 : 1;
  }
  return left_out + (nals.malformed() ? 1 : 0);
}

}  // namespace

std::size_t CutAccessUnit(const Track& track, ByteSpan unit, PacketMemory& memory) {
  const std::size_t packets_before = memory.packets.size();
  std::size_t left_out = 0;
  if (KindOf(track.codec) == MediaKind::kVideo) {
    left_out = CutVideo(track, unit, memory);
  } else {
    left_out = AddAudio(unit, memory) ? 0 : 1;
  }
  if (memory.packets.size() > packets_before) memory.packets.back().marker = true;
  return left_out;
}

void WriteHeader(const PacketHeader& header, const CutPacket& packet, PacketMemory& memory) {
  std::uint8_t* p = &memory.bytes[packet.offset];
  if (memory.prefix_bytes != 0) {
    p[-4] = '$';
    p[-3] = header.channel;
    Put16(p - 2, packet.bytes);
  }
  p[0] = kRtpVersion;
  p[1] = static_cast<std::uint8_t>(header.payload_type | (packet.marker ? kMarker : 0));
  Put16(p + 2, header.sequence);
  Put32(p + 4, header.timestamp);
  Put32(p + 8, header.ssrc);
}

}  // namespace millrace::load
