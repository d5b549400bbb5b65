// Sleeping and waking, on each kernel backend.
#include <atomic>
#include <thread>

#include "tests/core/io_test_support.h"

namespace millrace {
namespace {

using IoPoll = IoTest;
INSTANTIATE_TEST_SUITE_P(Kernel, IoPoll, kKernelBackends, BackendName);

// Each of these hangs, and is ended by the test's own time limit, when a wake-up is lost.

TEST_P(IoPoll, AWakeFromAnotherThreadEndsASleepWithoutLimit) {
  for (int i = 0; i < 100; ++i) {
    std::thread waker([&] {
      if (i % 2 == 0) std::this_thread::sleep_for(1ms);  // now and then before the sleep begins
      io_->Wake();
    });
    io_->Poll(clock_.Now(), kNever);
    waker.join();
  }
}

TEST_P(IoPoll, AWakeBeforeThePollIsNotLost) {
  for (int i = 0; i < 100; ++i) {
    io_->Wake();
    io_->Poll(clock_.Now(), kNever);
  }
}

TEST_P(IoPoll, AWakeReapedBySendIsNotLost) {
  auto [socket, client] = Connection();
  io_->Wake();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(1, Send(socket, "x"));
  io_->Poll(clock_.Now(), kNever);
}

TEST_P(IoPoll, EachOfManyWakersIsHeard) {
  std::atomic<int> asked = 0;
  std::atomic<int> answered = 0;
  std::thread waker([&] {
    for (int i = 0; i < 2000; ++i) {
      asked.store(i + 1);
      io_->Wake();
      while (answered.load() < i + 1) std::this_thread::yield();
    }
  });
  while (answered.load() < 2000) {
    io_->Poll(clock_.Now(), kNever);
    answered.store(asked.load());
  }
  waker.join();
}

TEST_P(IoPoll, SleepsUntilTheDeadlineAndNotBeyondForever) {
  for (const Duration sleep : {Duration(300us), Duration(5ms), Duration(40ms)}) {
    const Instant deadline = clock_.Now() + sleep;
    io_->Poll(clock_.Now(), deadline);
    while (clock_.Now() < deadline) io_->Poll(clock_.Now(), deadline);  // a signal may cut it short
    EXPECT_GE(clock_.Now(), deadline);
  }
  io_->Poll(clock_.Now(), clock_.Now() - 1s);
  io_->Poll(clock_.Now(), Instant{});
}

TEST_P(IoPoll, BytesEndASleepWithoutLimit) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  std::thread writer([&, other_end = &client] {
    std::this_thread::sleep_for(2ms);
    other_end->Write("now");
  });
  while (notes.received.empty()) io_->Poll(clock_.Now(), kNever);
  writer.join();
  EXPECT_EQ("now", notes.received);
}

TEST_P(IoPoll, WhatSendMetByTheWayEndsASleepWithoutLimit) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  client.Write("already here");
  io_->StartReceive(socket, &notes);
  EXPECT_EQ(1, Send(socket, "x"));
  while (notes.received.empty()) io_->Poll(clock_.Now(), kNever);
  EXPECT_EQ("already here", notes.received);
}

TEST_P(IoPoll, APausedConnectionThatFailedDoesNotKeepItAwake) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  io_->StopReceive(socket);
  client.Reset();
  PollSome();
  int polls = 0;
  const Instant deadline = clock_.Now() + 30ms;
  for (; clock_.Now() < deadline && polls < 1000; ++polls) io_->Poll(clock_.Now(), deadline);
  EXPECT_LT(polls, 1000) << "Poll returns at once every time";
  EXPECT_EQ(0, notes.calls);
}

}  // namespace
}  // namespace millrace
