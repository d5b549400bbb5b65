#include "rtp/presentation_store.h"

#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "tests/rtp/vod_fakes.h"

namespace millrace {
namespace {

class TestWaiter final : public PresentationWaiter {
 public:
  int calls = 0;
  PresentationRef film;
  absl::Status status;
  std::function<void()> then;

 private:
  void OnPresentation(absl::StatusOr<PresentationRef> presentation) override {
    EXPECT_FALSE(waiting());
    ++calls;
    status = presentation.status();
    film = presentation.ok() ? *std::move(presentation) : nullptr;
    if (then) then();
  }
};

class PresentationStoreTest : public testing::Test {
 protected:
  PresentationStoreTest() {
    library_.files["film.mp4"] = FakeVideoFile(10, 1);
    library_.files["Ä b/other.mkv"] = FakeVideoFile(20, 2);
    for (std::size_t i = 0; i < 2; ++i) {
      clients_.push_back(std::make_unique<PresentationClient>(store_.get(), i));
    }
  }

  ~PresentationStoreTest() override { loader_.Stop(); }

  void Settle() {
    while (loader_.RunOne() || poster_.waiting() > 0) poster_.DeliverAll();
  }
  PresentationRef Open(std::string_view path, TestWaiter* waiter, std::size_t shard = 0) {
    return clients_[shard]->Open(path, now_, waiter);
  }
  absl::StatusOr<PresentationRef> Get(std::string_view path) {
    TestWaiter waiter;
    PresentationRef film = Open(path, &waiter);
    if (film != nullptr) return film;
    Settle();
    EXPECT_EQ(waiter.calls, 1);
    if (!waiter.status.ok()) return waiter.status;
    return waiter.film;
  }

  FakeLibrary library_;
  ManualLoader loader_;
  ManualPoster poster_;
  SeededRandom random_{1};
  std::unique_ptr<PresentationStore> store_ =
      std::make_unique<PresentationStore>(&library_, &loader_, &poster_, &random_, VodOptions{});
  std::vector<std::unique_ptr<PresentationClient>> clients_;
  Instant now_{1h};
};

TEST_F(PresentationStoreTest, OpensAFileOnceAndAnswersAtOnceWhileItIsFresh) {
  const PresentationRef film = *Get("film.mp4");
  EXPECT_EQ(film->path, "film.mp4");
  EXPECT_EQ(film->duration, 10s);
  EXPECT_EQ(film->identity, library_.files["film.mp4"]->identity);
  EXPECT_NE(film->id, (*Get("Ä b/other.mkv"))->id);
  now_ += 999ms;
  TestWaiter waiter;
  EXPECT_EQ(Open("film.mp4", &waiter), film);
  EXPECT_FALSE(waiter.waiting());
  EXPECT_EQ(library_.opens, 2);
}

TEST_F(PresentationStoreTest, LooksAgainAfterASecondAndKeepsWhatHasNotChanged) {
  const PresentationRef film = *Get("film.mp4");
  now_ += PresentationClient::kFreshFor;
  TestWaiter waiter;
  EXPECT_EQ(Open("film.mp4", &waiter), nullptr);
  Settle();
  EXPECT_EQ(waiter.film, film);
  EXPECT_EQ(library_.opens, 1);
  EXPECT_EQ(library_.identifies, 2);
  TestWaiter again;
  EXPECT_EQ(Open("film.mp4", &again), film);  // it is fresh anew
}

TEST_F(PresentationStoreTest, LooksOnceHoweverManyAskOnHoweverManyShards) {
  std::vector<TestWaiter> waiters(50);
  for (std::size_t i = 0; i < waiters.size(); ++i) {
    EXPECT_EQ(Open("film.mp4", &waiters[i], i % 2), nullptr);
  }
  EXPECT_EQ(loader_.waiting(), 1u);
  Settle();
  for (const TestWaiter& waiter : waiters) {
    EXPECT_EQ(waiter.calls, 1);
    EXPECT_EQ(waiter.film, waiters[0].film);
  }
  EXPECT_EQ(library_.opens, 1);
  EXPECT_EQ(store_->stats().looks, 1u);
}

TEST_F(PresentationStoreTest, MakesANewPresentationOfAChangedFileWhileTheOldLivesOn) {
  const PresentationRef old = *Get("film.mp4");
  library_.files["film.mp4"] = FakeVideoFile(33, 7);
  EXPECT_EQ(*Get("film.mp4"), old);  // fresh
  now_ += 2s;
  const PresentationRef changed = *Get("film.mp4");
  EXPECT_NE(changed, old);
  EXPECT_NE(changed->id, old->id);
  EXPECT_EQ(changed->duration, 33s);
  EXPECT_EQ(old->duration, 10s);
  EXPECT_EQ(store_->stats().presentations, 1u);
}

TEST_F(PresentationStoreTest, ForgetsTheReadersOfAReplacedPresentationNobodyHolds) {
  ASSERT_TRUE(Get("film.mp4").ok());
  EXPECT_EQ(store_->readers()->presentations(), 1u);
  library_.files["film.mp4"] = FakeVideoFile(33, 7);
  now_ += 2s;
  ASSERT_TRUE(Get("film.mp4").ok());
  EXPECT_EQ(store_->readers()->presentations(), 1u);
  EXPECT_EQ(library_.open_now(), 1);
}

TEST_F(PresentationStoreTest, NoticesAFileThatIsGone) {
  const PresentationRef old = *Get("film.mp4");
  library_.files.erase("film.mp4");
  now_ += 2s;
  EXPECT_EQ(Get("film.mp4").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->stats().entries, 0u);
  EXPECT_EQ(old->duration, 10s);
}

TEST_F(PresentationStoreTest, HandsOnEveryErrorAndKeepsNoneOfThem) {
  const absl::Status errors[] = {absl::NotFoundError("x"), absl::PermissionDeniedError("x"),
                                 absl::InvalidArgumentError("moov atom not found"),
                                 absl::ResourceExhaustedError("x")};
  for (const absl::Status& error : errors) {
    library_.open_error = error;
    library_.failing_opens = 2;
    EXPECT_EQ(Get("film.mp4").status(), error);
    EXPECT_EQ(store_->stats().entries, 0u);
    library_.failing_opens = 0;
  }
  EXPECT_TRUE(Get("film.mp4").ok());
}

TEST_F(PresentationStoreTest, KeepsAnOpenPresentationThroughAWantOfDescriptors) {
  const PresentationRef film = *Get("film.mp4");
  now_ += 2s;
  library_.failing_identifies = 2;
  EXPECT_EQ(Get("film.mp4").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*Get("film.mp4"), film);
}

TEST_F(PresentationStoreTest, GrowsNotByTenThousandPathsThatDoNotExist) {
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_EQ(Get("no/such/" + std::to_string(i)).status().code(), absl::StatusCode::kNotFound);
  }
  EXPECT_EQ(store_->stats().entries, 0u);
  EXPECT_EQ(store_->stats().failures, 10'000u);
  EXPECT_EQ(store_->readers()->presentations(), 0u);
}

TEST_F(PresentationStoreTest, DropsTheLeastRecentlyAskedForThatNobodyHolds) {
  const PresentationRef held = *Get("film.mp4");
  for (std::size_t i = 0; i < kPresentationsMax + 10; ++i) {
    const std::string path = "many/" + std::to_string(i);
    library_.files[path] = library_.files["Ä b/other.mkv"];
    ASSERT_TRUE(Get(path).ok());
    EXPECT_LE(store_->stats().entries, kPresentationsMax);
  }
  const int opens = library_.opens;
  EXPECT_EQ(*Get("film.mp4"), held);
  EXPECT_EQ(library_.opens, opens);
  EXPECT_TRUE(Get("many/0").ok());  // was dropped
  EXPECT_EQ(library_.opens, opens + 1);
  EXPECT_LE(library_.open_now(), 512);
}

TEST_F(PresentationStoreTest, TellsNobodyWhoHasCancelledOrDied) {
  TestWaiter cancels, stays;
  auto dies = std::make_unique<TestWaiter>();
  Open("film.mp4", &cancels);
  Open("film.mp4", dies.get());
  Open("film.mp4", &stays);
  clients_[0]->Cancel(&cancels);
  loader_.RunAll();
  dies.reset();
  Settle();
  EXPECT_EQ(cancels.calls, 0);
  EXPECT_EQ(stays.calls, 1);
}

TEST_F(PresentationStoreTest, LetsACallbackEndAnotherWaiterAndAskAnew) {
  auto one = std::make_unique<TestWaiter>(), two = std::make_unique<TestWaiter>();
  Open("no.mp4", one.get());
  Open("no.mp4", two.get());
  one->then = [&] {
    two.reset();
    if (one->calls == 1) Open("film.mp4", one.get());
  };
  Settle();
  EXPECT_EQ(one->calls, 2);
  EXPECT_NE(one->film, nullptr);
}

TEST_F(PresentationStoreTest, GivesDifferentPresentationsDifferentRandomParts) {
  const PresentationRef one = *Get("film.mp4"), two = *Get("Ä b/other.mkv");
  EXPECT_NE(one->streams[0].ssrc, two->streams[0].ssrc);
}

TEST_F(PresentationStoreTest, CancelsItsJobsWithTheLoaderAndLeaksNothing) {
  TestWaiter under_way, queued, again, late;
  Open("film.mp4", &under_way);
  loader_.RunAll();
  Open("Ä b/other.mkv", &queued);
  now_ += 2s;
  Open("film.mp4", &again);
  loader_.Stop();
  Open("late.mp4", &late);
  EXPECT_EQ(store_->stats().entries, 1u);
  for (TestWaiter* waiter : {&under_way, &queued, &again, &late}) {
    EXPECT_EQ(waiter->calls, 0);
    clients_[0]->Cancel(waiter);
  }
  clients_.clear();
  poster_.DropAll();
  store_.reset();
  EXPECT_EQ(library_.open_now(), 0);
}

}  // namespace
}  // namespace millrace
