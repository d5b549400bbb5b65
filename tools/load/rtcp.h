// As much of RTCP as a viewer needs (RFC 3550 section 6).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tools/load/stream_check.h"

namespace millrace::load {

struct RtcpContents {
  unsigned sender_reports = 0;
  bool bye = false;
};

// What a compound packet holds, as far as it can be read.
RtcpContents ReadRtcp(std::span<const std::uint8_t> packet);

// RR with one block, then SDES with a CNAME of four characters.
inline constexpr std::size_t kReceiverReportBytes = 32 + 16;
std::array<std::uint8_t, kReceiverReportBytes> BuildReceiverReport(std::uint32_t own_ssrc,
                                                                   const StreamCheck& check);

}  // namespace millrace::load
