#include "media/xiph_headers.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "core/random.h"
#include "tests/media/xiph_testing.h"

namespace millrace {
namespace {

using testing::LaceXiphHeaders;

Bytes Filled(std::size_t size, std::uint8_t fill) { return Bytes(size, fill); }

Bytes Copy(ByteSpan bytes) { return Bytes(bytes.begin(), bytes.end()); }

TEST(XiphHeaders, AreReadWhateverTheirSizes) {
  // A size that 255 divides ends with a byte of 0.
  const std::vector<std::size_t> sizes = {0, 1, 30, 254, 255, 256, 509, 510, 511, 4000};
  for (const std::size_t first : sizes) {
    for (const std::size_t second : sizes) {
      for (const std::size_t third : {std::size_t{0}, std::size_t{1}, std::size_t{5000}}) {
        const Bytes laced =
            LaceXiphHeaders(Filled(first, 'a'), Filled(second, 'b'), Filled(third, 'c'));
        const auto headers = ReadXiphHeaders(laced);
        ASSERT_TRUE(headers) << first << " " << second;
        EXPECT_EQ(Copy(headers->identification), Filled(first, 'a'));
        EXPECT_EQ(Copy(headers->comment), Filled(second, 'b'));
        EXPECT_EQ(Copy(headers->setup), Filled(third, 'c'));
      }
    }
  }
}

TEST(XiphHeaders, AreViewsOfTheLacedBytes) {
  const Bytes laced = {2, 1, 2, 10, 20, 21, 30};
  const auto headers = ReadXiphHeaders(laced);
  ASSERT_TRUE(headers);
  EXPECT_EQ(headers->identification.data(), laced.data() + 3);
  EXPECT_EQ(headers->comment.data(), laced.data() + 4);
  EXPECT_EQ(headers->setup.data(), laced.data() + 6);
}

TEST(XiphHeaders, AreRefusedWhenTheLacingIsDamaged) {
  struct Case {
    const char* what;
    Bytes laced;
    bool sound;
  };
  const Case cases[] = {
      {"nothing", {}, false},
      {"only the count", {2}, false},
      {"one size", {2, 0}, false},
      {"two sizes of nothing", {2, 0, 0}, true},
      {"two packets in all", {1, 1, 1, 7, 7, 7}, false},
      {"four packets in all", {3, 1, 1, 1, 7, 7, 7, 7}, false},
      {"a size without end", {2, 255, 255, 255}, false},
      {"a second size without end", {2, 1, 255}, false},
      {"a first packet just within", {2, 2, 0, 7, 7}, true},
      {"a first packet beyond the end", {2, 3, 0, 7, 7}, false},
      {"a second packet just within", {2, 1, 1, 7, 7}, true},
      {"a second packet beyond the end", {2, 1, 2, 7, 7}, false},
      {"a long first packet beyond the end", {2, 255, 255, 255, 0, 7, 7}, false},
      {"as an MP4 or an old FFmpeg has it", {0, 1, 7, 0, 1, 7, 0, 1, 7}, false},
  };
  for (const Case& c : cases) EXPECT_EQ(ReadXiphHeaders(c.laced).has_value(), c.sound) << c.what;
}

TEST(XiphHeaders, AreLacedFromEitherFraming) {
  const Bytes laced = LaceXiphHeaders(Filled(42, 'a'), Filled(600, 'b'), Filled(255, 'c'));
  EXPECT_EQ(LacedXiphHeaders(laced), laced);
  Bytes sized;
  for (const auto& [size, fill] : {std::pair(42, 'a'), {600, 'b'}, {255, 'c'}}) {
    sized.insert(sized.end(),
                 {static_cast<std::uint8_t>(size / 256), static_cast<std::uint8_t>(size % 256)});
    sized.insert(sized.end(), static_cast<std::size_t>(size), static_cast<std::uint8_t>(fill));
  }
  EXPECT_EQ(LacedXiphHeaders(sized), laced);
  for (std::size_t size = 0; size < sized.size(); ++size) {
    EXPECT_TRUE(LacedXiphHeaders(ByteSpan(sized).first(size)).empty()) << size;
  }
}

TEST(XiphHeaders, NeverReachBeyondAnyBytes) {
  SeededRandom random(1);
  int sound = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes laced(random.Below(40));
    for (std::uint8_t& byte : laced) {
      byte = static_cast<std::uint8_t>(random.Chance(0.3) ? 255 : random.Below(20));
    }
    if (!laced.empty() && random.Chance(0.9)) laced[0] = 2;
    const auto headers = ReadXiphHeaders(laced);
    if (!headers) continue;
    ++sound;
    const std::size_t total =
        headers->identification.size() + headers->comment.size() + headers->setup.size();
    ASSERT_LE(total + 3, laced.size());
    ASSERT_EQ(headers->setup.data() + headers->setup.size(), laced.data() + laced.size());
    ASSERT_EQ(headers->comment.data(),
              headers->identification.data() + headers->identification.size());
    ASSERT_EQ(headers->setup.data(), headers->comment.data() + headers->comment.size());
  }
  EXPECT_GT(sound, 1000);
}

}  // namespace
}  // namespace millrace
