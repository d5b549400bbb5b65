// The log: one line per event on stderr, written by a thread of its own.
//
//   LogInfo(fmt, ...) -> level check -> formatted by the caller -> bounded queue -> log thread ->
//   stderr 2026-11-20T13:51:39.123Z info  listening on [::]:8554
//
// A caller never waits for stderr: when the queue is full its oldest line makes room, and how many
// were lost is said before the next line that is written. Not for the data path all the same:
// a line costs about a microsecond, so what can happen per packet or per peer goes behind a
// LogLimiter. Bytes below 0x20 and 0x7f in a line are shown as '?': what a peer sends cannot forge
// a second line.
//
// Shard: any thread. Before InitLogging and after ShutdownLogging lines go nowhere.
// Limits: kLogQueueLines lines wait at most.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/clock.h"

namespace millrace {

enum class LogLevel : int { kTrace, kDebug, kInfo, kWarning, kError, kOff };

inline constexpr std::size_t kLogQueueLines = 2048;

// Starts the log thread. Again only after ShutdownLogging; a second call in between does nothing.
void InitLogging();
// Waits, for a second at most, until the lines logged so far are written. Not on a shard thread.
void FlushLogging();
// Writes what waits and ends the log thread. Not on a shard thread.
void ShutdownLogging();

// "trace", "debug", "info", "warning" (or "warn"), "error", "off". False: none of them, nothing
// changed. The default is "info".
bool SetLogLevel(std::string_view level);

namespace logging_internal {
extern std::atomic<LogLevel> threshold;
void Write(LogLevel level, fmt::string_view format, fmt::format_args args);
}  // namespace logging_internal

inline bool LogEnabled(LogLevel level) {
  return level >= logging_internal::threshold.load(std::memory_order_relaxed);
}

// Arguments are formatted only when the level is on. The format is checked by the compiler.
template <typename... Args>
void LogDebug(fmt::format_string<Args...> format, Args&&... args) {
  if (!LogEnabled(LogLevel::kDebug)) return;
  logging_internal::Write(LogLevel::kDebug, format, fmt::make_format_args(args...));
}
template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  if (!LogEnabled(LogLevel::kInfo)) return;
  logging_internal::Write(LogLevel::kInfo, format, fmt::make_format_args(args...));
}
template <typename... Args>
void LogWarn(fmt::format_string<Args...> format, Args&&... args) {
  if (!LogEnabled(LogLevel::kWarning)) return;
  logging_internal::Write(LogLevel::kWarning, format, fmt::make_format_args(args...));
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  if (!LogEnabled(LogLevel::kError)) return;
  logging_internal::Write(LogLevel::kError, format, fmt::make_format_args(args...));
}

// Keeps one place in the code from flooding the log:
//   thread_local LogLimiter limiter(1);
//   if (limiter.Allow(now)) LogWarn("...; {} more like it not shown", limiter.suppressed());
// Shard: one per place and thread (or owner); not thread-safe.
class LogLimiter {
 public:
  // `per_second` lines in each second that starts with an allowed line; 0 allows none.
  explicit constexpr LogLimiter(std::uint32_t per_second) : per_second_(per_second) {}

  bool Allow(Instant now);
  // After a refusal: how many in a row so far. After an Allow that said yes: how many were refused
  // between the yes before and this one.
  std::uint64_t suppressed() const { return suppressed_; }

 private:
  const std::uint32_t per_second_;
  std::uint32_t allowed_ = 0;  // in the second that ends at second_ends_
  bool last_allowed_ = true;
  std::uint64_t suppressed_ = 0;
  Instant second_ends_ = Instant::min();
};

}  // namespace millrace
