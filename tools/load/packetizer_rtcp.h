// The RTCP of a sender: the reports it sends and those it gets (RFC 3550 section 6.4).
//
// Thread: any; pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/clock.h"

namespace millrace::load {

struct SenderReport {
  std::uint32_t ssrc = 0;
  WallTime wall{};
  std::uint32_t timestamp = 0;  // RTP's, of the same instant
  std::uint32_t packets = 0;
  std::uint32_t payload_bytes = 0;
};

// A sender report and a description with the CNAME that ties the tracks of a stream together.
std::vector<std::uint8_t> WriteSenderReport(const SenderReport& report, std::uint32_t cname);

// What a receiver says of one SSRC.
struct Reception {
  std::uint32_t blocks = 0;       // report blocks of this SSRC; 0: nothing was said
  double fraction_lost = 0;       // the worst of them, 0 to 1, since the report before it
  std::int32_t packets_lost = 0;  // the last of them, since the beginning; duplicates count against
};

// The report blocks about `ssrc` in a compound packet. Damaged ones end it.
Reception ReadReception(std::span<const std::uint8_t> compound, std::uint32_t ssrc);

}  // namespace millrace::load
