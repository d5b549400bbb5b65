// A whole shard on the kernel's own sockets, ticked by the test's thread: after warm-up, playing
// allocates nothing, over UDP and TCP, on both backends.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "core/memory.h"
#include "tests/scenario/raw_viewer.h"

namespace millrace {
namespace {

using testing::KernelShard;
using testing::RawViewer;

class PlayingPath : public ::testing::TestWithParam<const char*> {};

TEST_P(PlayingPath, AllocatesNothingAfterWarmUp) {
  const auto choice = ChooseBackend(GetParam());
  if (!choice.ok()) GTEST_SKIP() << choice.status();
  KernelShard server(choice->kind);
  sim::SyntheticAsset asset;
  asset.duration = 60s;
  server.library.Add("a.mp4", asset);
  Shard& shard = server.shard();

  std::atomic<bool> playing{false}, done{false};
  std::thread players([&] {
    RawViewer viewers[4] = {{server.port(), false},
                            {server.port(), true},
                            {server.port(), false},
                            {server.port(), true}};
    for (RawViewer& viewer : viewers) viewer.Play("a.mp4", 2);
    playing = true;
    while (!done) {
      bool any = false;
      for (RawViewer& viewer : viewers) any |= viewer.Drain();
      if (!any) usleep(1000);
    }
  });
  while (!playing) shard.Tick();
  server.TickFor(3s);  // warm-up: blocks, buffers and tables take their size
  const std::uint64_t packets_before = server.packets_sent();
  const AllocationCounts before = ThreadAllocations();
  server.TickFor(6s);  // several blocks, and sender reports
  const AllocationCounts after = ThreadAllocations();
  EXPECT_GT(server.packets_sent() - packets_before, 1000u);
  EXPECT_GT(shard.counters().tcp_packets_sent.Get(), 500u);
  EXPECT_EQ(after.allocations - before.allocations, 0u);
  done = true;
  players.join();
}

INSTANTIATE_TEST_SUITE_P(Backends, PlayingPath, ::testing::Values("io_uring", "epoll"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace millrace
