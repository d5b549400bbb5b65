#include "core/logging.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/memory.h"

namespace millrace {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// Starts a log whose lines the test reads back after Finish.
class Logging : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(SetLogLevel("info"));
    testing::internal::CaptureStderr();
    InitLogging();
  }
  void TearDown() override {
    if (!finished_) Finish();
    SetLogLevel("info");
  }
  std::vector<std::string> Finish() {
    finished_ = true;
    ShutdownLogging();
    return Lines(testing::internal::GetCapturedStderr());
  }
  bool finished_ = false;
};

constexpr char kTime[] =
    "20[0-9][0-9]-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
    "[.][0-9][0-9][0-9]Z ";

TEST_F(Logging, WritesTimeLevelAndText) {
  SetLogLevel("debug");
  LogDebug("one {}", 1);
  LogInfo("two {}", std::string("and a string"));
  LogWarn("three {:.1f}", 3.0);
  LogError("four {}", std::string_view("view"));
  const std::vector<std::string> lines = Finish();
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_THAT(lines[0], MatchesRegex(std::string(kTime) + "debug one 1"));
  EXPECT_THAT(lines[1], MatchesRegex(std::string(kTime) + "info  two and a string"));
  EXPECT_THAT(lines[2], MatchesRegex(std::string(kTime) + "warn  three 3.0"));
  EXPECT_THAT(lines[3], MatchesRegex(std::string(kTime) + "error four view"));
}

TEST_F(Logging, WritesOnlyWhatTheLevelAsksFor) {
  SetLogLevel("warning");
  LogInfo("quiet");
  LogWarn("heard");
  SetLogLevel("off");
  LogError("quiet too");
  const std::vector<std::string> lines = Finish();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("heard"));
}

TEST_F(Logging, RefusesALevelItDoesNotKnowAndKeepsTheOldOne) {
  for (const char* name : {"", "Info", "verbose", "info ", "critical"}) {
    EXPECT_FALSE(SetLogLevel(name)) << name;
  }
  EXPECT_TRUE(LogEnabled(LogLevel::kInfo));
  EXPECT_FALSE(LogEnabled(LogLevel::kDebug));
  for (const char* name : {"trace", "debug", "info", "warn", "warning", "error", "off"}) {
    EXPECT_TRUE(SetLogLevel(name)) << name;
  }
  EXPECT_FALSE(LogEnabled(LogLevel::kError));
}

struct Tattler {
  int* formatted;
};

}  // namespace
}  // namespace millrace

template <>
struct fmt::formatter<millrace::Tattler> : fmt::formatter<int> {
  template <typename Context>
  auto format(const millrace::Tattler& t, Context& context) const {
    return fmt::formatter<int>::format(++*t.formatted, context);
  }
};

namespace millrace {
namespace {

TEST_F(Logging, FormatsNothingThatIsNotWritten) {
  int formatted = 0;
  LogDebug("{}", Tattler{&formatted});
  EXPECT_EQ(formatted, 0);
  LogInfo("{}", Tattler{&formatted});
  EXPECT_EQ(formatted, 1);
}

TEST_F(Logging, WhatAPeerSendsCannotForgeALine) {
  LogInfo("asked for {}", "a\r\n2026-01-01T00:00:00.000Z error forged\x1b[2J\x7f na\xc3\xafve");
  const std::vector<std::string> lines = Finish();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("a??2026-01-01T00:00:00.000Z error forged?[2J? na\xc3\xafve"));
}

TEST_F(Logging, CutsALineThatNeverEnds) {
  LogInfo("{}", std::string(100'000, 'x'));
  LogInfo("next");
  const std::vector<std::string> lines = Finish();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_LT(lines[0].size(), 10'000u);
  EXPECT_THAT(lines[1], HasSubstr("next"));
}

TEST_F(Logging, FlushHasWrittenEverythingBefore) {
  for (int i = 0; i < 100; ++i) LogInfo("line {}", i);
  FlushLogging();
  const std::string so_far = testing::internal::GetCapturedStderr();
  testing::internal::CaptureStderr();
  EXPECT_EQ(Lines(so_far).size(), 100u);
  EXPECT_THAT(so_far, HasSubstr("line 99\n"));
}

TEST_F(Logging, StartsAgainAfterAShutdownAndASecondStartDoesNothing) {
  LogInfo("first");
  ShutdownLogging();
  LogInfo("nobody hears");
  InitLogging();
  InitLogging();
  LogInfo("second");
  const std::vector<std::string> lines = Finish();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], HasSubstr("first"));
  EXPECT_THAT(lines[1], HasSubstr("second"));
}

TEST_F(Logging, ALineIsNoViolationOfTheAllocationGuard) {
  const std::uint64_t before = ScopedNoAlloc::Violations();
  const std::string long_text(2000, 'x');
  {
    const ScopedNoAlloc guard;
    LogInfo("{}", long_text);
  }
  EXPECT_EQ(ScopedNoAlloc::Violations(), before);
}

TEST_F(Logging, ThreadsMayLogWhileItEnds) {
  std::atomic<bool> stop{false};
  std::atomic<int> written{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        LogInfo("busy");
        written.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  while (written.load(std::memory_order_relaxed) < 300) std::this_thread::yield();
  ShutdownLogging();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::string> lines = Finish();
  EXPECT_THAT(lines, Not(IsEmpty()));
  for (const std::string& line : lines) {
    EXPECT_TRUE(line.ends_with(" info  busy") || line.find(" were lost") != std::string::npos)
        << line;
  }
}

TEST(LoggingBeforeStart, GoesNowhereAndHarmsNothing) {
  testing::internal::CaptureStderr();
  LogError("before {}", 1);
  FlushLogging();
  ShutdownLogging();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), IsEmpty());
}

// A pipe nobody reads stands for a terminal that hangs.
TEST(LoggingToAHangingTerminal, NeverHoldsTheCallerAndSaysHowMuchWasLost) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const int saved = dup(STDERR_FILENO);
  ASSERT_GE(dup2(ends[1], STDERR_FILENO), 0);
  close(ends[1]);
  InitLogging();
  const std::string text(1000, 'x');
  // Twice what pipe and queue can hold; a caller that waited would never get past this loop.
  for (std::size_t i = 0; i < kLogQueueLines * 2; ++i) LogInfo("{} {}", i, text);
  std::string read_back;
  std::thread reader([&] {
    std::array<char, 65536> buffer;
    ssize_t n;
    while ((n = read(ends[0], buffer.data(), buffer.size())) > 0) {
      read_back.append(buffer.data(), static_cast<std::size_t>(n));
    }
  });
  ShutdownLogging();
  dup2(saved, STDERR_FILENO);  // closes the pipe's last writing end
  close(saved);
  reader.join();
  close(ends[0]);
  std::size_t written = 0, lost = 0;
  for (const std::string& line : Lines(read_back)) {
    if (line.find(" lines of the log were lost: stderr is too slow") != std::string::npos) {
      lost += std::stoul(line.substr(line.find(" warn  ") + 7));
    } else {
      ++written;
    }
  }
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(written + lost, kLogQueueLines * 2);
  EXPECT_THAT(read_back, HasSubstr(fmt::format(" {} xxx", kLogQueueLines * 2 - 1)));  // the newest
}

constexpr Instant kStart{100h};

TEST(LogLimiter, AllowsSoManyInASecondAndCountsTheRest) {
  LogLimiter limiter(3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(limiter.Allow(kStart + i * 1ms));
    EXPECT_EQ(limiter.suppressed(), 0u);
  }
  for (std::uint64_t i = 1; i <= 50; ++i) {
    EXPECT_FALSE(limiter.Allow(kStart + 10ms));
    EXPECT_EQ(limiter.suppressed(), i);
  }
  EXPECT_FALSE(limiter.Allow(kStart + 1s - 1ns));
  EXPECT_TRUE(limiter.Allow(kStart + 1s));
  EXPECT_EQ(limiter.suppressed(), 51u);
  EXPECT_TRUE(limiter.Allow(kStart + 1s));
  EXPECT_EQ(limiter.suppressed(), 0u);
}

TEST(LogLimiter, CountsEachStretchOfRefusalsByItself) {
  LogLimiter limiter(1);
  EXPECT_TRUE(limiter.Allow(kStart));
  EXPECT_FALSE(limiter.Allow(kStart));
  EXPECT_TRUE(limiter.Allow(kStart + 2s));
  EXPECT_EQ(limiter.suppressed(), 1u);
  EXPECT_FALSE(limiter.Allow(kStart + 2s));
  EXPECT_FALSE(limiter.Allow(kStart + 2s));
  EXPECT_TRUE(limiter.Allow(kStart + 4s));
  EXPECT_EQ(limiter.suppressed(), 2u);
}

TEST(LogLimiter, OfZeroAllowsNothing) {
  LogLimiter limiter(0);
  EXPECT_FALSE(limiter.Allow(kStart));
  EXPECT_FALSE(limiter.Allow(kStart + 1h));
  EXPECT_EQ(limiter.suppressed(), 2u);
}

}  // namespace
}  // namespace millrace
