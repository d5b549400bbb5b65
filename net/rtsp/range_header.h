// The Range header (RFC 2326 sections 3.6 and 12.29) in normal play time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"

namespace millrace::rtsp {

enum class RangeUnit : std::uint8_t { kNpt, kOther };  // kOther: smpte, clock, bytes, …

struct Range {
  RangeUnit unit = RangeUnit::kNpt;
  bool from_now = false;               // "npt=now-"
  std::optional<Duration> start, end;  // npt only
};

// Nothing when malformed: npt=abc, npt=-, npt=nan, end before start. "npt=10-5" is malformed; so is
// a time beyond 100 000 hours. npt in seconds ("12.05") or h:mm:ss ("1:02:03.5"), RFC 2326
// section 3.6.
std::optional<Range> ParseRange(std::string_view value);
// "npt=1.500-10.000", "npt=1.500-" without end. Milliseconds are rounded down for the start, so
// that a client never seeks behind it, and nearest for the end.
void AppendNptRange(std::string* out, Duration start, std::optional<Duration> end);

}  // namespace millrace::rtsp
