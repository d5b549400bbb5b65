// What the calendar costs: senders that fire and schedule themselves again every frame, and the
// question a shard asks before it sleeps.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/memory.h"
#include "core/random.h"
#include "rtp/pacer.h"

namespace millrace {
namespace {

constexpr Instant kStart{Duration(1000s)};
constexpr Duration kFrame = 40ms;

class FrameSender final : public PacedTask {
 public:
  FrameSender(Pacer* pacer, std::uint64_t* fired) : pacer_(pacer), fired_(fired) {}

 private:
  void OnDue(Instant) override {
    ++*fired_;
    pacer_->Schedule(this, due() + kFrame);
  }

  Pacer* const pacer_;
  std::uint64_t* const fired_;
};

// `count` senders spread over a frame, in no order that memory or the ring would favour.
struct Crowd {
  explicit Crowd(std::size_t count) {
    SeededRandom random(1);
    for (std::size_t i = 0; i < count; ++i) {
      senders.push_back(std::make_unique<FrameSender>(&pacer, &fired));
    }
    for (std::size_t i = count; i > 1; --i) std::swap(senders[i - 1], senders[random.Below(i)]);
    for (const auto& sender : senders) {
      const auto offset = static_cast<std::int64_t>(random.Below(kFrame.count()));
      pacer.Schedule(sender.get(), kStart + Duration(offset));
    }
  }

  Pacer pacer{kStart};
  std::uint64_t fired = 0;
  std::vector<std::unique_ptr<FrameSender>> senders;
};

// An iteration is a millisecond's sweep; a 40th of the senders fire in it.
void BM_SweepAMillisecond(benchmark::State& state) {
  Crowd crowd(static_cast<std::size_t>(state.range(0)));
  Instant now = kStart;
  const std::uint64_t before = ThreadAllocations().allocations;
  for (auto _ : state) crowd.pacer.Sweep(now += 1ms);
  const auto fired = static_cast<double>(crowd.fired);
  state.counters["allocations"] = static_cast<double>(ThreadAllocations().allocations - before);
  // Seconds per firing, printed with its unit.
  state.counters["per_firing"] =
      benchmark::Counter(fired, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_SweepAMillisecond)->Arg(100)->Arg(10'000)->Arg(100'000);

// A sweep that comes 10 ms late and fires a quarter of them.
void BM_SweepLate(benchmark::State& state) {
  Crowd crowd(static_cast<std::size_t>(state.range(0)));
  Instant now = kStart;
  for (auto _ : state) crowd.pacer.Sweep(now += 10ms);
  const auto fired = static_cast<double>(crowd.fired);
  state.counters["per_firing"] =
      benchmark::Counter(fired, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_SweepLate)->Arg(10'000);

// With the next task `range(0)` ms away; 1023 is a look at the whole ring.
void BM_NextDue(benchmark::State& state) {
  Pacer pacer(kStart);
  std::uint64_t fired = 0;
  FrameSender sender(&pacer, &fired);
  pacer.Schedule(&sender, kStart + state.range(0) * 1ms);
  for (auto _ : state) benchmark::DoNotOptimize(pacer.NextDue());
}
BENCHMARK(BM_NextDue)->Arg(1)->Arg(40)->Arg(1023);

// Pause and play again: out of the calendar and into it.
void BM_CancelAndSchedule(benchmark::State& state) {
  Crowd crowd(10'000);
  std::size_t i = 0;
  for (auto _ : state) {
    FrameSender* const sender = crowd.senders[i++ % crowd.senders.size()].get();
    crowd.pacer.Cancel(sender);
    crowd.pacer.Schedule(sender, kStart + 20ms);
  }
}
BENCHMARK(BM_CancelAndSchedule);

}  // namespace
}  // namespace millrace
