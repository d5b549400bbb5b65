// The engine's parts by themselves: mailbox, ring, timer wheel, slot map, block pool, log. Time and
// heap allocations per item, on one core unless the name says otherwise.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "core/block_pool.h"
#include "core/logging.h"
#include "core/mailbox.h"
#include "core/memory.h"
#include "core/random.h"
#include "core/slot_map.h"
#include "core/spsc_ring.h"
#include "core/timer_wheel.h"

namespace millrace {
namespace {

constexpr Instant kStart{100h};

// Reports items per second and heap allocations per item of this thread.
class Tally {
 public:
  explicit Tally(benchmark::State& state) : state_(state) {}
  void Report(std::int64_t items) {
    const auto allocations = static_cast<double>(ThreadAllocations().allocations - before_);
    state_.SetItemsProcessed(items);
    state_.counters["allocations"] = allocations / static_cast<double>(items);
  }

 private:
  benchmark::State& state_;
  const std::uint64_t before_ = ThreadAllocations().allocations;
};

void OnMessage(void* receiver, const Message& message) {
  *static_cast<std::uint64_t*>(receiver) += message.As<std::uint64_t>();
}

// Posts a lane's share and drains it: the argument is how many messages a tick finds.
void BM_MailboxPostAndDrain(benchmark::State& state) {
  std::uint64_t sum = 0;
  Mailbox mailbox(8, &sum);
  const auto messages = static_cast<std::uint64_t>(state.range(0));
  Tally tally(state);
  for (auto _ : state) {
    for (std::uint64_t i = 0; i < messages; ++i) mailbox.Post(3, Message::Make(&OnMessage, i));
    mailbox.Drain();
  }
  benchmark::DoNotOptimize(sum);
  tally.Report(state.iterations() * state.range(0));
}
BENCHMARK(BM_MailboxPostAndDrain)->Arg(1)->Arg(64)->Arg(1024);

// What a tick pays for an empty mailbox: the look before the sleep and the drain after it.
void BM_MailboxIdleTick(benchmark::State& state) {
  std::uint64_t sum = 0;
  Mailbox mailbox(static_cast<std::size_t>(state.range(0)), &sum);
  for (auto _ : state) {
    benchmark::DoNotOptimize(mailbox.BeginSleep());
    mailbox.EndSleep();
    benchmark::DoNotOptimize(mailbox.Drain());
  }
}
BENCHMARK(BM_MailboxIdleTick)->Arg(4)->Arg(16)->Arg(64);

// A producer on another core; the owner never sleeps.
void BM_MailboxBetweenTwoThreads(benchmark::State& state) {
  std::uint64_t sum = 0;
  Mailbox mailbox(1, &sum);
  std::atomic<bool> stop{false};
  std::thread producer([&] {
    const Message message = Message::Make(&OnMessage, std::uint64_t{1});
    while (!stop.load(std::memory_order_relaxed)) {
      if (!mailbox.Post(0, message)) std::this_thread::yield();
    }
  });
  std::int64_t received = 0;
  for (auto _ : state) {
    std::size_t n = 0;
    while ((n = mailbox.Drain()) == 0) std::this_thread::yield();
    received += static_cast<std::int64_t>(n);
  }
  stop = true;
  producer.join();
  state.SetItemsProcessed(received);
}
BENCHMARK(BM_MailboxBetweenTwoThreads)->UseRealTime();

void BM_SpscRingPushPop(benchmark::State& state) {
  auto ring = std::make_unique<SpscRing<std::uint64_t, 1024>>();
  std::uint64_t value = 0;
  Tally tally(state);
  for (auto _ : state) {
    for (std::uint64_t i = 0; i < 512; ++i) ring->TryPush(i);
    while (ring->TryPop(&value)) benchmark::DoNotOptimize(value);
  }
  tally.Report(state.iterations() * 512);
}
BENCHMARK(BM_SpscRingPushPop);

void BM_SpscRingBetweenTwoThreads(benchmark::State& state) {
  auto ring = std::make_unique<SpscRing<std::uint64_t, 1024>>();
  std::atomic<bool> stop{false};
  std::thread producer([&] {
    std::uint64_t i = 0;
    while (!stop.load(std::memory_order_relaxed)) {
      if (ring->TryPush(i)) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  std::uint64_t value = 0;
  for (auto _ : state) {
    while (!ring->TryPop(&value)) std::this_thread::yield();
    benchmark::DoNotOptimize(value);
  }
  stop = true;
  producer.join();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_SpscRingBetweenTwoThreads)->UseRealTime();

class CountingTimer final : public Timer {
 public:
  std::uint64_t fired = 0;

 private:
  void OnTimer(Instant) override { ++fired; }
};

constexpr std::size_t kTimers = 10'000;

// Ten thousand sessions' time-outs, spread over a minute.
class ArmedWheel {
 public:
  ArmedWheel() : timers_(kTimers) {
    for (CountingTimer& timer : timers_) wheel_.Arm(&timer, kStart + Spread());
  }
  TimerWheel& wheel() { return wheel_; }
  CountingTimer& Any() { return timers_[random_.Below(kTimers)]; }
  std::vector<CountingTimer>& timers() { return timers_; }
  Duration Spread() { return Duration(random_.Below(60'000'000'000)); }

 private:
  SeededRandom random_{1};
  TimerWheel wheel_{kStart};
  std::vector<CountingTimer> timers_;
};

// A sign of life: its session's time-out moves on.
void BM_TimerWheelRearm(benchmark::State& state) {
  ArmedWheel armed;
  Tally tally(state);
  for (auto _ : state) armed.wheel().Arm(&armed.Any(), kStart + armed.Spread());
  tally.Report(state.iterations());
}
BENCHMARK(BM_TimerWheelRearm);

void BM_TimerWheelArmAndCancel(benchmark::State& state) {
  ArmedWheel armed;
  CountingTimer timer;
  Tally tally(state);
  for (auto _ : state) {
    armed.wheel().Arm(&timer, kStart + 60s);
    armed.wheel().Cancel(&timer);
  }
  tally.Report(state.iterations());
}
BENCHMARK(BM_TimerWheelArmAndCancel);

// A tick every millisecond among ten thousand timers; those that fire are armed again.
void BM_TimerWheelTick(benchmark::State& state) {
  ArmedWheel armed;
  Instant now = kStart;
  std::uint64_t fired = 0;
  for (auto _ : state) {
    now += 1ms;
    armed.wheel().Advance(now);
    benchmark::DoNotOptimize(armed.wheel().NextDeadline());
    if (armed.wheel().size() < kTimers - 100) {
      state.PauseTiming();
      for (CountingTimer& timer : armed.timers()) {
        if (!timer.armed()) armed.wheel().Arm(&timer, now + armed.Spread());
      }
      state.ResumeTiming();
    }
  }
  for (const CountingTimer& timer : armed.timers()) fired += timer.fired;
  state.counters["fired"] = static_cast<double>(fired) / static_cast<double>(state.iterations());
}
BENCHMARK(BM_TimerWheelTick);

// All ten thousand in one slot and not yet due: the tick must not walk them.
void BM_TimerWheelTickBesideACrowdedSlot(benchmark::State& state) {
  TimerWheel wheel(kStart);
  std::vector<CountingTimer> timers(kTimers);
  for (CountingTimer& timer : timers) wheel.Arm(&timer, kStart + 7ms);
  Instant now = kStart;
  for (auto _ : state) {
    wheel.Advance(now);
    benchmark::DoNotOptimize(wheel.NextDeadline());
  }
  state.counters["armed"] = static_cast<double>(wheel.size());
}
BENCHMARK(BM_TimerWheelTickBesideACrowdedSlot);

struct Session {
  explicit Session(Handle<Session>) {}
  std::uint64_t body[16] = {};
};

void BM_SlotMapFind(benchmark::State& state) {
  SlotMap<Session> map(static_cast<std::size_t>(state.range(0)));
  std::vector<Handle<Session>> handles;
  for (std::int64_t i = 0; i < state.range(0); ++i) handles.push_back(map.Emplace());
  SeededRandom random(2);
  for (std::size_t i = handles.size(); i > 1; --i)
    std::swap(handles[i - 1], handles[random.Below(i)]);
  std::size_t i = 0;
  Tally tally(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(map.Find(handles[i]));
    if (++i == handles.size()) i = 0;
  }
  tally.Report(state.iterations());
}
BENCHMARK(BM_SlotMapFind)->Arg(100)->Arg(10'000);

void BM_SlotMapEmplaceErase(benchmark::State& state) {
  SlotMap<Session> map(100);
  map.Emplace();  // the first chunk
  Tally tally(state);
  for (auto _ : state) map.Erase(map.Emplace());
  tally.Report(state.iterations());
}
BENCHMARK(BM_SlotMapEmplaceErase);

void BM_BlockPoolAcquireRelease(benchmark::State& state) {
  BlockPool pool(2048, 64, 1024);
  pool.Reserve(1024);
  std::vector<std::byte*> blocks(static_cast<std::size_t>(state.range(0)));
  Tally tally(state);
  for (auto _ : state) {
    for (std::byte*& block : blocks) block = pool.Acquire();
    for (std::byte* block : blocks) pool.Release(block);
  }
  tally.Report(state.iterations() * state.range(0));
}
BENCHMARK(BM_BlockPoolAcquireRelease)->Arg(1)->Arg(1000);

// The same from the heap, for comparison, with the counters and the guard in it.
void BM_HeapNewDelete(benchmark::State& state) {
  Tally tally(state);
  for (auto _ : state) {
    void* block = ::operator new(2048);
    benchmark::DoNotOptimize(block);
    ::operator delete(block);
  }
  tally.Report(state.iterations());
}
BENCHMARK(BM_HeapNewDelete);

void BM_LogLineBelowTheLevel(benchmark::State& state) {
  std::uint64_t number = 0;
  for (auto _ : state) LogDebug("a line that is not written {}", ++number);
}
BENCHMARK(BM_LogLineBelowTheLevel);

}  // namespace
}  // namespace millrace
