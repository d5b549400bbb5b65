#include "tools/load/packetizer_rtcp.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "tools/load/big_endian.h"

namespace millrace::load {
namespace {

constexpr std::uint8_t kSenderReport = 200;
constexpr std::uint8_t kReceiverReport = 201;
constexpr std::uint8_t kSourceDescription = 202;
constexpr std::uint8_t kVersion = 0x80;
constexpr std::uint8_t kCname = 1;

constexpr std::size_t kWordBytes = 4;
constexpr std::size_t kSenderReportBytes = 28;
constexpr std::size_t kReceiverReportBytes = 8;
constexpr std::size_t kBlockBytes = 24;
constexpr std::size_t kCnameBytes = 8;  // hexadecimal digits
// Header, SSRC, the item's type and length, and the zero that ends the items, padded.
constexpr std::size_t kDescriptionBytes = 8 + 2 + kCnameBytes + 2;

// From 1900, where NTP begins, to 1970.
constexpr std::uint64_t kNtpEpochSeconds = 2208988800;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

std::uint32_t Get32(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

void PutHead(std::uint8_t* p, std::uint8_t count, std::uint8_t type, std::size_t bytes) {
  p[0] = static_cast<std::uint8_t>(kVersion | count);
  p[1] = type;
  const std::size_t length = bytes / kWordBytes - 1;
  p[2] = static_cast<std::uint8_t>(length >> 8);
  p[3] = static_cast<std::uint8_t>(length);
}

}  // namespace

std::vector<std::uint8_t> WriteSenderReport(const SenderReport& report, std::uint32_t cname) {
  std::vector<std::uint8_t> bytes(kSenderReportBytes + kDescriptionBytes);
  const auto nanoseconds = static_cast<std::uint64_t>(report.wall.time_since_epoch().count());
  std::uint8_t* p = bytes.data();
  PutHead(p, 0, kSenderReport, kSenderReportBytes);
  Put32(p + 4, report.ssrc);
  Put32(p + 8, nanoseconds / kNanosecondsPerSecond + kNtpEpochSeconds);
  Put32(p + 12, ((nanoseconds % kNanosecondsPerSecond) << 32) / kNanosecondsPerSecond);
  Put32(p + 16, report.timestamp);
  Put32(p + 20, report.packets);
  Put32(p + 24, report.payload_bytes);
  p += kSenderReportBytes;
  PutHead(p, 1, kSourceDescription, kDescriptionBytes);
  Put32(p + 4, report.ssrc);
  p[8] = kCname;
  p[9] = kCnameBytes;
  std::fill_n(p + 10, kCnameBytes, std::uint8_t{'0'});
  std::array<char, kCnameBytes> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), cname, 16).ptr;
  std::copy_backward(digits.data(), end, p + 10 + kCnameBytes);
  return bytes;
}

Reception ReadReception(std::span<const std::uint8_t> compound, std::uint32_t ssrc) {
  Reception reception;
  while (compound.size() >= kWordBytes) {
    const std::size_t length = std::size_t{compound[2]} << 8 | compound[3];
    const std::size_t bytes = (length + 1) * kWordBytes;
    if ((compound[0] & 0xc0) != kVersion || bytes > compound.size()) break;
    const std::span<const std::uint8_t> packet = compound.first(bytes);
    compound = compound.subspan(bytes);
    if (packet[1] != kSenderReport && packet[1] != kReceiverReport) continue;
    std::size_t at = packet[1] == kSenderReport ? kSenderReportBytes : kReceiverReportBytes;
    for (int i = packet[0] & 0x1f; i > 0 && at + kBlockBytes <= bytes; --i, at += kBlockBytes) {
      const std::uint8_t* block = &packet[at];
      if (Get32(block) != ssrc) continue;
      ++reception.blocks;
      reception.fraction_lost = std::max(reception.fraction_lost, block[4] / 256.0);
      // 24 bits with a sign.
      reception.packets_lost = static_cast<std::int32_t>(Get32(block + 4) << 8) >> 8;
    }
  }
  return reception;
}

}  // namespace millrace::load
