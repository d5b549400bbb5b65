// Playlists of made-up files, where every time is known, and of real ones in a served folder.
#include "media/playlist_demuxer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "core/random.h"
#include "media/catalog.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::int64_t kFrame = 3003;        // 29.97 a second
constexpr std::uint32_t kAudioRate = 44100;  // no whole number of samples in a frame

struct FakeFile {
  MediaInfo info;
  std::vector<AccessUnit> units;
  AssetIdentity identity;
};

// `frames` of video whose decoding begins `reorder` frames early, and audio to the same end.
FakeFile MakeFile(int frames, int reorder, std::uint64_t inode) {
  FakeFile file;
  Track video;
  video.sps = {{0x67, 1}};
  Track audio;
  audio.codec = Codec::kAac;
  audio.clock_rate = kAudioRate;
  audio.channels = 2;
  file.info.tracks = {video, audio};
  file.identity = {.device = 1, .inode = inode, .size = 1000, .modified_ns = 5};
  const std::int64_t end = frames * kFrame;
  for (std::int64_t i = 0; i < frames; ++i) {
    const std::int64_t dts = (i - reorder) * kFrame;
    file.units.push_back({.track = 0,
                          .pts = std::max<std::int64_t>(i * kFrame, 0),
                          .dts = dts,
                          .duration = kFrame,
                          .random_access = i % 10 == 0});
  }
  const std::int64_t audio_end = end * kAudioRate / 90000;
  for (std::int64_t at = 0; at < audio_end; at += 1024) {
    file.units.push_back(
        {.track = 1, .pts = at, .dts = at, .duration = 1024, .random_access = true});
  }
  std::ranges::stable_sort(file.units, {}, [&file](const AccessUnit& unit) {
    return file.info.tracks[unit.track].DurationFromClock(unit.dts);
  });
  file.info.duration = file.info.tracks[0].DurationFromClock(end);
  for (std::int64_t i = 0; i < frames; i += 10) {
    file.info.random_access.push_back(file.info.tracks[0].DurationFromClock(i * kFrame));
  }
  return file;
}

class FakeDemuxer final : public Demuxer {
 public:
  FakeDemuxer(const FakeFile& file, int* open) : file_(file), open_(open) { ++*open_; }
  ~FakeDemuxer() override { --*open_; }
  const MediaInfo& info() const override { return file_.info; }
  absl::Status Seek(Duration time) override {
    for (next_ = 0; next_ < file_.units.size(); ++next_) {
      const AccessUnit& unit = file_.units[next_];
      if (file_.info.tracks[unit.track].DurationFromClock(unit.dts) >= time) break;
    }
    return absl::OkStatus();
  }
  absl::StatusOr<bool> Next(AccessUnit* unit) override {
    if (next_ == file_.units.size()) return false;
    *unit = file_.units[next_++];
    return true;
  }

 private:
  const FakeFile file_;
  int* const open_;
  std::size_t next_ = 0;
};

class FakeLibrary final : public Library {
 public:
  absl::StatusOr<std::unique_ptr<Demuxer>> Open(std::string_view path) override {
    ++opens;
    if (!failure.ok()) return failure;
    const auto file = files.find(std::string(path));
    if (file == files.end()) return absl::NotFoundError(std::string(path) + ": gone");
    auto demuxer = std::make_unique<FakeDemuxer>(file->second, &open_now);
    open_most = std::max(open_most, open_now);
    return demuxer;
  }
  absl::StatusOr<AssetIdentity> Identify(std::string_view path) override {
    const auto file = files.find(std::string(path));
    if (file == files.end()) return absl::NotFoundError(std::string(path) + ": gone");
    return file->second.identity;
  }

  std::map<std::string, FakeFile> files;
  int opens = 0, open_now = 0, open_most = 0;
  absl::Status failure;  // of every Open
};

class HandClock final : public Clock {
 public:
  Instant Now() const override { return now; }
  WallTime Wall() const override { return WallTime(now.time_since_epoch()); }
  Instant now{};
};

class PlaylistDemuxerTest : public ::testing::Test {
 protected:
  PlaylistDemuxerTest() {
    library_.files["a"] = MakeFile(31, 0, 1);
    library_.files["b"] = MakeFile(20, 2, 2);
    library_.files["c"] = MakeFile(47, 1, 3);
    library_.files["short"] = MakeFile(1, 4, 4);
  }
  absl::StatusOr<std::unique_ptr<Demuxer>> Open(const std::string& text) {
    return plans_.Open(&library_, "list.m3u", kFile, text);
  }
  std::string Why(const std::string& text) {
    const auto demuxer = Open(text);
    EXPECT_EQ(demuxer.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(demuxer.status().message());
  }

  static constexpr AssetIdentity kFile = {.device = 1, .inode = 9, .size = 10, .modified_ns = 7};
  FakeLibrary library_;
  HandClock clock_;
  PlaylistPlans plans_{&clock_};
};

TEST_F(PlaylistDemuxerTest, PutsEachFileWhereTheOneBeforeEnds) {
  auto demuxer = Open("#PLAYLIST:All\na\nb\nc\n");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const MediaInfo& info = (*demuxer)->info();
  EXPECT_EQ(info.title, "All");
  EXPECT_EQ(info.duration, library_.files["a"].info.duration + library_.files["b"].info.duration +
                               library_.files["c"].info.duration);
  const SeenTracks seen = ReadAll(demuxer->get());
  ASSERT_EQ(seen[0].size(), 98u);
  for (std::size_t i = 0; i < seen[0].size(); ++i) {
    EXPECT_EQ(seen[0][i].pts, static_cast<std::int64_t>(i) * kFrame);
    EXPECT_LE(seen[0][i].dts, seen[0][i].pts);
    if (i > 0) {
      EXPECT_GE(seen[0][i].dts, seen[0][i - 1].dts) << i;
    }
  }
  // b's decoding begins two frames before its first time: what of a was due later is due then.
  EXPECT_EQ(seen[0][30].dts, 29 * kFrame);
  EXPECT_EQ(seen[0][31].dts, 29 * kFrame);
  // The audio of b begins when its video does, to the nearest sample.
  const std::size_t first_of_b = (31 * kFrame * kAudioRate / 90000 + 1023) / 1024;
  EXPECT_EQ(seen[1][first_of_b].pts, (31 * kFrame * kAudioRate + 45000) / 90000);
  EXPECT_GT(seen[1][first_of_b].pts, seen[1][first_of_b - 1].pts);
  EXPECT_EQ(library_.open_most, 1);
}

TEST_F(PlaylistDemuxerTest, ListsWhereDecodingCanStart) {
  auto demuxer = Open("b\nb\n");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const MediaInfo& info = (*demuxer)->info();
  std::vector<std::int64_t> frames;
  for (const Duration time : info.random_access) {
    frames.push_back(info.tracks[0].ClockFromDuration(time) / kFrame);
    EXPECT_EQ(info.tracks[0].DurationFromClock(frames.back() * kFrame), time);
  }
  EXPECT_THAT(frames, ElementsAre(0, 10, 20, 30));
  library_.files["c"].info.random_access.clear();
  demuxer = Open("b\nc\nb\n");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  EXPECT_TRUE((*demuxer)->info().random_access.empty());
}

TEST_F(PlaylistDemuxerTest, DoesNotDriftOverAThousandFiles) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += i % 2 == 0 ? "a\n" : "b\n";
  auto demuxer = Open(text);
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  EXPECT_EQ(library_.opens, 2);  // looked through once each
  const SeenTracks seen = ReadAll(demuxer->get());
  ASSERT_EQ(seen[0].size(), 500u * 51);
  // 500 * 51 frames, to the tick, but for what the durations in nanoseconds are rounded by.
  EXPECT_EQ(seen[0].back().pts, (500 * 51 - 1) * kFrame);
  const std::size_t audio_of_a = (31 * kFrame * kAudioRate / 90000 + 1023) / 1024;
  const std::size_t audio_of_b = (20 * kFrame * kAudioRate / 90000 + 1023) / 1024;
  ASSERT_EQ(seen[1].size(), 500 * (audio_of_a + audio_of_b));
  for (std::size_t pair = 0; pair < 500; ++pair) {
    const SeenUnit& audio = seen[1][pair * (audio_of_a + audio_of_b)];
    const SeenUnit& video = seen[0][pair * 51];
    EXPECT_NEAR(static_cast<double>(audio.pts) / kAudioRate, static_cast<double>(video.pts) / 90000,
                0.6 / kAudioRate);
  }
}

TEST_F(PlaylistDemuxerTest, SeeksToTheSameUnitsWhateverWasReadBefore) {
  // One frame that is decoded four early lies wholly beside its neighbours.
  auto demuxer = Open("a\nb\nshort\nshort\nc\nb\n");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const MediaInfo& info = (*demuxer)->info();
  const SeenTracks whole = ReadAll(demuxer->get());
  ASSERT_EQ(whole[0].size(), 31u + 20 + 1 + 1 + 47 + 20);
  SeededRandom random(7);
  AccessUnit unit;
  for (Duration time = -200ms; time < info.duration + 300ms; time += 11ms) {
    ASSERT_TRUE((*demuxer)->Seek(time).ok());
    for (std::uint64_t i = random.Below(60); i > 0; --i) ASSERT_TRUE((*demuxer)->Next(&unit).ok());
    ASSERT_TRUE((*demuxer)->Seek(time).ok());
    const SeenTracks after = ReadAll(demuxer->get());
    for (std::size_t track = 0; track < whole.size(); ++track) {
      const auto due = [&](const std::vector<SeenUnit>& units) {
        std::vector<SeenUnit> kept;
        for (const SeenUnit& seen : units) {
          if (info.tracks[track].DurationFromClock(seen.dts) >= time) kept.push_back(seen);
        }
        return kept;
      };
      ASSERT_EQ(due(after[track]), due(whole[track])) << track << " at " << ToSeconds(time);
    }
  }
  EXPECT_EQ(library_.open_most, 1);
}

TEST_F(PlaylistDemuxerTest, SeeksToTheExactTimeOfEveryUnit) {
  auto demuxer = Open("a\nb\nshort\nc\n");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const Track video = (*demuxer)->info().tracks[0];
  const std::vector<SeenUnit> whole = ReadAll(demuxer->get())[0];
  for (std::size_t i = 0; i < whole.size(); ++i) {
    ASSERT_TRUE((*demuxer)->Seek(video.DurationFromClock(whole[i].dts)).ok());
    EXPECT_THAT(ReadAll(demuxer->get())[0], ::testing::Contains(whole[i])) << i;
  }
}

TEST_F(PlaylistDemuxerTest, LeavesOutWhatAHeaderLeavesNoTimeFor) {
  library_.files["a"].info.duration /= 2;
  auto demuxer = Open("a\nb\na\n");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const SeenTracks seen = ReadAll(demuxer->get());
  EXPECT_EQ(seen[0].size(), 16u + 20 + 31);  // the last goes on to its end
  for (std::size_t i = 1; i < seen[0].size(); ++i) EXPECT_GT(seen[0][i].pts, seen[0][i - 1].pts);
}

TEST_F(PlaylistDemuxerTest, SaysWhichFileAndTrackDiffers) {
  auto differing = [this, inode = 8u](auto change) mutable {
    library_.files["d"] = MakeFile(5, 0, inode++);
    change(library_.files["d"].info);
    return Why("a\n\nd\n");
  };
  EXPECT_EQ(differing([](MediaInfo& i) { i.tracks.pop_back(); }), "line 3: d: has 1 tracks, not 2");
  EXPECT_EQ(differing([](MediaInfo& i) { i.tracks[0].codec = Codec::kH265; }),
            "line 3: d: track 0 is H.265, not H.264");
  EXPECT_EQ(differing([](MediaInfo& i) { i.tracks[1].clock_rate = 48000; }),
            "line 3: d: track 1 has a clock of 48000 Hz, not 44100");
  EXPECT_EQ(differing([](MediaInfo& i) { i.tracks[1].channels = 1; }),
            "line 3: d: track 1 has 1 channels, not 2");
  EXPECT_EQ(differing([](MediaInfo& i) {
              i.tracks[0].sps = {{0x67, 2}};
            }),
            "line 3: d: track 0 has other parameter sets");
  EXPECT_EQ(differing([](MediaInfo& i) { i.tracks[0].nal_length_size = 4; }),
            "line 3: d: track 0 is laid out in another way");
  EXPECT_EQ(differing([](MediaInfo& i) { i.tracks[1].config = {1}; }),
            "line 3: d: track 1 has another configuration");
  EXPECT_EQ(differing([](MediaInfo& i) { i.duration = 0s; }),
            "line 3: d: does not say how long it is");
  EXPECT_EQ(Why("a\nmissing\n"), "line 2: missing: gone");
  library_.files["a"].info.duration = kPlaylistDurationMax / 2;
  EXPECT_THAT(Why("a\na\na\n"), HasSubstr("line 3: the files up to here last more than a year"));
}

TEST_F(PlaylistDemuxerTest, HasAsManyFilesAsItsBound) {
  std::string text;
  for (std::size_t i = 0; i < kPlaylistFilesMax; ++i) {
    library_.files[std::to_string(i)] = MakeFile(1, 0, 100 + i);
    text += std::to_string(i) + "\n";
  }
  EXPECT_TRUE(Open(text + "0\n").ok());
  EXPECT_EQ(Why(text + "a\n"), "line 2001: more than 2000 different files");
}

TEST_F(PlaylistDemuxerTest, NamesAFileThatVanishesOrChangesWhilePlaying) {
  for (const bool vanishes : {true, false}) {
    library_.files["b"] = MakeFile(20, 2, 2);
    auto demuxer = Open("a\nb\n");
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    if (vanishes) {
      library_.files.erase("b");
    } else {
      library_.files["b"].identity.modified_ns = 6;
    }
    AccessUnit unit;
    absl::StatusOr<bool> more = true;
    std::size_t units = 0;
    for (; more.value_or(false); ++units) more = (*demuxer)->Next(&unit);
    EXPECT_EQ(units - 1, library_.files["a"].units.size());
    EXPECT_THAT(std::string(more.status().message()),
                HasSubstr(vanishes ? "line 2: b: gone" : "line 2: b: changed"));
    EXPECT_TRUE((*demuxer)->Seek(0s).ok());
    EXPECT_TRUE((*demuxer)->Next(&unit).value_or(false));
  }
}

TEST_F(PlaylistDemuxerTest, LooksThroughItsFilesOnceForAllWhoReadIt) {
  auto first = Open("a\nb\nc\n");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(library_.opens, 3);
  auto second = Open("a\nb\nc\n");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(library_.opens, 3);
  EXPECT_EQ(ReadAll(first->get()), ReadAll(second->get()));
  library_.opens = 0;
  library_.files["c"].identity.size = 1001;
  auto third = Open("a\nb\nc\n");
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(library_.opens, 3);
  first->reset();
  second->reset();
  third->reset();
  library_.opens = 0;
  EXPECT_TRUE(Open("a\nb\nc\n").ok());
  EXPECT_EQ(library_.opens, 3);  // nobody held the plan
}

TEST_F(PlaylistDemuxerTest, LooksThroughAFailedListAgainOnlyWhenItChangesOrAfterAWhile) {
  library_.files["d"] = MakeFile(5, 0, 8);
  library_.files["d"].info.tracks.pop_back();
  const std::string why = Why("a\nb\nd\n");
  EXPECT_EQ(library_.opens, 3);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Why("a\nb\nd\n"), why);
  EXPECT_EQ(library_.opens, 3);
  clock_.now += kPlaylistFailureKept;  // perhaps it was the disk's fault
  EXPECT_EQ(Why("a\nb\nd\n"), why);
  EXPECT_EQ(library_.opens, 6);
  library_.files["d"] = MakeFile(5, 0, 20);
  EXPECT_TRUE(Open("a\nb\nd\n").ok());
  EXPECT_EQ(library_.opens, 9);
  library_.files.erase("d");
  EXPECT_EQ(Why("a\nb\nd\n"), "line 3: d: gone");
  library_.files["d"] = MakeFile(5, 0, 21);
  EXPECT_TRUE(Open("a\nb\nd\n").ok());
}

TEST_F(PlaylistDemuxerTest, DoesNotHoldAPassingWantAgainstAList) {
  library_.failure = absl::ResourceExhaustedError("too many open files");
  EXPECT_EQ(Open("a\nb\n").status().code(), absl::StatusCode::kResourceExhausted);
  library_.failure = absl::OkStatus();
  EXPECT_TRUE(Open("a\nb\n").ok());
}

TEST_F(PlaylistDemuxerTest, KnowsNoMoreFailedListsThanItsBound) {
  const auto fail = [this](std::size_t i) {
    const std::string name = std::to_string(i) + ".m3u";
    EXPECT_FALSE(plans_.Open(&library_, name, kFile, "a\nmissing\n").ok());
  };
  for (std::size_t i = 0; i < kPlaylistFailuresMax; ++i) fail(i);
  library_.opens = 0;
  fail(0);
  EXPECT_EQ(library_.opens, 0);
  fail(kPlaylistFailuresMax);  // no room for one more: all others are forgotten
  fail(kPlaylistFailuresMax);
  EXPECT_EQ(library_.opens, 1);
  fail(0);
  EXPECT_EQ(library_.opens, 2);
}

TEST_F(PlaylistDemuxerTest, NamesFilesInMessagesWithoutTheirControlCharacters) {
  const std::string name = "d\x1b[2J\x7f\xc3\xa9";
  const std::string shown = "d\\x1b[2J\\x7f\xc3\xa9";
  library_.files[name] = MakeFile(5, 0, 8);
  library_.files[name].info.tracks.pop_back();
  EXPECT_EQ(Why("a\n" + name + "\n"), "line 2: " + shown + ": has 1 tracks, not 2");
  library_.files[name] = MakeFile(5, 0, 9);
  auto demuxer = Open(name + "\n");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  library_.files[name].identity.modified_ns = 6;
  AccessUnit unit;
  EXPECT_THAT(std::string((*demuxer)->Next(&unit).status().message()),
              HasSubstr("line 1: " + shown + ": changed"));
}

TEST_F(PlaylistDemuxerTest, ChangesWithTheTextAndWithEachFile) {
  const auto identity = [&](AssetIdentity file = kFile) {
    return PlaylistPlans::Identify(&library_, "list.m3u", file, "a\nb\n");
  };
  const AssetIdentity before = identity();
  EXPECT_EQ(before, identity());
  EXPECT_EQ(before.inode, kFile.inode);
  EXPECT_NE(before, identity({.device = 1, .inode = 9, .size = 10, .modified_ns = 8}));
  library_.files["b"].identity.modified_ns = 100;
  const AssetIdentity after = identity();
  EXPECT_NE(before, after);
  EXPECT_EQ(after.modified_ns, 100);
  library_.files.erase("a");
  EXPECT_NE(after, identity());
}

TEST_F(PlaylistDemuxerTest, TakesThePlainNameBeforeTheDecodedOne) {
  library_.files["a%62"] = MakeFile(2, 0, 10);
  library_.files["ab"] = MakeFile(3, 0, 11);
  library_.files["a b"] = MakeFile(4, 0, 12);
  auto demuxer = Open("a%62\na%20b\n");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  EXPECT_EQ(ReadAll(demuxer->get())[0].size(), 6u);
  EXPECT_EQ(Why("x%20y\n"), "line 1: x%20y: gone");
}

// A served folder with real clips.
class ServedPlaylist : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg and ffprobe are not installed";
    std::string pattern = (fs::temp_directory_path() / "playlist_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    fs::create_directories(base_ + "/served/sub");
    fs::create_directories(base_ + "/outside");
    catalog_ = *Catalog::Open(base_ + "/served");
  }
  void TearDown() override {
    if (!base_.empty()) fs::remove_all(base_);
  }
  void Copy(const std::string& sample, const std::string& to) {
    fs::copy_file(Sample(sample), base_ + "/" + to);
  }
  absl::StatusOr<std::unique_ptr<Demuxer>> Open(const std::string& text) {
    std::ofstream(base_ + "/served/sub/list.m3u") << text;
    return static_cast<Library&>(*catalog_).Open("sub/list.m3u");
  }

  std::string base_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(ServedPlaylist, PlaysEveryUnitOfEveryKindOfFile) {
  for (const std::string sample :
       {"plain.mp4", "frag.mp4", "edit.mp4", "plain.mkv", "plain.ts", "plain.flv", "opengop.mp4",
        "hevc.mp4", "hevc.ts", "raw.h264", "opus.webm", "sound.mp3", "sound.wav", "opus.ogg"}) {
    Copy(sample, "served/" + sample);
    auto one = static_cast<Library&>(*catalog_).Open(sample);
    ASSERT_TRUE(one.ok()) << one.status();
    (*one)->TakeAsWhole();  // written just now, it seems to grow
    auto three = Open("../" + sample + "\n../" + sample + "\n../" + sample + "\n");
    ASSERT_TRUE(three.ok()) << three.status();
    EXPECT_EQ((*three)->info().duration, 3 * (*one)->info().duration);
    const SeenTracks once = ReadAll(one->get()), all = ReadAll(three->get());
    ASSERT_EQ(all.size(), once.size());
    for (std::size_t track = 0; track < once.size(); ++track) {
      const std::size_t units = once[track].size();
      ASSERT_EQ(all[track].size(), 3 * units) << sample;
      for (std::size_t i = 0; i < all[track].size(); ++i) {
        EXPECT_EQ(all[track][i].hash, once[track][i % units].hash) << sample << " " << i;
        if (i > 0) {
          EXPECT_LE(all[track][i - 1].dts, all[track][i].dts) << sample << " " << i;
        }
        EXPECT_LE(all[track][i].dts, all[track][i].pts) << sample << " " << i;
      }
      // Each round is moved as one.
      for (std::size_t round = 1; round < 3; ++round) {
        const std::int64_t shift = all[track][round * units].pts - once[track][0].pts;
        for (std::size_t i = 0; i < units; ++i) {
          EXPECT_EQ(all[track][round * units + i].pts - once[track][i].pts, shift) << sample;
        }
      }
    }
  }
}

TEST_F(ServedPlaylist, SeeksInRealFiles) {
  Copy("plain.mp4", "served/a.mp4");
  auto demuxer = Open("../a.mp4\n../a.mp4\n");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const MediaInfo& info = (*demuxer)->info();
  const SeenTracks whole = ReadAll(demuxer->get());
  for (Duration time = 0ms; time < info.duration; time += 730ms) {
    ASSERT_TRUE((*demuxer)->Seek(time).ok());
    const SeenTracks after = ReadAll(demuxer->get());
    for (std::size_t track = 0; track < whole.size(); ++track) {
      std::vector<SeenUnit> due, got;
      for (const SeenUnit& unit : whole[track]) {
        if (info.tracks[track].DurationFromClock(unit.dts) >= time) due.push_back(unit);
      }
      for (const SeenUnit& unit : after[track]) {
        if (info.tracks[track].DurationFromClock(unit.dts) >= time) got.push_back(unit);
      }
      ASSERT_EQ(due, got) << ToSeconds(time);
    }
  }
  // Its points to start at are units that are.
  for (const Duration time : info.random_access) {
    const auto unit =
        std::ranges::find(whole[0], info.tracks[0].ClockFromDuration(time), &SeenUnit::pts);
    ASSERT_NE(unit, whole[0].end());
    EXPECT_TRUE(unit->random_access);
  }
  EXPECT_FALSE(info.random_access.empty());
}

TEST_F(ServedPlaylist, StaysInTheServedFolder) {
  Copy("plain.mp4", "outside/secret.mp4");
  Copy("plain.mp4", "served/a.mp4");
  fs::create_symlink("../../outside/secret.mp4", base_ + "/served/sub/link.mp4");
  fs::create_directory_symlink("../../outside", base_ + "/served/sub/folder");
  for (const std::string name :
       {"link.mp4", "folder/secret.mp4", "../../outside/secret.mp4", "missing.mp4",
        "..%2f..%2foutside%2fsecret.mp4", "folder%2Fsecret.mp4", "folder"}) {
    const auto demuxer = Open("../a.mp4\n" + name);
    EXPECT_EQ(demuxer.status().code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(demuxer.status().message()), HasSubstr("sub/list.m3u: line 2: "));
  }
  EXPECT_TRUE(Open("../a.mp4").ok());
}

TEST_F(ServedPlaylist, IsAnotherWhenOneOfItsFilesIs) {
  Copy("plain.mp4", "served/a.mp4");
  ASSERT_TRUE(Open("../a.mp4").ok());
  Library& library = *catalog_;
  const auto before = library.Identify("sub/list.m3u");
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(*before, *library.Identify("sub/list.m3u"));
  fs::remove(base_ + "/served/a.mp4");
  Copy("frag.mp4", "served/a.mp4");
  EXPECT_NE(*before, *library.Identify("sub/list.m3u"));
  EXPECT_EQ(catalog_->ListAssets(5), (std::vector<std::string>{"a.mp4", "sub/list.m3u"}));
}

TEST_F(ServedPlaylist, SurvivesDamagedTextAndFiles) {
  Copy("plain.ts", "served/a.ts");
  const std::string text = "#EXTM3U\n#EXTINF:5,\n../a.ts\n../a.ts\n";
  SeededRandom random(3);
  int opened = 0;
  for (int round = 0; round < 60; ++round) {
    std::string damaged = text;
    for (int i = 0; i < 2; ++i) {
      damaged[random.Below(damaged.size())] = static_cast<char>(random.Next32());
    }
    auto demuxer = Open(damaged);
    if (!demuxer.ok()) continue;
    ++opened;
    EXPECT_FALSE(ReadAll(demuxer->get())[0].empty());
  }
  EXPECT_GT(opened, 0);
  std::vector<std::uint8_t> bytes = ReadWhole(base_ + "/served/a.ts");
  bytes.resize(bytes.size() / 3);
  std::ofstream(base_ + "/served/cut.ts")
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  auto demuxer = Open("../cut.ts\n../a.ts\n");
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  EXPECT_GT(ReadAll(demuxer->get())[0].size(), 150u);
}

}  // namespace
}  // namespace millrace
