#include "media/catalog.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "media/asset_name.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

// A served folder beside one that is not.
class CatalogTest : public ::testing::TestWithParam<Confinement> {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "catalog_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    fs::permissions(base_, fs::perms(0755));
    fs::create_directories(root() + "/sub/deep");
    fs::create_directories(base_ + "/outside");
    Write("served/film.mp4", "not really");
    Write("served/sub/deep/Clip \xc3\xa9.MKV", "nor this");
    Write("served/notes.txt", "text");
    Write("outside/secret.mp4", "secret");
    auto catalog = Catalog::Open(root());
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    catalog_ = *std::move(catalog);
    if (GetParam() == Confinement::kKernel && catalog_->confinement() == Confinement::kWalk) {
      GTEST_SKIP() << "no openat2 here";
    }
    catalog_->set_confinement(GetParam());
  }
  void TearDown() override { fs::remove_all(base_); }

  // As everybody else sees it: Open means an asset here, not a root.
  Library& library() { return *catalog_; }
  std::string root() const { return base_ + "/served"; }
  void Write(const std::string& name, const std::string& content) {
    std::ofstream(base_ + "/" + name) << content;
  }
  absl::StatusCode Code(const std::string& path) {
    return library().Identify(path).status().code();
  }

  std::string base_;
  std::unique_ptr<Catalog> catalog_;
};

INSTANTIATE_TEST_SUITE_P(Both, CatalogTest,
                         ::testing::Values(Confinement::kKernel, Confinement::kWalk),
                         [](const auto& test) {
                           return test.param == Confinement::kKernel ? "Kernel" : "Walk";
                         });

TEST_P(CatalogTest, IdentifiesFilesInNestedFoldersWithAnyName) {
  const auto film = library().Identify("film.mp4");
  ASSERT_TRUE(film.ok()) << film.status();
  EXPECT_EQ(film->size, 10u);
  const auto clip = library().Identify("sub/deep/Clip \xc3\xa9.MKV");
  ASSERT_TRUE(clip.ok()) << clip.status();
  EXPECT_NE(*film, *clip);
  Write("served/film.mp4", "changed now");
  EXPECT_NE(*library().Identify("film.mp4"), *film);
}

TEST_P(CatalogTest, FindsNothingOutsideWhateverThePath) {
  for (const std::string& path : {std::string(),
                                  std::string("./film.mp4"),
                                  std::string("sub//"),
                                  std::string("sub/./film.mp4"),
                                  std::string("/"),
                                  std::string("/etc/passwd"),
                                  std::string(".."),
                                  std::string("../outside/secret.mp4"),
                                  std::string("sub/../../outside/secret.mp4"),
                                  std::string("sub/.."),
                                  std::string("film.mp4\0.txt", 13),
                                  std::string("film.mp4\0", 9),
                                  std::string("film.mp4\0mp2t\0", 14),
                                  AssetName("missing.mp4", AssetView::kTransport),
                                  AssetName("", AssetView::kTransport),
                                  std::string("\0", 1),
                                  std::string("missing.mp4"),
                                  std::string("film.mp4/x"),
                                  std::string("sub"),
                                  std::string("sub/"),
                                  std::string("."),
                                  std::string("film.mp4/"),
                                  std::string(5000, 'a'),
                                  root() + "/film.mp4"}) {
    EXPECT_EQ(Code(path), absl::StatusCode::kNotFound) << path;
    EXPECT_EQ(library().Open(path).status().code(), absl::StatusCode::kNotFound) << path;
  }
}

TEST_P(CatalogTest, KnowsAFileByTheNameOfEachOfItsViews) {
  const auto usual = library().Identify("film.mp4");
  ASSERT_TRUE(usual.ok());
  for (const AssetView view :
       {AssetView::kTransport, AssetView::kRobustAudio, AssetView::kWithSubtitles}) {
    const auto other = library().Identify(AssetName("film.mp4", view));
    ASSERT_TRUE(other.ok()) << other.status();
    EXPECT_EQ(*other, *usual);
    EXPECT_EQ(Code(AssetName("missing.mp4", view)), absl::StatusCode::kNotFound);
    EXPECT_EQ(Code(AssetName("../outside/secret.mp4", view)), absl::StatusCode::kNotFound);
    EXPECT_EQ(library().Open(AssetName("film.mp4", view)).status().code(),
              absl::StatusCode::kInvalidArgument);  // there, but no media
  }
}

TEST_P(CatalogTest, ShowsSubtitlesInTheViewThatHasThem) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  fs::copy_file(Sample("subrip.mkv"), root() + "/text.mkv");
  const auto usual = library().Open("text.mkv");
  const auto with = library().Open(AssetName("text.mkv", AssetView::kWithSubtitles));
  ASSERT_TRUE(usual.ok() && with.ok());
  EXPECT_EQ((*usual)->info().tracks.size(), 1u);
  EXPECT_EQ((*with)->info().tracks.size(), 2u);
}

TEST_P(CatalogTest, GivesMp3InUnitsThatStandAloneInTheViewThatAsksForThem) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  fs::copy_file(Sample("sound.mp3"), root() + "/a.mp3");
  std::ofstream(root() + "/twice.m3u") << "a.mp3\na.mp3\n";
  std::size_t frames = 0;
  for (const char* path : {"a.mp3", "twice.m3u"}) {
    SCOPED_TRACE(path);
    const auto usual = library().Open(path);
    const auto robust = library().Open(AssetName(path, AssetView::kRobustAudio));
    ASSERT_TRUE(usual.ok() && robust.ok()) << usual.status() << robust.status();
    EXPECT_EQ((*usual)->info().tracks.at(0).codec, Codec::kMpegAudio);
    EXPECT_EQ((*robust)->info().tracks.at(0).codec, Codec::kMp3Adu);
    const SeenTracks all = ReadAll(robust->get());
    EXPECT_EQ(all[0].size(), ReadAll(usual->get())[0].size());
    EXPECT_GT(all[0].size(), frames);
    frames = all[0].size();
    // In the playlist: shortly behind its second file's start.
    const Duration time = (*robust)->info().duration / 2 + 100ms;
    ASSERT_TRUE((*robust)->Seek(time).ok());
    const SeenTracks behind = ReadAll(robust->get());
    const auto due = [&](const std::vector<SeenUnit>& units) {
      std::vector<SeenUnit> kept;
      for (const SeenUnit& unit : units) {
        if ((*robust)->info().tracks[0].DurationFromClock(unit.dts) >= time) kept.push_back(unit);
      }
      return kept;
    };
    EXPECT_FALSE(due(all[0]).empty());
    EXPECT_EQ(due(behind[0]), due(all[0]));
  }
}

TEST_P(CatalogTest, FollowsNoLinkOut) {
  fs::create_symlink(base_ + "/outside/secret.mp4", root() + "/absolute.mp4");
  fs::create_symlink("../outside/secret.mp4", root() + "/relative.mp4");
  fs::create_symlink("../outside", root() + "/folder");
  fs::create_symlink(root() + "/film.mp4", root() + "/back_in.mp4");
  fs::create_symlink("loop.mp4", root() + "/loop.mp4");
  fs::create_symlink("/proc/self/root", root() + "/magic");
  for (const char* path : {"absolute.mp4", "relative.mp4", "folder/secret.mp4", "back_in.mp4",
                           "loop.mp4", "magic/etc/passwd"}) {
    EXPECT_EQ(Code(path), absl::StatusCode::kNotFound) << path;
  }
}

TEST_P(CatalogTest, FollowsALinkThatStaysInsideWhereTheKernelConfines) {
  fs::create_symlink("film.mp4", root() + "/alias.mp4");
  fs::create_symlink("../film.mp4", root() + "/sub/up.mp4");
  const bool followed = GetParam() == Confinement::kKernel;
  EXPECT_EQ(library().Identify("alias.mp4").ok(), followed);
  EXPECT_EQ(library().Identify("sub/up.mp4").ok(), followed);
  EXPECT_EQ(catalog_->CountAssets().assets, followed ? 4u : 2u);
}

TEST_P(CatalogTest, TakesRegularFilesOnlyAndNeverWaits) {
  ASSERT_EQ(mkfifo((root() + "/pipe.mp4").c_str(), 0666), 0);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (root() + "/s.mp4").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(fd);
  for (const char* path : {"pipe.mp4", "s.mp4", "sub"}) {
    EXPECT_EQ(Code(path), absl::StatusCode::kNotFound) << path;
    EXPECT_EQ(library().Open(path).status().code(), absl::StatusCode::kNotFound) << path;
  }
  if (mknod((root() + "/null.mp4").c_str(), S_IFCHR | 0666, 1 << 8 | 3) == 0) {
    EXPECT_EQ(Code("null.mp4"), absl::StatusCode::kNotFound);
  }
  EXPECT_EQ(catalog_->CountAssets().assets, 2u);
}

TEST_P(CatalogTest, SaysThatAFileIsNotMedia) {
  const absl::Status status = library().Open("film.mp4").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("film.mp4: "));
  EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr("\n")));
}

TEST_P(CatalogTest, OpensRealMedia) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  fs::copy_file(Sample("plain.mp4"), root() + "/sub/real film.mp4");
  auto demuxer = library().Open("sub/real film.mp4");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  EXPECT_EQ((*demuxer)->info().tracks.size(), 2u);
}

TEST_P(CatalogTest, OpensATransportStreamWholeWhereItsNameAsksForIt) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  fs::copy_file(Sample("plain.ts"), root() + "/a.ts");
  const std::string whole = AssetName("a.ts", AssetView::kTransport);
  auto demuxer = library().Open(whole);
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  ASSERT_EQ((*demuxer)->info().tracks.size(), 1u);
  EXPECT_EQ((*demuxer)->info().tracks[0].codec, Codec::kMpegTs);
  EXPECT_EQ(*library().Identify(whole), *library().Identify("a.ts"));
  demuxer = library().Open("a.ts");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  EXPECT_EQ((*demuxer)->info().tracks.size(), 2u);
  const absl::Status status = library().Open(AssetName("film.mp4", AssetView::kTransport)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "film.mp4: not an MPEG transport stream, so it cannot be sent as one (MP2T)");
}

// Runs `check` in a child without root's rights; it returns the number of what failed, 0 for
// nothing.
int AsNobody(const std::function<int()>& check) {
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0)) _exit(100);
    _exit(check());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

TEST_P(CatalogTest, SaysWhatMayNotBeRead) {
  fs::permissions(root() + "/film.mp4", fs::perms::none);
  fs::permissions(root() + "/sub", fs::perms::none);
  const std::string locked = base_ + "/locked";
  fs::create_directory(locked);
  fs::permissions(locked, fs::perms::none);
  EXPECT_EQ(
      AsNobody([&] {
        if (Code("film.mp4") != absl::StatusCode::kPermissionDenied) return 1;
        if (library().Open("film.mp4").status().code() != absl::StatusCode::kPermissionDenied) {
          return 2;
        }
        if (Code("sub/deep/x.mkv") != absl::StatusCode::kPermissionDenied) return 3;
        if (Code("notes.txt") != absl::StatusCode::kOk) return 4;
        if (catalog_->CountAssets().assets != 1) return 5;
        const auto root_status = Catalog::Open(locked).status();
        return root_status.code() == absl::StatusCode::kPermissionDenied ? 0 : 6;
      }),
      0);
  fs::permissions(root() + "/sub", fs::perms::all);
}

TEST_P(CatalogTest, SaysWhenDescriptorsRunOut) {
  EXPECT_EQ(AsNobody([&] {
              const rlimit none{3, 3};
              if (setrlimit(RLIMIT_NOFILE, &none) != 0) return 1;
              return Code("film.mp4") == absl::StatusCode::kResourceExhausted ? 0 : 2;
            }),
            0);
}

TEST_P(CatalogTest, CountsAndListsWhatIsServed) {
  Write("served/sub/b.ts", "");
  Write("served/sub/A.H265", "");
  Write("served/mp4", "");
  Write("served/.aac", "");
  fs::create_directory_symlink("../outside", root() + "/out");
  fs::create_directory_symlink("..", root() + "/sub/up");
  EXPECT_EQ(catalog_->CountAssets().assets, 5u);
  EXPECT_THAT(catalog_->ListAssets(10), ElementsAre(".aac", "film.mp4", "sub/A.H265", "sub/b.ts",
                                                    "sub/deep/Clip \xc3\xa9.MKV"));
  EXPECT_THAT(catalog_->ListAssets(2), ElementsAre(".aac", "film.mp4"));
  EXPECT_TRUE(catalog_->ListAssets(0).empty());
}

TEST_P(CatalogTest, DescendsNoDeeperThanItsBound) {
  std::string path = "served";
  for (int depth = 0; depth < Catalog::kDepthMax + 5; ++depth) {
    path += "/d";
    fs::create_directory(base_ + "/" + path);
    Write(path + "/x.mp4", "");
  }
  EXPECT_EQ(catalog_->CountAssets().assets, 2u + Catalog::kDepthMax);
}

TEST_P(CatalogTest, KnowsWhetherItHasCountedAll) {
  EXPECT_TRUE(catalog_->CountAssets(5).complete);  // three files, two folders
  EXPECT_FALSE(catalog_->CountAssets(4).complete);
  EXPECT_FALSE(catalog_->CountAssets(0).complete);
  EXPECT_EQ(catalog_->CountAssets(0).assets, 0u);
}

// What a start looks at does not grow with what is served.
TEST(Catalog, CountsSomeOfAHundredThousandFiles) {
  constexpr std::size_t kFolders = 100, kFiles = 1000, kLookedAt = 10'000;
  const fs::path memory = "/dev/shm";
  std::string root = (access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path()) /
                     "catalog_test.XXXXXX";
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  for (std::size_t i = 0; i < kFolders; ++i) {
    const fs::path folder = root + "/" + std::to_string(i % 10) + "/" + std::to_string(i);
    fs::create_directories(folder);
    for (std::size_t j = 0; j < kFiles; ++j) {
      ASSERT_EQ(mknod((folder / (std::to_string(j) + ".mp4")).c_str(), S_IFREG | 0644, 0), 0);
    }
  }
  const auto catalog = Catalog::Open(root);
  ASSERT_TRUE(catalog.ok());
  const Catalog::AssetCount some = (*catalog)->CountAssets(kLookedAt);
  EXPECT_FALSE(some.complete);
  EXPECT_LE(some.assets, kLookedAt);
  EXPECT_GE(some.assets, kLookedAt - kFolders - 10);  // the rest are folders
  const Catalog::AssetCount all = (*catalog)->CountAssets();
  EXPECT_TRUE(all.complete);
  EXPECT_EQ(all.assets, kFolders * kFiles);
  EXPECT_EQ((*catalog)->ListAssets(3).size(), 3u);
  fs::remove_all(root);
}

TEST(Catalog, SaysInOneLineWhyAFolderCannotBeServed) {
  const auto missing = Catalog::Open(std::string("/nowhere/at/all")).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(missing.message(), "the folder '/nowhere/at/all' does not exist");
  const auto file = Catalog::Open(std::string("/proc/self/status")).status();
  EXPECT_EQ(file.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(file.message(), "the folder '/proc/self/status' is not a folder");
  EXPECT_FALSE(Catalog::Open(std::string("")).ok());
}

TEST(HasServedExtension, LooksAtTheLastDotOfTheName) {
  for (const char* path :
       {"a.mp4", "a/b.MKV", "x.y.ts", "a.m2ts", ".aac", "a.26l", "a.HEVC", "a.ogv", "a.DV"}) {
    EXPECT_TRUE(HasServedExtension(path)) << path;
  }
  for (const char* path : {"", "mp4", "a.mp4/b", "a.mp4.txt", "a.", "a.mp", "a.mp44"}) {
    EXPECT_FALSE(HasServedExtension(path)) << path;
  }
}

}  // namespace
}  // namespace millrace
