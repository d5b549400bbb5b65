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
  AssetView view = AssetView::kTracks;
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
      {"mpeg1.mpg", {Codec::kMpegVideo, Codec::kMpegAudio}, 90000},
      {"mpeg2.mpg", {Codec::kMpegVideo, Codec::kMpegAudio}, 90000},
      {"disc.vob", {Codec::kMpegVideo, Codec::kAc3}, 48000, 1536},
      {"part2.avi", {Codec::kMpeg4Video, Codec::kMpegAudio}, 90000},
      {"part2_ac3.avi", {Codec::kMpeg4Video, Codec::kAc3}, 48000, 1536},
      {"jpeg.avi", {Codec::kMotionJpeg, Codec::kLinearPcm}, 44100, 4410, false},
      {"h264.avi", {Codec::kH264, Codec::kAac}, 44100, 1024},
      {"raw.m4e", {Codec::kMpeg4Video}},
      {"raw.m2v", {Codec::kMpegVideo}},
      {"raw.m1v", {Codec::kMpegVideo}},
      {"part2.asf", {Codec::kMpeg4Video, Codec::kMpegAudio}, 90000},
      {"h264_pcm.asf", {Codec::kH264, Codec::kLinearPcm}, 44100},
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
      {"sound.eac3", {Codec::kEac3}, 44100, 1536},
      {"eac3.mp4", {Codec::kH264, Codec::kEac3}, 44100, 1536},
      {"eac3.mkv", {Codec::kH264, Codec::kEac3}, 44100, 1536},
      {"eac3.ts", {Codec::kH264, Codec::kEac3}, 44100, 1536},
      {"programs.ec3", {Codec::kEac3}, 48000, 1536, false},
      {"substreams.ts", {Codec::kEac3}, 48000, 1536},
      {"speech.amr", {Codec::kAmr}, 8000, 160},
      {"speech.awb", {Codec::kAmrWb}, 16000, 320},
      {"amr.3gp", {Codec::kAmr}, 8000, 160},
      {"amr_wb.3gp", {Codec::kAmrWb}, 16000, 320},
      {"amr.mkv", {Codec::kAmr}, 8000, 160},
      {"text.mp4", {Codec::kT140, Codec::kH264}, 0, 0, false, AssetView::kWithSubtitles},
      {"subrip.mkv", {Codec::kT140, Codec::kH264}, 0, 0, false, AssetView::kWithSubtitles},
      {"advanced.mkv", {Codec::kT140, Codec::kH264}, 0, 0, false, AssetView::kWithSubtitles},
      {"klv.ts", {Codec::kH264, Codec::kKlv}, 0, 0, false},
      {"klv_async.ts", {Codec::kH264, Codec::kKlv}, 0, 0, false},
      {"g722.wav", {Codec::kG722}, 8000, 4096, false},
      {"g722.mka", {Codec::kG722}, 8000, 160},
      {"g726.wav", {Codec::kG726}, 8000, 1024, false},
      {"g726_24.wav", {Codec::kG726}, 8000, 1360, false},
      {"g726.mkv", {Codec::kH264, Codec::kG726}, 8000},
      {"speex.ogg", {Codec::kSpeex}, 16000, 320},
      {"speex_3.ogg", {Codec::kSpeex}, 8000, 480},
      {"latm.ts", {Codec::kAacLatm}, 44100, 1024, false},
      {"bare.loas", {Codec::kAacLatm}, 44100, 1024, false},
      {"told_once.loas", {Codec::kAacLatm}, 44100, 1024, false},
      {"sound.mp3", {Codec::kMp3Adu}, 90000, 0, false, AssetView::kRobustAudio},
      {"mp3.flv", {Codec::kH264, Codec::kMp3Adu}, 90000, 0, false, AssetView::kRobustAudio},
      {"part2.mp4", {Codec::kMpeg4Video, Codec::kMp3Adu}, 90000, 0, false, AssetView::kRobustAudio},
      {"part2.asf", {Codec::kMpeg4Video, Codec::kMp3Adu}, 90000, 0, false, AssetView::kRobustAudio},
      {"mpeg2.ts", {Codec::kMpegVideo, Codec::kMpegAudio}, 90000, 0, true, AssetView::kRobustAudio},
      {"vvc1.mp4", {Codec::kH266}},
      {"vvi1.mp4", {Codec::kH266}},
      {"h263.3gp", {Codec::kH263, Codec::kAac}, 44100, 1024},
      {"h263p.mov", {Codec::kH263}},
      {"h263.mkv", {Codec::kH263, Codec::kAac}, 44100, 1024},
      {"sound.dv", {Codec::kDv}, 0, 0, false},
      {"dv.mov", {Codec::kDv}},
      {"dv.mkv", {Codec::kDv}},
      {"dv50.mov", {Codec::kDv}},
      {"j2k.mov", {Codec::kJpeg2000}},
      {"j2k.mkv", {Codec::kJpeg2000}},
      {"jp2.mov", {Codec::kJpeg2000}, 0, 0, false},
      {"theora.ogv", {Codec::kTheora, Codec::kVorbis}, 44100},
      {"theora.mkv", {Codec::kTheora, Codec::kVorbis}, 44100},
  };
  return all;
}

// Seeks in steps, after having read some or nothing.
void ExpectTheSameUnitsAfterEverySeek(Demuxer* demuxer, Duration step) {
  const SeenTracks whole = ReadAll(demuxer);
  const MediaInfo& info = demuxer->info();
  SeededRandom random(42);
  AccessUnit unit;
  for (Duration time = -100ms; time < info.duration + 400ms; time += step) {
    ASSERT_TRUE(demuxer->Seek(time).ok());
    const std::uint64_t some = random.Chance(0.5) ? 0 : random.Below(300);
    for (std::uint64_t i = 0; i < some; ++i) ASSERT_TRUE(demuxer->Next(&unit).ok());
    ASSERT_TRUE(demuxer->Seek(time).ok());
    const SeenTracks after = ReadAll(demuxer);
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

class EveryFormat : public ::testing::TestWithParam<Expected> {
 protected:
  void SetUp() override {
    if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg and ffprobe are not installed";
    path_ = Sample(GetParam().name);
    ASSERT_FALSE(path_.empty());
    auto demuxer = OpenPath(path_, GetParam().view);
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
                           const bool robust = test.param.view == AssetView::kRobustAudio;
                           return robust ? name + "_robust" : name;
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
      const bool has_config = track.codec == Codec::kMpeg4Video || track.codec == Codec::kAv1 ||
                              track.codec == Codec::kTheora || track.codec == Codec::kDv ||
                              track.codec == Codec::kJpeg2000;
      EXPECT_EQ(track.config.empty(), !has_config);
    } else if (KindOf(track.codec) == MediaKind::kAudio) {
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
  ExpectTheSameUnitsAfterEverySeek(demuxer_.get(), 370ms);
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

// In these, a seek leaves the start behind.
TEST(Formats, SeekInLongFilesToTheSameUnits) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const auto& [name, view] :
       {std::pair("long.vob", AssetView::kTracks), std::pair("long.asf", AssetView::kTracks),
        std::pair("long.asf", AssetView::kRobustAudio)}) {
    SCOPED_TRACE(name);
    auto demuxer = OpenPath(Sample(name), view);
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    EXPECT_NEAR(ToSeconds((*demuxer)->info().duration), 25, 0.3);
    ExpectTheSameUnitsAfterEverySeek(demuxer->get(), 1370ms);
  }
}

// Where the container has times for some pictures only, or none.
TEST(Formats, TimePicturesThatHaveNoTimeEvenly) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const char* name : {"mpeg1.mpg", "mpeg2.mpg", "disc.vob", "part2.avi", "part2_ac3.avi",
                           "jpeg.avi", "h264.avi", "raw.m4e", "raw.m2v", "raw.m1v"}) {
    SCOPED_TRACE(name);
    auto demuxer = OpenPath(Sample(name));
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    std::vector<std::int64_t> times;
    const SeenTracks tracks = ReadAll(demuxer->get());
    for (const SeenUnit& unit : tracks[0]) times.push_back(unit.pts);
    ASSERT_EQ(times.size(), 150u);
    std::ranges::sort(times);
    for (std::size_t i = 1; i < times.size(); ++i) ASSERT_EQ(times[i] - times[i - 1], 3003) << i;
  }
}

TEST(Formats, LeaveOutWindowsMediaAndPlayTheRest) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  auto demuxer = OpenPath(Sample("windows.asf"));
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const MediaInfo& info = (*demuxer)->info();
  ASSERT_EQ(info.tracks.size(), 1u);
  EXPECT_EQ(info.tracks[0].codec, Codec::kMpegAudio);
  ASSERT_EQ(info.left_out.size(), 1u);
  EXPECT_THAT(info.left_out[0], HasSubstr("video track 0: wmv2 has no RTP payload format"));
}

// It tells no rate.
TEST(Formats, GiveRawMotionJpegTwentyFivePicturesASecond) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const std::string path = Sample("raw.mjpeg");
  auto demuxer = OpenPath(path);
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  ASSERT_EQ((*demuxer)->info().tracks.size(), 1u);
  EXPECT_EQ((*demuxer)->info().tracks[0].codec, Codec::kMotionJpeg);
  EXPECT_EQ((*demuxer)->info().duration, 6s);
  const SeenTracks tracks = ReadAll(demuxer->get());
  ASSERT_EQ(tracks[0].size(), 150u);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < 150; ++i) {
    EXPECT_EQ(tracks[0][i].pts, static_cast<std::int64_t>(i) * 3600);
    EXPECT_TRUE(tracks[0][i].random_access);
    bytes += tracks[0][i].size;
  }
  EXPECT_EQ(bytes, ReadWhole(path).size());
  ASSERT_TRUE((*demuxer)->Seek(0s).ok());
  ExpectTheSameUnitsAfterEverySeek(demuxer->get(), 370ms);
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
