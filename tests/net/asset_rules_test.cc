#include "net/rtsp/asset_rules.h"

#include <gtest/gtest.h>

namespace millrace::rtsp {
namespace {

TEST(AssetQuery, ReadsWordsInAnyOrderAndLeavesOthersAlone) {
  AssetWish wish;
  ASSERT_TRUE(ReadAssetQuery("token=a%20b&start=1:00:30.5&&loop&x", &wish));
  EXPECT_TRUE(wish.loop);
  EXPECT_EQ(wish.start, 3630500ms);
  EXPECT_EQ(wish.view, AssetView::kTracks);
  ASSERT_TRUE(ReadAssetQuery("mp2t&loop=0", &wish));
  EXPECT_FALSE(wish.loop);
  EXPECT_EQ(wish.view, AssetView::kTransport);
  ASSERT_TRUE(ReadAssetQuery("subtitles=0", &wish));
  EXPECT_EQ(wish.view, AssetView::kTransport);
  ASSERT_TRUE(ReadAssetQuery("mpa-robust", &wish));
  EXPECT_EQ(wish.view, AssetView::kRobustAudio);
  ASSERT_TRUE(ReadAssetQuery("mp2t=0&mpa-robust=0&subtitles=1", &wish));
  EXPECT_EQ(wish.view, AssetView::kWithSubtitles);
}

TEST(AssetQuery, RefusesATimeThatIsNone) {
  for (const char* query :
       {"start", "start=", "start=abc", "start=-5", "loop&start=1:2", "start=5-"}) {
    AssetWish wish;
    EXPECT_FALSE(ReadAssetQuery(query, &wish)) << query;
  }
}

TEST(AssetQuery, KnowsItsOwn) {
  EXPECT_TRUE(IsAssetQuery("loop&mp2t&mpa-robust&start=3"));
  EXPECT_FALSE(IsAssetQuery("loop&what"));
  EXPECT_FALSE(IsAssetQuery("start=soon"));
}

AssetMeaning Meaning(const AssetRules& rules, std::string_view path, std::string_view query = {}) {
  return rules.Resolve(path, query).value();
}

TEST(AssetRules, AFoldersSettingHoldsForWhatIsBelowItUnlessALongerPathFits) {
  AssetRules rules;
  rules.AddRoot("", {});
  rules.AddRoot("ads", {.loop = true});
  rules.AddRoot("ads/once", {.view = AssetView::kTransport});
  EXPECT_FALSE(Meaning(rules, "a.mp4").wish.loop);
  EXPECT_FALSE(Meaning(rules, "adsandmore/a.mp4").wish.loop);
  EXPECT_FALSE(Meaning(rules, "ads").wish.loop);  // were it a file, it would be one of the top
  EXPECT_TRUE(Meaning(rules, "ads/a.mp4").wish.loop);
  EXPECT_FALSE(Meaning(rules, "ads/a.mp4", "loop=0").wish.loop);
  EXPECT_FALSE(Meaning(rules, "ads/once/a.ts").wish.loop);
  EXPECT_EQ(Meaning(rules, "ads/once/a.ts").wish.view, AssetView::kTransport);
  EXPECT_EQ(Meaning(rules, "ads/a.mp4").file, "ads/a.mp4");
  EXPECT_FALSE(rules.Resolve("a.mp4", "start=x"));
}

TEST(AssetRules, ChannelsAreNumberedPlacesInOneFile) {
  AssetRules rules;
  rules.AddChannels({.count = 500, .prefix = "load/", .suffix = "/hd", .file = "demo.mp4"});
  const AssetMeaning last = Meaning(rules, "load/499/hd", "start=5");
  EXPECT_EQ(last.file, "demo.mp4");
  EXPECT_TRUE(last.wish.loop);
  EXPECT_EQ(last.wish.start, 0s);
  ASSERT_TRUE(last.channel);
  EXPECT_EQ(last.channel->number, 499u);
  for (const char* path : {"load/500/hd", "load/-1/hd", "load/01/hd", "load//hd", "load/1",
                           "load/1x/hd", "load/hd", "load/99999999999/hd"}) {
    EXPECT_FALSE(Meaning(rules, path).channel) << path;
    EXPECT_EQ(Meaning(rules, path).file, path);
  }
  // No two at the same place, whatever the time.
  EXPECT_EQ((ChannelPlace{0, 4}.At(Instant(25s), 10s)), 5s);
  EXPECT_EQ((ChannelPlace{1, 4}.At(Instant(25s), 10s)), 7500ms);
  EXPECT_EQ((ChannelPlace{3, 4}.At(Instant(25s), 10s)), 2500ms);
}

TEST(Blocksize, GivesPacketsOfAFewSizesNoLargerThanAskedOr512) {
  EXPECT_EQ(PacketBytesFor(65536), 0u);
  EXPECT_EQ(PacketBytesFor(1388), 0u);
  EXPECT_EQ(PacketBytesFor(1387), 1024u);
  EXPECT_EQ(PacketBytesFor(1012), 1024u);
  EXPECT_EQ(PacketBytesFor(1011), 512u);
  EXPECT_EQ(PacketBytesFor(1), 512u);
}

}  // namespace
}  // namespace millrace::rtsp
