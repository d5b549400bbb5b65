#include "core/clock.h"

#include <gtest/gtest.h>

#include <ctime>

namespace millrace {
namespace {

TEST(SystemClock, NeverGoesBack) {
  const SystemClock clock;
  Instant last = clock.Now();
  for (int i = 0; i < 10'000; ++i) {
    const Instant now = clock.Now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(SystemClock, WallTimeIsTheUnixEpochs) {
  const SystemClock clock;
  const std::time_t before = std::time(nullptr);
  const auto wall = std::chrono::floor<std::chrono::seconds>(clock.Wall());
  const std::time_t after = std::time(nullptr);
  // The C library's second may lag by the coarse clock's tick.
  EXPECT_GE(wall.time_since_epoch().count(), before);
  EXPECT_LE(wall.time_since_epoch().count(), after + 1);
}

TEST(Clock, NeverIsAfterEverything) {
  EXPECT_GT(kNever, SystemClock().Now() + 1000000h);
  EXPECT_DOUBLE_EQ(ToSeconds(1500ms), 1.5);
  EXPECT_DOUBLE_EQ(ToSeconds(-250us), -0.00025);
}

}  // namespace
}  // namespace millrace
