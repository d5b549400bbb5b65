// RTCP (RFC 3550 section 6) both ways: compounds we send, reports and goodbyes we receive.
//
// Writing fills a caller's buffer; reading walks received bytes in place. Neither allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/clock.h"
#include "core/random.h"

namespace millrace::rtcp {

// NTP timestamp format: seconds since 1900 in the upper 32 bits, fraction below (RFC 3550 section
// 4).
std::uint64_t NtpFromWall(WallTime wall);
// A duration in that format.
std::uint64_t NtpFromDuration(Duration d);

struct SenderInfo {
  std::uint32_t ssrc = 0;
  std::uint64_t ntp = 0;
  std::uint32_t rtp_timestamp = 0;  // of the same moment as `ntp`
  std::uint32_t packet_count = 0;
  std::uint32_t octet_count = 0;  // payload bytes, headers and padding excluded
};

// Longest CNAME accepted; longer ones are cut.
inline constexpr std::size_t kCnameBytesMax = 64;
// SR (28) + SDES (12 + CNAME + padding) + BYE (8).
inline constexpr std::size_t kCompoundBytesMax = 28 + 16 + kCnameBytesMax + 8;

// SR + SDES CNAME, and BYE behind it when `bye`. Returns the length; `out` holds kCompoundBytesMax.
std::size_t WriteSenderReport(std::span<std::uint8_t> out, const SenderInfo& info,
                              std::string_view cname, bool bye);

struct ReportBlock {
  std::uint32_t ssrc = 0;  // of the stream reported on
  std::uint8_t fraction_lost = 0;
  std::int32_t cumulative_lost = 0;  // 24-bit signed on the wire
  std::uint32_t highest_sequence = 0;
  std::uint32_t jitter = 0;  // timestamp units
  std::uint32_t last_sr = 0;
  std::uint32_t delay_since_last_sr = 0;  // 1/65536 s
};

// Blocks that the five bits of a report's count can tell.
inline constexpr std::size_t kReportBlocksMax = 31;
// RR (8 + 24 a block) + SDES (12 + CNAME + padding).
constexpr std::size_t ReceiverReportBytesMax(std::size_t blocks) {
  return 8 + 24 * blocks + 16 + kCnameBytesMax;
}

// RR + SDES CNAME (sections 6.4.2 and 6.5): what a receiver that sends no media says, about nobody
// when `blocks` is empty. A cumulative loss beyond 24 bits is told as the nearest they can hold.
// Returns the length; `out` holds ReceiverReportBytesMax(blocks.size()), `blocks` at most
// kReportBlocksMax.
std::size_t WriteReceiverReport(std::span<std::uint8_t> out, std::uint32_t reporter_ssrc,
                                std::span<const ReportBlock> blocks, std::string_view cname);

// What a compound packet said, one call per item in its order.
class Visitor {
 public:
  virtual ~Visitor() = default;
  // A report block of an SR or RR sent by `reporter`. An empty report calls nothing here.
  virtual void OnReportBlock(std::uint32_t reporter, const ReportBlock& block) = 0;
  virtual void OnSenderInfo(const SenderInfo& info) = 0;
  virtual void OnBye(std::uint32_t ssrc) = 0;
};

// Validates the whole compound as RFC 3550 A.2 says (version, first packet SR or RR without
// padding, lengths that add up, padding only in the last) before the first call; false, and no
// call, when it is malformed. Unknown packet types inside are skipped. Reduced-size RTCP (RFC 5506)
// is malformed here. Never reads beyond `bytes`.
bool Read(std::span<const std::uint8_t> bytes, Visitor* visitor);

// Randomized time to the next report: RFC 3550 section 6.3.1 with two members (we and the viewer),
// 5 s minimum (halved for the first), 5 % of `bandwidth_bits` shared.
Duration ReportInterval(double session_bandwidth_bits, std::size_t average_report_bytes,
                        bool initial, Random& random);

}  // namespace millrace::rtcp
