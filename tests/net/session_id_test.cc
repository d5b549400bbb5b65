#include "net/rtsp/session_id.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <string>

#include "absl/container/flat_hash_map.h"

namespace millrace::rtsp {
namespace {

TEST(SessionId, IsWrittenAsThirtyFourLowerCaseDigits) {
  const SessionId id{0x0123456789abcdef, 0x00000000000000ff, 7};
  EXPECT_EQ(id.ToString(), "0123456789abcdef00000000000000ff07");
}

TEST(SessionId, ReadsBackWhatItWrites) {
  SeededRandom random(1);
  for (std::size_t shard = 0; shard < 256; ++shard) {
    const SessionId id = SessionId::Make(random, shard);
    EXPECT_EQ(id.shard, shard);
    EXPECT_EQ(SessionId::Parse(id.ToString()), id);
  }
}

TEST(SessionId, RefusesEverythingElse) {
  const std::string good = SessionId{0xabcdef, 0x123, 1}.ToString();
  ASSERT_TRUE(SessionId::Parse(good));
  EXPECT_FALSE(SessionId::Parse(""));
  EXPECT_FALSE(SessionId::Parse(good + "0"));
  EXPECT_FALSE(SessionId::Parse(good.substr(1)));
  EXPECT_FALSE(SessionId::Parse(" " + good.substr(1)));
  EXPECT_FALSE(SessionId::Parse("0x" + good.substr(2)));
  EXPECT_FALSE(SessionId::Parse("+" + good.substr(1)));
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int c = 0; c < 256; ++c) {
      std::string text = good;
      text[i] = static_cast<char>(c);
      const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      const auto parsed = SessionId::Parse(text);
      EXPECT_EQ(parsed.has_value(), digit) << i << " " << c;
      if (parsed) {
        EXPECT_EQ(parsed->ToString(), text);  // one name for one id
      }
    }
  }
}

TEST(SessionId, EveryDigitIsDrawn) {
  SeededRandom random(2);
  std::set<char> seen[32];
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = SessionId::Make(random, 3).ToString();
    EXPECT_EQ(name.substr(32), "03");
    for (std::size_t d = 0; d < 32; ++d) seen[d].insert(name[d]);
    names.insert(name);
  }
  for (const auto& digits : seen) EXPECT_EQ(digits.size(), 16u);
  EXPECT_EQ(names.size(), 1000u);
}

TEST(SessionId, IsAKeyWhoseEveryPartCounts) {
  absl::flat_hash_map<SessionId, int> map;
  map[{1, 2, 3}] = 1;
  map[{2, 1, 3}] = 2;
  map[{1, 2, 4}] = 3;
  EXPECT_EQ(map.size(), 3u);
  EXPECT_EQ(map.at({1, 2, 4}), 3);
}

}  // namespace
}  // namespace millrace::rtsp
