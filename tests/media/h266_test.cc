// H.266 in MP4, which libavformat 5.1 knows by name only.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/random.h"
#include "media/bitstream.h"
#include "tests/media/hand_made_mp4.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(H266Record, GivesParameterSetsAndTheSizeOfLengths) {
  for (const bool profile : {false, true}) {
    const Bytes record = H266Record(profile, true);
    Track track = {.codec = Codec::kH266};
    ASSERT_TRUE(ParseVvcC(record, &track));
    EXPECT_EQ(track.nal_length_size, 4u);
    EXPECT_THAT(track.vps, ElementsAre(H266Nal(14, 12, 0x20)));
    EXPECT_THAT(track.sps, ElementsAre(H266Nal(15, 40, 0x30)));
    EXPECT_THAT(track.pps, ElementsAre(H266Nal(16, 8, 0x50)));
    for (std::size_t cut = 0; cut < record.size(); ++cut) {
      Track untouched = {.codec = Codec::kH266};
      EXPECT_FALSE(ParseVvcC(ByteSpan(record).first(cut), &untouched)) << cut;
      EXPECT_TRUE(untouched.sps.empty()) << cut;
    }
  }
  Bytes odd = H266Record(false, true);
  odd[0] = 0xf8 | 2 << 1;  // lengths of three bytes
  Track track = {.codec = Codec::kH266};
  EXPECT_FALSE(ParseVvcC(odd, &track));
}

TEST(H266InMp4, TellsItsParameterSetsWhereverTheyAre) {
  for (const bool in_band : {false, true}) {
    SCOPED_TRACE(in_band);
    auto demuxer = OpenBytes(HandMadeH266(in_band), "a.mp4");
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    ASSERT_EQ((*demuxer)->info().tracks.size(), 1u);
    const Track& track = (*demuxer)->info().tracks[0];
    EXPECT_EQ(track.codec, Codec::kH266);
    EXPECT_EQ(track.width, 320u);
    EXPECT_EQ(track.height, 240u);
    EXPECT_THAT(track.vps, ElementsAre(in_band ? H266Nal(14, 22, 0x60) : H266Nal(14, 12, 0x20)));
    EXPECT_THAT(track.sps, ElementsAre(in_band ? H266Nal(15, 23, 0x60) : H266Nal(15, 40, 0x30)));
    EXPECT_THAT(track.pps, ElementsAre(in_band ? H266Nal(16, 24, 0x60) : H266Nal(16, 8, 0x50)));
    EXPECT_THAT((*demuxer)->info().random_access, ElementsAre(0s, 1s, 2s, 3s, 4s));
    const SeenTracks tracks = ReadAll(demuxer->get());
    ASSERT_EQ(tracks[0].size(), 125u);
    for (std::size_t i = 0; i < 125; ++i) {
      ASSERT_EQ(tracks[0][i].pts, static_cast<std::int64_t>(i) * 3600);
      ASSERT_EQ(tracks[0][i].random_access, i % 25 == 0);
    }
  }
}

TEST(H266InMp4, IsLeftOutWithoutAConfiguration) {
  const auto whole = HandMadeH266(false);
  auto without = whole;
  const std::string name = "vvcC";
  const auto at = std::search(without.begin(), without.end(), name.begin(), name.end());
  ASSERT_NE(at, without.end());
  *at = 'x';
  const auto demuxer = OpenBytes(without, "a.mp4");
  ASSERT_FALSE(demuxer.ok());
  EXPECT_THAT(std::string(demuxer.status().message()),
              HasSubstr("video track 0: H.266 without parameter sets"));
}

TEST(H266InMp4, TakesAnyBoxes) {
  const auto whole = HandMadeH266(false);
  const auto box = [&whole](const std::string& name) {
    return static_cast<std::size_t>(
        std::search(whole.begin(), whole.end(), name.begin(), name.end()) - whole.begin());
  };
  const std::size_t from = box("moov") - 4;
  SeededRandom random(9);
  std::size_t opened = 0;
  for (int round = 0; round < 400; ++round) {
    auto damaged = whole;
    for (std::uint64_t i = 1 + random.Below(6); i > 0; --i) {
      const std::uint8_t choices[] = {0,    1,    0x7f,
                                      0x80, 0xff, static_cast<std::uint8_t>(random.Next32())};
      damaged[from + random.Below(whole.size() - from)] = choices[random.Below(6)];
    }
    auto demuxer = OpenBytes(damaged, "a.mp4");
    if (!demuxer.ok()) continue;
    ++opened;
    AccessUnit unit;
    for (int i = 0; i < 1000 && (*demuxer)->Next(&unit).value_or(false); ++i) continue;
  }
  EXPECT_GT(opened, 50u);
}

}  // namespace
}  // namespace millrace
