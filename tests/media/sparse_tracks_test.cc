// Text and metadata beside video: what is read of them, when, and that they decide nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "media/klv.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

struct Seen {
  std::int64_t pts = 0;
  std::string bytes;
  friend bool operator==(const Seen&, const Seen&) = default;
  friend void PrintTo(const Seen& seen, std::ostream* out) {
    *out << seen.pts << ": " << seen.bytes.size() << " bytes";
  }
};

std::vector<Seen> UnitsOf(Demuxer* demuxer, Codec codec) {
  std::vector<Seen> units;
  AccessUnit unit;
  while (demuxer->Next(&unit).value_or(false)) {
    if (demuxer->info().tracks[unit.track].codec != codec) continue;
    EXPECT_EQ(unit.dts, unit.pts);
    EXPECT_TRUE(unit.random_access);
    units.push_back({unit.pts, {unit.data.begin(), unit.data.end()}});
  }
  return units;
}

TEST(SparseTracks, GiveTheWordsOfSubtitlesAtTheirTimes) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  std::vector<Seen> expected;
  for (const Cue& cue : kCues) expected.push_back({cue.start_ms, cue.words});
  for (const char* name : {"text.mp4", "subrip.mkv", "webvtt.mkv", "advanced.mkv"}) {
    auto demuxer = OpenPath(Sample(name), AssetView::kWithSubtitles);
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    const MediaInfo& info = (*demuxer)->info();
    ASSERT_EQ(info.tracks.size(), 2u) << name;
    EXPECT_EQ(info.tracks[0].codec, Codec::kT140) << name;
    EXPECT_EQ(info.tracks[0].clock_rate, 1000u) << name;
    EXPECT_EQ(info.tracks[0].width, 0u) << name;
    EXPECT_THAT(info.left_out, IsEmpty()) << name;
    EXPECT_THAT(UnitsOf(demuxer->get(), Codec::kT140), ElementsAreArray(expected)) << name;
  }
}

TEST(SparseTracks, ShowSubtitlesOnlyWhereTheyAreAskedFor) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const char* name : {"text.mp4", "subrip.mkv"}) {
    auto with = OpenPath(Sample(name), AssetView::kWithSubtitles);
    auto without = OpenPath(Sample(name));
    ASSERT_TRUE(with.ok() && without.ok()) << name;
    ASSERT_EQ((*without)->info().tracks.size(), 1u) << name;
    EXPECT_EQ((*without)->info().tracks[0].codec, Codec::kH264) << name;
    EXPECT_THAT((*without)->info().left_out, IsEmpty()) << name;
    // Nor does anything else depend on them, not even where the last outlasts the film.
    EXPECT_EQ((*with)->info().duration, (*without)->info().duration) << name;
    EXPECT_EQ((*with)->info().random_access, (*without)->info().random_access) << name;
    EXPECT_EQ(ReadAll(with->get())[1], ReadAll(without->get())[0]) << name;
  }
}

TEST(SparseTracks, AreNotServedAlone) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const std::string path = SampleFolder() + "/text_alone.mkv";
  Output("ffmpeg -v error -y -i '" + Sample("subrip.mkv") + "' -map 0:s -c copy '" + path + "'");
  const auto demuxer = OpenPath(path, AssetView::kWithSubtitles);
  EXPECT_EQ(demuxer.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(SparseTracks, GiveMetadataAtThePictureItCameWith) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const bool synchronous : {true, false}) {
    auto demuxer = OpenPath(Sample(synchronous ? "klv.ts" : "klv_async.ts"));
    ASSERT_TRUE(demuxer.ok()) << demuxer.status();
    ASSERT_EQ((*demuxer)->info().tracks.size(), 2u);
    EXPECT_EQ((*demuxer)->info().tracks[1].codec, Codec::kKlv);
    const std::vector<SeenUnit> pictures = ReadAll(demuxer->get())[0];
    ASSERT_TRUE((*demuxer)->Seek(-60s).ok());
    const std::vector<Seen> units = UnitsOf(demuxer->get(), Codec::kKlv);
    // Without a time of its own the very first has no picture before it.
    const std::size_t missing = (pictures.size() + 9) / 10 - units.size();
    EXPECT_LE(missing, synchronous ? 0u : 1u);
    for (std::size_t i = 0; i < units.size(); ++i) {
      const std::size_t number = i + missing;
      const SeenUnit& picture = pictures[10 * number];
      const std::vector<std::uint8_t> item =
          KlvItem(static_cast<int>(number), 40 + 30 * (number % 9));
      EXPECT_EQ(units[i].bytes, std::string(item.begin(), item.end())) << i;
      if (synchronous) {
        EXPECT_EQ(units[i].pts, picture.pts) << i;
      } else {
        EXPECT_LE(units[i].pts, picture.dts) << i;
        EXPECT_GE(units[i].pts, picture.dts - 3 * 3003) << i;
      }
    }
  }
}

TEST(Klv, FindsWhereItemsEnd) {
  const std::vector<std::uint8_t> item = KlvItem(1, 300);
  std::vector<std::uint8_t> two = item;
  two.insert(two.end(), item.begin(), item.end());
  EXPECT_EQ(KlvBytes(item), item.size());
  EXPECT_EQ(KlvBytes(two), two.size());
  two.pop_back();
  EXPECT_EQ(KlvBytes(two), item.size());
  EXPECT_EQ(KlvBytes({}), 0u);
  for (std::size_t size = 0; size < item.size(); ++size) {
    EXPECT_EQ(KlvBytes(ByteSpan(item).first(size)), 0u) << size;
  }
  std::vector<std::uint8_t> odd(item.begin(), item.begin() + 16);
  odd.push_back(0x80);  // a length without bytes
  EXPECT_EQ(KlvBytes(odd), 0u);
  odd.back() = 0x89;  // of nine
  odd.insert(odd.end(), 20, 0xff);
  EXPECT_EQ(KlvBytes(odd), 0u);
  odd[16] = 0x88;  // more than there is
  EXPECT_EQ(KlvBytes(odd), 0u);
  odd[16] = 0;
  EXPECT_EQ(KlvBytes(odd), 17u);  // empty, and what follows is none
}

TEST(Klv, TakesItemsOutOfTheirCells) {
  const std::vector<std::uint8_t> item = KlvItem(3, 20);
  const auto cell = [&item](std::size_t told, std::size_t behind) {
    std::vector<std::uint8_t> bytes = {0, 7, 0xdf, static_cast<std::uint8_t>(told >> 8),
                                       static_cast<std::uint8_t>(told)};
    bytes.insert(bytes.end(), item.begin(), item.end());
    bytes.insert(bytes.end(), behind, 0x55);
    return bytes;
  };
  const auto items = [](const std::vector<std::uint8_t>& packet) {
    const ByteSpan found = KlvItems(packet);
    return std::vector<std::uint8_t>(found.begin(), found.end());
  };
  EXPECT_EQ(items(item), item);
  EXPECT_EQ(items(cell(item.size(), 0)), item);
  EXPECT_EQ(items(cell(item.size(), 9)), item);
  EXPECT_EQ(items(cell(60000, 0)), item);  // cut off, or the length is wrong
  EXPECT_EQ(items({1, 2, 3}), (std::vector<std::uint8_t>{1, 2, 3}));
}

}  // namespace
}  // namespace millrace
