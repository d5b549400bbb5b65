// The codecs and containers beside H.264, H.265 and AAC in MP4, Matroska and MPEG-TS: described,
// read whole, and the same after every seek.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/random.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

struct Expected {
  const char* name;
  std::vector<Codec> codecs;
  std::uint32_t audio_clock = 0;
  // Ticks from one audio unit to the next where all are as long; 0: they differ.
  std::int64_t audio_step = 0;
  // ffprobe frames it as we do.
  bool framed_alike = true;
  friend void PrintTo(const Expected& expected, std::ostream* out) { *out << expected.name; }
};

const std::vector<Expected>& AllExpected() {
  static const std::vector<Expected> all = {
      {"vorbis.webm", {Codec::kVp8, Codec::kVorbis}, 44100},
      {"opus.webm", {Codec::kVp9, Codec::kOpus}, 48000, 960},
      {"av1.mp4", {Codec::kAv1}},
      {"av1.mkv", {Codec::kAv1}},
      {"part2.mp4", {Codec::kMpeg4Video, Codec::kMpegAudio}, 90000},
      {"part2.mkv", {Codec::kMpeg4Video, Codec::kMpegAudio}, 90000},
      {"mpeg2.ts", {Codec::kMpegVideo, Codec::kMpegAudio}, 90000},
      {"mpeg2.mkv", {Codec::kMpegVideo, Codec::kAc3}, 48000, 1536},
      {"plain.flv", {Codec::kH264, Codec::kAac}, 44100, 1024},
      {"mp3.flv", {Codec::kH264, Codec::kMpegAudio}, 90000},
      {"late.flv", {Codec::kH264, Codec::kAac}, 44100, 1024},
      {"opus.ogg", {Codec::kOpus}, 48000, 960},
      {"vorbis.ogg", {Codec::kVorbis}, 44100},
      {"sound.mp3", {Codec::kMpegAudio}, 90000},
      {"sound.ac3", {Codec::kAc3}, 44100, 1536},
      {"sound.wav", {Codec::kLinearPcm}, 44100, 4410, false},
      {"sound.aiff", {Codec::kLinearPcm}, 44100, 4410, false},
      {"sound.au", {Codec::kPcmu}, 8000, 4096, false},
      {"pcm.mov", {Codec::kH264, Codec::kLinearPcm}, 44100},
  };
  return all;
}

class EveryFormat : public ::testing::TestWithParam<Expected> {
 protected:
  void SetUp() override {
    if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg and ffprobe are not installed";
    path_ = Sample(GetParam().name);
    ASSERT_FALSE(path_.empty());
    auto demuxer = OpenPath(path_);
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    demuxer_ = *std::move(demuxer);
  }
  std::string path_;
  std::unique_ptr<Demuxer> demuxer_;
};

INSTANTIATE_TEST_SUITE_P(Samples, EveryFormat, ::testing::ValuesIn(AllExpected()),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

TEST_P(EveryFormat, IsDescribed) {
  const MediaInfo& info = demuxer_->info();
  ASSERT_EQ(info.tracks.size(), GetParam().codecs.size());
  EXPECT_TRUE(info.left_out.empty());
  EXPECT_NEAR(ToSeconds(info.duration), 5, 0.15);
  for (const Track& track : info.tracks) {
    EXPECT_THAT(GetParam().codecs, ::testing::Contains(track.codec));
    if (KindOf(track.codec) == MediaKind::kVideo) {
      EXPECT_EQ(track.clock_rate, 90000u);
      const bool has_config = track.codec == Codec::kMpeg4Video || track.codec == Codec::kAv1;
      EXPECT_EQ(track.config.empty(), !has_config);
    } else {
      EXPECT_EQ(track.clock_rate, GetParam().audio_clock);
      EXPECT_EQ(track.channels, 1u);
    }
  }
}

TEST_P(EveryFormat, GivesEveryPacketWholeAndInOrder) {
  if (!GetParam().framed_alike) GTEST_SKIP() << "cut into units of our own";
  const auto streams = Probe(path_);
  const SeenTracks tracks = ReadAll(demuxer_.get());
  ASSERT_EQ(tracks.size(), streams.size());
  const bool adts = std::string(GetParam().name).ends_with("aac");
  for (const auto& [index, stream] : streams) {
    const auto& units = tracks[static_cast<std::size_t>(index)];
    ASSERT_EQ(units.size(), stream.packets.size());
    for (std::size_t i = 0; !adts && i < units.size(); ++i) {
      ASSERT_EQ(units[i].size, stream.packets[i].size) << i;
      ASSERT_EQ(units[i].hash, stream.packets[i].hash) << i;
    }
  }
}

TEST_P(EveryFormat, GivesSamplesTheirExactTimes) {
  const MediaInfo& info = demuxer_->info();
  const SeenTracks tracks = ReadAll(demuxer_.get());
  for (std::size_t i = 0; i < tracks.size(); ++i) {
    ASSERT_FALSE(tracks[i].empty());
    const bool audio = KindOf(info.tracks[i].codec) == MediaKind::kAudio;
    for (std::size_t at = 0; at < tracks[i].size(); ++at) {
      const SeenUnit& unit = tracks[i][at];
      ASSERT_LE(unit.dts, unit.pts) << at;
      if (at == 0) continue;
      const SeenUnit& before = tracks[i][at - 1];
      ASSERT_LE(before.dts, unit.dts) << at;
      if (audio && GetParam().audio_step != 0) {
        ASSERT_EQ(unit.pts - before.pts, GetParam().audio_step) << at;
      }
      if (audio && info.tracks[i].codec == Codec::kMpegAudio) {  // 1152 at 44.1 kHz: 2351.02
        ASSERT_EQ((unit.pts - tracks[i][0].pts),
                  static_cast<std::int64_t>(static_cast<double>(at) * 1152 * 90000 / 44100 + 0.5))
            << at;
      }
    }
    EXPECT_TRUE(tracks[i][0].random_access);
  }
}

TEST_P(EveryFormat, SeeksToTheSameUnitsWhateverWasReadBefore) {
  const SeenTracks whole = ReadAll(demuxer_.get());
  const MediaInfo& info = demuxer_->info();
  SeededRandom random(42);
  AccessUnit unit;
  for (Duration time = -100ms; time < info.duration + 400ms; time += 370ms) {
    ASSERT_TRUE(demuxer_->Seek(time).ok());
    const std::uint64_t some = random.Chance(0.5) ? 0 : random.Below(300);
    for (std::uint64_t i = 0; i < some; ++i) ASSERT_TRUE(demuxer_->Next(&unit).ok());
    ASSERT_TRUE(demuxer_->Seek(time).ok());
    const SeenTracks after = ReadAll(demuxer_.get());
    for (std::size_t track = 0; track < whole.size(); ++track) {
      const auto due = [&](const std::vector<SeenUnit>& units) {
        std::vector<SeenUnit> kept;
        for (const SeenUnit& seen : units) {
          if (info.tracks[track].DurationFromClock(seen.dts) >= time) kept.push_back(seen);
        }
        return kept;
      };
      ASSERT_EQ(due(after[track]), due(whole[track]))
          << "track " << track << " at " << ToSeconds(time);
    }
  }
}

// Streams that no header names are not there when the file has just been opened again.
TEST_P(EveryFormat, SeeksTwiceWithoutReading) {
  const SeenTracks whole = ReadAll(demuxer_.get());
  for (const Duration time : {Duration(0s), Duration(3s), Duration(0s), Duration(4s)}) {
    ASSERT_TRUE(demuxer_->Seek(time).ok());
  }
  const SeenTracks after = ReadAll(demuxer_.get());
  ASSERT_EQ(after.size(), whole.size());
  for (std::size_t track = 0; track < whole.size(); ++track) {
    ASSERT_FALSE(after[track].empty());
    EXPECT_EQ(after[track].back(), whole[track].back());
  }
}

TEST(Formats, TakeTitlesAndLanguages) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  auto demuxer = OpenPath(Sample("sound.wav"));
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  EXPECT_EQ((*demuxer)->info().title, "sine");
  demuxer = OpenPath(Sample("tagged.mp3"));
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  EXPECT_EQ((*demuxer)->info().title, "tagged");
  demuxer = OpenPath(Sample("tagged.mkv"));
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  EXPECT_EQ((*demuxer)->info().title, "tagged");
  ASSERT_EQ((*demuxer)->info().tracks.size(), 2u);
  EXPECT_EQ((*demuxer)->info().tracks[0].language, "");
  EXPECT_EQ((*demuxer)->info().tracks[1].language, "ger");
  EXPECT_NEAR((*demuxer)->info().tracks[0].frame_rate.numerator * 1.0 /
                  (*demuxer)->info().tracks[0].frame_rate.denominator,
              29.97, 0.01);
}

TEST(Formats, SayWhatToDoWithAnotherKindOfFile) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const absl::Status status = OpenPath(Sample("sound.flac")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("ffmpeg -i FILE"));
}

TEST(Formats, RefuseAHeaderWithoutSamples) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const std::vector<std::uint8_t> whole = ReadWhole(Sample("sound.wav"));
  ASSERT_GT(whole.size(), 100u);
  std::string why;
  for (const std::size_t size : {12, 40, 44, 60, 78, 79}) {
    auto demuxer =
        OpenBytes({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}, "sound.wav");
    if (!demuxer.ok()) why = std::string(demuxer.status().message());
  }
  EXPECT_FALSE(why.empty());
}

}  // namespace
}  // namespace millrace
