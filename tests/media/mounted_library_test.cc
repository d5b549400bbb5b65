#include "media/mounted_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "media/asset_name.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class MountedLibraryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mounted_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    for (const char* name :
         {"top/a.mp4", "top/films/hidden.mp4", "films/b.mp4", "films/new/c.mp4", "fresh/d.mp4"}) {
      fs::create_directories(fs::path(base_ + "/" + name).parent_path());
      std::ofstream(base_ + "/" + name) << name;
    }
  }
  void TearDown() override { fs::remove_all(base_); }

  absl::StatusOr<std::unique_ptr<MountedLibrary>> Open(
      const std::vector<std::pair<std::string, std::string>>& mounts) {
    std::vector<ServedRoot> roots;
    for (const auto& [prefix, folder] : mounts) roots.push_back({prefix, base_ + "/" + folder});
    return MountedLibrary::Open(std::move(roots));
  }

  std::string base_;
};

TEST_F(MountedLibraryTest, LooksInTheFolderOfTheLongestPrefixOnly) {
  auto opened = Open({{"", "top"}, {"films", "films"}, {"films/new", "fresh"}});
  ASSERT_TRUE(opened.ok()) << opened.status();
  Library& library = **opened;
  EXPECT_TRUE(library.Identify("a.mp4").ok());
  EXPECT_TRUE(library.Identify("films/b.mp4").ok());
  EXPECT_TRUE(library.Identify("films/new/d.mp4").ok());
  EXPECT_FALSE(library.Identify("films/hidden.mp4").ok());  // of top, but films is elsewhere
  EXPECT_FALSE(library.Identify("films/new/c.mp4").ok());
  EXPECT_FALSE(library.Identify("b.mp4").ok());
  EXPECT_FALSE(library.Identify("filmsb.mp4").ok());
  EXPECT_FALSE(library.Identify("films").ok());
  EXPECT_FALSE(library.Identify("films/").ok());
  EXPECT_FALSE(library.Identify("films/../a.mp4").ok());
  EXPECT_FALSE(library.Identify("films//b.mp4").ok());
  EXPECT_FALSE(library.Identify("").ok());
  EXPECT_EQ(library.Open("films/hidden.mp4").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(library.Open("films/b.mp4").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(MountedLibraryTest, ServesNothingOutsideItsPrefixes) {
  auto opened = Open({{"films", "films"}});
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE((*opened)->Identify("films/b.mp4").ok());
  EXPECT_EQ((*opened)->Identify("b.mp4").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(MountedLibraryTest, PassesOnWhichViewIsMeant) {
  auto opened = Open({{"", "top"}, {"films", "films"}});
  ASSERT_TRUE(opened.ok()) << opened.status();
  const std::string name = AssetName("films/b.mp4", AssetView::kWithSubtitles);
  EXPECT_TRUE((*opened)->Identify(name).ok());
  EXPECT_EQ((*opened)->Open(name).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE((*opened)->Identify(AssetName("films", AssetView::kWithSubtitles)).ok());
}

TEST_F(MountedLibraryTest, SaysWhichFolderIsWrong) {
  EXPECT_THAT(std::string(Open({{"", "top"}, {"", "films"}}).status().message()),
              HasSubstr("/NAME=" + base_ + "/films"));
  EXPECT_THAT(std::string(Open({{"", "top"}, {"x", "gone"}}).status().message()),
              HasSubstr(base_ + "/gone"));
  EXPECT_FALSE(MountedLibrary::Open(std::vector<ServedRoot>()).ok());
}

}  // namespace
}  // namespace millrace
