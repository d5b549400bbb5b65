#include "media/ffmpeg_demuxer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iterator>
#include <thread>

#include "core/random.h"
#include "media/bitstream.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

#define NEEDS_FFMPEG() \
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg and ffprobe are not installed"

std::string TestName(const ::testing::TestParamInfo<const char*>& test) {
  std::string name = test.param;
  std::ranges::replace(name, '.', '_');
  return name;
}

bool IsRaw(const std::string& name) {
  return name.ends_with("264") || name.ends_with("265") || name.ends_with("aac");
}
bool IsTransportStream(const std::string& name) { return name.ends_with("ts"); }

class EverySample : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    NEEDS_FFMPEG();
    path_ = Sample(GetParam());
    ASSERT_FALSE(path_.empty());
    auto demuxer = OpenPath(path_);
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    demuxer_ = *std::move(demuxer);
  }
  std::string path_;
  std::unique_ptr<Demuxer> demuxer_;
};

INSTANTIATE_TEST_SUITE_P(Samples, EverySample,
                         ::testing::Values("plain.mp4", "fast.mp4", "opengop.mp4", "vfr.mp4",
                                           "edit.mp4", "frag.mp4", "dash.mp4", "late.mp4",
                                           "intra.mov", "audio.m4a", "video.mp4", "hevc.mp4",
                                           "hev1.mp4", "plain.mkv", "hevc.mkv", "opengop.mkv",
                                           "late.mkv", "live.mkv", "plain.ts", "delay.ts",
                                           "hevc.ts", "opengop.ts", "disc.m2ts", "audio.ts",
                                           "raw.h264", "opengop.264", "raw.h265", "sound.aac"),
                         TestName);

// The bytes an ADTS header takes are ffprobe's but not ours.
std::uint32_t AdtsBytes(const std::string& name, const ProbedStream& stream) {
  const bool adts = (IsTransportStream(name) && stream.type == "audio") || name.ends_with("aac");
  return adts ? 7 : 0;
}

TEST_P(EverySample, GivesEveryPacketWholeAndInOrder) {
  const auto streams = Probe(path_);
  const SeenTracks tracks = ReadAll(demuxer_.get());
  ASSERT_EQ(tracks.size(), streams.size());
  for (const auto& [index, stream] : streams) {
    const auto& units = tracks[static_cast<std::size_t>(index)];
    const std::uint32_t header = AdtsBytes(GetParam(), stream);
    ASSERT_EQ(units.size(), stream.packets.size());
    for (std::size_t i = 0; i < units.size(); ++i) {
      ASSERT_EQ(units[i].size + header, stream.packets[i].size) << i;
      if (header == 0) {
        ASSERT_EQ(units[i].hash, stream.packets[i].hash) << i;
      }
      ASSERT_EQ(units[i].random_access, stream.packets[i].key) << i;
    }
  }
}

// round((ticks * base - origin) * clock), in integers; all in units of 1 / (denominator * 10^4).
std::int64_t Expected(const ProbedStream& stream, std::int64_t ticks, long double origin,
                      std::uint32_t clock) {
  const long double seconds =
      static_cast<long double>(ticks) * stream.base_numerator / stream.base_denominator;
  return static_cast<std::int64_t>(std::floor((seconds - origin) * clock + 0.5L + 1e-9L));
}

TEST_P(EverySample, GivesExactTimesFromNptZero) {
  const std::string name = GetParam();
  if (IsRaw(name)) GTEST_SKIP() << "raw streams have no times";
  const auto streams = Probe(path_);
  long double origin = 1e9L;
  for (const auto& [index, stream] : streams) {
    for (const ProbedPacket& packet : stream.packets) {
      ASSERT_TRUE(packet.pts.has_value());
      origin = std::min(origin, static_cast<long double>(*packet.pts) * stream.base_numerator /
                                    stream.base_denominator);
    }
  }
  const SeenTracks tracks = ReadAll(demuxer_.get());
  std::int64_t least = INT64_MAX;
  for (const auto& [index, stream] : streams) {
    const auto at = static_cast<std::size_t>(index);
    const Track& track = demuxer_->info().tracks[at];
    ASSERT_EQ(tracks[at].size(), stream.packets.size());
    for (std::size_t i = 0; i < tracks[at].size(); ++i) {
      const SeenUnit& unit = tracks[at][i];
      const ProbedPacket& packet = stream.packets[i];
      const std::int64_t pts = Expected(stream, *packet.pts, origin, track.clock_rate);
      least = std::min(least, unit.pts);
      if (stream.type == "video") {
        ASSERT_EQ(unit.pts, pts) << i;
        if (packet.dts && !name.ends_with("mkv")) {
          ASSERT_EQ(unit.dts, Expected(stream, *packet.dts, origin, track.clock_rate)) << i;
        }
      } else {
        if (stream.base_denominator == track.clock_rate) {
          ASSERT_EQ(unit.pts, pts) << i;
          continue;
        }
        // Within a coarse container's rounding, and whole frames apart.
        ASSERT_LE(std::abs(unit.pts - pts), track.clock_rate * 3 / 2000) << i;
        ASSERT_EQ(unit.pts, tracks[at][0].pts + static_cast<std::int64_t>(i) * 1024) << i;
      }
    }
  }
  EXPECT_EQ(least, 0);
}

TEST_P(EverySample, DecodesInOrderAndNeverAfterShowing) {
  for (const auto& units : ReadAll(demuxer_.get())) {
    ASSERT_FALSE(units.empty());
    for (std::size_t i = 0; i < units.size(); ++i) {
      ASSERT_LE(units[i].dts, units[i].pts) << i;
      if (i > 0) {
        ASSERT_LE(units[i - 1].dts, units[i].dts) << i;
      }
    }
    EXPECT_TRUE(units[0].random_access);
  }
}

TEST_P(EverySample, LastsAsLongAsTheContainerSays) {
  const std::string name = GetParam();
  const MediaInfo& info = demuxer_->info();
  Duration last{};
  const SeenTracks tracks = ReadAll(demuxer_.get());
  for (std::size_t i = 0; i < tracks.size(); ++i) {
    for (const SeenUnit& unit : tracks[i]) {
      last = std::max(last, info.tracks[i].DurationFromClock(unit.pts));
    }
  }
  const Duration frame = 34ms;
  EXPECT_GT(info.duration, last);
  EXPECT_LE(info.duration, last + frame + 2ms);
  const std::string said = Output(
      "ffprobe -v error -show_entries format=duration,start_time -of compact=p=0 '" + path_ + "'");
  auto fields = Fields(said.substr(0, said.find('\n')));
  // None of these says it truly: raw streams are guessed at; an edit list leaves out what is
  // decoded only; an audio track's last packet of several frames is counted as one.
  if (IsRaw(name) || name == "edit.mp4" || name == "live.mkv" || name == "audio.ts" ||
      fields["duration"] == "N/A")
    return;
  const double start =
      name.ends_with("mkv") || name == "late.mp4" ? std::stod(fields["start_time"]) : 0;
  // AAC's priming lies before the container's zero.
  EXPECT_NEAR(ToSeconds(info.duration), std::stod(fields["duration"]) - std::max(start, 0.0),
              0.034 + 0.024);
}

TEST_P(EverySample, DescribesItsTracks) {
  const auto streams = Probe(path_);
  const MediaInfo& info = demuxer_->info();
  ASSERT_EQ(info.tracks.size(), streams.size());
  for (const auto& [index, stream] : streams) {
    const Track& track = info.tracks[static_cast<std::size_t>(index)];
    if (stream.type == "audio") {
      EXPECT_EQ(track.codec, Codec::kAac);
      EXPECT_EQ(track.clock_rate, 44100u);
      EXPECT_EQ(track.channels, 1u);
      const auto config = ReadAudioSpecificConfig(track.config);
      ASSERT_TRUE(config.has_value());
      EXPECT_EQ(config->object_type, 2u);
      continue;
    }
    EXPECT_EQ(track.clock_rate, 90000u);
    EXPECT_EQ(track.width, 160u);
    EXPECT_EQ(track.height, 120u);
    const std::string name = GetParam();
    EXPECT_EQ(track.nal_length_size, IsRaw(name) || IsTransportStream(name) ? 0u : 4u);
    EXPECT_EQ(track.codec,
              name.find("hev") == 0 || name == "raw.h265" ? Codec::kH265 : Codec::kH264);
    ASSERT_FALSE(track.sps.empty());
    ASSERT_FALSE(track.pps.empty());
    EXPECT_EQ(track.vps.empty(), track.codec == Codec::kH264);
  }
  EXPECT_TRUE(info.left_out.empty());
}

TEST_P(EverySample, SeeksToTheSameUnitsWhateverWasReadBefore) {
  const SeenTracks whole = ReadAll(demuxer_.get());
  const MediaInfo& info = demuxer_->info();
  AccessUnit unit;
  int round = 0;
  for (Duration time = -100ms; time < info.duration + 400ms; time += 370ms) {
    ASSERT_TRUE(demuxer_->Seek(time).ok());
    if (++round % 3 == 0) {  // go elsewhere first
      for (int i = 0; i < 20 * round; ++i) ASSERT_TRUE(demuxer_->Next(&unit).ok());
      ASSERT_TRUE(demuxer_->Seek(time).ok());
    }
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

TEST_P(EverySample, ListsEveryRandomAccessPointOrNone) {
  const std::string name = GetParam();
  const MediaInfo& info = demuxer_->info();
  const bool complete = !name.ends_with("mkv") && !IsTransportStream(name);
  std::vector<Duration> expected;
  const SeenTracks tracks = ReadAll(demuxer_.get());
  for (std::size_t i = 0; complete && i < tracks.size(); ++i) {
    if (KindOf(info.tracks[i].codec) != MediaKind::kVideo) continue;
    for (const SeenUnit& unit : tracks[i]) {
      if (unit.random_access) expected.push_back(info.tracks[i].DurationFromClock(unit.pts));
    }
  }
  ASSERT_EQ(info.random_access.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    // One is rounded from the container's time, the other from the 90 kHz clock's.
    EXPECT_LE(std::chrono::abs(info.random_access[i] - expected[i]), 6us) << i;
  }
}

// Files long enough that a seek does not begin at the start, some with tracks that begin or end
// alone.
class LongSample : public EverySample {};

INSTANTIATE_TEST_SUITE_P(Samples, LongSample,
                         ::testing::Values("long.mp4", "longfrag.mp4", "long.mkv", "long.ts",
                                           "nocues.mkv", "lateaudio.mkv", "lateaudio.ts",
                                           "skewed.mkv", "latevideo.ts", "endingaudio.mkv",
                                           "endingaudio.ts", "longtheora.ogv", "bigtheora.ogv",
                                           "smalltheora.ogv"),
                         TestName);

TEST_P(LongSample, SeeksToTheSameUnitsWhateverWasReadBefore) {
  const SeenTracks whole = ReadAll(demuxer_.get());
  const MediaInfo& info = demuxer_->info();
  ASSERT_EQ(whole.size(), 2u);
  ASSERT_GT(info.duration, 24s);
  SeededRandom random(41);
  for (int round = 0; round < 60; ++round) {
    const Duration time = Duration(static_cast<std::int64_t>(random.Below(27'000'000'000)));
    ASSERT_TRUE(demuxer_->Seek(time).ok());
    AccessUnit unit;
    // Read on a little or far, to the end or not at all, then compare the next seconds.
    const std::uint64_t some = random.Chance(0.3) ? 0 : random.Below(600);
    for (std::uint64_t i = 0; i < some; ++i) ASSERT_TRUE(demuxer_->Next(&unit).ok());
    ASSERT_TRUE(demuxer_->Seek(time).ok());
    const SeenTracks after = ReadAll(demuxer_.get());
    for (std::size_t track = 0; track < whole.size(); ++track) {
      const Track& described = info.tracks[track];
      const auto due = [&](const SeenUnit& seen) {
        return described.DurationFromClock(seen.dts) >= time;
      };
      std::vector<SeenUnit> expected, found;
      std::ranges::copy_if(whole[track], std::back_inserter(expected), due);
      std::ranges::copy_if(after[track], std::back_inserter(found), due);
      ASSERT_EQ(found.size(), expected.size()) << "track " << track << " at " << ToSeconds(time);
      ASSERT_TRUE(found == expected) << "track " << track << " at " << ToSeconds(time);
    }
  }
}

TEST_P(LongSample, DoesNotReadFromTheStartAgainWhereTheContainerIsIndexed) {
  const std::string name = GetParam();
  if (name == "nocues.mkv" || name == "skewed.mkv")
    GTEST_SKIP() << "it must be read from the start";
  const SeenTracks whole = ReadAll(demuxer_.get());
  ASSERT_TRUE(demuxer_->Seek(demuxer_->info().duration * 85 / 100).ok());
  const SeenTracks after = ReadAll(demuxer_.get());
  EXPECT_LT(after[0].size(), whole[0].size() / 2);
}

// However large the file is, and whether its end alone was looked at.
TEST_P(LongSample, LastsUntilItsLastUnitEnds) {
  const std::string name = GetParam();
  if (!name.ends_with("ogv")) GTEST_SKIP() << "it says how long it is";
  const SeenTracks whole = ReadAll(demuxer_.get());
  const MediaInfo& info = demuxer_->info();
  Duration end{};
  for (std::size_t track = 0; track < whole.size(); ++track) {
    const SeenUnit& last = whole[track].back();
    end = std::max(end, info.tracks[track].DurationFromClock(last.pts + last.duration));
  }
  EXPECT_EQ(info.duration, end);
}

TEST(FfmpegDemuxer, GivesRawVideoTheTimesOfTheFileItCameFrom) {
  NEEDS_FFMPEG();
  for (const auto& [raw, origin] : {std::pair("raw.h264", "video.mp4"),
                                    {"raw.h265", "hevc.mp4"},
                                    {"opengop.264", "opengop.mp4"}}) {
    auto raw_demuxer = OpenPath(Sample(raw));
    auto container = OpenPath(Sample(origin));
    ASSERT_TRUE(raw_demuxer.ok() && container.ok());
    const auto units = ReadAll(raw_demuxer->get()).at(0);
    const auto expected = ReadAll(container->get()).at(0);
    ASSERT_EQ(units.size(), expected.size()) << raw;
    const std::int64_t shift = expected[0].pts - units[0].pts;
    for (std::size_t i = 0; i < units.size(); ++i) {
      ASSERT_EQ(units[i].pts + shift, expected[i].pts) << raw << " " << i;
      ASSERT_EQ(units[i].duration, 3003);
    }
    EXPECT_EQ((*raw_demuxer)->info().duration, 150 * Duration(1001000000) / 30);
  }
}

TEST(FfmpegDemuxer, DeliversTheLastNalUnitOfARawFile) {
  NEEDS_FFMPEG();
  const auto bytes = ReadWhole(Sample("raw.h264"));
  auto demuxer = OpenBytes(bytes, "raw.h264");
  ASSERT_TRUE(demuxer.ok());
  std::vector<std::uint8_t> read;
  AccessUnit unit;
  while ((*demuxer)->Next(&unit).value_or(false)) {
    read.insert(read.end(), unit.data.begin(), unit.data.end());
  }
  EXPECT_EQ(read, bytes);
}

TEST(FfmpegDemuxer, GivesAdtsFramesWithoutTheirHeaders) {
  NEEDS_FFMPEG();
  for (const char* name : {"sound.aac", "plain.ts", "audio.ts"}) {
    auto mp4 = OpenPath(Sample("plain.mp4"));
    auto adts = OpenPath(Sample(name));
    ASSERT_TRUE(mp4.ok() && adts.ok());
    const auto expected = ReadAll(mp4->get()).back();
    const auto units = ReadAll(adts->get()).back();
    ASSERT_EQ(units.size(), expected.size()) << name;
    for (std::size_t i = 0; i < units.size(); ++i) ASSERT_EQ(units[i].hash, expected[i].hash) << i;
    const Bytes& config = (*adts)->info().tracks.back().config;
    EXPECT_THAT(config, ElementsAre(0x12, 0x08)) << name;
  }
}

TEST(FfmpegDemuxer, SkipsAnId3TagAndGarbageBetweenAdtsFrames) {
  NEEDS_FFMPEG();
  auto bytes = ReadWhole(Sample("sound.aac"));
  auto whole = OpenBytes(bytes, "sound.aac");
  ASSERT_TRUE(whole.ok());
  const std::size_t frames = ReadAll(whole->get()).at(0).size();
  std::vector<std::uint8_t> tagged = {'I', 'D', '3', 4, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4, 5};
  tagged.insert(tagged.end(), bytes.begin(), bytes.end());
  auto behind_tag = OpenBytes(tagged, "tagged.aac");
  ASSERT_TRUE(behind_tag.ok()) << behind_tag.status();
  EXPECT_EQ(ReadAll(behind_tag->get()).at(0).size(), frames);
  const auto first = ParseAdts(bytes);
  ASSERT_TRUE(first.has_value());
  const std::size_t at =
      first->frame_bytes + ParseAdts(ByteSpan(bytes).subspan(first->frame_bytes))->frame_bytes;
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), 300, 0xff);
  auto damaged = OpenBytes(bytes, "damaged.aac");
  ASSERT_TRUE(damaged.ok()) << damaged.status();
  // The frame before the garbage is not followed by another, so it is not believed.
  EXPECT_EQ(ReadAll(damaged->get()).at(0).size(), frames - 1);
}

TEST(FfmpegDemuxer, LeavesOutWhatHasNoFormatAndPlaysTheRest) {
  NEEDS_FFMPEG();
  auto demuxer = OpenPath(Sample("mixed.mkv"));
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const MediaInfo& info = (*demuxer)->info();
  ASSERT_EQ(info.tracks.size(), 2u);
  EXPECT_EQ(info.tracks[0].codec, Codec::kH264);
  EXPECT_EQ(info.tracks[1].codec, Codec::kAac);
  EXPECT_THAT(info.left_out,
              ElementsAre(AllOf(StartsWith("audio track 2: flac has no"), HasSubstr("-c:a aac")),
                          AllOf(StartsWith("video track 3: ffv1 has no"), HasSubstr("libx264"))));
  for (const auto& units : ReadAll(demuxer->get())) EXPECT_GT(units.size(), 100u);
}

TEST(FfmpegDemuxer, SaysWhyNothingCanBeServed) {
  NEEDS_FFMPEG();
  const absl::Status status = OpenPath(Sample("nothing.mkv")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("ffv1 has no RTP payload format"));
}

std::vector<std::uint8_t> Text(const std::string& text) { return {text.begin(), text.end()}; }

TEST(FfmpegDemuxer, RefusesWhatIsNotServedMedia) {
  const std::string wave = "RIFF\x24\x10\0\0WAVEfmt ";
  for (const auto& [name, bytes] :
       {std::pair("empty.mp4", std::vector<std::uint8_t>{}),
        {"text.mp4", Text("not a film at all, just a few words\n")},
        {"list.ts", Text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n")},
        {"list.mp4", Text("ffconcat version 1.0\nfile 'other.mp4'\n")},
        {"sound.mkv", Text(wave)},
        {"zeros.h264", std::vector<std::uint8_t>(100000)},
        {"ones.aac", std::vector<std::uint8_t>(100000, 0xff)}}) {
    const auto demuxer = OpenBytes(bytes, name);
    EXPECT_EQ(demuxer.status().code(), absl::StatusCode::kInvalidArgument)
        << name << ": " << demuxer.status();
    EXPECT_FALSE(demuxer.status().message().empty());
  }
}

TEST(FfmpegDemuxer, NeverFollowsADataReferenceToAnotherFile) {
  NEEDS_FFMPEG();
  // The self-contained flag of the first track's data entry is cleared, and its URL names a file.
  auto bytes = ReadWhole(Sample("video.mp4"));
  const std::string entry = "url ";
  const auto at = std::search(bytes.begin(), bytes.end(), entry.begin(), entry.end());
  ASSERT_NE(at, bytes.end());
  *(at + 7) = 0;
  auto demuxer = OpenBytes(bytes, Sample("plain.mp4"));
  // It is either refused or played from its own bytes; nothing else was ever opened.
  if (demuxer.ok()) {
    AccessUnit unit;
    const absl::StatusOr<bool> more = (*demuxer)->Next(&unit);
    EXPECT_TRUE(more.ok() || !more.status().message().empty());
  }
  EXPECT_EQ(Output("ls -l /proc/" + std::to_string(getpid()) + "/fd | grep -c plain.mp4"), "0\n");
}

TEST(FfmpegDemuxer, ClosesItsDescriptorWhateverComesOfIt) {
  NEEDS_FFMPEG();
  const auto count = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  Sample("plain.mp4");
  const auto before = count();
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(OpenPath(Sample("plain.mp4")).ok());
    EXPECT_FALSE(OpenPath("/proc/self/status").ok());
    EXPECT_FALSE(OpenFfmpegDemuxer(-1, "none").ok());
  }
  EXPECT_EQ(count(), before);
}

TEST(FfmpegDemuxer, ServesSeveralThreadsEachItsOwn) {
  NEEDS_FFMPEG();
  const std::string good = Sample("plain.ts"), other = Sample("plain.mkv");
  auto reference = OpenPath(good);
  ASSERT_TRUE(reference.ok());
  const SeenTracks expected = ReadAll(reference->get());
  std::vector<std::thread> threads;
  std::atomic<int> right{0}, refused{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        auto demuxer = OpenPath(good);
        if (demuxer.ok() && ReadAll(demuxer->get()) == expected) ++right;
        if (!OpenBytes({1, 2, 3}, "broken.mp4").ok()) ++refused;
        if (OpenPath(other).ok()) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 40);
  EXPECT_EQ(refused, 20);
}

TEST(FfmpegDemuxer, EndsQuietlyAtTheEndAndStaysThere) {
  NEEDS_FFMPEG();
  for (const char* name : {"plain.mp4", "plain.mkv", "plain.ts", "raw.h264"}) {
    auto demuxer = OpenPath(Sample(name));
    ASSERT_TRUE(demuxer.ok());
    const SeenTracks whole = ReadAll(demuxer->get());
    AccessUnit unit;
    for (int i = 0; i < 3; ++i) EXPECT_FALSE((*demuxer)->Next(&unit).value_or(true)) << name;
    ASSERT_TRUE((*demuxer)->Seek(0s).ok());
    EXPECT_EQ(ReadAll(demuxer->get()), whole) << name;
  }
}

}  // namespace
}  // namespace millrace
