// The Range header (RFC 2326 sections 3.5, 3.6 and 12.29) in normal play time and SMPTE time codes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"

namespace millrace::rtsp {

enum class RangeUnit : std::uint8_t {
  kNpt,
  kSmpte30Drop,  // "smpte" and "smpte-30-drop": 30000/1001 frames a second, some numbers left out
  kSmpte25,      // "smpte-25"
  kOther         // clock, bytes, …
};

struct Range {
  RangeUnit unit = RangeUnit::kNpt;
  bool from_now = false;               // "npt=now-"
  std::optional<Duration> start, end;  // not of kOther; the end may be before the start
};

// Nothing when malformed: npt=abc, npt=-, npt=nan, a time beyond 100 000 hours. npt in seconds
// ("12.05") or h:mm:ss ("1:02:03.5"), RFC 2326 section 3.6; SMPTE time codes "hh:mm:ss[:ff[.hh]]",
// section 3.5.
std::optional<Range> ParseRange(std::string_view value);
// npt-sec or npt-hhmmss.
std::optional<Duration> ParseNptTime(std::string_view text);
// "npt=1.500-10.000", "npt=1.500-" without end. Milliseconds are rounded down for the start, so
// that a client never seeks behind it, and nearest for the end.
void AppendNptRange(std::string* out, Duration start, std::optional<Duration> end);
// The same in time codes, for kSmpte30Drop and kSmpte25: the frame shown at that time.
void AppendSmpteRange(std::string* out, RangeUnit unit, Duration start,
                      std::optional<Duration> end);

}  // namespace millrace::rtsp
