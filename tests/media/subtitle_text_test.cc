#include "media/subtitle_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/random.h"
#include "media/utf8.h"

namespace millrace {
namespace {

using Format = SubtitleFormat;

std::string WordsOf(Format format, const std::string& cue) {
  std::vector<std::uint8_t> bytes(cue.begin(), cue.end());
  const std::size_t kept = KeepWords(format, bytes);
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(kept)};
}

std::string Timed(std::size_t told, const std::string& text) {
  return std::string{static_cast<char>(told >> 8), static_cast<char>(told)} + text;
}

TEST(SubtitleText, KeepsTheWordsOfEveryFormat) {
  struct Case {
    Format format;
    std::string cue, words;
  };
  const std::vector<Case> cases = {
      {Format::kPlain, "Hello", "Hello"},
      {Format::kPlain, "a <b> {c} &amp; \\N", "a <b> {c} &amp; \\N"},
      {Format::kTimed, Timed(5, "Hello"), "Hello"},
      {Format::kTimed, Timed(5, "Hellostyl\x01\x02"), "Hello"},
      {Format::kTimed, Timed(0, ""), ""},
      {Format::kTimed, Timed(900, "cut"), "cut"},
      {Format::kTimed, "x", ""},
      {Format::kTimed, Timed(6, std::string("\xfe\xff\0H\0i", 6)), ""},
      {Format::kSubRip, "<i>Hello</i>\r\n<font color=\"#fff\">world</font>", "Hello\nworld"},
      {Format::kSubRip, "{\\an8}top", "top"},
      {Format::kSubRip, "1 < 2 & {3} > 2", "1 < 2 & {3} > 2"},
      {Format::kSubRip, "a <b", "a <b"},
      {Format::kWebVtt, "<v Anna>Tom &amp; Jerry &lt;3</v>&lrm;", "Tom & Jerry <3"},
      {Format::kWebVtt, "one <00:01.000>two &unknown;", "one two &unknown;"},
      {Format::kAdvanced, "0,0,Default,,0,0,0,,{\\i1}Hello{\\i0}\\Nworld, too",
       "Hello\nworld, too"},
      {Format::kAdvanced, "0,0,Default,,0,0,0,,a\\hb\\nc \\q", "a b\nc \\q"},
      {Format::kAdvanced, "0,0,Default,,0,0,0", ""},
      {Format::kAdvanced, "0,0,Default,,0,0,0,,{unfinished", "{unfinished"},
  };
  for (const Case& c : cases) EXPECT_EQ(WordsOf(c.format, c.cue), c.words) << c.cue;
}

TEST(SubtitleText, LeavesOutWhatIsNoText) {
  EXPECT_EQ(WordsOf(Format::kPlain, "\n\n  a\n\n\nb \n"), "a\nb");
  EXPECT_EQ(WordsOf(Format::kPlain, "a\x01\x1b[2J\tb\x7f"), "a[2J b");
  EXPECT_EQ(WordsOf(Format::kPlain, "\xef\xbb\xbfgr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(WordsOf(Format::kPlain, "a\xff\xc3(\xe6\xbc"), "a(");
  EXPECT_EQ(WordsOf(Format::kPlain, "a\xc2\x85z"), "az");
}

TEST(SubtitleText, MakesSoundTextOfAnyBytes) {
  const std::string pieces[] = {"<",    ">",     "{\\",
                                "}",    "&amp;", "\\N",
                                ",",    "\n",    "\xe6\xbc\xa2",
                                "\xe6", "\xbc",  "a",
                                " ",    "\xff",  std::string(1, '\0')};
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    SeededRandom random(seed);
    std::string cue;
    for (std::uint64_t i = random.Below(40); i-- > 0;) cue += pieces[random.Below(15)];
    const std::string words = WordsOf(static_cast<Format>(random.Below(5)), cue);
    ASSERT_LE(words.size(), cue.size());
    std::vector<std::uint8_t> rest(words.begin(), words.end());
    while (!rest.empty()) {
      const std::size_t bytes = Utf8CharacterBytes(rest);
      ASSERT_GT(bytes, 0u) << "seed " << seed;
      ASSERT_TRUE(rest[0] >= 0x20 || rest[0] == '\n') << "seed " << seed;
      rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(bytes));
    }
  }
}

TEST(SubtitleText, KnowsCharactersByTheirBytes) {
  const std::pair<std::vector<std::uint8_t>, std::size_t> cases[] = {{{}, 0},
                                                                     {{0x7f}, 1},
                                                                     {{0xc2, 0x80}, 2},
                                                                     {{0xe0, 0xa0, 0x80}, 3},
                                                                     {{0xc1, 0xbf}, 0},
                                                                     {{0xc2}, 0},
                                                                     {{0xe0, 0x9f, 0xbf}, 0},
                                                                     {{0xed, 0x9f, 0xbf}, 3},
                                                                     {{0x80}, 0},
                                                                     {{0xc2, 0x41}, 0},
                                                                     {{0xed, 0xa0, 0x80}, 0},
                                                                     {{0xf0, 0x90, 0x80, 0x80}, 4},
                                                                     {{0xf5, 0x80, 0x80, 0x80}, 0}};
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(Utf8CharacterBytes(bytes), expected);
}

}  // namespace
}  // namespace millrace
