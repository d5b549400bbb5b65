// Damaged files on their way to packets: whatever a demuxer still makes of them, what leaves the
// packetizers are sound packets. Under the address sanitizer these tests say the most.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "tests/media/samples.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

// Nothing here has a second thread, so the thread sanitizer has little to find.
#ifdef __SANITIZE_THREAD__
constexpr int kRounds = 10;
#else
constexpr int kRounds = 130;  // times the samples below: more than 2000 files
#endif
constexpr std::size_t kPacketBytes = 1400;

// Bytes changed, a hole, an echo, or the end cut off.
Bytes Damage(const Bytes& whole, Random& random) {
  Bytes damaged = whole;
  const std::size_t at = random.Below(whole.size());
  const std::size_t size = random.Below(std::min<std::size_t>(whole.size() - at, 8192));
  const auto from = damaged.begin() + static_cast<std::ptrdiff_t>(at);
  const auto to = from + static_cast<std::ptrdiff_t>(size);
  switch (random.Below(8)) {
    case 0:
      damaged.resize(at + 1);
      break;
    case 1:
      damaged.erase(from, to);
      break;
    case 2:
      std::fill(from, to, static_cast<std::uint8_t>(random.Chance(0.5) ? 0 : 0xff));
      break;
    case 3: {
      const Bytes echo(from, to);
      damaged.insert(from, echo.begin(), echo.end());
      break;
    }
    default:
      for (std::size_t i = 1 + random.Below(60); i > 0; --i) {
        // Small numbers and extremes reach further into a parser than noise does.
        const std::uint8_t choices[] = {0,    1,    0x7f,
                                        0x80, 0xff, static_cast<std::uint8_t>(random.Next32())};
        const std::size_t most =
            random.Chance(0.3) ? std::min<std::size_t>(whole.size(), 2048) : whole.size();
        damaged[random.Below(most)] = choices[random.Below(6)];
      }
  }
  return damaged;
}

// How many packets came of it.
std::size_t PacketizeAll(const Bytes& bytes, const std::string& name) {
  constexpr int kUnitsMax = 4000;
  auto demuxer = OpenBytes(bytes, name, AssetView::kWithSubtitles);
  if (!demuxer.ok()) return 0;
  std::vector<std::unique_ptr<Packetizer>> packetizers;
  std::vector<PacketBlockBuilder> builders;
  for (const Track& track : (*demuxer)->info().tracks) {
    packetizers.push_back(MakePacketizer(track, kPacketBytes));
    builders.push_back(testing::MakeBuilder());
  }
  AccessUnit unit;
  for (int i = 0; i < kUnitsMax && (*demuxer)->Next(&unit).value_or(false); ++i) {
    static_cast<void>(packetizers.at(unit.track)->Packetize(unit, builders[unit.track]));
  }
  std::size_t packets = 0;
  for (std::size_t i = 0; i < builders.size(); ++i) {
    packetizers[i]->Flush(builders[i]);
    const PacketBlock block = std::move(builders[i]).Seal();
    EXPECT_EQ(testing::FindFault(block, kPacketBytes), "") << name;
    packets += block.packets().size();
  }
  return packets;
}

class DamagedMedia : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(
    Samples, DamagedMedia,
    ::testing::Values("fast.mp4", "hevc.mp4", "plain.mkv", "plain.ts", "raw.h264", "sound.aac",
                      "vorbis.webm", "opus.webm", "av1.mkv", "part2.mp4", "mpeg2.ts", "mpeg2.mkv",
                      "mp3.flv", "opus.ogg", "vorbis.ogg", "sound.mp3", "sound.ac3", "sound.wav",
                      "sound.eac3", "eac3.ts", "programs.ec3", "speech.amr", "amr_wb.3gp",
                      "g722.wav", "g726.wav", "speex.ogg", "klv.ts", "text.mp4", "h263.3gp",
                      "theora.ogv", "short.dv", "shortdv.mov", "jp2.mov", "j2k.mkv", "mpeg2.mpg",
                      "disc.vob", "part2.avi", "jpeg.avi", "h264.avi", "raw.m4e", "raw.m2v",
                      "raw.mjpeg", "part2.asf", "vvi1.mp4", "latm.ts", "bare.loas"),
    [](const auto& test) {
      std::string name = test.param;
      name[name.find('.')] = '_';
      return name;
    });

TEST_P(DamagedMedia, MakesSoundPacketsOrNone) {
  if (!HasFfmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  const Bytes whole = ReadWhole(Sample(GetParam()));
  ASSERT_FALSE(whole.empty());
  const std::size_t all = PacketizeAll(whole, GetParam());
  ASSERT_GT(all, 20u);
  SeededRandom random(51);
  std::size_t some = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::size_t packets = PacketizeAll(Damage(whole, random), GetParam());
    some += packets > all / 4 ? 1 : 0;
  }
  EXPECT_GT(some, static_cast<std::size_t>(kRounds / 10));
}

}  // namespace
}  // namespace millrace
