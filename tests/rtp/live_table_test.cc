#include "rtp/live_table.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/random.h"
#include "tests/rtp/live_testing.h"

namespace millrace {
namespace {

using testing::TestDescription;
using Released = LiveTable::Released;

// --- Who may publish where

struct RuleCase {
  std::string rule;
  std::string path;
  bool may;
};

class PublishRule : public ::testing::TestWithParam<RuleCase> {};

TEST_P(PublishRule, DecidesByWholeSegments) {
  LiveOptions options;
  options.SetPublish(GetParam().rule);
  SeededRandom random(1);
  const LiveTable table(options, &random);
  EXPECT_EQ(table.MayPublish(GetParam().path), GetParam().may)
      << GetParam().rule << " and '" << GetParam().path << "'";
}

INSTANTIATE_TEST_SUITE_P(
    Rules, PublishRule,
    ::testing::Values(RuleCase{"/live", "live", true}, RuleCase{"/live", "live/x", true},
                      RuleCase{"/live", "live/x/y", true}, RuleCase{"/live", "lively", false},
                      RuleCase{"/live", "liv", false}, RuleCase{"/live", "", false},
                      RuleCase{"/live", "other", false}, RuleCase{"/live", "x/live", false},
                      RuleCase{"/live", "LIVE/x", false}, RuleCase{"live", "live/x", true},
                      RuleCase{"/live/", "live/x", true}, RuleCase{"//live//", "live", true},
                      RuleCase{"/a/b", "a/b/c", true}, RuleCase{"/a/b", "a", false},
                      RuleCase{"/a/b", "a/bc", false}, RuleCase{"off", "live/x", false},
                      RuleCase{"off", "off", false}, RuleCase{"/off", "off/x", true},
                      RuleCase{"any", "film.mp4", true}, RuleCase{"any", "a/b/c", true},
                      RuleCase{"any", "", false}, RuleCase{"any", "a//b", false},
                      RuleCase{"any", "a/", false}, RuleCase{"any", "/a", false},
                      RuleCase{"any", "a/../b", false}, RuleCase{"any", "..", false},
                      RuleCase{"any", "./a", false}, RuleCase{"any", "a/.b/..c", true},
                      RuleCase{"/live", "live/../x", false}, RuleCase{"/live", "live/", false},
                      RuleCase{"/", "x", true}, RuleCase{"", "x", true},
                      RuleCase{"/any", "film.mp4", false}, RuleCase{"/any", "any/x", true}));

TEST(LiveOptions, PublishUnderLiveUnlessToldOtherwise) {
  SeededRandom random(1);
  const LiveTable table(LiveOptions{}, &random);
  EXPECT_TRUE(table.MayPublish("live/x"));
  EXPECT_FALSE(table.MayPublish("x"));
}

// --- The life of a path

class LiveTableTest : public ::testing::Test {
 protected:
  void Begin(bool takeover, Duration hold = 0s) {
    LiveOptions options;
    options.takeover = takeover;
    options.hold = hold;
    table_.emplace(options, &random_);
  }
  ~LiveTableTest() override {
    EXPECT_EQ(table_->stats().paths, 0u);
    EXPECT_EQ(table_->chunks()->in_use(), 0u);
  }

  // No ticket: refused.
  std::optional<PublisherTicket> Announce(LiveDescription description = TestDescription(),
                                          std::size_t shard = 0) {
    auto ticket = table_->Announce("live/a", std::move(description), shard);
    if (ticket.ok()) return *std::move(ticket);
    EXPECT_EQ(ticket.status().code(), absl::StatusCode::kAlreadyExists);
    return std::nullopt;
  }
  struct Published {
    bool worked;
    std::uint64_t evicted;
    LiveRef ended;
  };
  Published Publish(const PublisherTicket& ticket) {
    PublisherTicket evicted;
    evicted.id = 77;
    LiveRef ended;
    const bool worked = table_->Publish(ticket, &evicted, &ended);
    return {worked, evicted.id, ended};
  }
  PublisherTicket MustPublish(LiveDescription description = TestDescription(),
                              std::size_t shard = 0) {
    const auto ticket = Announce(std::move(description), shard);
    EXPECT_TRUE(ticket.has_value());
    EXPECT_TRUE(Publish(*ticket).worked);
    return *ticket;
  }
  Released Release(const PublisherTicket& ticket) {
    const LiveRef seen = table_->Find(ticket.live->path());
    LiveRef ended;
    const Released released = table_->Release(ticket, &ended);
    EXPECT_EQ(ended != nullptr, released == Released::kEnded);
    if (ended != nullptr) {
      EXPECT_TRUE(ended->ended());
      EXPECT_EQ(ended, seen) << "those who watch it have to be rung";
    }
    return released;
  }
  bool Expire(const PublisherTicket& ticket) {
    const LiveRef ended = table_->Expire("live/a", ticket.id);
    if (ended != nullptr) {
      EXPECT_TRUE(ended->ended());
      EXPECT_EQ(ended, ticket.live);
    }
    return ended != nullptr;
  }
  LiveRef Found() const { return table_->Find("live/a"); }

  SeededRandom random_{1};
  std::optional<LiveTable> table_;
};

TEST_F(LiveTableTest, AnAnnouncedPathIsReservedButSeenByNobody) {
  Begin(false);
  const auto ticket = Announce();
  ASSERT_TRUE(ticket);
  EXPECT_EQ(Found(), nullptr);
  EXPECT_EQ(table_->stats().paths, 1u);
  EXPECT_FALSE(Announce()) << "a second one";
  EXPECT_EQ(Release(*ticket), Released::kNothing);
  EXPECT_FALSE(ticket->live->ended());
}

TEST_F(LiveTableTest, APublishedPathIsSeenUntilItsPublisherGoes) {
  Begin(false);
  const PublisherTicket ticket = MustPublish();
  EXPECT_EQ(Found(), ticket.live);
  EXPECT_EQ(ticket.live->path(), "live/a");
  EXPECT_EQ(table_->Find("live"), nullptr);
  EXPECT_FALSE(Announce()) << "busy";
  EXPECT_EQ(Release(ticket), Released::kEnded);
  EXPECT_TRUE(ticket.live->ended());
  EXPECT_EQ(Found(), nullptr);
  EXPECT_EQ(table_->stats().paths, 0u);
}

TEST_F(LiveTableTest, AFreedPathBeginsAnew) {
  Begin(false);
  const PublisherTicket first = MustPublish();
  Release(first);
  const PublisherTicket second = MustPublish();
  EXPECT_NE(second.live, first.live);
  EXPECT_NE(second.live->id(), first.live->id());
  EXPECT_FALSE(second.live->ended());
  EXPECT_EQ(Release(second), Released::kEnded);
}

TEST_F(LiveTableTest, PathsDoNotConcernEachOther) {
  Begin(false);
  const PublisherTicket a = MustPublish();
  const auto b = table_->Announce("live/b", TestDescription(), 3);
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(b->shard, 3u);
  EXPECT_TRUE(Publish(*b).worked);
  EXPECT_EQ(table_->stats().paths, 2u);
  EXPECT_NE(a.live->id(), b->live->id());
  EXPECT_EQ(Release(a), Released::kEnded);
  EXPECT_EQ(table_->Find("live/b"), b->live);
  EXPECT_FALSE(b->live->ended());
  EXPECT_EQ(Release(*b), Released::kEnded);
}

TEST_F(LiveTableTest, AStaleTicketIsWorthNothing) {
  Begin(false);
  const auto gone = Announce();
  Release(*gone);
  EXPECT_FALSE(Publish(*gone).worked);
  const PublisherTicket owner = MustPublish();
  EXPECT_FALSE(Publish(*gone).worked);
  EXPECT_FALSE(Publish(owner).worked) << "once only";
  EXPECT_EQ(Release(*gone), Released::kNothing);
  EXPECT_FALSE(Expire(*gone));
  EXPECT_FALSE(Expire(owner));
  EXPECT_EQ(Found(), owner.live);
  EXPECT_EQ(Release(owner), Released::kEnded);
  EXPECT_EQ(Release(owner), Released::kNothing);
}

TEST_F(LiveTableTest, SsrcsAreDistinctAndNotZero) {
  Begin(false);
  LiveDescription many = TestDescription();
  for (int i = 0; i < 15; ++i) many.streams.push_back(many.streams[0]);
  const PublisherTicket ticket = MustPublish(many);
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_NE(ticket.live->stream(i).ssrc, 0u);
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_NE(ticket.live->stream(i).ssrc, ticket.live->stream(j).ssrc);
    }
  }
  Release(ticket);
}

// --- Takeover

TEST_F(LiveTableTest, ATakeoverHappensWhenTheSecondRecordsAndReadersStay) {
  Begin(true);
  const PublisherTicket first = MustPublish(TestDescription(), 2);
  const auto second = Announce(TestDescription(), 1);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->live, first.live) << "the same streams: readers go on";
  PublisherTicket evicted;
  LiveRef ended;
  ASSERT_TRUE(table_->Publish(*second, &evicted, &ended));
  EXPECT_EQ(evicted.id, first.id);
  EXPECT_EQ(evicted.shard, 2u);
  EXPECT_EQ(ended, nullptr);
  EXPECT_EQ(Release(first), Released::kNothing) << "it is not his any more";
  EXPECT_EQ(Found(), second->live);
  EXPECT_FALSE(second->live->ended());
  EXPECT_EQ(Release(*second), Released::kEnded);
}

TEST_F(LiveTableTest, ATakeoverWithOtherStreamsEndsWhatReadersWatched) {
  Begin(true);
  const PublisherTicket first = MustPublish();
  const auto second = Announce(TestDescription(/*audio=*/true));
  ASSERT_TRUE(second);
  EXPECT_NE(second->live, first.live);
  EXPECT_EQ(Found(), first.live);
  EXPECT_FALSE(first.live->ended()) << "he has not recorded yet";
  const Published published = Publish(*second);
  EXPECT_TRUE(published.worked);
  EXPECT_EQ(published.evicted, first.id);
  EXPECT_EQ(published.ended, first.live);
  EXPECT_TRUE(first.live->ended());
  EXPECT_EQ(Found(), second->live);
  EXPECT_EQ(Release(first), Released::kNothing);
  EXPECT_EQ(Release(*second), Released::kEnded);
}

TEST_F(LiveTableTest, WhoHasOnlyAnnouncedYieldsToTheNextWhereTakeoverIsAllowed) {
  Begin(true);
  const PublisherTicket first = MustPublish();
  const auto second = Announce();
  const auto third = Announce(TestDescription(/*audio=*/true));
  ASSERT_TRUE(third);
  EXPECT_FALSE(Publish(*second).worked);
  EXPECT_EQ(Found(), first.live);
  EXPECT_TRUE(Publish(*third).worked);
  EXPECT_EQ(Release(*second), Released::kNothing);
  EXPECT_EQ(Release(first), Released::kNothing);
  EXPECT_EQ(Found(), third->live);
  EXPECT_EQ(Release(*third), Released::kEnded);
}

TEST_F(LiveTableTest, ReadersGetTheDescriptionOfWhoPublishesNow) {
  Begin(true);
  LiveDescription description = TestDescription();
  const PublisherTicket first = MustPublish(description);
  const std::uint64_t version = Found()->described().version;
  EXPECT_EQ(Found()->described().description->session_name, "test");
  description.session_name = "again";
  const auto second = Announce(description);
  EXPECT_EQ(Found()->described().description->session_name, "test");
  EXPECT_EQ(Found()->described().version, version);
  EXPECT_TRUE(Publish(*second).worked);
  EXPECT_EQ(second->live, first.live);
  EXPECT_EQ(Found()->described().description->session_name, "again");
  EXPECT_GT(Found()->described().version, version);
  EXPECT_EQ(Release(*second), Released::kEnded);
}

TEST_F(LiveTableTest, RefusesMorePathsThanItMayHave) {
  LiveOptions options;
  options.paths_max = 2;
  table_.emplace(options, &random_);
  std::vector<PublisherTicket> tickets;
  for (const char* path : {"live/1", "live/2"}) {
    tickets.push_back(*table_->Announce(path, TestDescription(), 0));
  }
  EXPECT_EQ(table_->Announce("live/3", TestDescription(), 0).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(table_->stats().paths, 2u);
  Release(tickets[0]);
  const auto third = table_->Announce("live/3", TestDescription(), 0);
  ASSERT_TRUE(third.ok());
  Release(*third);
  Release(tickets[1]);
}

TEST_F(LiveTableTest, ATakeoverThatIsGivenUpLeavesTheFirstAlone) {
  for (const bool audio : {false, true}) {
    Begin(true);
    const PublisherTicket first = MustPublish();
    const auto second = Announce(TestDescription(audio));
    EXPECT_EQ(Release(*second), Released::kNothing);
    EXPECT_EQ(Found(), first.live);
    EXPECT_FALSE(first.live->ended());
    EXPECT_FALSE(Publish(*second).worked);
    EXPECT_EQ(Release(first), Released::kEnded);
  }
}

TEST_F(LiveTableTest, TheFirstMayGoWhileTheSecondHasOnlyAnnounced) {
  Begin(true);
  const PublisherTicket first = MustPublish();
  const auto second = Announce();
  ASSERT_EQ(second->live, first.live);
  EXPECT_EQ(Release(first), Released::kNothing) << "the second goes on with it";
  EXPECT_FALSE(first.live->ended());
  const Published published = Publish(*second);
  EXPECT_TRUE(published.worked);
  EXPECT_EQ(published.evicted, 0u);
  EXPECT_EQ(published.ended, nullptr);
  EXPECT_FALSE(Found()->ended());
  EXPECT_EQ(Release(*second), Released::kEnded);
}

TEST_F(LiveTableTest, WhatWaitedForTheSecondAloneEndsWhenHeGivesUp) {
  Begin(true);
  const PublisherTicket first = MustPublish();
  const auto second = Announce();
  Release(first);
  EXPECT_EQ(Found(), first.live);
  EXPECT_EQ(Release(*second), Released::kEnded);
  EXPECT_TRUE(first.live->ended());
}

TEST_F(LiveTableTest, WhatWaitedForOneWhoYieldedEndsWhenTheThirdGivesUp) {
  Begin(true);
  const PublisherTicket first = MustPublish();
  const auto second = Announce();
  Release(first);
  const auto third = Announce(TestDescription(/*audio=*/true));
  ASSERT_TRUE(third);
  EXPECT_EQ(Release(*second), Released::kNothing);
  EXPECT_FALSE(first.live->ended());
  EXPECT_EQ(Release(*third), Released::kEnded);
  EXPECT_TRUE(first.live->ended());
}

TEST_F(LiveTableTest, TheFirstGoesWhileTheSecondHasAnnouncedOtherStreams) {
  Begin(true);
  const PublisherTicket first = MustPublish();
  const auto second = Announce(TestDescription(/*audio=*/true));
  EXPECT_EQ(Release(first), Released::kEnded);
  EXPECT_EQ(Found(), nullptr);
  EXPECT_EQ(table_->stats().paths, 1u) << "still reserved";
  const Published published = Publish(*second);
  EXPECT_TRUE(published.worked);
  EXPECT_EQ(published.ended, nullptr) << "it had ended already";
  EXPECT_EQ(Release(*second), Released::kEnded);
}

// --- Hold

TEST_F(LiveTableTest, AHeldPathStaysForReadersUntilItExpires) {
  Begin(false, 5s);
  const PublisherTicket ticket = MustPublish();
  EXPECT_EQ(Release(ticket), Released::kHeld);
  EXPECT_EQ(Found(), ticket.live);
  EXPECT_FALSE(ticket.live->ended());
  EXPECT_EQ(table_->stats().paths, 1u);
  EXPECT_TRUE(Expire(ticket));
  EXPECT_TRUE(ticket.live->ended());
  EXPECT_EQ(Found(), nullptr);
  EXPECT_FALSE(Expire(ticket));
}

TEST_F(LiveTableTest, APublisherWhoReturnsGoesOnWithWhatWasHeld) {
  Begin(false, 5s);
  const PublisherTicket first = MustPublish();
  Release(first);
  const PublisherTicket second = MustPublish();
  EXPECT_EQ(second.live, first.live);
  EXPECT_FALSE(Expire(first)) << "the path has a publisher";
  EXPECT_FALSE(second.live->ended());
  EXPECT_EQ(Release(second), Released::kHeld);
  EXPECT_FALSE(Expire(first)) << "the hold of the second runs";
  EXPECT_TRUE(Expire(second));
}

TEST_F(LiveTableTest, APublisherWithOtherStreamsEndsWhatWasHeld) {
  Begin(false, 5s);
  const PublisherTicket first = MustPublish();
  Release(first);
  const auto second = Announce(TestDescription(/*audio=*/true));
  const Published published = Publish(*second);
  EXPECT_TRUE(published.worked);
  EXPECT_EQ(published.evicted, 0u) << "nobody publishes there";
  EXPECT_EQ(published.ended, first.live);
  EXPECT_TRUE(first.live->ended());
  EXPECT_FALSE(Expire(first));
  EXPECT_EQ(Release(*second), Released::kHeld);
  EXPECT_TRUE(Expire(*second));
}

TEST_F(LiveTableTest, AHoldThatRunsOutBetweenAnnounceAndRecordEndsNothing) {
  Begin(false, 5s);
  const PublisherTicket first = MustPublish();
  Release(first);
  const auto second = Announce();
  EXPECT_FALSE(Expire(first));
  EXPECT_FALSE(first.live->ended());
  EXPECT_TRUE(Publish(*second).worked);
  EXPECT_FALSE(Found()->ended());
  EXPECT_EQ(Release(*second), Released::kHeld);
  EXPECT_TRUE(Expire(*second));
}

TEST_F(LiveTableTest, WhoAnnouncesAHeldPathAndGivesUpLeavesTheHoldAsItWas) {
  Begin(false, 5s);
  const PublisherTicket first = MustPublish();
  Release(first);
  const auto second = Announce();
  EXPECT_EQ(Release(*second), Released::kNothing);
  EXPECT_FALSE(first.live->ended());
  EXPECT_TRUE(Expire(first));
  // And when the hold has run out meanwhile, the path ends with him.
  const PublisherTicket third = MustPublish();
  Release(third);
  const auto fourth = Announce();
  EXPECT_FALSE(Expire(third));
  EXPECT_EQ(Release(*fourth), Released::kEnded);
  EXPECT_TRUE(third.live->ended());
}

// --- Seeds

// Whatever publishers do in whatever order, as long as each releases and every hold expires,
// nothing is left, and of everything readers saw the end is told, once.
TEST(LiveTableSeeds, NothingIsLeftWhenAllHaveGone) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    LiveOptions options;
    options.takeover = random.Chance(0.5);
    options.hold = random.Chance(0.5) ? 1s : 0s;
    LiveTable table(options, &random);
    std::vector<PublisherTicket> alive, holding;
    std::set<LiveRef> shown, told;
    const auto tell = [&](const LiveRef& ended) {
      if (ended != nullptr) {
        EXPECT_TRUE(told.insert(ended).second) << "seed " << seed;
      }
    };
    for (int step = 0; step < 60; ++step) {
      if (random.Chance(0.4)) {
        auto ticket = table.Announce("live/a", TestDescription(random.Chance(0.3)), 0);
        if (ticket.ok()) alive.push_back(*std::move(ticket));
      } else if (!alive.empty()) {
        const std::size_t i = random.Below(alive.size());
        PublisherTicket evicted;
        LiveRef ended;
        if (random.Chance(0.5)) {
          if (table.Publish(alive[i], &evicted, &ended)) {
            ASSERT_EQ(table.Find("live/a"), alive[i].live);
            ASSERT_FALSE(alive[i].live->ended()) << "seed " << seed;
          }
        } else {
          if (table.Release(alive[i], &ended) == Released::kHeld) holding.push_back(alive[i]);
          alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(i));
        }
        tell(ended);
      } else if (!holding.empty()) {
        tell(table.Expire("live/a", holding.back().id));
        holding.pop_back();
      }
      const LiveRef seen = table.Find("live/a");
      ASSERT_FALSE(seen != nullptr && seen->ended()) << "seed " << seed;
      if (seen != nullptr) shown.insert(seen);
    }
    for (const PublisherTicket& ticket : alive) {
      LiveRef ended;
      if (table.Release(ticket, &ended) == Released::kHeld) holding.push_back(ticket);
      tell(ended);
    }
    for (const PublisherTicket& ticket : holding) tell(table.Expire("live/a", ticket.id));
    EXPECT_EQ(shown, told) << "seed " << seed;
    ASSERT_EQ(table.stats().paths, 0u) << "seed " << seed;
    ASSERT_EQ(table.Find("live/a"), nullptr);
  }
}

}  // namespace
}  // namespace millrace
