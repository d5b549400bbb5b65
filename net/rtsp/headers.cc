#include "net/rtsp/headers.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>

namespace millrace::rtsp {
namespace {

constexpr std::size_t kCSeqDigitsMax = 20;

// "q=0", "q=0.000": the only weights that refuse.
bool IsZeroWeight(std::string_view parameter) {
  const std::size_t equals = parameter.find('=');
  if (equals == std::string_view::npos) return false;
  if (!EqualsIgnoreCase(Trim(parameter.substr(0, equals)), "q")) return false;
  const std::string_view weight = Trim(parameter.substr(equals + 1));
  return !weight.empty() && weight.front() == '0' &&
         weight.find_first_not_of("0.") == std::string_view::npos;
}

// How precisely a media range names application/sdp; 0: it does not.
int Specificity(std::string_view range) {
  if (EqualsIgnoreCase(range, "application/sdp")) return 3;
  if (EqualsIgnoreCase(range, "application/*")) return 2;
  return range == "*/*" || range == "*" ? 1 : 0;
}

void AppendTwoDigits(std::string* out, std::int64_t number) {
  out->push_back(static_cast<char>('0' + number / 10 % 10));
  out->push_back(static_cast<char>('0' + number % 10));
}

}  // namespace

bool IsValidCSeq(std::string_view value) {
  return value.size() <= kCSeqDigitsMax && IsAllDigits(value);
}

std::string_view SessionIdOf(std::string_view value) {
  const std::string_view id = Trim(value.substr(0, value.find(';')));
  const auto visible = [](char c) { return c > ' ' && c < 0x7f && c != ',' && c != '"'; };
  return std::all_of(id.begin(), id.end(), visible) ? id : std::string_view();
}

std::optional<double> ParseDecimal(std::string_view value) {
  value = Trim(value);
  std::string_view digits = value;
  if (!digits.empty() && (digits.front() == '+' || digits.front() == '-')) digits.remove_prefix(1);
  if (value.size() != digits.size() && value.front() == '+') value = digits;
  const std::size_t point = digits.find('.');
  const std::string_view fraction =
      point == std::string_view::npos ? std::string_view() : digits.substr(point + 1);
  if (!IsAllDigits(digits.substr(0, point))) return std::nullopt;
  if (!fraction.empty() && !IsAllDigits(fraction)) return std::nullopt;
  double number = 0;
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), number, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  return number;
}

bool AcceptsSdp(std::string_view accept) {
  bool any = false, accepted = false;
  int best = 0;
  ForEachListItem(accept, [&](std::string_view item) {
    any = true;
    const std::size_t parameters = std::min(item.find(';'), item.size());
    const int specificity = Specificity(Trim(item.substr(0, parameters)));
    if (specificity <= best) return;
    best = specificity;
    accepted = true;
    std::string_view rest = item.substr(parameters);
    while (!rest.empty()) {
      rest.remove_prefix(1);
      const std::size_t next = std::min(rest.find(';'), rest.size());
      if (IsZeroWeight(rest.substr(0, next))) accepted = false;
      rest.remove_prefix(next);
    }
  });
  return !any || accepted;
}

void AppendHttpDate(std::string* out, WallTime now) {
  constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(now - day));
  const int year = static_cast<int>(date.year());
  out->append(kDays.substr(std::chrono::weekday(day).c_encoding() * 3, 3));
  out->append(", ");
  AppendTwoDigits(out, static_cast<unsigned>(date.day()));
  out->push_back(' ');
  out->append(kMonths.substr((static_cast<unsigned>(date.month()) - 1) * 3, 3));
  out->push_back(' ');
  AppendTwoDigits(out, year / 100);
  AppendTwoDigits(out, year);
  out->push_back(' ');
  AppendTwoDigits(out, time.hours().count());
  out->push_back(':');
  AppendTwoDigits(out, time.minutes().count());
  out->push_back(':');
  AppendTwoDigits(out, time.seconds().count());
  out->append(" GMT");
}

}  // namespace millrace::rtsp
