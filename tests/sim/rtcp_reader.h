// RTCP read and written by the tests' own code, independent of rtp/rtcp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/clock.h"
#include "media/track.h"

namespace millrace::sim {

struct SenderReport {
  Instant arrival{};
  std::uint32_t ssrc = 0;
  std::uint64_t ntp = 0;
  std::uint32_t rtp_timestamp = 0;
  std::uint32_t packet_count = 0, octet_count = 0;
  // What had arrived before it: equal to the above over TCP.
  std::uint32_t packets_before = 0, octets_before = 0;
};

struct RtcpCompound {
  std::optional<SenderReport> sender;
  std::string cname;
  std::vector<std::uint32_t> bye;  // SSRCs
  std::string fault;               // empty: a compound as RFC 3550 section 6.1 wants it
};

RtcpCompound ReadRtcp(std::span<const std::uint8_t> bytes);

struct ReceiverReport {
  std::uint32_t reporter = 0;
  std::uint32_t source = 0;
  std::uint8_t fraction_lost = 0;
  std::int32_t lost = 0;
  std::uint32_t highest_sequence = 0;
  std::uint32_t jitter = 0, last_sr = 0, delay = 0;
  bool bye = false;
};

// RR + SDES CNAME, and BYE behind when asked.
Bytes WriteReceiverReport(const ReceiverReport& report);

}  // namespace millrace::sim
