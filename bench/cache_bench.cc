// What a viewer's once-a-second look-up costs: Acquire of a cached block and its release, alone and
// with other shards asking at the same time.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/memory.h"
#include "core/random.h"
#include "rtp/packet_cache.h"

namespace millrace {
namespace {

constexpr std::uint64_t kPresentations = 64;
constexpr std::uint32_t kBlocks = 128;  // of each
constexpr std::size_t kShards = 4;

class EmptySets final : public BlockSource {
 public:
  absl::StatusOr<std::unique_ptr<BlockSet>> ReadBlock(const PresentationRef&,
                                                      std::uint32_t number) override {
    auto set = std::make_unique<BlockSet>();
    set->number = number;
    set->memory_bytes = 1;
    return set;
  }
};

class InlineLoader final : public Loader {
 public:
  void Submit(LoadJob* job) override { job->Run(0); }
  std::size_t lanes() const override { return 1; }
};

class NoPoster final : public ShardPoster {
 public:
  void PostFromLoader(std::size_t, std::size_t, const Message&) override {}
};

// 8192 cached sets.
struct FullCache {
  FullCache() {
    for (std::size_t i = 0; i < kShards; ++i) {
      clients.push_back(std::make_unique<BlockClient>(&cache, i));
    }
    for (std::uint64_t id = 1; id <= kPresentations; ++id) {
      auto presentation = std::make_shared<Presentation>();
      presentation->id = id;
      presentation->duration = kBlocks * kBlockDuration;
      presentations.push_back(presentation);
      for (std::uint32_t k = 0; k < kBlocks; ++k) clients[0]->Prefetch(presentation, k);
    }
  }

  EmptySets source;
  InlineLoader loader;
  NoPoster poster;
  PacketCache cache{&source, &loader, &poster, VodOptions{}};
  std::vector<std::unique_ptr<BlockClient>> clients;
  std::vector<PresentationRef> presentations;
};

void BM_AcquireHitAndRelease(benchmark::State& state) {
  static FullCache& full = *new FullCache;  // shared by the benchmark's threads
  const auto shard = static_cast<std::size_t>(state.thread_index());
  SeededRandom random(shard);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> keys(4096);
  for (auto& [film, block] : keys) {
    film = static_cast<std::uint32_t>(random.Below(kPresentations));
    block = static_cast<std::uint32_t>(random.Below(kBlocks));
  }
  const std::uint64_t before = ThreadAllocations().allocations;
  std::size_t i = 0;
  for (auto _ : state) {
    const auto [film, block] = keys[i++ % keys.size()];
    BlockRef ref = full.clients[shard]->Acquire(full.presentations[film], block, nullptr);
    benchmark::DoNotOptimize(ref);
  }
  const std::uint64_t allocations = ThreadAllocations().allocations - before;
  state.counters["allocations"] = static_cast<double>(allocations);
  if (full.cache.stats().misses != kPresentations * kBlocks) state.SkipWithError("a miss");
}
BENCHMARK(BM_AcquireHitAndRelease)->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace millrace
