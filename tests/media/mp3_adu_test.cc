#include "media/mp3_adu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "media/audio_frame.h"
#include "tests/media/mp3_testing.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using testing::kMp3Kinds;
using testing::MakeMp3;
using testing::Mp3Frame;
using testing::Mp3Kind;

constexpr std::int64_t kDuration = 2160;  // 24 ms

// What becomes of frame `i` when it is added in its time.
std::optional<Bytes> Add(Mp3AduMaker* maker, const std::vector<Mp3Frame>& frames, std::size_t i) {
  const Bytes lent = frames[i].frame;
  const auto unit = maker->Add(lent, static_cast<std::int64_t>(i) * kDuration, kDuration);
  if (!unit) return std::nullopt;
  return Bytes(unit->begin(), unit->end());
}

TEST(Mp3Adu, CollectsTheSoundOfEveryFrame) {
  for (const Mp3Kind& kind : kMp3Kinds) {
    SCOPED_TRACE(kind.what);
    SeededRandom random(3);
    const std::vector<Mp3Frame> frames = MakeMp3(kind, 400, random);
    Mp3AduMaker maker(90000);
    std::size_t reaching = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const std::optional<AudioFrameHeader> header = ParseMpegAudio(frames[i].frame);
      ASSERT_TRUE(header);
      ASSERT_EQ(header->frame_bytes, frames[i].frame.size());
      const std::optional<Bytes> unit = Add(&maker, frames, i);
      ASSERT_TRUE(unit) << i;
      ASSERT_EQ(*unit, frames[i].unit) << i;
      reaching += frames[i].back_bytes > kind.frame_bytes ? 1 : 0;
    }
    if (kind.frame_bytes < 200) {
      EXPECT_GT(reaching, 10u) << "over more than one frame";
    }
  }
}

// Until the frames that are there hold all that one reaches back to.
TEST(Mp3Adu, GivesNothingOfAFrameWhoseSoundBeginsBeforeWhatItKnows) {
  for (const Mp3Kind& kind : kMp3Kinds) {
    SCOPED_TRACE(kind.what);
    SeededRandom random(4);
    const std::vector<Mp3Frame> frames = MakeMp3(kind, 60, random);
    const std::size_t room = kind.frame_bytes -
                             (kind.version_1 ? (kind.mono ? 21 : 36) : (kind.mono ? 13 : 21)) -
                             (kind.checksum ? 2 : 0);
    std::size_t nothing = 0;
    for (std::size_t start = 0; start < 40; ++start) {
      for (const bool forget : {true, false}) {
        Mp3AduMaker maker(90000);
        if (start > 1) {
          // Elsewhere before; or a frame is missing.
          for (std::size_t i = 0; i + 1 < start; ++i) Add(&maker, frames, i);
          if (forget) maker.Forget();
        }
        for (std::size_t i = start; i < frames.size(); ++i) {
          const std::optional<Bytes> unit = Add(&maker, frames, i);
          const bool there = frames[i].back_bytes <= (i - start) * room || start == 0 ||
                             (start == 1 && frames[i].back_bytes == 0);
          ASSERT_EQ(unit.has_value(), there) << start << " " << i;
          ASSERT_TRUE(!unit || *unit == frames[i].unit) << start << " " << i;
          nothing += there ? 0 : 1;
        }
      }
    }
    EXPECT_GT(nothing, 20u);
  }
}

// So that it is the same wherever reading begins.
TEST(Mp3Adu, DoesNotReachBackForEver) {
  SeededRandom random(5);
  const Mp3Kind sparse = {"8 kbit/s at 24 kHz, stereo", false, false, false, 1, 24};
  const std::vector<Mp3Frame> frames = MakeMp3(sparse, 300, random, /*loud_every=*/50);
  constexpr std::size_t kRoom = 24 - 21;
  constexpr std::size_t kFrames = 1000 / 24;
  Mp3AduMaker maker(90000);
  std::size_t beyond = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const bool there = frames[i].back_bytes <= std::min(i, kFrames) * kRoom;
    ASSERT_EQ(Add(&maker, frames, i).has_value(), there) << i;
    beyond += there ? 0 : 1;
  }
  EXPECT_GT(beyond, 0u);
}

TEST(Mp3Adu, GivesOtherLayersAsTheyAre) {
  Bytes layer_2(384, 7);
  layer_2[0] = 0xff, layer_2[1] = 0xfd, layer_2[2] = 0x84, layer_2[3] = 0;
  ASSERT_EQ(ParseMpegAudio(layer_2)->frame_bytes, 384u);
  Mp3AduMaker maker(90000);
  const auto unit = maker.Add(layer_2, 0, kDuration);
  ASSERT_TRUE(unit);
  EXPECT_THAT(*unit, ::testing::ElementsAreArray(layer_2));
}

TEST(Mp3Adu, TakesAnyBytes) {
  SeededRandom random(6);
  std::size_t units = 0;
  for (int round = 0; round < 300; ++round) {
    const Mp3Kind& kind = kMp3Kinds[random.Below(std::size(kMp3Kinds))];
    std::vector<Mp3Frame> frames = MakeMp3(kind, 30, random);
    Mp3AduMaker maker(random.Chance(0.1) ? 1 : 90000);
    for (Mp3Frame& frame : frames) {
      for (std::uint64_t i = random.Below(4); i > 0; --i) {
        frame.frame[random.Below(40)] = static_cast<std::uint8_t>(random.Next32());
      }
      if (random.Chance(0.1)) frame.frame.resize(random.Below(frame.frame.size()));
      frame.frame.shrink_to_fit();
      const auto any = [&random] { return static_cast<std::int64_t>(random.Next64()); };
      const bool wild = random.Chance(0.05);
      units += maker.Add(frame.frame, wild ? any() : 0, wild ? any() : 0) ? 1 : 0;
    }
  }
  EXPECT_GT(units, 500u);
}

TEST(Mp3Adu, TakesTheTracksThatAreMp3) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const auto& [name, codec] :
       {std::pair("part2.avi", Codec::kMp3Adu), std::pair("part2.mkv", Codec::kMp3Adu),
        std::pair("mpeg2.ts", Codec::kMpegAudio)}) {
    SCOPED_TRACE(name);
    auto plain = OpenPath(Sample(name));
    auto robust = OpenPath(Sample(name), AssetView::kRobustAudio);
    ASSERT_TRUE(plain.ok() && robust.ok());
    const SeenTracks as_it_is = ReadAll(plain->get()), units = ReadAll(robust->get());
    for (std::size_t i = 0; i < units.size(); ++i) {
      const Track& track = (*robust)->info().tracks[i];
      if (KindOf(track.codec) != MediaKind::kAudio) {
        EXPECT_EQ(units[i], as_it_is[i]);
        continue;
      }
      EXPECT_EQ(track.codec, codec);
      ASSERT_EQ(units[i].size(), as_it_is[i].size());
      for (std::size_t at = 0; at < units[i].size(); ++at) {
        ASSERT_EQ(units[i][at].pts, as_it_is[i][at].pts);
        ASSERT_EQ(units[i][at].duration, as_it_is[i][at].duration);
      }
    }
  }
}

}  // namespace
}  // namespace millrace
