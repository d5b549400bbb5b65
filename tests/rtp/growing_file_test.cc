// Files read while they are written: however they grow, and whatever was read before, the blocks
// are those of the whole file, each as soon as all of it is there.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "media/growth.h"
#include "rtp/block_reader.h"
#include "tests/media/samples.h"

namespace millrace {
namespace {

// Every viewer could tell these apart.
Bytes Fingerprint(const BlockSet& set) {
  Bytes all = {static_cast<std::uint8_t>(set.last)};
  for (const PacketBlock& block : set.streams) {
    for (const PacketEntry& packet : block.packets()) {
      const std::int64_t facts[] = {packet.pts, packet.due_us, packet.length, packet.flags};
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(facts);
      all.insert(all.end(), bytes, bytes + sizeof(facts));
    }
    all.insert(all.end(), block.bytes(), block.bytes() + block.byte_count());
  }
  return all;
}

// A copy of a sample that is written bit by bit.
class WrittenFile {
 public:
  explicit WrittenFile(Bytes whole) : whole_(std::move(whole)) {
    path_ = SampleFolder() + "/growing-" + std::to_string(getpid());
    fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  }
  ~WrittenFile() {
    close(fd_);
    unlink(path_.c_str());
  }
  void GrowTo(std::size_t size) {
    size = std::min(size, whole_.size());
    if (size <= written_) return;
    EXPECT_EQ(write(fd_, whole_.data() + written_, size - written_),
              static_cast<ssize_t>(size - written_));
    written_ = size;
  }
  void WriteAnew(const Bytes& bytes) {
    EXPECT_EQ(ftruncate(fd_, 0), 0);
    EXPECT_EQ(pwrite(fd_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  // Nothing was written to it for long.
  void Rest() { MakeOld(path_); }

  const std::string& path() const { return path_; }
  std::size_t written() const { return written_; }
  bool whole() const { return written_ == whole_.size(); }

 private:
  Bytes whole_;
  std::string path_;
  int fd_ = -1;
  std::size_t written_ = 0;
};

// As a muxer leaves it that has not come to the end: without size and index.
Bytes UnfinishedMatroska(Bytes bytes) {
  const Bytes segment = {0x18, 0x53, 0x80, 0x67, 0x01};
  const auto at = std::search(bytes.begin(), bytes.end(), segment.begin(), segment.end());
  EXPECT_NE(at, bytes.end());
  std::fill(at + 5, at + 12, std::uint8_t{0xff});
  const Bytes cues = {0x1c, 0x53, 0xbb, 0x6b};
  bytes.erase(std::find_end(bytes.begin(), bytes.end(), cues.begin(), cues.end()), bytes.end());
  return bytes;
}

Bytes BytesNamed(const std::string& name) {
  const Bytes whole = ReadWhole(Sample(name));
  return name == "long.mkv" ? UnfinishedMatroska(whole) : whole;
}

// Every presentation of a file has the same numbers here.
std::shared_ptr<Presentation> PresentationOf(MediaInfo info) {
  SeededRandom random(1);
  info.growing = true;
  return std::make_shared<Presentation>(MakePresentation("a", {}, 1, info, random));
}

std::vector<Bytes> BlocksOfWhole(const Bytes& bytes) {
  std::vector<Bytes> blocks;
  auto demuxer = OpenBytes(bytes, "whole");
  EXPECT_TRUE(demuxer.ok()) << demuxer.status();
  if (!demuxer.ok()) return blocks;
  const auto presentation = PresentationOf((*demuxer)->info());
  BlockReader reader(*std::move(demuxer), VodOptions{});
  const std::vector<std::uint16_t> numbers(presentation->streams.size(), 7);
  for (bool last = false; !last && blocks.size() < 1000;) {
    auto set = reader.Read(*presentation, static_cast<std::uint32_t>(blocks.size()), numbers);
    EXPECT_TRUE(set.ok()) << set.status();
    if (!set.ok()) break;
    last = (*set)->last;
    blocks.push_back(Fingerprint(**set));
  }
  return blocks;
}

constexpr std::array kGrowing = {"long.ts",    "hevc.ts",  "opengop.ts",
                                 "nocues.mkv", "long.mkv", "longfrag.mp4"};

class GrowingFile : public ::testing::TestWithParam<const char*> {};

TEST_P(GrowingFile, GivesTheBlocksOfTheWholeFileHoweverItGrows) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const Bytes bytes = BytesNamed(GetParam());
  const std::vector<Bytes> expected = BlocksOfWhole(bytes);
  ASSERT_GT(expected.size(), 20u);
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    WrittenFile file(bytes);
    absl::StatusOr<std::unique_ptr<Demuxer>> demuxer = absl::UnknownError("not opened");
    while (!demuxer.ok()) {
      ASSERT_FALSE(file.whole()) << demuxer.status();
      file.GrowTo(file.written() + 1 + random.Below(bytes.size() / 20));
      demuxer = OpenPath(file.path());
    }
    ASSERT_TRUE((*demuxer)->info().growing);
    EXPECT_TRUE((*demuxer)->info().random_access.empty());
    const auto presentation = PresentationOf((*demuxer)->info());
    ASSERT_EQ(presentation->streams.size(), 2u);
    BlockReader reader(*std::move(demuxer), VodOptions{});
    const std::vector<std::uint16_t> numbers(presentation->streams.size(), 7);
    bool rested = false;
    for (std::uint32_t next = 0; next < expected.size();) {
      const bool back = next > 0 && random.Chance(0.1);
      const auto number = back ? static_cast<std::uint32_t>(random.Below(next)) : next;
      const auto set = reader.Read(*presentation, number, numbers);
      if (set.ok()) {
        ASSERT_EQ(Fingerprint(**set), expected[number]) << "block " << number;
        if (!back) ++next;
        continue;
      }
      ASSERT_EQ(set.status().code(), absl::StatusCode::kUnavailable) << set.status();
      ASSERT_FALSE(back) << "block " << number << " was there";
      ASSERT_FALSE(rested);
      if (file.whole()) {
        file.Rest();
        rested = true;
      } else {
        file.GrowTo(file.written() + 1 + random.Below(bytes.size() / 10));
      }
    }
    // Only an index of fragments shows that nothing more will come.
    EXPECT_EQ(rested, GetParam() != std::string("longfrag.mp4"));
    EXPECT_EQ(reader.losses().late_units, 0u);
  }
}

TEST_P(GrowingFile, IsReadToWithinASecondOfItsEnd) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const Bytes bytes = BytesNamed(GetParam());
  WrittenFile file(bytes);
  file.GrowTo(bytes.size() * 2 / 5);
  auto demuxer = OpenPath(file.path());
  ASSERT_TRUE(demuxer.ok()) << demuxer.status();
  const auto presentation = PresentationOf((*demuxer)->info());
  BlockReader reader(*std::move(demuxer), VodOptions{});
  const std::vector<std::uint16_t> numbers(presentation->streams.size(), 7);
  std::uint32_t number = 0;
  for (std::size_t size = bytes.size() * 2 / 5; size < bytes.size(); size += bytes.size() / 7) {
    file.GrowTo(size);
    while (reader.Read(*presentation, number, numbers).ok()) ++number;
    const Duration readable = number * presentation->block_duration;
    const Duration end = reader.FindEnd().value_or(Duration::zero());
    // A fragment of a second that has only begun counts for the end.
    EXPECT_LE(ToSeconds(end - readable), GetParam() == std::string("longfrag.mp4") ? 1.3 : 1.0);
    EXPECT_GE(ToSeconds(end), 1.0);
    EXPECT_LE(ToSeconds(end), 26.0);
  }
}

// A recorder that starts over keeps the file's name and inode.
TEST_P(GrowingFile, EndsWhereItIsWrittenAnew) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const Bytes bytes = BytesNamed(GetParam());
  Bytes other = bytes;
  for (std::size_t i = 1000; i < 50'000; ++i) other[i] ^= 0x55;
  const Bytes without_sound = ReadWhole(Sample("video.ts"));
  for (const Bytes& anew : {other, Bytes(bytes.begin(), bytes.begin() + 10'000), without_sound}) {
    for (const bool asked_for_end : {false, true}) {
      WrittenFile file(bytes);
      file.GrowTo(bytes.size() / 4);
      auto demuxer = OpenPath(file.path());
      ASSERT_TRUE(demuxer.ok()) << demuxer.status();
      const auto presentation = PresentationOf((*demuxer)->info());
      BlockReader reader(*std::move(demuxer), VodOptions{});
      const std::vector<std::uint16_t> numbers(presentation->streams.size(), 7);
      std::uint32_t number = 0;
      while (reader.Read(*presentation, number, numbers).ok()) ++number;
      EXPECT_GT(number, 2u);
      file.WriteAnew(anew);
      const absl::Status status = asked_for_end
                                      ? reader.FindEnd().status()
                                      : reader.Read(*presentation, number, numbers).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, GrowingFile, ::testing::ValuesIn(kGrowing),
                         [](const ::testing::TestParamInfo<const char*>& form) {
                           std::string name = form.param;
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

TEST(Growth, IsOverWhereTheFileSaysSo) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const char* name : {"long.mkv", "longfrag.mp4", "plain.mp4", "sound.mp3"}) {
    WrittenFile file(ReadWhole(Sample(name)));
    file.GrowTo(SIZE_MAX);
    auto demuxer = OpenPath(file.path());
    ASSERT_TRUE(demuxer.ok()) << name << ": " << demuxer.status();
    EXPECT_FALSE((*demuxer)->info().growing) << name;
    EXPECT_GT((*demuxer)->info().duration, 4s) << name;
  }
}

TEST(Growth, HasToHaveBegunWithEveryTrack) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const Bytes bytes = ReadWhole(Sample("lateaudio.ts"));
  WrittenFile file(bytes);
  file.GrowTo(bytes.size() / 10);
  EXPECT_EQ(OpenPath(file.path()).status().code(), absl::StatusCode::kUnavailable);
  file.Rest();
  const auto old = OpenPath(file.path());
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ((*old)->info().left_out.size(), 1u);
}

TEST(Growth, FindsTheClustersOfAMatroskaFile) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const Bytes id = {0x1f, 0x43, 0xb6, 0x75};
  for (const char* name : {"long.mkv", "nocues.mkv"}) {
    SCOPED_TRACE(name);
    Bytes bytes = BytesNamed(name);
    std::vector<std::uint64_t> offsets;
    for (auto at = bytes.begin();;) {
      at = std::search(at, bytes.end(), id.begin(), id.end());
      if (at == bytes.end()) break;
      offsets.push_back(static_cast<std::uint64_t>(at - bytes.begin()));
      ++at;
    }
    ASSERT_GT(offsets.size(), 3u);
    const bool sized = name == std::string("long.mkv");
    if (!sized) {
      // As a muxer writes them that cannot go back: the third has a size that is not known.
      const auto size = bytes.begin() + static_cast<std::ptrdiff_t>(offsets[2] + id.size());
      const int size_bytes = std::countl_zero(*size) + 1;
      *size = static_cast<std::uint8_t>((1 << (9 - size_bytes)) - 1);
      std::fill(size + 1, size + size_bytes, std::uint8_t{0xff});
    }
    WrittenFile file(bytes);
    file.GrowTo(SIZE_MAX);
    const MediaFile media(open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
    const std::vector<MatroskaCluster> found = FindMatroskaClusters(media);
    ASSERT_EQ(found.size(), sized ? offsets.size() : 4);
    EXPECT_EQ(found.front().offset, offsets.front());
    EXPECT_EQ(found.back().offset, offsets.back());
    EXPECT_LT(found.front().timestamp, 100);
    EXPECT_GT(found.back().timestamp, 15'000);
    EXPECT_LT(found.back().timestamp, 26'000);
  }
}

}  // namespace
}  // namespace millrace
