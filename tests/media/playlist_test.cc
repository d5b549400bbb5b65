#include "media/playlist.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> PathsOf(const Playlist& playlist) {
  std::vector<std::string> paths;
  for (const PlaylistItem& item : playlist.items) paths.push_back(item.path);
  return paths;
}

TEST(Playlist, TakesNamesAndPassesCommentsOver) {
  const auto playlist = ParsePlaylist(
      "\xef\xbb\xbf#EXTM3U\r\n"
      "#PLAYLIST: Evening \r\n"
      "#EXTINF:5.0,First\r\n"
      "a.mp4\r\n"
      "\r\n"
      "  Clip \xc3\xa9: part 2.mkv \t\r\n"
      "#anything\n"
      "sub/b.ts",
      "list.m3u8");
  ASSERT_TRUE(playlist.ok()) << playlist.status();
  EXPECT_EQ(playlist->title, "Evening");
  EXPECT_THAT(PathsOf(*playlist), ElementsAre("a.mp4", "Clip \xc3\xa9: part 2.mkv", "sub/b.ts"));
  EXPECT_EQ(playlist->items[0].line, 4u);
  EXPECT_EQ(playlist->items[1].line, 6u);
  EXPECT_EQ(playlist->items[2].line, 8u);
}

TEST(Playlist, IsOneOfWholeSegments) {
  const auto playlist = ParsePlaylist(
      "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXT-X-KEY:METHOD=NONE\n"
      "#EXTINF:6,\nseg0.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:6,\nseg1.ts\n#EXT-X-ENDLIST\n",
      "hls/index.m3u8");
  ASSERT_TRUE(playlist.ok()) << playlist.status();
  EXPECT_THAT(PathsOf(*playlist), ElementsAre("hls/seg0.ts", "hls/seg1.ts"));
}

struct Name {
  const char* line;
  const char* path;
  const char* decoded;
};

TEST(Playlist, ResolvesNamesAgainstItsFolder) {
  for (const Name& name : {
           Name{"a.mp4", "x/y/a.mp4", ""},
           Name{"./a.mp4", "x/y/a.mp4", ""},
           Name{"b//./a.mp4", "x/y/b/a.mp4", ""},
           Name{"../a.mp4", "x/a.mp4", ""},
           Name{"b/../../../a.mp4", "a.mp4", ""},
           Name{"a%20b.mp4", "x/y/a%20b.mp4", "x/y/a b.mp4"},
           Name{"..%2Fa.mp4", "x/y/..%2Fa.mp4", "x/a.mp4"},
           // Decoded, these are not taken: outside, absolute, a NUL, no escape at all.
           Name{"..%2f..%2f..%2fa.mp4", "x/y/..%2f..%2f..%2fa.mp4", ""},
           Name{"%2fetc", "x/y/%2fetc", ""},
           Name{"a%00.mp4", "x/y/a%00.mp4", ""},
           Name{"100%.mp4", "x/y/100%.mp4", ""},
           Name{"%zz%4", "x/y/%zz%4", ""},
       }) {
    const auto playlist = ParsePlaylist(name.line, "x/y/list.m3u");
    ASSERT_TRUE(playlist.ok()) << playlist.status();
    EXPECT_EQ(playlist->items[0].path, name.path);
    EXPECT_EQ(playlist->items[0].decoded, name.decoded) << name.line;
  }
}

struct Refusal {
  std::string text;
  const char* why;
};

TEST(Playlist, SaysInWhichLineItIsRefused) {
  for (const Refusal& refusal : std::vector<Refusal>{
           {"/etc/passwd", "line 1: /etc/passwd is an absolute path"},
           {"a.mp4\n\\\\host\\share\\a.mp4", "line 2: "},
           {"C:\\films\\a.mp4", "is an absolute path"},
           {"C:/films/a.mp4", "is an absolute path"},
           {"http://host/a.ts", "line 1: http://host/a.ts is a URL"},
           {"\n#\nRTSP://host/a", "line 3: RTSP://host/a is a URL"},
           {"file:a.mp4", "is a URL"},
           {"file:///etc/passwd", "is a URL"},
           {"concat:a.ts|b.ts", "is a URL"},
           {"x+y-1.z://a", "is a URL"},
           {"../a.mp4", "line 1: ../a.mp4 leads out of the served folder"},
           {"a/../../a.mp4", "leads out"},
           {"a/..", "leads out"},
           {".", "leads out"},
           {"other.m3u8", "line 1: other.m3u8 is a playlist itself"},
           {"OTHER.M3U", "is a playlist itself"},
           {"other%2em3u", "is a playlist itself"},
           {std::string("a\0b.mp4", 7), "line 1: has a NUL"},
           {std::string("\xff\xfe#\0E\0", 6), "line 1: has a NUL"},
           {"#EXT-X-BYTERANGE:10@0\na.ts", "line 1: #EXT-X-BYTERANGE asks for a part of a file"},
           {"#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\na.ts", "encrypted"},
           {"#EXT-X-MAP:URI=\"init.mp4\"\na.m4s", "header apart"},
           {"#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8", "list of variants"},
           {"", "names no file"},
           {"#EXTM3U\n\n", "names no file"},
       }) {
    const absl::Status status = ParsePlaylist(refusal.text, "list.m3u").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << refusal.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(refusal.why)) << refusal.text;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
  }
}

TEST(Playlist, HasAsManyFilesAndBytesAsItsBounds) {
  std::string text;
  for (std::size_t i = 0; i < kPlaylistItemsMax; ++i) text += "a.mp4\n";
  EXPECT_TRUE(ParsePlaylist(text, "list.m3u").ok());
  const absl::Status status = ParsePlaylist(text + "a.mp4", "list.m3u").status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("line 10001: more than 10000 files"));
  text = "a.mp4\n#";
  text.resize(kPlaylistBytesMax, ' ');
  EXPECT_TRUE(ParsePlaylist(text, "list.m3u").ok());
  EXPECT_FALSE(ParsePlaylist(text + " ", "list.m3u").ok());
}

TEST(Playlist, IsToldByItsExtension) {
  for (const char* path : {"a.m3u", "a/B.M3U8", ".m3u"}) EXPECT_TRUE(HasPlaylistExtension(path));
  for (const char* path : {"", "m3u", "a.m3u/b", "a.m3u8.ts"}) {
    EXPECT_FALSE(HasPlaylistExtension(path)) << path;
  }
}

}  // namespace
}  // namespace millrace
