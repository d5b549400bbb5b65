#include "rtp/presentation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/random.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;

// Gives what it is told to, then counts up.
class ScriptedRandom final : public Random {
 public:
  explicit ScriptedRandom(std::vector<std::uint64_t> script) : script_(std::move(script)) {}
  std::uint64_t Next64() override {
    if (next_ < script_.size()) return script_[next_++];
    return ++next_ << 48;
  }

 private:
  std::vector<std::uint64_t> script_;
  std::size_t next_ = 0;
};

MediaInfo MakeInfo(const std::vector<Codec>& codecs, Duration duration = 10s) {
  MediaInfo info;
  info.duration = duration;
  for (const Codec codec : codecs) {
    info.tracks.emplace_back();
    info.tracks.back().codec = codec;
  }
  return info;
}

constexpr AssetIdentity kIdentity = {
    .device = 1, .inode = 2, .size = 3000, .modified_ns = 1'700'000'000'123'456'789};

Presentation Make(const std::string& path, const AssetIdentity& identity, std::uint64_t seed = 1,
                  const MediaInfo& info = MakeInfo({Codec::kH264, Codec::kAac})) {
  SeededRandom random(seed);
  return MakePresentation(path, identity, 7, info, random);
}

TEST(Presentation, CarriesWhatItIsMadeOf) {
  MediaInfo info = MakeInfo({Codec::kH265, Codec::kAac}, 12345ms);
  info.random_access = {0s, 2s, 4s};
  const Presentation p = Make("a/b.mp4", kIdentity, 1, info);
  EXPECT_EQ(p.path, "a/b.mp4");
  EXPECT_EQ(p.identity, kIdentity);
  EXPECT_EQ(p.id, 7u);
  EXPECT_EQ(p.duration, 12345ms);
  EXPECT_THAT(p.random_access, ElementsAre(0s, 2s, 4s));
  ASSERT_EQ(p.streams.size(), 2u);
  EXPECT_EQ(p.streams[0].track.codec, Codec::kH265);
  EXPECT_EQ(p.streams[0].payload_type, 96);
  EXPECT_EQ(p.streams[1].track.codec, Codec::kAac);
  EXPECT_EQ(p.streams[1].payload_type, 97);
}

TEST(Presentation, CountsABlockForEveryBegunSecond) {
  struct Case {
    Duration duration;
    std::uint32_t blocks;
  };
  for (const Case& c : {Case{0s, 1},
                        {-1s, 1},
                        {1ns, 1},
                        {999ms, 1},
                        {1s, 1},
                        {1s + 1ns, 2},
                        {10s, 10},
                        {10001ms, 11},
                        {Duration::max(), UINT32_MAX}}) {
    Presentation p;
    p.duration = c.duration;
    EXPECT_EQ(p.block_count(), c.blocks) << c.duration.count();
  }
}

TEST(Presentation, LetsTheFirstStreamOfVideoOrElseOfAudioLead) {
  struct Case {
    std::vector<Codec> codecs;
    std::size_t lead;
  };
  for (const Case& c : {Case{{}, 0},
                        {{Codec::kAac}, 0},
                        {{Codec::kAac, Codec::kAac}, 0},
                        {{Codec::kH264, Codec::kAac}, 0},
                        {{Codec::kAac, Codec::kH265, Codec::kH264}, 1},
                        {{Codec::kT140, Codec::kKlv, Codec::kAac}, 2},
                        {{Codec::kT140, Codec::kAac, Codec::kVp8}, 2}}) {
    EXPECT_EQ(Make("x", kIdentity, 1, MakeInfo(c.codecs)).lead_stream(), c.lead);
  }
}

TEST(Presentation, DrawsSsrcsThatAreDistinctAndNotZero) {
  // Zero is drawn first, then 5; for the second stream 5 again, then 6.
  constexpr std::uint64_t kFive = std::uint64_t{5} << 32;
  constexpr std::uint64_t kSix = std::uint64_t{6} << 32;
  ScriptedRandom random({0, kFive, 1, 1, kFive, kSix, 1, 1});
  const Presentation p =
      MakePresentation("x", kIdentity, 1, MakeInfo({Codec::kH264, Codec::kAac}), random);
  EXPECT_EQ(p.streams[0].ssrc, 5u);
  EXPECT_EQ(p.streams[1].ssrc, 6u);
}

TEST(Presentation, GivesManyStreamsDistinctSsrcsAndValidPayloadTypes) {
  const Presentation p = Make("x", kIdentity, 5, MakeInfo(std::vector<Codec>(100, Codec::kAac)));
  std::set<std::uint32_t> ssrcs;
  std::set<std::uint32_t> first_timestamps;
  for (const RtpStream& stream : p.streams) {
    ssrcs.insert(stream.ssrc);
    first_timestamps.insert(stream.first_timestamp);
    EXPECT_GE(stream.payload_type, 96);
    EXPECT_LE(stream.payload_type, 127);
  }
  EXPECT_EQ(ssrcs.size(), 100u);
  EXPECT_GT(first_timestamps.size(), 90u);
}

TEST(Presentation, KeepsItsSdpNumbersWhateverTheRandomnessSays) {
  const Presentation a = Make("films/a.mp4", kIdentity, 1);
  const Presentation b = Make("films/a.mp4", kIdentity, 2);
  EXPECT_NE(a.streams[0].ssrc, b.streams[0].ssrc);
  EXPECT_EQ(a.sdp_session_id, b.sdp_session_id);
  EXPECT_EQ(a.sdp_version, b.sdp_version);
  // The value itself: another process, build or machine must come to the same.
  EXPECT_EQ(a.sdp_session_id, 7411701627915598315u);
  EXPECT_EQ(a.sdp_version >> 30, 1'700'000'000u);
}

TEST(Presentation, ChangesItsSessionIdWithThePathOrTheInode) {
  const std::uint64_t id = Make("a.mp4", kIdentity).sdp_session_id;
  EXPECT_LT(id, std::uint64_t{1} << 63);
  EXPECT_NE(Make("b.mp4", kIdentity).sdp_session_id, id);
  AssetIdentity other = kIdentity;
  other.inode = 3;
  EXPECT_NE(Make("a.mp4", other).sdp_session_id, id);
  // But not when the file is written to: that is what the version tells.
  other = kIdentity;
  other.size += 1;
  other.modified_ns += 1;
  EXPECT_EQ(Make("a.mp4", other).sdp_session_id, id);
}

TEST(Presentation, ChangesItsVersionWithTheFile) {
  std::set<std::uint64_t> versions = {Make("a", kIdentity).sdp_version};
  AssetIdentity changed = kIdentity;
  for (int i = 0; i < 1000; ++i) {
    changed.modified_ns += 1;
    EXPECT_TRUE(versions.insert(Make("a", changed).sdp_version).second) << i;
    changed.size += 1;
    EXPECT_TRUE(versions.insert(Make("a", changed).sdp_version).second) << i;
  }
}

TEST(Presentation, HasAHigherVersionASecondLater) {
  AssetIdentity identity = kIdentity;
  std::uint64_t previous = Make("a", identity).sdp_version;
  for (int i = 0; i < 100; ++i) {
    identity.modified_ns += 1'000'000'000;
    const std::uint64_t version = Make("a", identity).sdp_version;
    EXPECT_GT(version, previous);
    EXPECT_LT(version, std::uint64_t{1} << 63);
    previous = version;
  }
}

TEST(Presentation, HasAVersionForFilesOfAnyDate) {
  for (const std::int64_t ns : {INT64_MIN, std::int64_t{-1}, std::int64_t{0}, INT64_MAX}) {
    AssetIdentity identity = kIdentity;
    identity.modified_ns = ns;
    EXPECT_LT(Make("a", identity).sdp_version, std::uint64_t{1} << 63) << ns;
  }
}

}  // namespace
}  // namespace millrace
