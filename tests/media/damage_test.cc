// Damaged files are the ordinary case: whatever the bytes, opening, reading and seeking end, and
// end without harm. Run under the address sanitizer these tests say the most.
#include <gtest/gtest.h>

#include <chrono>

#include "core/random.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Small enough to be mistreated often.
const Bytes& SmallSample(const std::string& name) {
  static std::map<std::string, Bytes> samples;
  Bytes& bytes = samples[name];
  if (bytes.empty()) {
    bytes = ReadWhole(Sample(name));
  }
  return bytes;
}

// Nothing here has a second thread, so the thread sanitizer has little to find.
#ifdef __SANITIZE_THREAD__
constexpr std::chrono::seconds kTimeMax{1};
#else
constexpr std::chrono::seconds kTimeMax{8};
#endif

struct Outcome {
  bool opened = false;
  std::size_t units = 0;
};

Outcome Play(const Bytes& bytes, const std::string& name) {
  Outcome outcome;
  auto demuxer = OpenBytes(bytes, name);
  if (!demuxer.ok()) {
    EXPECT_FALSE(demuxer.status().message().empty());
    return outcome;
  }
  outcome.opened = true;
  const MediaInfo& info = (*demuxer)->info();
  EXPECT_FALSE(info.tracks.empty());
  EXPECT_GE(info.duration, Duration::zero());
  std::size_t checksum = 0;
  const auto read = [&](std::size_t most) {
    AccessUnit unit;
    for (std::size_t i = 0; i < most; ++i) {
      const absl::StatusOr<bool> more = (*demuxer)->Next(&unit);
      if (!more.value_or(false)) return;
      EXPECT_LT(unit.track, info.tracks.size());
      EXPECT_FALSE(unit.data.empty());
      for (const std::uint8_t byte : unit.data) checksum += byte;  // every byte can be read
      ++outcome.units;
    }
  };
  read(10000);
  for (const Duration time : {Duration(1700ms), Duration(0s), Duration(4s), Duration(3600s)}) {
    static_cast<void>((*demuxer)->Seek(time));
    read(100);
  }
  return outcome;
}

class Damage : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
    whole_ = SmallSample(GetParam());
    ASSERT_FALSE(whole_.empty());
    started_ = std::chrono::steady_clock::now();
  }
  // So that a slow machine runs fewer rounds instead of longer.
  bool TimeLeft() const { return std::chrono::steady_clock::now() - started_ < kTimeMax; }

  Bytes whole_;
  std::chrono::steady_clock::time_point started_;
};

INSTANTIATE_TEST_SUITE_P(Samples, Damage,
                         ::testing::Values("plain.mp4", "fast.mp4", "frag.mp4", "dash.mp4",
                                           "hevc.mp4", "plain.mkv", "hevc.mkv", "plain.ts",
                                           "hevc.ts", "raw.h264", "raw.h265", "sound.aac",
                                           "vorbis.webm", "part2.mp4", "mpeg2.ts", "mpeg2.mkv",
                                           "plain.flv", "opus.ogg", "vorbis.ogg", "sound.mp3",
                                           "sound.ac3", "sound.wav", "sound.aiff"),
                         [](const auto& test) {
                           std::string name = test.param;
                           name[name.find('.')] = '_';
                           return name;
                         });

TEST_P(Damage, AnyTruncationEnds) {
  SeededRandom random(21);
  const Outcome all = Play(whole_, GetParam());
  EXPECT_TRUE(all.opened);
  std::size_t some = 0;
  for (int round = 0; round < 60 && TimeLeft(); ++round) {
    // Half of them in the head, where the structure is.
    const std::size_t most =
        round % 2 == 0 ? std::min<std::size_t>(whole_.size(), 4096) : whole_.size();
    Bytes part(whole_.begin(), whole_.begin() + static_cast<std::ptrdiff_t>(random.Below(most)));
    const Outcome outcome = Play(part, GetParam());
    EXPECT_LE(outcome.units, all.units + 400);
    some += outcome.opened ? 1 : 0;
  }
  // Only an MP4 with its index at the end is lost with any of its tail.
  const std::string name = GetParam();
  if (name != "plain.mp4" && name != "hevc.mp4" && name != "part2.mp4") {
    EXPECT_GT(some, 0u);
  }
}

TEST_P(Damage, FlippedBytesDoNoHarm) {
  SeededRandom random(22);
  std::size_t some = 0;
  for (int round = 0; round < 80 && TimeLeft(); ++round) {
    Bytes damaged = whole_;
    const std::size_t count = 1 + random.Below(round % 4 == 0 ? 200 : 8);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t most =
          random.Chance(0.5) ? std::min<std::size_t>(damaged.size(), 2048) : damaged.size();
      damaged[random.Below(most)] = static_cast<std::uint8_t>(random.Next32());
    }
    some += Play(damaged, GetParam()).opened ? 1 : 0;
  }
  EXPECT_GT(some, 0u);
}

TEST_P(Damage, AHoleOrAnEchoDoesNoHarm) {
  SeededRandom random(23);
  for (int round = 0; round < 40 && TimeLeft(); ++round) {
    Bytes damaged = whole_;
    const std::size_t at = random.Below(damaged.size());
    const std::size_t size = random.Below(damaged.size() - at);
    const auto from = damaged.begin() + static_cast<std::ptrdiff_t>(at);
    const auto to = from + static_cast<std::ptrdiff_t>(size);
    if (round % 3 == 0) {
      std::fill(from, to, 0);
    } else if (round % 3 == 1) {
      damaged.erase(from, to);
    } else {
      const Bytes echo(from, to);
      damaged.insert(damaged.begin() + static_cast<std::ptrdiff_t>(random.Below(damaged.size())),
                     echo.begin(), echo.end());
    }
    Play(damaged, GetParam());
  }
}

TEST(DamageInTheIndex, FlippedBytesDoNoHarm) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const char* name : {"fast.mp4", "edit.mp4", "opengop.mp4"}) {
    const Bytes& whole = SmallSample(name);
    const std::string moov = "moov";
    const auto begin = static_cast<std::size_t>(
        std::search(whole.begin(), whole.end(), moov.begin(), moov.end()) - whole.begin());
    ASSERT_LT(begin, whole.size());
    SeededRandom random(24);
    std::size_t some = 0;
    const auto started = std::chrono::steady_clock::now();
    for (int round = 0; round < 150; ++round) {
      if (std::chrono::steady_clock::now() - started > kTimeMax) break;
      Bytes damaged = whole;
      for (int i = 0; i < 3; ++i) {
        const std::size_t at =
            begin + random.Below(std::min<std::size_t>(5000, whole.size() - begin));
        // Small numbers and extremes reach further into a parser than noise does.
        const std::uint8_t choices[] = {0,    1,    0x7f,
                                        0x80, 0xff, static_cast<std::uint8_t>(random.Next32())};
        damaged[at] = choices[random.Below(6)];
      }
      some += Play(damaged, name).opened ? 1 : 0;
    }
    EXPECT_GT(some, 0u) << name;
  }
}

TEST(DamagedFile, PlaysWhatATruncationLeft) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const char* name : {"fast.mp4", "plain.mkv", "plain.ts", "raw.h264", "sound.aac"}) {
    const Bytes& whole = SmallSample(name);
    auto intact = OpenBytes(whole, name);
    const Bytes half(whole.begin(),
                     whole.begin() + static_cast<std::ptrdiff_t>(whole.size() * 6 / 10));
    auto cut = OpenBytes(half, name);
    ASSERT_TRUE(intact.ok() && cut.ok()) << name << cut.status();
    const SeenTracks expected = ReadAll(intact->get()), left = ReadAll(cut->get());
    ASSERT_EQ(left.size(), expected.size()) << name;
    for (std::size_t track = 0; track < left.size(); ++track) {
      ASSERT_GT(left[track].size(), expected[track].size() / 4) << name;
      ASSERT_LT(left[track].size(), expected[track].size()) << name;
      // All but the last few are what they were.
      for (std::size_t i = 0; i + 20 < left[track].size(); ++i) {
        ASSERT_EQ(left[track][i].hash, expected[track][i].hash) << name << " " << i;
      }
    }
  }
}

TEST(DamagedFile, GoesOnBehindADamagedStretch) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const char* name : {"fast.mp4", "plain.mkv", "plain.ts", "raw.h264"}) {
    Bytes damaged = SmallSample(name);
    auto intact = OpenBytes(damaged, name);
    const std::size_t third = damaged.size() / 3;
    SeededRandom random(25);
    for (std::size_t i = third; i < third + 3000; ++i)
      damaged[i] = static_cast<std::uint8_t>(random.Next32());
    auto demuxer = OpenBytes(damaged, name);
    ASSERT_TRUE(intact.ok() && demuxer.ok()) << name << demuxer.status();
    const SeenTracks expected = ReadAll(intact->get()), left = ReadAll(demuxer->get());
    ASSERT_FALSE(left.at(0).empty()) << name;
    EXPECT_EQ(left[0].back().hash, expected[0].back().hash) << name;
  }
}

}  // namespace
}  // namespace millrace
