#include "media/container_track.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>

#include "core/random.h"
#include "media/byte_source.h"
#include "media/mp4_boxes.h"
#include "media/raw_video.h"
#include "media/reorder_queue.h"
#include "tests/media/latm_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;

const Bytes kAvcC = {1,    0x64, 0,  31, 0xff, 0xe1, 0,    4,    0x67,
                     0x64, 0,    31, 1,  0,    3,    0x68, 0xee, 0x3c};
const Bytes kLowComplexity = {0x12, 0x10};

TEST(TrackProbe, IsConfiguredByExtradataOrByTheFirstUnits) {
  EXPECT_TRUE(TrackProbe(Codec::kH264, {.extradata = kAvcC}).configured());
  TrackProbe annex_b(Codec::kH264, {});
  EXPECT_FALSE(annex_b.configured());
  annex_b.LearnFromBytes(Bytes{0, 0, 1, 0x67, 1, 2, 3, 0, 0, 1, 0x65, 1});
  EXPECT_FALSE(annex_b.configured());
  annex_b.LearnFromBytes(Bytes{0, 0, 1, 0x68, 1});
  EXPECT_TRUE(annex_b.configured());

  TrackProbe mp4_audio(Codec::kAac, {.extradata = kLowComplexity});
  EXPECT_TRUE(mp4_audio.configured());
  EXPECT_FALSE(mp4_audio.adts());
  EXPECT_EQ(mp4_audio.track().clock_rate, 44100u);
  TrackProbe adts(Codec::kAac, {});
  adts.LearnFromBytes(Bytes{0xff, 0xf1, 0x4c, 0x80, 0x02, 0x1f, 0xfc, 1});
  EXPECT_TRUE(adts.configured());
  EXPECT_TRUE(adts.adts());
  EXPECT_EQ(adts.track().clock_rate, 48000u);
  EXPECT_EQ(adts.grid().frame_samples, 1024u);
  // Seven channels beyond any table: cannot be described.
  TrackProbe in_band(Codec::kAac, {});
  in_band.LearnFromBytes(Bytes{0xff, 0xf1, 0x4c, 0x00, 0x02, 0x1f, 0xfc, 1});
  EXPECT_FALSE(in_band.configured());
}

TEST(TrackProbe, IsNotConfiguredByARateThatNothingPlays) {
  const Bytes slow = {0x17, 0x80, 0x00, 0xfa, 0x10};  // AAC LC, escape, 500 Hz, stereo
  const auto config = ReadAudioSpecificConfig(slow);
  ASSERT_TRUE(config && config->sample_rate == 500 && config->channels == 2);
  EXPECT_FALSE(TrackProbe(Codec::kAac, {.extradata = slow}).configured());
}

TEST(TrackProbe, KeepsTheTimesThatMatter) {
  TrackProbe probe(Codec::kH264, {.extradata = kAvcC});
  probe.LearnTimes({.pts = 20, .dts = 0, .key = true});
  probe.LearnTimes({.pts = 60, .dts = 10});
  probe.LearnTimes({.pts = 40, .dts = 20});
  probe.LearnTimes({.pts = 10, .dts = 30, .key = true});
  probe.LearnTimes({});
  probe.LearnTimes({.pts = INT64_MAX, .dts = INT64_MIN});
  EXPECT_EQ(probe.packets(), 4u);
  EXPECT_EQ(probe.first_pts(), 20);
  EXPECT_EQ(probe.first_dts(), 0);
  EXPECT_EQ(probe.min_pts(), 10);
  EXPECT_EQ(probe.end(), 80);
  EXPECT_THAT(probe.RandomAccessTimes(), ElementsAre(10, 20));
}

// A frame of Theora lasts a tick of its Ogg stream, and only the first of each page has a time.
TEST(ContainerTrack, CountsFramesWithoutTimesWhereTheContainerDoes) {
  TrackProbe probe(Codec::kTheora, {});
  probe.LearnTimes({.pts = 0});
  const Bytes frame = {0x40};
  struct Case {
    std::optional<std::int64_t> pts;
    bool repeats;
    std::int64_t counted, alike;  // pts, in ticks of 90 kHz
  };
  const Case cases[] = {{7, false, 21021, 21021},     {std::nullopt, false, 24024, 21021},
                        {std::nullopt, true, -1, -1}, {std::nullopt, false, 30030, 21021},
                        {11, false, 33033, 33033},    {std::nullopt, false, 36036, 33033}};
  for (const bool counts : {true, false}) {
    ContainerTrack track(0, probe, {1001, 30000}, {.has_dts = false, .counts_frames = counts});
    track.SetOrigin({0, {1001, 30000}});
    for (int round = 0; round < 2; ++round) {
      AccessUnit unit;
      bool dts_known = false;
      // Nothing to count from.
      EXPECT_FALSE(track.MakeUnit({.duration = 1, .data = frame}, &unit, &dts_known));
      for (const Case& c : cases) {
        const ContainerPacket packet = {.pts = c.pts,
                                        .duration = c.repeats ? 0 : 1,
                                        .data = c.repeats ? ByteSpan() : ByteSpan(frame)};
        ASSERT_EQ(track.MakeUnit(packet, &unit, &dts_known), !c.repeats);
        if (c.repeats) continue;
        EXPECT_EQ(unit.pts, counts ? c.counted : c.alike);
      }
      track.Forget();
    }
  }
}

TEST(TrackEnd, TakesTheLastUnitsDurationOrTheGapBeforeIt) {
  TrackEnd known;
  EXPECT_FALSE(known.end());
  known.Add(10, 5);
  known.Add(30, 7);
  known.Add(20, 100);
  EXPECT_EQ(known.end(), 37);
  TrackEnd unknown;
  unknown.Add(30, 0);
  EXPECT_EQ(unknown.end(), 30);
  unknown.Add(10, 0);
  unknown.Add(22, 0);
  EXPECT_EQ(unknown.end(), 38);
}

ContainerTrack Audio(TimeBase base, std::int64_t first) {
  TrackProbe probe(Codec::kAac, {.extradata = kLowComplexity});
  probe.LearnTimes({.pts = first});
  ContainerTrack track(1, probe, base, {});
  track.SetOrigin({first, base});
  return track;
}

TEST(TrackEnd, StaysInBoundsAtTheEndsOfTime) {
  TrackEnd end;
  end.Add(INT64_MAX - 1, 5);
  EXPECT_EQ(end.end(), INT64_MAX - 1);
  TrackEnd apart;
  apart.Add(INT64_MIN, 0);
  apart.Add(INT64_MAX, 0);
  EXPECT_EQ(apart.end(), INT64_MAX);
}

TEST(ContainerTrack, GivesFramesUnderOneTimeStampTheirOwnTimes) {
  ContainerTrack track = Audio({1, 90000}, 126000);
  const Bytes data = {1, 2, 3};
  AccessUnit unit;
  bool dts_known = false;
  EXPECT_FALSE(track.MakeUnit({.data = data}, &unit, &dts_known));  // nothing to count from yet
  ASSERT_TRUE(track.MakeUnit({.pts = 126000, .data = data}, &unit, &dts_known));
  EXPECT_EQ(unit.pts, 0);
  EXPECT_TRUE(dts_known);
  EXPECT_TRUE(unit.random_access);
  ASSERT_TRUE(track.MakeUnit({.data = data}, &unit, &dts_known));
  EXPECT_EQ(unit.pts, 1024);
  EXPECT_EQ(unit.duration, 1024);
  ASSERT_TRUE(track.MakeUnit({.pts = 130180, .data = data}, &unit, &dts_known));
  EXPECT_EQ(unit.pts, 2048);  // 2048.2 samples
  track.Forget();
  EXPECT_FALSE(track.MakeUnit({.data = data}, &unit, &dts_known));
  EXPECT_FALSE(track.MakeUnit({.pts = 126000}, &unit, &dts_known));  // no bytes
}

TEST(ContainerTrack, GivesNoElementThatIsAsBeforeUnderAnotherConfiguration) {
  const auto loas = [](const testing::LatmKind& kind) {
    const Bytes element = testing::MakeLatm(kind, Bytes(40, 1));
    Bytes frame = {0x56, 0xe0, static_cast<std::uint8_t>(element.size())};
    frame.insert(frame.end(), element.begin(), element.end());
    return frame;
  };
  const Bytes ours = loas({}), as_before = loas({.as_before = true});
  const Bytes other = loas({.config = {.channels = 1}});
  TrackProbe probe(Codec::kAacLatm, {});
  probe.LearnFromBytes(ours);
  ASSERT_TRUE(probe.configured());
  ContainerTrack track(0, probe, {1, 44100}, {});
  track.SetOrigin({0, {1, 44100}});
  AccessUnit unit;
  bool dts_known = false;
  std::int64_t pts = 0;
  const auto made = [&](const Bytes& frame, bool has_time = true) {
    ContainerPacket packet{.duration = 1024, .data = frame};
    if (has_time) packet.pts = packet.dts = pts;
    pts += 1024;
    return track.MakeUnit(packet, &unit, &dts_known);
  };
  EXPECT_TRUE(made(as_before));
  EXPECT_TRUE(made(ours));
  EXPECT_TRUE(made(as_before));
  EXPECT_FALSE(made(other));
  EXPECT_FALSE(made(as_before));
  // What follows without a time of its own is in its place nevertheless.
  EXPECT_TRUE(made(ours, /*has_time=*/false));
  EXPECT_EQ(unit.pts, 5 * 1024);
  EXPECT_FALSE(made(other));
  track.Forget();
  EXPECT_TRUE(made(as_before));
}

TEST(TrackProbe, TakesOnlyWhatItsPayloadFormatCarries) {
  struct Case {
    const char* what;
    Codec codec;
    StreamParameters parameters;
    std::uint32_t clock_rate;  // 0: not configured
  };
  Bytes speex(80);
  speex[36] = 0x80, speex[37] = 0x3e;  // 16000
  speex[48] = 1;
  speex[56] = 0x40, speex[57] = 1;  // 320
  speex[64] = 2;
  Bytes odd_rate = speex, no_frame = speex, cut = speex;
  odd_rate[36] = 0x81;
  no_frame[56] = no_frame[57] = 0;
  cut.pop_back();
  const std::vector<Case> cases = {
      {"AMR", Codec::kAmr, {}, 8000},
      {"AMR-WB", Codec::kAmrWb, {}, 16000},
      {"G.722", Codec::kG722, {.sample_rate = 16000, .channels = 1}, 8000},
      {"G.722, stereo", Codec::kG722, {.sample_rate = 16000, .channels = 2}, 0},
      {"G.722, slow", Codec::kG722, {.sample_rate = 8000, .channels = 1}, 0},
      {"G.726", Codec::kG726, {.sample_rate = 8000, .channels = 1, .code_bits = 5}, 8000},
      {"G.726, 6 bits", Codec::kG726, {.sample_rate = 8000, .channels = 1, .code_bits = 6}, 0},
      {"G.726, 1 bit", Codec::kG726, {.sample_rate = 8000, .channels = 1, .code_bits = 1}, 0},
      {"G.726, fast", Codec::kG726, {.sample_rate = 16000, .channels = 1, .code_bits = 4}, 0},
      {"Speex", Codec::kSpeex, {.extradata = speex}, 16000},
      {"Speex, another rate", Codec::kSpeex, {.extradata = odd_rate}, 0},
      {"Speex without samples", Codec::kSpeex, {.extradata = no_frame}, 0},
      {"Speex, cut", Codec::kSpeex, {.extradata = cut}, 0},
  };
  for (const Case& c : cases) {
    const TrackProbe probe(c.codec, c.parameters);
    EXPECT_EQ(probe.configured(), c.clock_rate != 0) << c.what;
    if (c.clock_rate != 0) {
      EXPECT_EQ(probe.track().clock_rate, c.clock_rate) << c.what;
      EXPECT_EQ(probe.track().channels, 1u) << c.what;
    }
  }
  EXPECT_EQ(TrackProbe(Codec::kSpeex, {.extradata = speex}).grid().frame_samples, 640u);
}

// A parser gives the second program's frame for itself, with a time or without.
TEST(ContainerTrack, GivesASecondProgramTheTimeOfTheFirst) {
  const auto frame = [](std::uint8_t substream) {
    Bytes bytes(64);
    const std::uint8_t header[] = {0x0b, 0x77, static_cast<std::uint8_t>(substream << 3),
                                   31,   0x32, 16 << 3};
    std::copy(std::begin(header), std::end(header), bytes.begin());
    return bytes;
  };
  const Bytes first = frame(0), second = frame(1);
  TrackProbe probe(Codec::kEac3, {});
  probe.LearnFromBytes(second);
  EXPECT_FALSE(probe.configured());
  probe.LearnFromBytes(first);
  ASSERT_TRUE(probe.configured());
  EXPECT_EQ(probe.grid().frame_samples, 1536u);
  ContainerTrack track(0, probe, {1, 90000}, {});
  track.SetOrigin({0, {1, 90000}});
  AccessUnit unit;
  bool dts_known = false;
  EXPECT_FALSE(track.MakeUnit({.pts = 0, .data = second}, &unit, &dts_known));
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto pts = i == 0 ? std::optional<std::int64_t>(0) : std::nullopt;
    ASSERT_TRUE(track.MakeUnit({.pts = pts, .data = first}, &unit, &dts_known)) << i;
    EXPECT_EQ(unit.pts, i * 1536);
    EXPECT_EQ(unit.duration, 1536);
    ASSERT_TRUE(track.MakeUnit({.data = second}, &unit, &dts_known)) << i;
    EXPECT_EQ(unit.pts, i * 1536);
    EXPECT_EQ(unit.duration, 0);
  }
  track.Forget();
  EXPECT_FALSE(track.MakeUnit({.data = second}, &unit, &dts_known));
}

TEST(ContainerTrack, TakesTheContainersWordAsFarAsTheRulesSay) {
  TrackProbe probe(Codec::kH264, {.extradata = kAvcC});
  probe.LearnTimes({.pts = 0, .dts = 0});
  const Bytes idr = {0, 0, 1, 0x65, 1}, other = {0, 0, 1, 0x41, 1};
  AccessUnit unit;
  bool dts_known = false;

  ContainerTrack trusted(0, probe, {1, 1000}, {});
  trusted.SetOrigin({0, {1, 1000}});
  ASSERT_TRUE(
      trusted.MakeUnit({.pts = 40, .dts = 20, .key = true, .data = other}, &unit, &dts_known));
  EXPECT_TRUE(dts_known && unit.random_access);
  EXPECT_EQ(unit.pts, 3600);
  EXPECT_EQ(unit.dts, 1800);
  ASSERT_TRUE(trusted.MakeUnit({.pts = 40, .dts = 90, .data = idr}, &unit, &dts_known));
  EXPECT_EQ(unit.dts, unit.pts);  // never decoded after it is shown
  EXPECT_FALSE(unit.random_access);
  ASSERT_TRUE(trusted.MakeUnit({.dts = 50, .data = idr}, &unit, &dts_known));
  EXPECT_EQ(unit.pts, 4500);
  ASSERT_TRUE(trusted.MakeUnit({.data = idr}, &unit, &dts_known));
  EXPECT_EQ(unit.pts, 4500);
  EXPECT_FALSE(dts_known);

  ContainerTrack looked_at(0, probe, {1, 1000}, {.has_dts = false, .marks_keys = false});
  looked_at.SetOrigin({0, {1, 1000}});
  ASSERT_TRUE(looked_at.MakeUnit({.pts = 40, .dts = 20, .data = idr}, &unit, &dts_known));
  EXPECT_FALSE(dts_known);
  EXPECT_TRUE(unit.random_access);
  ASSERT_TRUE(looked_at.MakeUnit({.pts = 40, .key = true, .data = other}, &unit, &dts_known));
  EXPECT_FALSE(unit.random_access);
}

using Queue = ReorderQueue<std::unique_ptr<int>>;

Queue::Held Unit(std::uint32_t track, std::int64_t pts, bool dts_known) {
  Queue::Held held;
  held.unit.track = track;
  held.unit.pts = held.unit.dts = pts;
  held.dts_known = dts_known;
  return held;
}

TEST(ReorderQueue, GivesADtsThatRisesAndNeverPassesWhatIsStillToCome) {
  SeededRandom random(31);
  for (int round = 0; round < 100; ++round) {
    // Groups of up to eight pictures: the last shown comes first.
    std::vector<std::int64_t> pts;
    for (std::int64_t base = 0; base < 200;) {
      const auto group = static_cast<std::int64_t>(1 + random.Below(8));
      pts.push_back(base + group - 1);
      for (std::int64_t i = 0; i + 1 < group; ++i) pts.push_back(base + i);
      base += group;
    }
    Queue queue;
    std::size_t next = 0;
    std::vector<std::int64_t> dts;
    while (dts.size() < pts.size()) {
      while (!queue.Ready(next == pts.size())) {
        queue.Push(Unit(0, pts[next], false));
        if (random.Chance(0.5)) queue.Push(Unit(1, pts[next], true));
        ++next;
      }
      const Queue::Held held = queue.Pop();
      if (held.unit.track == 0) dts.push_back(held.unit.dts);
    }
    for (std::size_t i = 0; i < pts.size(); ++i) {
      EXPECT_EQ(dts[i], *std::min_element(pts.begin() + static_cast<std::ptrdiff_t>(i), pts.end()));
    }
  }
}

// A still picture beside hours of sound.
TEST(ReorderQueue, LooksNoFurtherThanItsLimit) {
  Queue queue;
  queue.Push(Unit(0, 700, false));
  for (std::size_t i = 1; i < Queue::kLookAheadMax; ++i) {
    EXPECT_FALSE(queue.Ready(false)) << i;
    queue.Push(Unit(1, static_cast<std::int64_t>(i), true));
  }
  queue.Push(Unit(0, 300, false));  // beyond what is looked at
  ASSERT_TRUE(queue.Ready(false));
  EXPECT_EQ(queue.Pop().unit.dts, 700);
}

TEST(ReorderQueue, KeepsTheOrderOfAllTracksAndWaitsForNothingItNeedNot) {
  Queue queue;
  EXPECT_FALSE(queue.Ready(true));
  queue.Push(Unit(1, 5, true));
  EXPECT_TRUE(queue.Ready(false));
  queue.Push(Unit(0, 9, false));
  queue.Push(Unit(1, 6, true));
  EXPECT_EQ(queue.Pop().unit.pts, 5);
  EXPECT_FALSE(queue.Ready(false));
  EXPECT_TRUE(queue.Ready(true));
  EXPECT_EQ(queue.Pop().unit.pts, 9);
  EXPECT_EQ(queue.Pop().unit.pts, 6);
  EXPECT_TRUE(queue.empty());
}

MediaFile FileOf(const std::string& bytes) {
  const int fd = memfd_create("file", MFD_CLOEXEC);
  EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return MediaFile(fd);
}

std::string Box(const std::string& type, const std::string& payload) {
  const auto size = static_cast<std::uint32_t>(payload.size() + 8);
  std::string box;
  for (int shift = 24; shift >= 0; shift -= 8) box.push_back(static_cast<char>(size >> shift));
  return box + type + payload;
}

TEST(ReadMp4Layout, FindsMediaDataAndSegmentIndexes) {
  const std::string large = std::string("\0\0\0\1mdat\0\0\0\0\0\0\0\x14", 16) + "abcd";
  const std::string rest("\0\0\0\0mdatxyz", 11);
  const std::string file = Box("ftyp", "isom") + Box("sidx", "1") + Box("mdat", "hello") +
                           Box("mdat", "") + large + rest;
  const Mp4Layout layout = ReadMp4Layout(FileOf(file));
  ASSERT_EQ(layout.media_data.size(), 3u);
  EXPECT_EQ(file.substr(layout.media_data[0].begin, 5), "hello");
  EXPECT_EQ(layout.media_data[0].end - layout.media_data[0].begin, 5u);
  EXPECT_EQ(file.substr(layout.media_data[1].begin, 4), "abcd");
  EXPECT_EQ(layout.media_data[2].end, file.size());
  EXPECT_THAT(layout.segment_indexes, ElementsAre(12));
}

TEST(ReadMp4Layout, StopsAtWhatIsNoBox) {
  EXPECT_TRUE(ReadMp4Layout(FileOf("")).media_data.empty());
  EXPECT_TRUE(ReadMp4Layout(FileOf(Box("RIFF", "x") + Box("mdat", "y"))).media_data.empty());
  const std::string tiny = Box("ftyp", "x") + std::string("\0\0\0\4bad!", 8) + Box("mdat", "y");
  EXPECT_TRUE(ReadMp4Layout(FileOf(tiny)).media_data.empty());
  const std::string beyond = std::string("\0\1\0\0mdat", 8) + "abc";
  const auto layout = ReadMp4Layout(FileOf(beyond));
  ASSERT_EQ(layout.media_data.size(), 1u);
  EXPECT_EQ(layout.media_data[0].end, beyond.size());
}

std::string ReadAllOf(ByteSource* source, std::size_t piece) {
  std::string all;
  Bytes buffer(piece, '?');
  std::size_t count = 0;
  while (source->Read(buffer, &count) == ByteSource::Outcome::kRead) {
    all.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count));
    std::ranges::fill(buffer, static_cast<std::uint8_t>('?'));
  }
  return all;
}

TEST(ByteSource, HidesBoxesWhateverTheReadsAre) {
  const std::string file = Box("sidx", "12345") + "some bytes" + Box("sidx", "");
  const std::string expected = Box("free", "12345") + "some bytes" + Box("free", "");
  for (std::size_t piece = 1; piece < 20; ++piece) {
    ByteSource source(FileOf(file));
    source.Allow();
    source.SetHiddenBoxes({0, 23});
    EXPECT_EQ(ReadAllOf(&source, piece), expected) << piece;
  }
}

TEST(ByteSource, PassesOverUnreadRangesAndNothingElse) {
  const std::string file = "0123456789";
  for (std::size_t piece = 1; piece < 12; ++piece) {
    ByteSource source(FileOf(file));
    source.Allow();
    source.SetUnread({{2, 4}, {7, 8}});
    EXPECT_EQ(ReadAllOf(&source, piece), "01??456?89") << piece;
    EXPECT_EQ(source.bytes_read(), 7u);
  }
}

TEST(ByteSource, EndsAReaderThatGoesRoundAndRound) {
  ByteSource source(FileOf(std::string(1 << 20, 'x')));
  source.Allow();
  Bytes buffer(1 << 20);
  std::size_t count = 0;
  ByteSource::Outcome outcome = ByteSource::Outcome::kRead;
  int rounds = 0;
  for (; rounds < 1000 && outcome == ByteSource::Outcome::kRead; ++rounds) {
    source.MoveTo(0);
    outcome = source.Read(buffer, &count);
  }
  EXPECT_EQ(outcome, ByteSource::Outcome::kBudgetSpent);
  EXPECT_LT(rounds, 100);
  source.Allow();
  source.MoveTo(5);
  EXPECT_EQ(source.Read(buffer, &count), ByteSource::Outcome::kRead);
  EXPECT_EQ(count, (1u << 20) - 5);
}

TEST(ByteSource, SaysWhyItCannotRead) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[1]);
  const MediaFile pipe_file(ends[0]);
  EXPECT_EQ(pipe_file.size(), 0u);
  const MediaFile none(-1);
  EXPECT_EQ(none.size(), 0u);
  Bytes buffer(4);
  EXPECT_EQ(*none.ReadAt(0, buffer), 0u);
}

TEST(RawVideoIndex, RefusesAStreamThatCannotBeDescribed) {
  RawVideoIndex empty(Codec::kH264);
  EXPECT_FALSE(empty.Make(FileOf(""), std::nullopt).ok());
  RawVideoIndex bare(Codec::kH264);
  bare.Add(Bytes{0, 0, 1, 0x65, 1}, 0, false);
  EXPECT_EQ(bare.Make(FileOf(""), std::nullopt).status().message(), "H.264 without parameter sets");
}

TEST(RawVideoIndex, AssumesTwentyFiveFramesASecondWhereNothingSensibleIsSaid) {
  for (const auto& rate : {std::optional<FrameRate>(), std::optional<FrameRate>({0, 1}),
                           std::optional<FrameRate>({90000, 0}), std::optional<FrameRate>({1, 10}),
                           std::optional<FrameRate>({4000000000u, 1})}) {
    RawVideoIndex index(Codec::kH264);
    index.Add(Bytes{0, 0, 1, 0x67, 1, 2, 3, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x65, 1}, 0, false);
    index.Add(Bytes{0, 0, 1, 0x41, 1}, 2, false);
    auto demuxer = index.Make(FileOf(""), rate);
    ASSERT_TRUE(demuxer.ok());
    EXPECT_EQ((*demuxer)->info().duration, 80ms);
    EXPECT_THAT((*demuxer)->info().random_access, ElementsAre(Duration::zero()));
    // The file is shorter than the index says: that is told, not invented.
    AccessUnit unit;
    EXPECT_EQ((*demuxer)->Next(&unit).status().code(), absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace millrace
