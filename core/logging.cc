#include "core/logging.h"

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "core/memory.h"

namespace millrace {
namespace logging_internal {
std::atomic<LogLevel> threshold{LogLevel::kInfo};
}  // namespace logging_internal

namespace {

constexpr std::size_t kLineMax = 8192;  // longer ones are cut

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  constexpr std::array kMap = {spdlog::level::trace, spdlog::level::debug, spdlog::level::info,
                               spdlog::level::warn,  spdlog::level::err,   spdlog::level::off};
  return kMap[static_cast<std::size_t>(level)];
}

// spdlog's own names differ in length ("warning"), which would move the text.
class LevelFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string_view name = Name(message.level);
    out.append(name.data(), name.data() + name.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<LevelFlag>();
  }

 private:
  static std::string_view Name(spdlog::level::level_enum level) {
    switch (level) {
      case spdlog::level::trace:
        return "trace";
      case spdlog::level::debug:
        return "debug";
      case spdlog::level::info:
        return "info ";
      case spdlog::level::warn:
        return "warn ";
      default:
        return "error";
    }
  }
};

std::unique_ptr<spdlog::formatter> MakeFormatter() {
  auto formatter =
      std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc, "\n");
  formatter->add_flag<LevelFlag>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %* %v");
  return formatter;
}

// Whole lines to descriptor 2, and a count of flushes for FlushLogging to wait on. Only the log
// thread calls it, so the base's mutex is the empty one.
class StderrSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  StderrSink() { set_formatter_(MakeFormatter()); }
  // Before the first line: whose losses to tell of.
  void set_pool(spdlog::details::thread_pool* pool) { pool_ = pool; }

  std::uint64_t FlushesDone() {
    std::lock_guard<std::mutex> lock(flush_mutex_);
    return flushes_;
  }
  void WaitForFlush(std::uint64_t number, std::chrono::milliseconds at_most) {
    std::unique_lock<std::mutex> lock(flush_mutex_);
    flushed_.wait_for(lock, at_most, [&] { return flushes_ >= number; });
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    // Told here, at the far end of the queue: told at the near end it would push out yet another.
    const std::uint64_t lost = pool_->overrun_counter();
    if (lost != lost_told_) {
      const std::string text =
          fmt::format("{} lines of the log were lost: stderr is too slow", lost - lost_told_);
      lost_told_ = lost;
      WriteLine({message.time, {}, message.logger_name, spdlog::level::warn, text});
    }
    WriteLine(message);
  }
  void flush_() override {
    std::lock_guard<std::mutex> lock(flush_mutex_);
    ++flushes_;
    flushed_.notify_all();
  }

 private:
  void WriteLine(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::size_t written = 0;
    while (written < line.size()) {
      const ssize_t n = write(STDERR_FILENO, line.data() + written, line.size() - written);
      if (n > 0) {
        written += static_cast<std::size_t>(n);
      } else if (errno != EINTR) {
        return;  // nobody reads the log; there is no other place to say so
      }
    }
  }

  spdlog::details::thread_pool* pool_ = nullptr;
  std::uint64_t lost_told_ = 0;
  std::mutex flush_mutex_;
  std::condition_variable flushed_;
  std::uint64_t flushes_ = 0;
};

// One run of the log, from InitLogging to ShutdownLogging. Callers hold a reference while they
// write, so a shutdown meanwhile takes nothing from under them.
struct Log {
  std::shared_ptr<StderrSink> sink = std::make_shared<StderrSink>();
  std::shared_ptr<spdlog::async_logger> logger;
  // Last, so that it goes first: its thread is joined while all it uses still stands.
  std::shared_ptr<spdlog::details::thread_pool> pool =
      std::make_shared<spdlog::details::thread_pool>(kLogQueueLines, 1);
};

struct Holder {
  std::mutex mutex;
  std::shared_ptr<Log> log;  // null: not started
};

// Never destroyed: a thread may log while the process ends.
Holder& TheHolder() {
  static Holder& holder = *new Holder;
  return holder;
}

std::shared_ptr<Log> Current() {
  Holder& holder = TheHolder();
  std::lock_guard<std::mutex> lock(holder.mutex);
  return holder.log;
}

}  // namespace

void InitLogging() {
  Holder& holder = TheHolder();
  std::lock_guard<std::mutex> lock(holder.mutex);
  if (holder.log != nullptr) return;
  auto log = std::make_shared<Log>();
  log->sink->set_pool(log->pool.get());
  log->logger = std::make_shared<spdlog::async_logger>(
      "millrace", log->sink, log->pool, spdlog::async_overflow_policy::overrun_oldest);
  log->logger->set_level(spdlog::level::trace);  // the check is LogEnabled's
  holder.log = std::move(log);
}

void FlushLogging() {
  const std::shared_ptr<Log> log = Current();
  if (log == nullptr) return;
  const std::uint64_t target = log->sink->FlushesDone() + 1;
  log->logger->flush();
  log->sink->WaitForFlush(target, std::chrono::seconds(1));
}

void ShutdownLogging() {
  std::shared_ptr<Log> log;
  {
    Holder& holder = TheHolder();
    std::lock_guard<std::mutex> lock(holder.mutex);
    log = std::exchange(holder.log, nullptr);
  }
  if (log == nullptr) return;
  // Whoever is just writing lets go within microseconds; then the pool's destructor, on this
  // thread, writes what waits and joins.
  while (log.use_count() > 1) std::this_thread::sleep_for(std::chrono::microseconds(100));
  log.reset();
}

bool SetLogLevel(std::string_view level) {
  constexpr std::array<std::pair<std::string_view, LogLevel>, 7> kLevels = {{
      {"trace", LogLevel::kTrace},
      {"debug", LogLevel::kDebug},
      {"info", LogLevel::kInfo},
      {"warning", LogLevel::kWarning},
      {"warn", LogLevel::kWarning},
      {"error", LogLevel::kError},
      {"off", LogLevel::kOff},
  }};
  for (const auto& [name, value] : kLevels) {
    if (name == level) {
      logging_internal::threshold.store(value, std::memory_order_relaxed);
      return true;
    }
  }
  return false;
}

namespace logging_internal {

void Write(LogLevel level, fmt::string_view format, fmt::format_args args) {
  const ScopedAllowAlloc a_line_may_allocate;
  const std::shared_ptr<Log> log = Current();
  if (log == nullptr) return;
  fmt::memory_buffer text;
  try {
    fmt::vformat_to(std::back_inserter(text), format, args);
  } catch (const std::exception& error) {  // a width or precision given at run time
    fmt::format_to(std::back_inserter(text), " (log format: {})", error.what());
  }
  if (text.size() > kLineMax) text.resize(kLineMax);
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  log->logger->log(ToSpdlog(level), spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace logging_internal

bool LogLimiter::Allow(Instant now) {
  if (now >= second_ends_) allowed_ = 0;
  if (allowed_ >= per_second_) {
    suppressed_ = last_allowed_ ? 1 : suppressed_ + 1;
    last_allowed_ = false;
    return false;
  }
  if (allowed_++ == 0) second_ends_ = now + 1s;
  if (last_allowed_) suppressed_ = 0;
  last_allowed_ = true;
  return true;
}

}  // namespace millrace
