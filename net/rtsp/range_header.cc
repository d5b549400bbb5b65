#include "net/rtsp/range_header.h"

#include <algorithm>
#include <charconv>
#include <cstddef>

#include "net/rtsp/chars.h"

namespace millrace::rtsp {
namespace {

constexpr std::int64_t kHoursMax = 100'000;
constexpr std::int64_t kSecondsMax = kHoursMax * 3600;
constexpr int kNanosecondDigits = 9;

// 1*DIGIT up to `max`.
std::optional<std::int64_t> ReadWhole(std::string_view digits, std::int64_t max) {
  std::int64_t number = 0;
  if (!IsAllDigits(digits)) return std::nullopt;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || number > max) return std::nullopt;
  return number;
}

// *DIGIT behind the point; what is finer than a nanosecond is cut off.
std::optional<std::int64_t> ReadFraction(std::string_view digits) {
  if (!digits.empty() && !IsAllDigits(digits)) return std::nullopt;
  std::int64_t nanoseconds = 0;
  for (std::size_t i = 0; i < kNanosecondDigits; ++i) {
    nanoseconds = nanoseconds * 10 + (i < digits.size() ? digits[i] - '0' : 0);
  }
  return nanoseconds;
}

// hh ":" mm ":" ss, where mm and ss are one or two digits below 60.
std::optional<std::int64_t> ReadClock(std::string_view text) {
  const std::size_t first = text.find(':');
  const std::size_t second = text.find(':', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const std::string_view mm = text.substr(first + 1, second - first - 1);
  const std::string_view ss = text.substr(second + 1);
  if (mm.size() > 2 || ss.size() > 2) return std::nullopt;
  const std::optional<std::int64_t> hours = ReadWhole(text.substr(0, first), kHoursMax);
  const std::optional<std::int64_t> minutes = ReadWhole(mm, 59);
  const std::optional<std::int64_t> seconds = ReadWhole(ss, 59);
  if (!hours || !minutes || !seconds) return std::nullopt;
  return *hours * 3600 + *minutes * 60 + *seconds;
}

// npt-sec or npt-hhmmss.
std::optional<Duration> ReadNptTime(std::string_view text) {
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::optional<std::int64_t> seconds =
      whole.find(':') == std::string_view::npos ? ReadWhole(whole, kSecondsMax) : ReadClock(whole);
  const std::optional<std::int64_t> nanoseconds =
      ReadFraction(point == std::string_view::npos ? std::string_view() : text.substr(point + 1));
  if (!seconds || !nanoseconds) return std::nullopt;
  const Duration time = std::chrono::seconds(*seconds) + Duration(*nanoseconds);
  if (time > std::chrono::seconds(kSecondsMax)) return std::nullopt;
  return time;
}

std::optional<Range> ReadNptRange(std::string_view text) {
  Range range;
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view start = Trim(text.substr(0, dash));
  const std::string_view end = Trim(text.substr(dash + 1));
  if (start.empty() && end.empty()) return std::nullopt;
  if (EqualsIgnoreCase(start, "now")) {
    range.from_now = true;
  } else if (!start.empty()) {
    range.start = ReadNptTime(start);
    if (!range.start) return std::nullopt;
  }
  if (!end.empty()) {
    range.end = ReadNptTime(end);
    if (!range.end) return std::nullopt;
  }
  if (range.start && range.end && *range.end < *range.start) return std::nullopt;
  return range;
}

void AppendMilliseconds(std::string* out, std::int64_t milliseconds) {
  char text[32];
  char* end = std::to_chars(text, text + sizeof(text), milliseconds / 1000).ptr;
  const std::int64_t fraction = milliseconds % 1000;
  *end++ = '.';
  *end++ = static_cast<char>('0' + fraction / 100);
  *end++ = static_cast<char>('0' + fraction / 10 % 10);
  *end++ = static_cast<char>('0' + fraction % 10);
  out->append(text, static_cast<std::size_t>(end - text));
}

}  // namespace

std::optional<Range> ParseRange(std::string_view value) {
  value = Trim(value.substr(0, value.find(';')));  // "time=" and the like are not acted upon
  const std::size_t equals = value.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  const std::string_view unit = Trim(value.substr(0, equals));
  const std::string_view text = Trim(value.substr(equals + 1));
  if (EqualsIgnoreCase(unit, "npt")) return ReadNptRange(text);
  if (unit.empty() || text.empty() || !std::all_of(unit.begin(), unit.end(), IsTokenChar)) {
    return std::nullopt;
  }
  Range range;
  range.unit = RangeUnit::kOther;
  return range;
}

void AppendNptRange(std::string* out, Duration start, std::optional<Duration> end) {
  const Duration zero = Duration::zero();
  out->append("npt=");
  AppendMilliseconds(out,
                     std::chrono::floor<std::chrono::milliseconds>(std::max(start, zero)).count());
  out->push_back('-');
  if (end) {
    const Duration half = std::chrono::microseconds(500);
    AppendMilliseconds(
        out, std::chrono::floor<std::chrono::milliseconds>(std::max(*end, zero) + half).count());
  }
}

}  // namespace millrace::rtsp
