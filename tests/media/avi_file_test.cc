#include "media/avi_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/random.h"
#include "tests/media/avi_testing.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using testing::Append;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MakeAvi;
using testing::Mpeg4Coded;
using testing::Mpeg4Placeholder;
using testing::RiffChunk;
using testing::RiffList;

struct Unit {
  std::uint32_t track;
  std::int64_t pts, dts;
  bool random_access;
  Bytes data;
};

std::vector<Unit> ReadUnits(const Bytes& file, MediaInfo* info = nullptr) {
  auto demuxer = OpenBytes(file, "made.avi");
  EXPECT_TRUE(demuxer.ok()) << demuxer.status();
  std::vector<Unit> units;
  if (!demuxer.ok()) return units;
  if (info != nullptr) *info = (*demuxer)->info();
  AccessUnit unit;
  while ((*demuxer)->Next(&unit).value_or(false)) {
    units.push_back({unit.track, unit.pts, unit.dts, unit.random_access,
                     Bytes(unit.data.begin(), unit.data.end())});
  }
  return units;
}

std::vector<std::int64_t> Times(const std::vector<Unit>& units, std::uint32_t track = 0) {
  std::vector<std::int64_t> times;
  for (const Unit& unit : units) {
    if (unit.track == track) times.push_back(unit.pts / 3600);
  }
  return times;
}

Bytes Together(const std::vector<Unit>& units, std::uint32_t track) {
  Bytes all;
  for (const Unit& unit : units) {
    if (unit.track == track) Append(&all, unit.data);
  }
  return all;
}

// One chunk of the first stream for each picture.
Bytes VideoChunks(const std::vector<Bytes>& pictures) {
  Bytes movi;
  for (const Bytes& picture : pictures) Append(&movi, RiffChunk("00dc", picture));
  return movi;
}

TEST(AviFile, ShowsPicturesInOrderAndDescribesThem) {
  MediaInfo info;
  const std::vector<Unit> units =
      ReadUnits(MakeAvi({testing::Mpeg4Stream()},
                        VideoChunks({Mpeg4Coded('I', 0), Mpeg4Coded('P', 3), Mpeg4Coded('B', 1),
                                     Mpeg4Coded('B', 2), Mpeg4Coded('I', 4), Mpeg4Coded('P', 5)}),
                        "a title"),
                &info);
  EXPECT_THAT(Times(units), ElementsAre(0, 3, 1, 2, 4, 5));
  std::vector<std::int64_t> coded;
  for (const Unit& unit : units) coded.push_back(unit.dts / 3600);
  EXPECT_THAT(coded, ElementsAre(0, 1, 1, 2, 4, 5));
  EXPECT_EQ(info.title, "a title");
  EXPECT_EQ(info.duration, 240ms);
  EXPECT_THAT(info.random_access, ElementsAre(Duration(0s), Duration(160ms)));
  ASSERT_EQ(info.tracks.size(), 1u);
  EXPECT_EQ(info.tracks[0].width, 352u);
  EXPECT_EQ(info.tracks[0].height, 288u);
  EXPECT_EQ(info.tracks[0].config, (Bytes{0, 0, 1, 0xb0, 1, 0, 0, 1, 0x20, 0x08, 0x80}));
}

TEST(AviFile, UnpacksPackedBitstreams) {
  Bytes packed = Mpeg4Coded('P', 3);
  Append(&packed, Mpeg4Coded('B', 1));
  Bytes packed_key = Mpeg4Coded('I', 6);
  Append(&packed_key, Mpeg4Coded('B', 5));
  struct Case {
    const char* what;
    std::vector<Bytes> chunks;
    std::vector<Bytes> pictures;
    std::vector<std::int64_t> shown;
  };
  const Bytes i = Mpeg4Coded('I', 0), p = Mpeg4Coded('P', 3), b1 = Mpeg4Coded('B', 1),
              b2 = Mpeg4Coded('B', 2);
  const std::vector<Case> cases = {
      {"one behind", {i, packed, Mpeg4Placeholder(), p}, {i, p, b1, p}, {0, 2, 1, 3}},
      {"an empty place", {i, packed, {}, p}, {i, p, b1, p}, {0, 2, 1, 3}},
      {"two behind", {i, packed, b2, Mpeg4Placeholder(), p}, {i, p, b1, b2, p}, {0, 3, 1, 2, 4}},
      {"behind a key picture",
       {i, p, packed_key, Mpeg4Placeholder()},
       {i, p, Mpeg4Coded('I', 6), Mpeg4Coded('B', 5)},
       {0, 1, 3, 2}},
      {"no place before the next key picture", {i, packed, i}, {i, p, i}, {0, 1, 2}},
      {"no packing", {i, Mpeg4Placeholder(), p}, {i, Mpeg4Placeholder(), p}, {0, 1, 2}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const std::vector<Unit> units =
        ReadUnits(MakeAvi({testing::Mpeg4Stream()}, VideoChunks(c.chunks)));
    ASSERT_EQ(units.size(), c.pictures.size());
    for (std::size_t at = 0; at < units.size(); ++at) {
      EXPECT_EQ(units[at].data, c.pictures[at]) << at;
    }
    EXPECT_EQ(Times(units), c.shown);
  }
}

TEST(AviFile, KeepsThePlaceOfAFrameWithoutBytes) {
  const std::vector<Unit> units = ReadUnits(
      MakeAvi({testing::Mpeg4Stream()},
              VideoChunks({Mpeg4Coded('I', 0), {}, {}, Mpeg4Coded('P', 1), Mpeg4Coded('P', 2)})));
  EXPECT_THAT(Times(units), ElementsAre(0, 3, 4));
}

TEST(AviFile, FramesAudioWhoseChunksEndAnywhere) {
  // Frames of MPEG audio layer III, 128 kbit/s at 48 kHz: 384 bytes.
  Bytes sound;
  for (int i = 0; i < 40; ++i) {
    Bytes frame = {0xff, 0xfb, 0x94, 0x00};
    frame.resize(384, static_cast<std::uint8_t>(i));
    Append(&sound, frame);
  }
  Bytes movi = RiffChunk("00dc", Mpeg4Coded('I', 0));
  SeededRandom random(1);
  for (std::size_t at = 0; at < sound.size();) {
    const std::size_t size = std::min<std::size_t>(random.Below(900), sound.size() - at);
    const auto from = sound.begin() + static_cast<std::ptrdiff_t>(at);
    Append(&movi, RiffChunk("01wb", Bytes(from, from + static_cast<std::ptrdiff_t>(size))));
    if (random.Chance(0.5)) Append(&movi, RiffChunk("00dc", Mpeg4Coded('P', 1)));
    at += size;
  }
  const std::vector<Unit> units = ReadUnits(
      MakeAvi({testing::Mpeg4Stream(),
               {"auds", "\0\0\0\0", 1, 16000, 0, testing::AudioFormat(0x55, 48000, 2, 0)}},
              movi));
  EXPECT_TRUE(Together(units, 1) == sound);
  std::int64_t expected = 0;
  for (const Unit& unit : units) {
    if (unit.track != 1) continue;
    EXPECT_EQ(unit.data.size(), 384u);
    EXPECT_EQ(unit.pts, expected);
    expected += 2160;  // 1152 samples at 48 kHz
  }
}

TEST(AviFile, CutsPcmIntoTenthsOfASecondWhateverItsChunks) {
  Bytes samples;
  for (int i = 0; i < 9000; ++i) samples.push_back(static_cast<std::uint8_t>(i * 7));
  Bytes movi;
  for (std::size_t at = 0; at < samples.size(); at += 777) {
    const auto from = samples.begin() + static_cast<std::ptrdiff_t>(at);
    const auto size = static_cast<std::ptrdiff_t>(std::min<std::size_t>(777, samples.size() - at));
    Append(&movi, RiffChunk("00wb", Bytes(from, from + size)));
  }
  MediaInfo info;
  const std::vector<Unit> units = ReadUnits(
      MakeAvi({{"auds", "\0\0\0\0", 1, 8000, 0, testing::AudioFormat(1, 8000, 2, 16)}}, movi),
      &info);
  EXPECT_TRUE(Together(units, 0) == samples);
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units[1].pts, 800);
  EXPECT_EQ(units[2].pts, 1600);
  EXPECT_EQ(info.tracks[0].sample_bytes, 2u);
  EXPECT_TRUE(info.tracks[0].little_endian);
  EXPECT_EQ(info.duration, 281250us);  // 2250 samples of each channel
}

TEST(AviFile, ReadsListsOfRecordsAndContinuations) {
  const Bytes first = Mpeg4Coded('I', 0), second = Mpeg4Coded('P', 1), third = Mpeg4Coded('P', 2);
  Bytes movi = RiffList("LIST", "rec ", RiffChunk("00dc", first));
  Append(&movi, RiffChunk("ix00", Bytes(60)));
  Append(&movi, RiffChunk("JUNK", Bytes(33)));
  Append(&movi, RiffChunk("00dc", second));
  Bytes file = MakeAvi({testing::Mpeg4Stream()}, movi);
  Append(&file, RiffChunk("idx1", Bytes(64, '0')));
  Append(&file, RiffList("RIFF", "AVIX", RiffList("LIST", "movi", RiffChunk("00dc", third))));
  const std::vector<Unit> units = ReadUnits(file);
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units[2].data, third);
}

TEST(AviFile, GoesOnBehindDamageAndPlaysWhatARecordingLeft) {
  std::vector<Bytes> pictures;
  for (int i = 0; i < 50; ++i) pictures.push_back(Mpeg4Coded(i % 10 == 0 ? 'I' : 'P', 1));
  const Bytes whole = MakeAvi({testing::Mpeg4Stream()}, VideoChunks(pictures));
  Bytes cut = whole;
  cut.resize(cut.size() - 500);
  EXPECT_THAT(ReadUnits(cut).size(), ::testing::AllOf(::testing::Gt(35u), ::testing::Lt(45u)));
  Bytes torn = whole;
  std::fill_n(torn.begin() + 1200, 100, 0xee);
  EXPECT_THAT(ReadUnits(torn).size(), ::testing::AllOf(::testing::Gt(44u), ::testing::Lt(50u)));
}

TEST(AviFile, BeginsAtZeroAndKeepsWhatTracksAreApart) {
  Bytes movi = RiffChunk("00dc", Mpeg4Coded('I', 0));
  Append(&movi, RiffChunk("01wb", Bytes(1600, 5)));
  testing::AviStreamSpec video = testing::Mpeg4Stream();
  video.start = 50;  // 2 s
  const std::vector<Unit> units = ReadUnits(MakeAvi(
      {video, {"auds", "\0\0\0\0", 1, 8000, 8000, testing::AudioFormat(7, 8000, 1, 8)}}, movi));
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units[0].track, 1u);
  EXPECT_EQ(units[0].pts, 0);
  EXPECT_EQ(units[2].track, 0u);
  EXPECT_EQ(units[2].pts, 90000);
}

TEST(AviFile, LeavesOutWhatNobodyCanPlay) {
  Bytes movi = RiffChunk("00dc", Bytes(50, 1));
  Append(&movi, RiffChunk("01wb", Bytes(1600, 5)));
  MediaInfo info;
  ReadUnits(MakeAvi({{"vids", "cvid", 1, 25, 0, testing::VideoFormat("cvid")},
                     {"auds", "\0\0\0\0", 1, 8000, 0, testing::AudioFormat(6, 8000, 1, 8)},
                     {"auds", "\0\0\0\0", 1, 8000, 0, testing::AudioFormat(0x161, 8000, 1, 8)}},
                    movi),
            &info);
  ASSERT_EQ(info.tracks.size(), 1u);
  EXPECT_EQ(info.tracks[0].codec, Codec::kPcma);
  ASSERT_EQ(info.left_out.size(), 2u);
  EXPECT_THAT(info.left_out[0], HasSubstr("video track 0: the codec 'CVID' has no RTP payload"));
  EXPECT_THAT(info.left_out[1], HasSubstr("audio track 2: the codec 0161 has no RTP payload"));
  const absl::Status none =
      OpenBytes(MakeAvi({{"vids", "cvid", 1, 25, 0, testing::VideoFormat("cvid")}}, movi), "x.avi")
          .status();
  EXPECT_EQ(none.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(none.message()), HasSubstr("no track can be served; video track 0"));
  EXPECT_EQ(OpenBytes(RiffList("RIFF", "AVI ", {}), "x.avi").status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace millrace
