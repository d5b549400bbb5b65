#include "tests/sim/synthetic_library.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace millrace::sim {
namespace {

struct Copy {
  std::uint32_t track;
  std::int64_t pts, dts, duration;
  bool random_access;
  Bytes data;
  bool operator==(const Copy&) const = default;
};

std::vector<Copy> ReadAll(Demuxer& demuxer) {
  std::vector<Copy> units;
  AccessUnit unit;
  while (true) {
    const auto more = demuxer.Next(&unit);
    EXPECT_TRUE(more.ok());
    if (!more.ok() || !*more) return units;
    units.push_back({unit.track, unit.pts, unit.dts, unit.duration, unit.random_access,
                     Bytes(unit.data.begin(), unit.data.end())});
  }
}

SyntheticAsset WithBFrames() {
  SyntheticAsset asset;
  asset.duration = 4s;
  asset.video->b_frames = 2;
  asset.video->gop = 24;
  asset.video->slices = 3;
  return asset;
}

TEST(SyntheticMedia, ShowsEveryPictureOnceAndNeverBeforeItIsDecoded) {
  for (const std::uint32_t b_frames : {0u, 1u, 2u, 3u}) {
    SyntheticAsset asset = WithBFrames();
    asset.video->b_frames = b_frames;
    const SyntheticMedia media(asset);
    std::set<std::int64_t> shown;
    std::int64_t previous_dts = INT64_MIN;
    for (std::size_t n = 0; n < media.unit_count(0); ++n) {
      const SyntheticMedia::Unit unit = media.Describe(0, n);
      EXPECT_GE(unit.pts, unit.dts);
      EXPECT_GT(unit.dts, previous_dts);
      EXPECT_EQ(unit.random_access, n % 24 == 0);
      EXPECT_TRUE(shown.insert(unit.pts).second);
      previous_dts = unit.dts;
    }
    EXPECT_EQ(*shown.begin(), 0);
    EXPECT_EQ(*shown.rbegin(), static_cast<std::int64_t>(media.unit_count(0) - 1) * 3600);
    EXPECT_EQ(media.unit_count(0), 100u);
  }
}

TEST(SyntheticMedia, EachPartCarriesItsUnitsNumberAndNoZeroByte) {
  const SyntheticMedia media(WithBFrames());
  for (const std::size_t track : {0u, 1u}) {
    for (std::size_t n = 0; n < media.unit_count(track); n += 7) {
      for (const Bytes& part : media.Parts(track, n)) {
        EXPECT_EQ(SyntheticMedia::NumberIn(part, track == 0), n);
        EXPECT_EQ(std::count(part.begin(), part.end(), 0), 0);
      }
    }
  }
  EXPECT_EQ(media.Parts(0, 0).size(), 4u) << "SEI and three slices";
  EXPECT_EQ(media.Parts(0, 1).size(), 3u);
  EXPECT_EQ(SyntheticMedia::NumberIn(media.info().tracks[0].sps[0], true), std::nullopt);
}

TEST(SyntheticMedia, ContentFollowsFromItsNumberAndTheRateIsAsAsked) {
  SyntheticAsset asset;
  asset.duration = 20s;
  const SyntheticMedia one(asset), same(asset);
  asset.content = 2;
  const SyntheticMedia other(asset);
  EXPECT_EQ(one.Data(0, 7), same.Data(0, 7));
  EXPECT_NE(one.Data(0, 7), other.Data(0, 7));
  std::size_t audio = 0;
  for (std::size_t n = 0; n < one.unit_count(1); ++n) audio += one.Data(1, n).size();
  EXPECT_NEAR(static_cast<double>(audio) * 8 / 20, 128'000, 10'000);
  EXPECT_EQ(one.info().tracks[1].config, (Bytes{0x11, 0x90}));
}

TEST(SyntheticLibrary, SeekGivesTheSameUnitsWhateverWasReadBefore) {
  SyntheticLibrary library;
  const SyntheticMedia& media = library.Add("a.mp4", WithBFrames());
  auto fresh = library.Open("a.mp4");
  auto used = library.Open("a.mp4");
  ASSERT_TRUE(fresh.ok() && used.ok());
  for (const Duration time : {2300ms, 0ms, 3999ms, 960ms, 100ms}) {
    ASSERT_TRUE((*used)->Seek(time).ok());
    auto again = library.Open("a.mp4");
    ASSERT_TRUE((*again)->Seek(time).ok());
    const auto units = ReadAll(**again);
    AccessUnit unit;
    for (int i = 0; i < 5; ++i) ASSERT_TRUE((*used)->Next(&unit).ok());
    ASSERT_TRUE((*used)->Seek(time).ok());
    EXPECT_EQ(ReadAll(**used), units);
    // Every unit decoded at or after `time` is among them, in order per track.
    for (const std::uint32_t track : {0u, 1u}) {
      std::vector<std::int64_t> dts;
      for (const Copy& u : units) {
        if (u.track == track) dts.push_back(u.dts);
      }
      EXPECT_TRUE(std::is_sorted(dts.begin(), dts.end()));
      const std::size_t first = media.FirstAtOrAfter(track, time);
      EXPECT_GE(dts.size(), media.unit_count(track) - first);
    }
    ASSERT_FALSE(units.empty());
  }
  EXPECT_EQ(ReadAll(**fresh).size(), media.unit_count(0) + media.unit_count(1));
}

TEST(SyntheticLibrary, InterleavesTracksByDecodingTime) {
  SyntheticLibrary library;
  library.Add("a.mp4", WithBFrames());
  auto demuxer = library.Open("a.mp4");
  Duration previous = -1h;
  for (const Copy& unit : ReadAll(**demuxer)) {
    const Duration time((unit.dts * 1'000'000'000) / (unit.track == 0 ? 90000 : 48000));
    EXPECT_GE(time, previous);
    previous = time;
  }
}

TEST(SyntheticLibrary, HasTheIndexOnlyWhenAsked) {
  SyntheticLibrary library;
  SyntheticAsset asset = WithBFrames();
  const auto& points = library.Add("a.mp4", asset).info().random_access;
  EXPECT_EQ(points, (std::vector<Duration>{0ms, 960ms, 1920ms, 2880ms, 3840ms}));
  asset.indexed = false;
  EXPECT_TRUE(library.Add("b.mp4", asset).info().random_access.empty());
}

TEST(SyntheticLibrary, GivesTheErrorsItIsToldTo) {
  SyntheticLibrary library;
  library.Add("a.mp4", {});
  EXPECT_EQ(library.Open("b.mp4").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(library.Identify("b.mp4").status().code(), absl::StatusCode::kNotFound);
  library.FailOpen("a.mp4", absl::PermissionDeniedError("no"));
  library.FailOpen("c.mp4", absl::InvalidArgumentError("no media"));
  EXPECT_EQ(library.Open("a.mp4").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(library.Open("c.mp4").status().code(), absl::StatusCode::kInvalidArgument);
  library.FailOpen("a.mp4", absl::OkStatus());
  auto demuxer = library.Open("a.mp4");
  ASSERT_TRUE(demuxer.ok());
  AccessUnit unit;
  EXPECT_TRUE((*demuxer)->Next(&unit).ok());
  library.FailReads("a.mp4", absl::DataLossError("gone"));
  EXPECT_FALSE((*demuxer)->Next(&unit).ok());
  EXPECT_FALSE((*demuxer)->Seek(0s).ok());
  library.Remove("a.mp4");
  EXPECT_EQ(library.Open("a.mp4").status().code(), absl::StatusCode::kNotFound);
}

TEST(SyntheticLibrary, ChangesTheIdentityWhenAsked) {
  SyntheticLibrary library;
  library.Add("a.mp4", {});
  const AssetIdentity first = *library.Identify("a.mp4");
  EXPECT_EQ(*library.Identify("a.mp4"), first);
  library.Touch("a.mp4");
  const AssetIdentity second = *library.Identify("a.mp4");
  EXPECT_FALSE(second == first);
  library.Add("a.mp4", {});
  EXPECT_FALSE(*library.Identify("a.mp4") == second);
}

}  // namespace
}  // namespace millrace::sim
