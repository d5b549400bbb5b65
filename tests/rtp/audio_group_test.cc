#include "rtp/payload/audio_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rtp/payload/fragments.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;

AccessUnit Unit(std::int64_t pts, std::int64_t duration, const Bytes& data) {
  return {.pts = pts, .dts = pts, .duration = duration, .random_access = true, .data = data};
}

TEST(AudioGroup, TakesWhatFollowsWithoutAGapAndNoMoreThanATenthOfASecond) {
  const Bytes data = {1, 2, 3};
  AudioGroup group(testing::MakeTrack(Codec::kAac, 0, 48000), 100);
  EXPECT_TRUE(group.Follows(Unit(-7, 1024, data)));
  group.Add(Unit(1000, 1024, data));
  EXPECT_TRUE(group.Follows(Unit(2024, 1024, data)));
  EXPECT_FALSE(group.Follows(Unit(2023, 1024, data)));
  EXPECT_FALSE(group.Follows(Unit(2025, 1024, data)));
  EXPECT_TRUE(group.Follows(Unit(2024, 3776, data)));
  EXPECT_FALSE(group.Follows(Unit(2024, 3777, data)));
  EXPECT_FALSE(group.Follows(Unit(2024, INT64_MAX, data)));
  EXPECT_FALSE(group.Follows(Unit(INT64_MIN, 1024, data)));
  group.Clear();
  EXPECT_TRUE(group.empty());
  group.Add(Unit(1000, 0, data));  // of unknown length: nothing can follow it
  EXPECT_FALSE(group.Follows(Unit(1000, 1024, data)));
}

TEST(AudioGroup, AllowsForAClockThatDoesNotCountSamples) {
  const Bytes data = {1};
  AudioGroup group(testing::MakeTrack(Codec::kMpegAudio), 100, 90);
  group.Add(Unit(0, 2351, data));
  EXPECT_TRUE(group.Follows(Unit(2352, 2351, data)));
  EXPECT_TRUE(group.Follows(Unit(2351 - 90, 2351, data)));
  EXPECT_FALSE(group.Follows(Unit(2351 - 91, 2351, data)));
  EXPECT_FALSE(group.Follows(Unit(2351 + 91, 2351, data)));
}

TEST(AudioGroup, KeepsTheBytesOfItsUnitsEndToEnd) {
  AudioGroup group(testing::MakeTrack(Codec::kAac, 0, 48000), 100);
  for (Bytes lent : {Bytes{1, 2}, Bytes{3}, Bytes{4, 5, 6}}) group.Add(Unit(0, 1024, lent));
  EXPECT_THAT(group.sizes(), ElementsAre(2, 1, 3));
  EXPECT_THAT(group.bytes(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(group.count(), 3u);
}

TEST(Fragments, AreAsFewAndAsEqualAsCanBe) {
  struct Case {
    std::size_t bytes;
    std::vector<std::size_t> fragments;
  };
  const Case kCases[] = {{0, {}},
                         {1, {1}},
                         {98, {98}},
                         {99, {50, 49}},
                         {196, {98, 98}},
                         {197, {66, 66, 65}},
                         {295, {74, 74, 74, 73}}};
  for (const Case& c : kCases) {
    Bytes unit(c.bytes);
    for (std::size_t i = 0; i < unit.size(); ++i) unit[i] = static_cast<std::uint8_t>(i);
    PacketBlockBuilder builder = testing::MakeBuilder();
    builder.BeginUnit(0, Duration::zero(), Duration::zero(), true);
    std::vector<std::size_t> offsets;
    AddFragments(unit, 2, 100, builder, [&](const Fragment& fragment, std::uint8_t* p) {
      p[0] = fragment.first ? 1 : 0;
      p[1] = fragment.last ? 1 : 0;
      offsets.push_back(fragment.offset);
    });
    builder.EndUnit(true);
    const PacketBlock block = std::move(builder).Seal();
    const std::vector<Bytes> payloads = testing::Payloads(block);
    ASSERT_EQ(payloads.size(), c.fragments.size()) << c.bytes;
    Bytes joined;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
      EXPECT_EQ(payloads[i].size(), c.fragments[i] + 2) << c.bytes;
      EXPECT_EQ(payloads[i][0], i == 0) << c.bytes;
      EXPECT_EQ(payloads[i][1], i + 1 == payloads.size()) << c.bytes;
      EXPECT_EQ(offsets[i], joined.size());
      joined.insert(joined.end(), payloads[i].begin() + 2, payloads[i].end());
    }
    EXPECT_EQ(joined, unit);
  }
}

}  // namespace
}  // namespace millrace
