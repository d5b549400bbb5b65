#include "net/rtsp/range_header.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <utility>

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

// Frame numbers of drop-frame time code: of every minute but each tenth the first two are left out,
// so that an hour of them is an hour of 30000/1001 frames a second.
constexpr std::int64_t kDropped = 2;
constexpr std::int64_t kDropMinute = 60 * 30 - kDropped;
constexpr std::int64_t kDropTenMinutes = 10 * kDropMinute + kDropped;

struct SmpteRate {
  std::int64_t frames;  // counted in a second
  std::int64_t numerator, denominator;
  bool drop;
};

constexpr SmpteRate RateOf(RangeUnit unit) {
  return unit == RangeUnit::kSmpte25 ? SmpteRate{25, 25, 1, false}
                                     : SmpteRate{30, 30000, 1001, true};
}

// hh ":" mm ":" ss [ ":" frames [ "." hundredths ] ], RFC 2326 section 3.5.
std::optional<Duration> ReadSmpteTime(std::string_view text, const SmpteRate& rate) {
  std::size_t colons = 0, third = std::string_view::npos;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ':' && ++colons == 3) third = i;
  }
  if (colons < 2 || colons > 3) return std::nullopt;
  const std::optional<std::int64_t> seconds = ReadClock(text.substr(0, third));
  std::optional<std::int64_t> frame = 0, hundredths = 0;
  if (third != std::string_view::npos) {
    const std::string_view tail = text.substr(third + 1);
    const std::size_t point = tail.find('.');
    frame = ReadWhole(tail.substr(0, point), rate.frames - 1);
    if (point != std::string_view::npos) hundredths = ReadWhole(tail.substr(point + 1), 99);
  }
  if (!seconds || !frame || !hundredths) return std::nullopt;
  std::int64_t count = *seconds * rate.frames + *frame;
  if (rate.drop) count -= kDropped * (*seconds / 60 - *seconds / 600);
  const std::int64_t parts = count * 100 + *hundredths;  // of a frame
  // Whole seconds apart, lest it overflows.
  const std::int64_t per_second = 100 * rate.numerator;
  const std::int64_t whole = parts * rate.denominator / per_second;
  const std::int64_t rest = parts * rate.denominator % per_second;
  return std::chrono::seconds(whole) + Duration(rest * 1'000'000'000 / per_second);
}

void AppendSmpteTime(std::string* out, const SmpteRate& rate, Duration time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(std::max(time, Duration(0)));
  const std::int64_t rest = (std::max(time, Duration(0)) - whole).count();
  // A nanosecond more, for times of frames are rounded down.
  std::int64_t frames =
      (whole.count() * rate.numerator + (rest + 1) * rate.numerator / 1'000'000'000) /
      rate.denominator;
  if (rate.drop) {
    const std::int64_t tens = frames / kDropTenMinutes, in_ten = frames % kDropTenMinutes;
    frames += kDropped * 9 * tens;
    if (in_ten >= kDropped) frames += kDropped * ((in_ten - kDropped) / kDropMinute);
  }
  const auto two = [out](std::int64_t number) {
    if (number < 10) out->push_back('0');
    out->append(std::to_string(number));
  };
  const std::int64_t seconds = frames / rate.frames;
  two(seconds / 3600);
  out->push_back(':');
  two(seconds / 60 % 60);
  out->push_back(':');
  two(seconds % 60);
  out->push_back(':');
  two(frames % rate.frames);
}

template <typename ReadTime>
std::optional<Range> ReadTimes(RangeUnit unit, std::string_view text, ReadTime&& read) {
  Range range;
  range.unit = unit;
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view start = Trim(text.substr(0, dash));
  const std::string_view end = Trim(text.substr(dash + 1));
  if (start.empty() && end.empty()) return std::nullopt;
  if (unit == RangeUnit::kNpt && EqualsIgnoreCase(start, "now")) {
    range.from_now = true;
  } else if (!start.empty()) {
    range.start = read(start);
    if (!range.start) return std::nullopt;
  }
  if (!end.empty()) {
    range.end = read(end);
    if (!range.end) return std::nullopt;
  }
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

std::optional<Duration> ParseNptTime(std::string_view text) {
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

std::optional<Range> ParseRange(std::string_view value) {
  value = Trim(value.substr(0, value.find(';')));  // "time=" and the like are not acted upon
  const std::size_t equals = value.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  const std::string_view unit = Trim(value.substr(0, equals));
  const std::string_view text = Trim(value.substr(equals + 1));
  if (EqualsIgnoreCase(unit, "npt")) return ReadTimes(RangeUnit::kNpt, text, ParseNptTime);
  for (const auto& [name, smpte] : {std::pair("smpte", RangeUnit::kSmpte30Drop),
                                    std::pair("smpte-30-drop", RangeUnit::kSmpte30Drop),
                                    std::pair("smpte-25", RangeUnit::kSmpte25)}) {
    if (!EqualsIgnoreCase(unit, name)) continue;
    return ReadTimes(smpte, text, [rate = RateOf(smpte)](std::string_view time) {
      return ReadSmpteTime(time, rate);
    });
  }
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

void AppendSmpteRange(std::string* out, RangeUnit unit, Duration start,
                      std::optional<Duration> end) {
  const SmpteRate rate = RateOf(unit);
  out->append(rate.drop ? "smpte=" : "smpte-25=");
  AppendSmpteTime(out, rate, start);
  out->push_back('-');
  if (end) AppendSmpteTime(out, rate, *end);
}

}  // namespace millrace::rtsp
