// Packets of an MPEG transport stream (ISO 13818-1 section 2.4.3): what their headers say, and
// where in a file they lie, whatever its framing.
//
// A file holds packets of 188 bytes back to back, or with four bytes of arrival time in front of
// each (M2TS, 192), or with sixteen of error correction behind (204). They are counted in strides
// from one sync byte to the next.
//
// Shard: none; blocking, loader threads only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "media/bitstream.h"
#include "media/media_file.h"

namespace millrace {

inline constexpr std::size_t kTransportPacketBytes = 188;
inline constexpr std::uint8_t kTransportSync = 0x47;

// Of 27 MHz; the clock reference wraps there (section 2.4.3.5).
inline constexpr std::int64_t kPcrModulus = (std::int64_t{1} << 33) * 300;

struct TransportHeader {
  std::uint16_t pid = 0;
  bool unit_start = false;                      // a table or a PES packet begins
  bool discontinuity = false;                   // of the clock, where it has one
  bool random_access = false;                   // decoding of the PID can start here
  std::optional<std::int64_t> pcr;              // 27 MHz, in [0, kPcrModulus)
  std::size_t payload = kTransportPacketBytes;  // where it begins; at the end without one
};
// `packet` is kTransportPacketBytes long and begins with a sync byte.
TransportHeader ReadTransportHeader(ByteSpan packet);

// Of the first program that the tables name, as far as the first packet of each table tells.
struct TransportProgram {
  std::optional<std::uint16_t> tables;  // PID of its map table
  std::optional<std::uint16_t> clock;   // PID with the clock references
  std::optional<std::uint16_t> video;   // PID of its first video stream
  bool complete() const { return clock.has_value(); }

  void Learn(const TransportHeader& header, ByteSpan packet);
};

struct TransportFraming {
  std::uint64_t start = 0;  // of the first packet's sync byte
  std::size_t stride = kTransportPacketBytes;
};
// Nothing when the file does not begin, within its first 64 KiB, like a transport stream.
std::optional<TransportFraming> FindTransportFraming(const MediaFile& file);

// Walks over the packets of a file. Where one is not in its place, it goes on with the next three
// in a row.
class TransportCursor {
 public:
  // Reads `window` bytes at a time.
  TransportCursor(const MediaFile& file, std::size_t stride, std::size_t window);

  // To a packet's sync byte, or, `somewhere`, to any byte.
  void MoveTo(std::uint64_t offset, bool somewhere = false);
  // The next packet that ends before `end`. False: there is none, or reading failed.
  bool Next(std::uint64_t end);

  // Of the packet that Next found; the bytes stay until it is called again.
  ByteSpan packet() const { return packet_; }
  std::uint64_t offset() const { return offset_; }

  std::uint64_t bytes_read() const { return bytes_read_; }
  const absl::Status& status() const { return status_; }

 private:
  bool FindSync(std::uint64_t end);
  bool IsSync(std::uint64_t offset);
  // From `offset` `wanted` bytes, fewer at the end of the file.
  ByteSpan At(std::uint64_t offset, std::size_t wanted);

  const MediaFile& file_;
  const std::size_t stride_;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t start_ = 0;  // of the buffer's bytes in the file
  std::size_t filled_ = 0;
  std::uint64_t next_ = 0;
  bool synchronized_ = false;
  ByteSpan packet_;
  std::uint64_t offset_ = 0;
  std::uint64_t bytes_read_ = 0;
  absl::Status status_;
};

}  // namespace millrace
