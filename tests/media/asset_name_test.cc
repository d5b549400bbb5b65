#include "media/asset_name.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(AssetName, IsThePathUnlessAnotherViewIsMeant) {
  EXPECT_EQ(AssetName("a.ts", AssetView::kTracks), "a.ts");
  for (const AssetView view : {AssetView::kTracks, AssetView::kTransport, AssetView::kRobustAudio,
                               AssetView::kWithSubtitles}) {
    const std::string name = AssetName("dir/a.ts", view);
    EXPECT_EQ(SplitAssetName(name).path, "dir/a.ts");
    EXPECT_EQ(SplitAssetName(name).view, view);
  }
  EXPECT_EQ(SplitAssetName(std::string_view("a\0x", 3)).view, AssetView::kTracks);
  const std::string small = AssetName("a.ts", AssetView::kTransport, 576);
  EXPECT_EQ(SplitAssetName(small).view, AssetView::kTransport);
  EXPECT_EQ(SplitAssetName(small).packet_bytes, 576u);
  EXPECT_EQ(SplitAssetName(AssetName("a", AssetView::kTracks, 576)).packet_bytes, 576u);
  EXPECT_EQ(SplitAssetName("a").packet_bytes, 0u);
}

TEST(PathBelow, IsWhatLiesBehindThePrefixAndItsSlash) {
  EXPECT_EQ(PathBelow("films/a.mp4", "films"), "a.mp4");
  EXPECT_EQ(PathBelow("films/new/a.mp4", "films/new"), "a.mp4");
  EXPECT_EQ(PathBelow("films/", "films"), "");
  EXPECT_EQ(PathBelow("a.mp4", ""), "a.mp4");
  EXPECT_EQ(PathBelow("", ""), "");
  EXPECT_EQ(PathBelow("films", "films"), std::nullopt);  // a file of that name lies above it
  EXPECT_EQ(PathBelow(AssetName("films", AssetView::kTransport), "films"), std::nullopt);
  EXPECT_EQ(PathBelow("filmsa/b.mp4", "films"), std::nullopt);
  EXPECT_EQ(PathBelow("film", "films"), std::nullopt);
  EXPECT_EQ(PathBelow("a/films/b.mp4", "films"), std::nullopt);
}

TEST(PrintablePath, IsOneShortLineWithoutControlCharacters) {
  EXPECT_EQ(PrintablePath("dir/\xc3\xa9 a.mp4"), "dir/\xc3\xa9 a.mp4");
  EXPECT_EQ(PrintablePath("a\n2026 info b\x1b[2J\x7f"), "a\\n2026 info b\\x1b[2J\\x7f");
  EXPECT_EQ(PrintablePath(std::string(5000, 'x')).size(), 256u);
}

}  // namespace
}  // namespace millrace
