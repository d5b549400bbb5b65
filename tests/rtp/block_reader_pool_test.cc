#include "rtp/block_reader_pool.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/rtp/vod_fakes.h"

namespace millrace {
namespace {

class BlockReaderPoolTest : public testing::Test {
 protected:
  static VodOptions Options() {
    VodOptions options;
    options.open_readers_max = 2;
    return options;
  }

  // A new file under `path` and its presentation.
  PresentationRef Add(const std::string& path, int seconds = 10) {
    const std::uint64_t number = ++added_;
    library_.files[path] = FakeVideoFile(seconds, number);
    return FakePresentation(*library_.files[path], number, path);
  }
  std::unique_ptr<BlockSet> Read(const PresentationRef& presentation, std::uint32_t number) {
    auto set = pool_.ReadBlock(presentation, number);
    EXPECT_TRUE(set.ok()) << set.status();
    return set.ok() ? *std::move(set) : nullptr;
  }
  std::uint16_t FirstOf(const PresentationRef& presentation, std::uint32_t number) {
    return Read(presentation, number)->streams[0].first_sequence();
  }

  FakeLibrary library_;
  BlockReaderPool pool_{&library_, Options()};
  std::uint64_t added_ = 0;
};

TEST_F(BlockReaderPoolTest, NumbersPacketsWithoutABreakFromTheStart) {
  const PresentationRef film = Add("film.mp4");
  std::uint16_t expected = film->streams[0].first_sequence;
  for (std::uint32_t k = 0; k < 10; ++k) {
    const auto set = Read(film, k);
    EXPECT_EQ(set->streams[0].first_sequence(), expected);
    expected = static_cast<std::uint16_t>(expected + set->streams[0].packets().size());
  }
}

TEST_F(BlockReaderPoolTest, GivesARebuiltBlockTheSameNumbersAgain) {
  const PresentationRef film = Add("film.mp4");
  const std::uint16_t middle = FirstOf(film, 5);  // its predecessor is not known yet
  EXPECT_EQ(FirstOf(film, 6), static_cast<std::uint16_t>(middle + 25));
  EXPECT_EQ(FirstOf(film, 0), film->streams[0].first_sequence);
  EXPECT_EQ(FirstOf(film, 4), FirstOf(film, 4));
  EXPECT_EQ(FirstOf(film, 5), middle);  // now the predecessor is known, but it was given out before
  EXPECT_EQ(FirstOf(film, 6), static_cast<std::uint16_t>(middle + 25));
}

TEST_F(BlockReaderPoolTest, ReadsTheFirstBlocksThroughTheDonatedDemuxer) {
  const PresentationRef film = Add("film.mp4");
  pool_.Donate(film, *library_.Open("film.mp4"));
  for (std::uint32_t k : {0u, 1u, 2u}) Read(film, k);
  EXPECT_EQ(library_.opens, 1);
  EXPECT_EQ(library_.seeks(), 0);
}

TEST_F(BlockReaderPoolTest, PrefersTheReaderThatNeedNotSeek) {
  const PresentationRef film = Add("film.mp4");
  pool_.Donate(film, *library_.Open("film.mp4"));
  pool_.Donate(film, *library_.Open("film.mp4"));
  Read(film, 5);  // takes the one, and a seek
  Read(film, 0);  // takes the other
  Read(film, 6);
  Read(film, 1);
  EXPECT_EQ(library_.seeks(), 1);
  EXPECT_EQ(library_.opens, 2);
}

TEST_F(BlockReaderPoolTest, KeepsNoMoreFilesOpenThanItMay) {
  std::vector<PresentationRef> films;
  for (int i = 0; i < 6; ++i) films.push_back(Add("film" + std::to_string(i)));
  for (const PresentationRef& film : films) {
    Read(film, 0);
    EXPECT_LE(library_.open_now(), 2);
  }
  EXPECT_EQ(pool_.idle_readers(), 2u);
  Read(films[5], 1);
  Read(films[4], 1);
  EXPECT_EQ(library_.opens, 6);  // the last used ones had stayed open
  Read(films[0], 1);
  EXPECT_EQ(library_.opens, 7);
}

TEST_F(BlockReaderPoolTest, ClosesIdleFilesWhenDescriptorsAreShortAndTriesOnceMore) {
  const PresentationRef one = Add("one"), two = Add("two");
  Read(one, 0);
  library_.failing_opens = 1;
  EXPECT_EQ(Read(two, 0)->streams[0].packets().size(), 25u);
  EXPECT_EQ(library_.open_now(), 1);
  library_.failing_identifies = 1;
  EXPECT_EQ(Read(one, 1)->streams[0].packets().size(), 25u);
  library_.failing_opens = 2;
  const PresentationRef three = Add("three");
  EXPECT_EQ(pool_.ReadBlock(three, 0).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(pool_.idle_readers(), 0u);
}

TEST_F(BlockReaderPoolTest, RefusesAFileThatChangedSinceItWasDescribed) {
  const PresentationRef film = Add("film.mp4"), other = Add("other"), third = Add("third");
  Read(film, 0);
  library_.files["film.mp4"] = FakeVideoFile(10, 99);
  Read(film, 1);  // the open file is still the old one
  Read(other, 0);
  Read(third, 0);  // closes it
  const absl::Status status = pool_.ReadBlock(film, 2).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(status.message(), "file changed while it was being served");
  library_.files.erase("film.mp4");
  EXPECT_EQ(pool_.ReadBlock(film, 2).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BlockReaderPoolTest, RefusesAFileWhoseTracksAreNotThoseDescribed) {
  const PresentationRef film = Add("film.mp4");
  library_.files["film.mp4"]->info.tracks.push_back(FakeVideoTrack());
  EXPECT_EQ(pool_.ReadBlock(film, 0).status().code(), absl::StatusCode::kAborted);
}

TEST_F(BlockReaderPoolTest, OpensTheFileAnewAfterAnError) {
  const PresentationRef film = Add("film.mp4");
  library_.files["film.mp4"]->fails_at = 60;
  Read(film, 0);
  EXPECT_EQ(pool_.ReadBlock(film, 2).status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(library_.open_now(), 0);
  library_.files["film.mp4"]->fails_at.reset();
  EXPECT_EQ(Read(film, 2)->streams[0].packets().size(), 25u);
  EXPECT_EQ(library_.opens, 2);
}

TEST_F(BlockReaderPoolTest, ForgetsPresentationsNobodyHolds) {
  PresentationRef film = Add("film.mp4"), kept = Add("kept");
  Read(film, 0);
  Read(kept, 0);
  EXPECT_EQ(pool_.presentations(), 2u);
  film.reset();
  pool_.ForgetUnused();
  EXPECT_EQ(pool_.presentations(), 1u);
  EXPECT_EQ(library_.open_now(), 1);
}

TEST_F(BlockReaderPoolTest, DoesNotGrowWithPresentationsThatCameAndWent) {
  for (int i = 0; i < 1000; ++i) Read(Add("film.mp4", 1), 0);
  EXPECT_LE(pool_.presentations(), 128u);
  EXPECT_LE(library_.open_now(), 2);
}

TEST_F(BlockReaderPoolTest, ReadsDifferentBlocksOfOneFileOnSeveralThreads) {
  const PresentationRef film = Add("film.mp4", 40);
  std::vector<std::unique_ptr<BlockSet>> sets(40);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t k = t; k < 40; k += 4) sets[k] = *pool_.ReadBlock(film, k);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::uint32_t k = 0; k < 40; ++k) {
    ASSERT_EQ(sets[k]->streams[0].packets().size(), 25u);
    EXPECT_EQ(sets[k]->streams[0].packets()[0].pts, std::int64_t{k} * 90000);
    EXPECT_EQ(FirstOf(film, k), sets[k]->streams[0].first_sequence());
  }
}

}  // namespace
}  // namespace millrace
