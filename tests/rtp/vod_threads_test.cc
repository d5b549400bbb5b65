// The VOD store between real loader threads and real mailboxes; meant for the thread sanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "core/mailbox.h"
#include "media/loader.h"
#include "rtp/packet_cache.h"
#include "rtp/presentation_store.h"
#include "tests/rtp/vod_fakes.h"

namespace millrace {
namespace {

constexpr std::size_t kShards = 4;
constexpr std::size_t kLoaders = 2;
constexpr std::size_t kViewersPerShard = 6;
constexpr int kBlocksPerViewer = 150;
constexpr int kFilms = 3;
constexpr int kFilmSeconds = 20;

class MailboxPoster final : public ShardPoster {
 public:
  MailboxPoster() {
    for (std::size_t i = 0; i < kShards; ++i) {
      mailboxes_.push_back(std::make_unique<Mailbox>(kLoaders, nullptr));
    }
  }
  void PostFromLoader(std::size_t lane, std::size_t shard, const Message& message) override {
    while (!mailboxes_[shard]->Post(lane, message)) std::this_thread::yield();
  }
  Mailbox& mailbox(std::size_t shard) { return *mailboxes_[shard]; }

 private:
  std::vector<std::unique_ptr<Mailbox>> mailboxes_;
};

struct Store {
  Store() {
    for (int i = 0; i < kFilms; ++i) {
      library.files["film" + std::to_string(i)] =
          FakeVideoFile(kFilmSeconds, static_cast<std::uint64_t>(i));
    }
  }
  static VodOptions Options() {
    VodOptions options;
    options.cache_bytes = 30'000;  // some of the sets: there is eviction, and waiting for room
    options.open_readers_max = 2;
    return options;
  }

  FakeLibrary library;
  MailboxPoster poster;
  SeededRandom random{1};
  ThreadLoader loader{kLoaders};
  PresentationStore store{&library, &loader, &poster, &random, Options()};
  PacketCache cache{store.readers(), &loader, &poster, Options()};
};

// Asks for a film, then for blocks of it, some in order, some not, and lets go of each before the
// next.
class Viewer final : public PresentationWaiter, public BlockWaiter {
 public:
  Viewer(PresentationClient* films, BlockClient* blocks, std::uint64_t seed)
      : films_(films), blocks_(blocks), random_(seed) {}

  bool done() const { return left_ == 0; }
  int failures() const { return failures_; }
  int wrong() const { return wrong_; }

  // One step, when it waits for nothing.
  void Step(Instant now) {
    if (PresentationWaiter::waiting() || BlockWaiter::waiting() || done()) return;
    if (film_ == nullptr || random_.Chance(0.05)) {
      path_ = "film" + std::to_string(random_.Below(kFilms + 1));  // the last does not exist
      PresentationRef film = films_->Open(path_, now, this);
      if (film != nullptr) Take(std::move(film));
      return;
    }
    number_ = random_.Chance(0.7) ? (number_ + 1) % film_->block_count()
                                  : static_cast<std::uint32_t>(random_.Below(kFilmSeconds));
    BlockRef block = blocks_->Acquire(film_, number_, this);
    if (block) Take(std::move(block));
    if (random_.Chance(0.3)) blocks_->Prefetch(film_, (number_ + 1) % film_->block_count());
    if (random_.Chance(0.05)) blocks_->Cancel(this);
  }

 private:
  void OnPresentation(absl::StatusOr<PresentationRef> film) override {
    if (film.ok()) {
      Take(*std::move(film));
    } else {
      wrong_ += !absl::IsNotFound(film.status());
    }
  }
  void OnBlock(BlockRef block) override { Take(std::move(block)); }
  void OnBlockFailed(const absl::Status&) override { ++failures_; }

  void Take(PresentationRef film) {
    wrong_ += film->path != path_;
    film_ = std::move(film);
  }
  void Take(BlockRef block) {
    wrong_ += block->number != number_ || block->streams[0].packets().size() != 25 ||
              block->streams[0].packets()[0].pts != std::int64_t{number_} * 90000 ||
              block->streams[0].packet(0)[0] != 0x80;
    if (--left_ < 0) left_ = 0;
  }

  PresentationClient* const films_;
  BlockClient* const blocks_;
  SeededRandom random_;
  std::string path_;
  PresentationRef film_;
  std::uint32_t number_ = 0;
  int left_ = kBlocksPerViewer;
  int failures_ = 0;
  int wrong_ = 0;
};

struct Shard {
  std::atomic<bool> viewers_done{false};
  int failures = 0;
  int wrong = 0;
};

void RunShard(Store& vod, std::size_t index, std::atomic<bool>& stop, Shard& result) {
  PresentationClient films(&vod.store, index);
  BlockClient blocks(&vod.cache, index);
  std::vector<std::unique_ptr<Viewer>> viewers;
  for (std::size_t i = 0; i < kViewersPerShard; ++i) {
    viewers.push_back(std::make_unique<Viewer>(&films, &blocks, index * 100 + i));
  }
  Instant now{};
  while (!stop.load()) {
    now += 1ms;
    vod.poster.mailbox(index).Drain();
    bool all_done = true;
    for (const auto& viewer : viewers) {
      viewer->Step(now);
      all_done &= viewer->done();
    }
    vod.cache.Pump();
    if (all_done) result.viewers_done = true;
    std::this_thread::yield();
  }
  for (const auto& viewer : viewers) {
    result.failures += viewer->failures();
    result.wrong += viewer->wrong();
  }
}

TEST(VodThreads, ServesManyViewersOnSeveralShardsFromASmallCache) {
  Store vod;
  std::vector<Shard> results(kShards);
  std::atomic<bool> stop{false};
  std::vector<std::thread> shards;
  for (std::size_t i = 0; i < kShards; ++i) {
    shards.emplace_back([&, i] { RunShard(vod, i, stop, results[i]); });
  }
  const auto all_done = [&] {
    return std::all_of(results.begin(), results.end(),
                       [](const Shard& shard) { return shard.viewers_done.load(); });
  };
  while (!all_done()) std::this_thread::yield();
  vod.loader.Stop();
  stop = true;
  for (std::thread& shard : shards) shard.join();
  for (const Shard& shard : results) {
    EXPECT_EQ(shard.wrong, 0);
    EXPECT_EQ(shard.failures, 0);
  }
  const PacketCacheStats stats = vod.cache.stats();
  EXPECT_GT(stats.evictions, 0u);
  EXPECT_GT(stats.hits, 0u);
  const std::uint64_t set_bytes = stats.bytes / stats.blocks;  // all are alike
  EXPECT_LE(stats.bytes_most, Store::Options().cache_bytes + kLoaders * set_bytes);
  EXPECT_EQ(vod.store.stats().presentations, std::size_t{kFilms});
}

TEST(VodThreads, ShutsDownInTheMiddleOfEverything) {
  for (int round = 0; round < 20; ++round) {
    Store vod;
    std::vector<Shard> results(kShards);
    std::atomic<bool> stop{false};
    std::vector<std::thread> shards;
    for (std::size_t i = 0; i < kShards; ++i) {
      shards.emplace_back([&, i] { RunShard(vod, i, stop, results[i]); });
    }
    while (vod.cache.stats().misses < static_cast<std::uint64_t>(round) * 10) {
      std::this_thread::yield();
    }
    vod.loader.Stop();
    stop = true;
    for (std::thread& shard : shards) shard.join();
    for (const Shard& shard : results) EXPECT_EQ(shard.wrong, 0);
  }
}

}  // namespace
}  // namespace millrace
