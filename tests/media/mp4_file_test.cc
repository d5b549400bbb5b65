// Whatever an MP4's own tables are trusted with is the same as what libavformat makes of the file.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/random.h"
#include "media/ffmpeg_mp4_file.h"
#include "media/mp4_tables.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using Bytes = std::vector<std::uint8_t>;

MediaFile FileOf(const Bytes& bytes) {
  const int fd = memfd_create("mp4", MFD_CLOEXEC);
  EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return MediaFile(fd);
}

// Null: not by its tables.
std::unique_ptr<Demuxer> OpenByTables(const Bytes& bytes, AssetView view = AssetView::kTracks) {
  ByteSource source(FileOf(bytes));
  const Mp4Layout layout = ReadMp4Layout(source.file());
  return OpenIndexedMp4(&source, layout, "sample.mp4", view);
}

// A second `moov`, which libavformat passes over, makes a file that its tables are not trusted
// with.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenByLibavformat(Bytes bytes) {
  const Bytes movie = {0, 0, 0, 8, 'm', 'o', 'o', 'v'};
  bytes.insert(bytes.end(), movie.begin(), movie.end());
  EXPECT_EQ(OpenByTables(bytes), nullptr);
  return OpenBytes(bytes, "sample.mp4");
}

auto Described(const Track& track) {
  return std::tuple(track.codec, track.clock_rate, track.bit_rate, track.language, track.width,
                    track.height, track.frame_rate.numerator, track.frame_rate.denominator,
                    track.nal_length_size, track.vps, track.sps, track.pps, track.channels,
                    track.sample_rate, track.config);
}

void ExpectSameInfo(const MediaInfo& info, const MediaInfo& expected) {
  EXPECT_EQ(info.title, expected.title);
  EXPECT_EQ(info.duration, expected.duration);
  EXPECT_EQ(info.random_access, expected.random_access);
  EXPECT_EQ(info.left_out, expected.left_out);
  ASSERT_EQ(info.tracks.size(), expected.tracks.size());
  for (std::size_t i = 0; i < info.tracks.size(); ++i) {
    EXPECT_EQ(Described(info.tracks[i]), Described(expected.tracks[i])) << "track " << i;
  }
}

// Those that Seek(time) promises.
SeenTracks Due(const MediaInfo& info, const SeenTracks& tracks, Duration time) {
  SeenTracks due(tracks.size());
  for (std::size_t i = 0; i < tracks.size(); ++i) {
    for (const SeenUnit& unit : tracks[i]) {
      if (info.tracks[i].DurationFromClock(unit.dts) >= time) due[i].push_back(unit);
    }
  }
  return due;
}

void ExpectSameUnits(const SeenTracks& units, const SeenTracks& expected) {
  ASSERT_EQ(units.size(), expected.size());
  for (std::size_t track = 0; track < units.size(); ++track) {
    ASSERT_EQ(units[track].size(), expected[track].size()) << "track " << track;
    for (std::size_t i = 0; i < units[track].size(); ++i) {
      ASSERT_EQ(units[track][i], expected[track][i]) << "track " << track << " unit " << i;
    }
  }
}

class PlainMp4 : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
    whole_ = ReadWhole(Sample(GetParam()));
    ASSERT_FALSE(whole_.empty());
    by_tables_ = OpenByTables(whole_);
    ASSERT_NE(by_tables_, nullptr) << "not opened by its tables";
    auto opened = OpenByLibavformat(whole_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    by_libavformat_ = *std::move(opened);
  }
  Bytes whole_;
  std::unique_ptr<Demuxer> by_tables_, by_libavformat_;
};

std::string NameOf(const ::testing::TestParamInfo<const char*>& test) {
  std::string name = test.param;
  std::ranges::replace(name, '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    Samples, PlainMp4,
    ::testing::Values("plain.mp4", "fast.mp4", "opengop.mp4", "vfr.mp4", "late.mp4", "intra.mov",
                      "audio.m4a", "video.mp4", "hevc.mp4", "hev1.mp4", "long.mp4", "av1.mp4",
                      "text.mp4", "unedited.mp4", "nobframes.mp4", "negative.mp4", "negative.mov",
                      "bframes.mov", "tagged.mp4", "coarse.mp4", "chapters.mp4", "opus.mp4",
                      "vp9.mp4", "latesound.mp4", "twosounds.mp4", "part2_aac.mp4", "timecode.mov",
                      "part2.mp4", "eac3.mp4", "ac3.mp4", "amr.3gp", "amr_wb.3gp"),
    NameOf);

TEST_P(PlainMp4, IsDescribedAsByLibavformat) {
  ExpectSameInfo(by_tables_->info(), by_libavformat_->info());
  EXPECT_GT(by_tables_->info().duration, 4s);
}

TEST_P(PlainMp4, PlaysAsByLibavformat) {
  const SeenTracks units = ReadAll(by_tables_.get());
  EXPECT_GT(units.at(0).size(), 70u);
  ExpectSameUnits(units, ReadAll(by_libavformat_.get()));
}

TEST_P(PlainMp4, SeeksAsByLibavformat) {
  const MediaInfo& info = by_tables_->info();
  const SeenTracks whole = ReadAll(by_libavformat_.get());
  SeededRandom random(31);
  for (int round = 0; round < 40; ++round) {
    const auto limit = static_cast<std::uint64_t>((info.duration + 1s).count());
    const Duration time = Duration(static_cast<std::int64_t>(random.Below(limit))) - 500ms;
    ASSERT_TRUE(by_tables_->Seek(time).ok());
    AccessUnit unit;
    for (std::uint64_t some = random.Below(200); some > 0; --some) {
      ASSERT_TRUE(by_tables_->Next(&unit).ok());
    }
    ASSERT_TRUE(by_tables_->Seek(time).ok());
    const SeenTracks after = ReadAll(by_tables_.get());
    ExpectSameUnits(Due(info, after, time), Due(info, whole, time));
    if (time > 3s) {
      EXPECT_LT(after.at(0).size(), whole.at(0).size());
    }
  }
}

TEST_P(PlainMp4, GivesTheTracksByTurns) {
  const MediaInfo& info = by_tables_->info();
  std::vector<Duration> reached(info.tracks.size(), Duration::min());
  Duration latest = Duration::min();
  AccessUnit unit;
  while (by_tables_->Next(&unit).value_or(false)) {
    const Duration due = info.tracks[unit.track].DurationFromClock(unit.dts);
    EXPECT_GE(due + 3ms, latest);
    latest = std::max(latest, due);
  }
}

// What is unusual, or wants its data looked at, is left to libavformat, and plays.
class OtherMp4 : public PlainMp4 {
 protected:
  void SetUp() override {
    if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
    whole_ = ReadWhole(Sample(GetParam()));
    ASSERT_FALSE(whole_.empty());
  }
};

INSTANTIATE_TEST_SUITE_P(Samples, OtherMp4,
                         ::testing::Values("frag.mp4", "dash.mp4", "longfrag.mp4", "edit.mp4",
                                           "pcm.mov", "dv.mov", "j2k.mov"),
                         NameOf);

TEST_P(OtherMp4, IsLeftToLibavformat) {
  EXPECT_EQ(OpenByTables(whole_), nullptr);
  auto opened = OpenBytes(whole_, "sample.mp4");
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_GT(ReadAll(opened->get()).at(0).size(), 5u);
}

TEST(IndexedMp4, ShowsNoTextUnlessItIsAskedFor) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const Bytes whole = ReadWhole(Sample("text.mp4"));
  EXPECT_NE(OpenByTables(whole), nullptr);
  EXPECT_EQ(OpenByTables(whole, AssetView::kWithSubtitles), nullptr);
}

// Where the payload of the `nth` box of a type begins; the file's end when there is none.
std::size_t PayloadOf(const Bytes& bytes, const std::string& type, int nth = 0) {
  auto at = bytes.begin();
  for (;; ++at) {
    at = std::search(at, bytes.end(), type.begin(), type.end());
    if (at == bytes.end() || nth-- == 0) break;
  }
  return static_cast<std::size_t>(
      std::min<std::ptrdiff_t>(at - bytes.begin() + 4, static_cast<std::ptrdiff_t>(bytes.size())));
}

void Put32(Bytes* bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) {
    bytes->at(at + i) = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  }
}

// Each a field of a table, by the box and the offset in its payload, that the table is not believed
// with.
TEST(IndexedMp4, BelievesNoTableThatContradictsItself) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const Bytes whole = ReadWhole(Sample("fast.mp4"));
  ASSERT_NE(OpenByTables(whole), nullptr);
  struct Fault {
    const char* box;
    std::size_t field;
    std::uint32_t value;
    const char* what;
  };
  constexpr Fault kFaults[] = {
      {"stsz", 4, 1000, "samples of one size that do not fit"},
      {"stsz", 4, 0x7fffffff, "samples of one size larger than the file"},
      {"stsz", 8, 0, "no samples"},
      {"stsz", 8, 0xffffffff, "more sizes than the box holds"},
      {"stsz", 12, 0, "an empty sample"},
      {"stsz", 12, 0x7fffffff, "a sample larger than the file"},
      {"stts", 4, 0, "no times"},
      {"stts", 4, 0x20000000, "more times than the box holds"},
      {"stts", 8, 0, "a run without samples"},
      {"stts", 8, 1, "times for one sample"},
      {"stts", 8, 0xffffffff, "times for more samples than there are"},
      {"stts", 12, 0x80000000, "a sample that lasts backwards"},
      {"ctts", 4, 0x20000000, "more offsets than the box holds"},
      {"ctts", 8, 0, "a run of offsets without samples"},
      {"ctts", 8, 0x7fffffff, "offsets for more samples than there are"},
      {"ctts", 12, 0x20000000, "an offset of many hours"},
      {"stss", 4, 0, "no random access points"},
      {"stss", 4, 0x40000000, "more random access points than the box holds"},
      {"stss", 8, 0, "a random access point before the first sample"},
      {"stss", 8, 151, "a random access point behind the last sample"},
      {"stss", 8, 26, "the same random access point twice"},
      {"stsc", 4, 0, "no chunks"},
      {"stsc", 8, 2, "chunks without a beginning"},
      {"stsc", 12, 0, "an empty chunk"},
      {"stsc", 12, 0xffffffff, "a chunk of more samples than there are"},
      {"stsc", 16, 2, "samples of another description"},
      {"stco", 4, 0, "no places"},
      {"stco", 4, 0x40000000, "more places than the box holds"},
      {"stco", 8, 0xfffffff0, "a chunk behind the file's end"},
      {"stsd", 4, 2, "two descriptions"},
      {"stsd", 8, 0x300, "a description longer than its box"},
      {"dref", 12 + 4, 0, "samples in another file"},
      {"elst", 4, 2, "more edits than the box holds"},
      {"elst", 4, 0, "fewer edits than the box holds"},
      {"elst", 8, 0, "an edit that shows nothing"},
      {"elst", 12, 0xffffffff, "an empty edit alone"},
      {"elst", 16, 0x8000, "half the speed"},
      {"mdhd", 12, 0, "no clock"},
      {"mvhd", 12, 0, "no clock of the movie"},
  };
  for (const Fault& fault : kFaults) {
    Bytes damaged = whole;
    Put32(&damaged, PayloadOf(damaged, fault.box) + fault.field, fault.value);
    EXPECT_EQ(OpenByTables(damaged), nullptr) << fault.what;
    static_cast<void>(OpenBytes(damaged, "sample.mp4"));  // whatever comes of it, it ends
  }
  // Cut anywhere, what is left is not enough.
  for (std::size_t size = 0; size + 1 < whole.size(); size += whole.size() / 100) {
    EXPECT_EQ(OpenByTables(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))),
              nullptr)
        << size;
  }
}

// Nor where the movie's header is behind its tracks.
TEST(IndexedMp4, WantsTheMoviesHeaderFirst) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  Bytes whole = ReadWhole(Sample("plain.mp4"));
  ASSERT_NE(OpenByTables(whole), nullptr);
  const auto box_at = [&](const char* type) {
    return whole.begin() + static_cast<std::ptrdiff_t>(PayloadOf(whole, type) - 8);
  };
  const auto length = [](auto box) { return box[0] << 24 | box[1] << 16 | box[2] << 8 | box[3]; };
  const auto header = box_at("mvhd"), track = box_at("trak");
  ASSERT_EQ(header + length(header), track);
  std::rotate(header, track, track + length(track));
  EXPECT_EQ(OpenByTables(whole), nullptr);
}

// Tracks may not describe the same bytes again and again.
TEST(ReadMp4Tables, CountsTheSamplesOfAllTracksTogether) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const Bytes whole = ReadWhole(Sample("plain.mp4"));
  const std::size_t size_at = PayloadOf(whole, "stsz") + 4;
  const auto video_has_tables = [&](std::uint32_t common_size) {
    Bytes changed = whole;
    Put32(&changed, size_at, common_size);
    const MediaFile file = FileOf(changed);
    const auto tracks = ReadMp4Tables(file, ReadMp4Layout(file));
    return std::pair(tracks->at(0).tables.has_value(), tracks->at(1).tables.has_value());
  };
  EXPECT_EQ(video_has_tables(1), std::pair(true, true));
  // All of the file is taken by the first.
  const auto all = static_cast<std::uint32_t>(whole.size() / 150);
  EXPECT_FALSE(video_has_tables(all).second && video_has_tables(all).first);
  EXPECT_EQ(video_has_tables(all + 1), std::pair(false, true));
}

// Fields that may have another value: some make another film, and it is the same one either way.
TEST(IndexedMp4, DamagedTablesAreRefusedOrPlayAsByLibavformat) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
#ifdef __SANITIZE_THREAD__
  constexpr int kRounds = 60;  // each takes many times as long
#else
  constexpr int kRounds = 200;
#endif
  SeededRandom random(32);
  int played = 0, refused = 0;
  const char* const names[] = {"fast.mp4", "nobframes.mp4", "negative.mov", "late.mp4", "ac3.mp4"};
  const char* const boxes[] = {"elst", "elst", "stts", "ctts", "stss", "stsc",
                               "stco", "stsz", "mdhd", "mvhd", "tkhd", "stsd"};
  std::vector<Bytes> samples;
  for (const char* const name : names) samples.push_back(ReadWhole(Sample(name)));
  for (int round = 0; round < kRounds; ++round) {
    const char* const name = names[round % 5];
    Bytes damaged = samples[static_cast<std::size_t>(round % 5)];
    const char* const box = boxes[random.Below(std::size(boxes))];
    const std::size_t payload = PayloadOf(damaged, box, static_cast<int>(random.Below(2)));
    const std::size_t at = payload + 4 * random.Below(12);
    if (at + 4 > damaged.size()) continue;
    const std::uint32_t choices[] = {
        0, 1, 2, 3, 1000, 0x7fff, 0x7fffffff, 0xffffffff, 0x10000, random.Next32() % 9000};
    std::uint32_t value = choices[random.Below(std::size(choices))];
    if (random.Chance(0.4)) {  // a little more or less than it was
      const std::uint32_t was = static_cast<std::uint32_t>(damaged[at]) << 24 |
                                static_cast<std::uint32_t>(damaged[at + 1]) << 16 |
                                static_cast<std::uint32_t>(damaged[at + 2]) << 8 | damaged[at + 3];
      value = was + static_cast<std::uint32_t>(random.Below(2000)) - 1000;
    }
    Put32(&damaged, at, value);
    const std::unique_ptr<Demuxer> by_tables = OpenByTables(damaged);
    auto by_libavformat = OpenByLibavformat(damaged);
    if (by_tables == nullptr) {
      ++refused;
      continue;
    }
    ++played;
    SCOPED_TRACE(std::string(name) + " " + box + " " + std::to_string(at - payload) + ": " +
                 std::to_string(value));
    ASSERT_TRUE(by_libavformat.ok()) << by_libavformat.status();
    ExpectSameInfo(by_tables->info(), (*by_libavformat)->info());
    ExpectSameUnits(ReadAll(by_tables.get()), ReadAll(by_libavformat->get()));
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(played, kRounds / 10);
  EXPECT_GT(refused, kRounds / 10);
}

TEST(ReadMp4Tables, TellsATracksTablesAndWhereTheyLie) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const Bytes whole = ReadWhole(Sample("plain.mp4"));
  const MediaFile file = FileOf(whole);
  const auto tracks = ReadMp4Tables(file, ReadMp4Layout(file));
  ASSERT_TRUE(tracks.has_value());
  ASSERT_EQ(tracks->size(), 2u);
  const Mp4Track& video = tracks->front();
  ASSERT_TRUE(video.tables.has_value());
  EXPECT_EQ(video.tables->sizes.size(), 150u);
  EXPECT_EQ(video.tables->timescale, 30000u);
  EXPECT_EQ(video.tables->keys.size(), 6u);
  EXPECT_FALSE(video.tables->all_keys);
  ASSERT_TRUE(video.tables->edit.has_value());
  EXPECT_EQ(video.tables->edit->media_time, 2002);
  std::vector<std::string> types;
  for (const std::uint64_t box : video.boxes) {
    const auto type = whole.begin() + static_cast<std::ptrdiff_t>(box + 4);
    types.emplace_back(type, type + 4);
  }
  std::ranges::sort(types);
  EXPECT_EQ(types, (std::vector<std::string>{"ctts", "stco", "stsc", "stss", "stsz"}));
}

}  // namespace
}  // namespace millrace
