#include "media/mpeg_picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::Optional;

using Times = std::vector<std::optional<std::int64_t>>;

constexpr std::uint8_t kFrame = 3, kTopField = 1;

struct Spec {
  int reference = 0;
  bool sequence = false, group = false;
  std::uint8_t rate_code = 3;  // 25
  std::uint8_t structure = kFrame;
};

Bytes MakePicture(const Spec& spec) {
  Bytes unit;
  if (spec.sequence) {
    unit.insert(unit.end(), {0, 0, 1, 0xb3, 0x16, 0x01, 0x20,
                             static_cast<std::uint8_t>(0x10 | spec.rate_code), 1, 2, 3, 4});
  }
  if (spec.group) unit.insert(unit.end(), {0, 0, 1, 0xb8, 0, 8, 0, 0});
  unit.insert(unit.end(), {0, 0, 1, 0x00, static_cast<std::uint8_t>(spec.reference >> 2),
                           static_cast<std::uint8_t>(spec.reference << 6 | 0x08), 0, 0});
  unit.insert(unit.end(),
              {0, 0, 1, 0xb5, 0x8f, 0xff, static_cast<std::uint8_t>(0xf0 | spec.structure), 0, 0});
  unit.insert(unit.end(), {0, 0, 1, 1, 9, 9});
  return unit;
}

TEST(MpegPicture, TellsItsPlaceAndItsSequence) {
  const auto plain = ReadMpegPicture(MakePicture({.reference = 1023}));
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->temporal_reference, 1023);
  EXPECT_FALSE(plain->sequence || plain->group || plain->field);
  EXPECT_EQ(plain->rate.numerator, 0u);
  const auto first =
      ReadMpegPicture(MakePicture({.reference = 2, .sequence = true, .group = true}));
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->sequence && first->group);
  EXPECT_EQ(first->temporal_reference, 2);
  EXPECT_EQ(first->width, 352u);
  EXPECT_EQ(first->height, 288u);
  EXPECT_EQ(first->rate.numerator, 25u);
  EXPECT_EQ(first->rate.denominator, 1u);
}

TEST(MpegPicture, TakesRateAndSizeFromTheSequenceExtension) {
  // 352 + 4096 by 288, 25 * 2 / 3; progressive, main profile.
  Bytes unit = {0, 0, 1, 0xb3, 0x16, 0x01, 0x20, 0x13, 1,    2,    3,
                4, 0, 0, 1,    0xb5, 0x14, 0x8a, 0x80, 0x01, 0x00, 0x22};
  const Bytes picture = MakePicture({});
  unit.insert(unit.end(), picture.begin(), picture.end());
  const auto read = ReadMpegPicture(unit);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->width, 4448u);
  EXPECT_EQ(read->height, 288u);
  EXPECT_EQ(read->rate.numerator, 50u);
  EXPECT_EQ(read->rate.denominator, 3u);
}

TEST(MpegPicture, IsAFieldWithoutItsOtherHalf) {
  const Bytes field = MakePicture({.structure = kTopField});
  EXPECT_TRUE(ReadMpegPicture(field)->field);
  Bytes both = field;
  both.insert(both.end(), field.begin(), field.end());
  EXPECT_FALSE(ReadMpegPicture(both)->field);
}

TEST(MpegPicture, IsNoneWithoutItsHeader) {
  EXPECT_FALSE(ReadMpegPicture({}));
  EXPECT_FALSE(ReadMpegPicture(Bytes{0, 0, 1, 0}));
  EXPECT_FALSE(ReadMpegPicture(Bytes{0, 0, 1, 0, 1}));
  EXPECT_FALSE(ReadMpegPicture(Bytes{0, 0, 1, 5, 1, 2, 3, 4}));  // slices of a picture cut off
}

// A group in coding order: I2 B0 B1 P5 B3 B4.
constexpr int kCoded[] = {2, 0, 1, 5, 3, 4};

TEST(PictureClock, CountsFromTheLastStampByTemporalReference) {
  PictureClock clock(90000);
  Times times;
  for (int group = 0; group < 2; ++group) {
    for (const int reference : kCoded) {
      const bool first = reference == 2;
      const bool stamped = group == 0 && first;
      times.push_back(clock.TimeOf(
          MakePicture({.reference = reference, .sequence = first && group == 0, .group = first}),
          stamped ? std::optional<std::int64_t>(100'000) : std::nullopt));
    }
  }
  EXPECT_THAT(times, ElementsAreArray(Times{100'000, 92'800, 96'400, 110'800, 103'600, 107'200,
                                            121'600, 114'400, 118'000, 132'400, 125'200, 128'800}));
}

TEST(PictureClock, BelievesEveryStamp) {
  PictureClock clock(90000);
  const Bytes first = MakePicture({.reference = 0, .sequence = true, .group = true});
  EXPECT_EQ(clock.TimeOf(first, 5000), 5000);
  EXPECT_EQ(clock.TimeOf(MakePicture({.reference = 1}), 9000), 9000);
  EXPECT_EQ(clock.TimeOf(MakePicture({.reference = 2}), std::nullopt), 12600);
  EXPECT_EQ(clock.TimeOf(MakePicture({.reference = 3}), INT64_MAX), 16200);  // damage
}

TEST(PictureClock, GoesOnWhereReferencesStartAgainWithoutAGroup) {
  PictureClock clock(90000);
  EXPECT_EQ(clock.TimeOf(MakePicture({.reference = 1020, .sequence = true}), 0), 0);
  std::int64_t expected = 0;
  for (int i = 1021; i < 5000; ++i) {
    ASSERT_THAT(clock.TimeOf(MakePicture({.reference = i % 1024}), std::nullopt),
                Optional(expected += 3600))
        << i;
  }
}

TEST(PictureClock, TimesAPictureAlikeWhereverReadingBegan) {
  constexpr int kGroups = 6;
  struct Unit {
    Bytes data;
    std::optional<std::int64_t> stamp;
  };
  std::vector<Unit> units;
  for (int group = 0; group < kGroups; ++group) {
    for (const int reference : kCoded) {
      // Now a B picture is stamped, now none of the group.
      const bool stamped = (group * 7 + reference) % 8 == 3 || (group == 0 && reference == 2);
      const std::int64_t time = 1000 + (group * 6 + reference) * 3003;
      const bool first = reference == 2;
      units.push_back({MakePicture({.reference = reference,
                                    .sequence = group == 0 && first,
                                    .group = first,
                                    .rate_code = 4}),
                       stamped ? std::optional<std::int64_t>(time) : std::nullopt});
    }
  }
  PictureClock clock(90000);
  Times whole;
  for (const Unit& unit : units) whole.push_back(clock.TimeOf(unit.data, unit.stamp));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const int place = static_cast<int>(i / 6) * 6 + kCoded[i % 6];
    ASSERT_THAT(whole[i], Optional(1000 + std::int64_t{place} * 3003)) << i;
  }
  std::size_t timed = 0;
  for (std::size_t begin = 0; begin < units.size(); ++begin) {
    clock.Forget();
    bool begun = false;
    for (std::size_t i = begin; i < units.size(); ++i) {
      const auto time = clock.TimeOf(units[i].data, units[i].stamp);
      begun = begun || time.has_value();
      ASSERT_EQ(time, begun ? whole[i] : std::nullopt) << begin << " " << i;
      timed += begun ? 1 : 0;
    }
  }
  EXPECT_GT(timed, 200u);
}

TEST(PictureClock, GivesNoTimeBeforeAGroupAndAStamp) {
  PictureClock clock(90000);
  EXPECT_EQ(clock.TimeOf(MakePicture({.reference = 4}), 7000), std::nullopt);
  EXPECT_EQ(clock.TimeOf(MakePicture({.reference = 2, .group = true}), std::nullopt), std::nullopt);
  EXPECT_EQ(clock.TimeOf(Bytes{0, 0, 1, 5}, 8000), std::nullopt);
  EXPECT_EQ(clock.TimeOf(MakePicture({.reference = 0}), 9000), 9000);
  EXPECT_EQ(clock.TimeOf(MakePicture({.reference = 1}), std::nullopt), 12600);  // 25 is assumed
}

}  // namespace
}  // namespace millrace
