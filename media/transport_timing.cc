#include "media/transport_timing.h"

#include <algorithm>

#include "media/transport_packet.h"

namespace millrace {
namespace {

__extension__ using Wide = __int128;

// ISO 13818-1 section 2.7.2 wants a reference every 100 ms. Twenty times that are a slow stream or
// a hole in the recording; more is believed only where the bytes bear it out.
constexpr std::int64_t kSpanSurelyMax = std::int64_t{2} * 27'000'000;
constexpr std::int64_t kTimesTheUsualMax = 8;
// Without any rate to compare with.
constexpr std::int64_t kSpanMax = std::int64_t{10} * 27'000'000;

std::int64_t Proportion(std::int64_t value, std::int64_t part, std::int64_t whole) {
  if (whole <= 0) return 0;
  const Wide result = static_cast<Wide>(value) * part / whole;
  return static_cast<std::int64_t>(std::min<Wide>(result, INT64_MAX / 4));
}

bool Follows(const ClockReference& from, const ClockReference& to, const ByteRate& rate) {
  const std::int64_t span = PcrSpan(from.pcr, to.pcr);
  if (to.discontinuity || span == 0) return false;
  if (span <= kSpanSurelyMax) return true;
  if (!rate.known()) return span <= kSpanMax;
  return span / kTimesTheUsualMax <= rate.TimeOf(to.offset - from.offset);
}

}  // namespace

std::int64_t ByteRate::TimeOf(std::uint64_t byte_count) const {
  return Proportion(static_cast<std::int64_t>(byte_count), ticks, bytes);
}

std::int64_t PcrSpan(std::int64_t from, std::int64_t to) {
  return to >= from ? to - from : to - from + kPcrModulus;
}

std::vector<TimedOffset> TimeStretch(std::uint64_t begin, std::uint64_t end,
                                     std::span<const ClockReference> references,
                                     const ByteRate& usual, ByteRate* found) {
  ByteRate own;
  std::vector<bool> follows(references.size());
  for (std::size_t i = 1; i < references.size(); ++i) {
    const ClockReference& from = references[i - 1];
    const ClockReference& to = references[i];
    follows[i] = Follows(from, to, usual.known() ? usual : own);
    if (!follows[i]) continue;
    own.ticks += PcrSpan(from.pcr, to.pcr);
    own.bytes += static_cast<std::int64_t>(to.offset - from.offset);
  }
  if (found != nullptr) *found = own;
  const ByteRate& rate = own.known() ? own : usual;
  if (!rate.known()) return {};
  std::vector<TimedOffset> times = {{begin, 0}};
  for (std::size_t i = 0; i < references.size(); ++i) {
    const ClockReference& to = references[i];
    const TimedOffset& last = times.back();
    if (to.offset <= last.offset) continue;
    const std::int64_t span =
        follows[i] ? PcrSpan(references[i - 1].pcr, to.pcr) : rate.TimeOf(to.offset - last.offset);
    times.push_back({to.offset, std::min(last.time + span, INT64_MAX / 4)});
  }
  const TimedOffset& last = times.back();
  if (end > last.offset) {
    times.push_back({end, std::min(last.time + rate.TimeOf(end - last.offset), INT64_MAX / 4)});
  }
  if (times.back().time > kStretchTicksMax) FitInto(kStretchTicksMax, &times);
  return times;
}

void FitInto(std::int64_t span, std::vector<TimedOffset>* times) {
  const std::int64_t whole = times->back().time;
  if (whole == span) return;
  for (TimedOffset& point : *times) point.time = Proportion(span, point.time, whole);
}

std::int64_t TimeAt(std::span<const TimedOffset> times, std::uint64_t offset) {
  const auto after = std::ranges::upper_bound(times, offset, {}, &TimedOffset::offset);
  if (after == times.begin()) return times.front().time;
  if (after == times.end()) return times.back().time;
  const TimedOffset& from = *(after - 1);
  return from.time + Proportion(after->time - from.time,
                                static_cast<std::int64_t>(offset - from.offset),
                                static_cast<std::int64_t>(after->offset - from.offset));
}

}  // namespace millrace
