// One disk that does not answer, or answers with errors: only the viewers of what lies on it are
// affected, whichever way they ask for it.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/mailbox.h"
#include "media/loader.h"
#include "rtp/packet_cache.h"
#include "rtp/presentation_store.h"
#include "tests/rtp/vod_fakes.h"

namespace millrace {
namespace {

constexpr std::size_t kThreads = 2, kSpare = 6;
constexpr int kSeconds = 30;
constexpr auto kWithin = std::chrono::seconds(60);

// What stalls until it is let go.
class Disk {
 public:
  void Pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !stalled_; });
    --waiting_;
  }
  void Stall(bool stalled) {
    const std::lock_guard lock(mutex_);
    stalled_ = stalled;
    changed_.notify_all();
  }
  int waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }
  bool AwaitOne() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kWithin, [this] { return waiting_ > 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stalled_ = false;
  int waiting_ = 0;
};

class DiskDemuxer final : public Demuxer {
 public:
  DiskDemuxer(std::unique_ptr<Demuxer> inner, Disk* disk) : inner_(std::move(inner)), disk_(disk) {}
  const MediaInfo& info() const override { return inner_->info(); }
  absl::Status Seek(Duration time) override {
    disk_->Pass();
    return inner_->Seek(time);
  }
  absl::StatusOr<bool> Next(AccessUnit* unit) override {
    disk_->Pass();
    return inner_->Next(unit);
  }

 private:
  const std::unique_ptr<Demuxer> inner_;
  Disk* const disk_;
};

// Each file lies on a disk of its own.
class DiskLibrary final : public Library {
 public:
  absl::StatusOr<std::unique_ptr<Demuxer>> Open(std::string_view path) override {
    Disk& disk = disks[std::string(path)];
    disk.Pass();
    auto demuxer = files.Open(path);
    if (!demuxer.ok()) return demuxer.status();
    return std::make_unique<DiskDemuxer>(*std::move(demuxer), &disk);
  }
  absl::StatusOr<AssetIdentity> Identify(std::string_view path) override {
    disks[std::string(path)].Pass();
    return files.Identify(path);
  }

  FakeLibrary files;
  std::map<std::string, Disk> disks;  // all put in before threads start
};

class OneMailbox final : public ShardPoster {
 public:
  void PostFromLoader(std::size_t lane, std::size_t /*shard*/, const Message& message) override {
    while (!mailbox.Post(lane, message)) std::this_thread::yield();
  }
  Mailbox mailbox{kThreads + kSpare, nullptr};
};

struct Film final : PresentationWaiter {
  void OnPresentation(absl::StatusOr<PresentationRef> result) override {
    ++answers;
    status = result.status();
    if (result.ok()) presentation = *result;
  }
  int answers = 0;
  absl::Status status;
  PresentationRef presentation;
};

struct Block final : BlockWaiter {
  void OnBlock(BlockRef block) override { Take(*block); }
  void Take(const BlockSet& block) {
    ++answers;
    number = block.number;
  }
  void OnBlockFailed(const absl::Status& why) override {
    ++answers;
    status = why;
  }
  int answers = 0;
  std::uint32_t number = 9999;
  absl::Status status;
};

class VodStall : public ::testing::Test {
 protected:
  VodStall() {
    for (int i = 0; i < 8; ++i) {
      const std::string name = Name(i);
      library_.files.files[name] = FakeVideoFile(kSeconds, static_cast<std::uint64_t>(i + 1));
      library_.disks[name];
    }
    store_ =
        std::make_unique<PresentationStore>(&library_, &loader_, &poster_, &random_, VodOptions());
    cache_ = std::make_unique<PacketCache>(store_->readers(), &loader_, &poster_, VodOptions());
    films_ = std::make_unique<PresentationClient>(store_.get(), 0);
    blocks_ = std::make_unique<BlockClient>(cache_.get(), 0);
  }
  ~VodStall() override {
    for (auto& [name, disk] : library_.disks) disk.Stall(false);
    loader_.Stop();
    poster_.mailbox.Drain();
    blocks_.reset();
    films_.reset();
    cache_.reset();
    store_.reset();
  }
  static std::string Name(int i) { return "film" + std::to_string(i); }
  Disk& disk(int i) { return library_.disks[Name(i)]; }

  template <typename Done>
  bool Await(Done done) {
    const auto deadline = std::chrono::steady_clock::now() + kWithin;
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      poster_.mailbox.Drain();
      std::this_thread::yield();
    }
    return true;
  }
  // `now` far enough apart that the file is looked at again.
  void Ask(int i, Film* film) {
    now_ += 10s;
    ASSERT_EQ(films_->Open(Name(i), now_, film), nullptr);
  }
  PresentationRef Describe(int i) {
    Film film;
    Ask(i, &film);
    EXPECT_TRUE(Await([&] { return film.answers > 0; })) << Name(i);
    return film.presentation;
  }
  // Every block but the first, as many viewers at different places ask for them, and what they will
  // want next.
  std::vector<Block> Watch(const PresentationRef& film) {
    std::vector<Block> viewers(kSeconds - 2);
    for (std::uint32_t i = 0; i < viewers.size(); ++i) {
      const BlockRef prefetched = blocks_->Acquire(film, i + 1, &viewers[i]);
      if (prefetched) viewers[i].Take(*prefetched);
      blocks_->Prefetch(film, i + 2);
    }
    return viewers;
  }
  static std::size_t Answered(const std::vector<Block>& viewers) {
    std::size_t answered = 0;
    for (const Block& viewer : viewers) answered += viewer.answers > 0 && viewer.status.ok();
    return answered;
  }

  DiskLibrary library_;
  OneMailbox poster_;
  SeededRandom random_{1};
  ThreadLoader loader_{kThreads, kSpare, 5ms};
  std::unique_ptr<PresentationStore> store_;
  std::unique_ptr<PacketCache> cache_;
  std::unique_ptr<PresentationClient> films_;
  std::unique_ptr<BlockClient> blocks_;
  Instant now_{};
};

TEST_F(VodStall, AFileThatStallsHoldsUpItsOwnViewersOnly) {
  const PresentationRef stalled = Describe(0), sound = Describe(1);
  disk(0).Stall(true);
  std::vector<Block> stuck = Watch(stalled);
  ASSERT_TRUE(disk(0).AwaitOne());
  Film asked;
  Ask(0, &asked);  // a DESCRIBE of it
  std::vector<Block> others = Watch(sound);
  EXPECT_TRUE(Await([&] { return Answered(others) == others.size(); }));
  EXPECT_NE(Describe(2), nullptr);
  EXPECT_EQ(Answered(stuck), 0u);
  EXPECT_EQ(asked.answers, 0);
  EXPECT_GE(disk(0).waiting(), 1);
  EXPECT_LE(disk(0).waiting(), static_cast<int>(kThreads));

  disk(0).Stall(false);
  EXPECT_TRUE(Await([&] { return Answered(stuck) == stuck.size() && asked.answers > 0; }));
  for (std::uint32_t i = 0; i < stuck.size(); ++i) EXPECT_EQ(stuck[i].number, i + 1);
  EXPECT_TRUE(asked.status.ok()) << asked.status;
}

TEST_F(VodStall, AFileThatCannotEvenBeOpenedHoldsUpNobodyElse) {
  disk(0).Stall(true);
  Film opened;
  Ask(0, &opened);
  ASSERT_TRUE(disk(0).AwaitOne());
  const PresentationRef sound = Describe(1);
  ASSERT_NE(sound, nullptr);
  std::vector<Block> others = Watch(sound);
  EXPECT_TRUE(Await([&] { return Answered(others) == others.size(); }));
  EXPECT_EQ(opened.answers, 0);
  disk(0).Stall(false);
  EXPECT_TRUE(Await([&] { return opened.answers > 0; }));
  EXPECT_TRUE(opened.status.ok()) << opened.status;
}

TEST_F(VodStall, ThreeFilesMayStallAtOnce) {
  std::vector<std::vector<Block>> stuck;
  std::vector<PresentationRef> films;
  for (int i = 0; i < 4; ++i) films.push_back(Describe(i));
  for (int i = 0; i < 3; ++i) {
    disk(i).Stall(true);
    stuck.push_back(Watch(films[static_cast<std::size_t>(i)]));
  }
  std::vector<Block> others = Watch(films[3]);
  EXPECT_TRUE(Await([&] { return Answered(others) == others.size(); }));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Answered(stuck[static_cast<std::size_t>(i)]), 0u);
    disk(i).Stall(false);
  }
  for (std::vector<Block>& viewers : stuck) {
    EXPECT_TRUE(Await([&] { return Answered(viewers) == viewers.size(); }));
  }
}

TEST_F(VodStall, AnErrorInTheMiddleEndsTheLoadsBehindItOnly) {
  library_.files.files[Name(0)]->fails_at = 25 * kSeconds / 2;
  const PresentationRef broken = Describe(0), sound = Describe(1);
  std::vector<Block> viewers = Watch(broken), others = Watch(sound);
  EXPECT_TRUE(Await([&] { return Answered(others) == others.size(); }));
  EXPECT_TRUE(Await([&] {
    return std::ranges::all_of(viewers, [](const Block& viewer) { return viewer.answers == 1; });
  }));
  EXPECT_EQ(viewers.front().number, 1u);
  EXPECT_EQ(viewers[kSeconds / 2 - 1].status.message(), "unreadable sector");
  EXPECT_TRUE(viewers.back().status.ok());  // behind what is broken
}

}  // namespace
}  // namespace millrace
