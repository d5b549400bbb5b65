#include "media/mpeg4_picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using ::testing::ElementsAre;

constexpr PlaneType I = PlaneType::kIntra, P = PlaneType::kPredicted, B = PlaneType::kBidirectional;

TEST(Mpeg4Picture, FindsPlanesAndTheirTypes) {
  const auto found = FindMpeg4Planes(
      Bytes{0, 0, 1, 0x20, 9, 0, 0, 1, 0xb6, 0x51, 7, 0, 0, 0, 1, 0xb6, 0x90, 0, 0, 1, 0xb6, 0});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].begin, 5u);
  EXPECT_EQ(found[0].type, P);
  EXPECT_EQ(found[1].begin, 12u);
  EXPECT_EQ(found[1].type, B);
  EXPECT_TRUE(FindMpeg4Planes({}).empty());
  EXPECT_TRUE(FindMpeg4Planes(Bytes{0, 0, 1, 0xb6}).empty());
}

TEST(Mpeg4Picture, IsShownWhenTheNextThatPredictsIsCoded) {
  const auto places = [](std::vector<PlaneType> coded) { return ShownPlaces(coded); };
  EXPECT_THAT(places({}), ElementsAre());
  EXPECT_THAT(places({I}), ElementsAre(0));
  EXPECT_THAT(places({I, P, P, I}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(places({I, P, B, B, P, B, I, P}), ElementsAre(0, 3, 1, 2, 5, 4, 6, 7));
  EXPECT_THAT(places({I, P, B}), ElementsAre(0, 2, 1));
  EXPECT_THAT(places({B, B, I}), ElementsAre(0, 0, 2));  // a stream cut open
}

// A layer's header, bit by bit: 30000 ticks a second, with or without a fixed increment.
Bytes MakeLayer(bool fixed) {
  std::string bits =
      "0"
      "00000001"
      "1"
      "0001"
      "001";  // version 1
  bits +=
      "0001"
      "1"
      "01"
      "0"
      "0"
      "00"
      "1";  // aspect, chroma, no VBV, shape
  bits +=
      "0111010100110000"
      "1";  // 30000
  bits += fixed ? "1"
                  "000001111101001"
                : "0";  // 1001 in 15 bits
  bits.resize(bits.size() + 8 - bits.size() % 8, '1');
  Bytes layer = {0, 0, 1, 0x20};
  for (std::size_t at = 0; at < bits.size(); at += 8) {
    layer.push_back(static_cast<std::uint8_t>(std::stoi(bits.substr(at, 8), nullptr, 2)));
  }
  return layer;
}

TEST(Mpeg4Picture, ReadsALayersTicks) {
  const auto layer = ReadMpeg4Layer(MakeLayer(false));
  ASSERT_TRUE(layer);
  EXPECT_EQ(layer->resolution, 30000u);
  EXPECT_EQ(layer->fixed_increment, 0u);
  EXPECT_EQ(ReadMpeg4Layer(MakeLayer(true))->fixed_increment, 1001u);
  EXPECT_FALSE(ReadMpeg4Layer({}));
  EXPECT_FALSE(ReadMpeg4Layer(Bytes{0, 0, 1, 0xb0, 1, 0, 0, 1, 0x20}));
  Bytes cut = MakeLayer(false);
  cut.resize(7);
  EXPECT_FALSE(ReadMpeg4Layer(cut));
}

// Type, whole seconds in ones, a marker, 25 ticks a second in five bits.
Bytes MakeTimed(PlaneType type, int seconds, int ticks) {
  std::string bits = type == I ? "00" : type == P ? "01" : "10";
  bits += std::string(static_cast<std::size_t>(seconds), '1') + "01";
  for (int bit = 4; bit >= 0; --bit) bits += (ticks >> bit & 1) != 0 ? '1' : '0';
  bits.resize(16, '1');
  Bytes unit = {0, 0, 1, 0xb6};
  for (const std::size_t at : {0, 8}) {
    unit.push_back(static_cast<std::uint8_t>(std::stoi(bits.substr(at, 8), nullptr, 2)));
  }
  return unit;
}

TEST(Mpeg4Picture, TellsItsOwnTime) {
  Mpeg4Times times(25);
  EXPECT_EQ(times.TimeOf(MakeTimed(I, 0, 3)), 3);
  EXPECT_EQ(times.TimeOf(MakeTimed(P, 1, 2)), 27);
  EXPECT_EQ(times.TimeOf(MakeTimed(B, 0, 20)), 20);
  EXPECT_EQ(times.TimeOf(MakeTimed(B, 1, 1)), 26);
  EXPECT_EQ(times.TimeOf(MakeTimed(P, 0, 5)), 30);
  EXPECT_EQ(times.TimeOf(MakeTimed(B, 0, 4)), 29);
  EXPECT_EQ(times.TimeOf(Bytes{0, 0, 1, 0xb0}), std::nullopt);
  // A group's time code: 0 h 1 min, marker, 2 s.
  Bytes group = {0, 0, 1, 0xb3, 0x00, 0x30, 0x80 | 0x20};
  group[5] = 0x30;
  const Bytes first = MakeTimed(I, 0, 0);
  group.insert(group.end(), first.begin(), first.end());
  EXPECT_EQ(times.TimeOf(group), (60 + 2) * 25);
}

}  // namespace
}  // namespace millrace
