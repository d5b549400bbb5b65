#include "media/opus_packet.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

std::uint8_t Toc(int configuration, int code, bool stereo = false) {
  return static_cast<std::uint8_t>(configuration << 3 | (stereo ? 4 : 0) | code);
}

TEST(OpusPacket, KnowsTheFrameSizeOfEveryConfiguration) {
  // RFC 6716 table 2, in tenths of a millisecond.
  constexpr int kFrameSizes[32] = {
      100, 200, 400, 600,  // SILK narrow band
      100, 200, 400, 600,  // medium band
      100, 200, 400, 600,  // wide band
      100, 200,            // hybrid super wide band
      100, 200,            // full band
      25,  50,  100, 200,  // CELT narrow band
      25,  50,  100, 200,  // wide band
      25,  50,  100, 200,  // super wide band
      25,  50,  100, 200,  // full band
  };
  for (int configuration = 0; configuration < 32; ++configuration) {
    for (const bool stereo : {false, true}) {
      const Bytes packet = {Toc(configuration, 0, stereo), 0xff};
      EXPECT_EQ(OpusSamples(packet), kFrameSizes[configuration] * 48 / 10) << configuration;
    }
  }
}

TEST(OpusPacket, MultipliesByTheFrameCount) {
  constexpr int kSilk60 = 3, kHybrid20 = 13, kCelt2 = 28, kCelt20 = 31;
  struct Case {
    const char* what;
    Bytes packet;
    std::int64_t samples;
  };
  const Case cases[] = {
      {"one frame of nothing", {Toc(kCelt20, 0)}, 960},
      {"two equal frames", {Toc(kCelt20, 1), 1, 2}, 1920},
      {"two frames of two sizes", {Toc(kHybrid20, 2), 1, 2, 3}, 1920},
      {"two of the longest", {Toc(kSilk60, 1)}, 5760},
      {"a count of one", {Toc(kCelt20, 3), 1}, 960},
      {"a count of three, variable rate", {Toc(kCelt20, 3), 0x80 | 3, 0}, 2880},
      {"a count of three, padding", {Toc(kCelt20, 3), 0x40 | 3, 0}, 2880},
      {"48 of the shortest: 120 ms", {Toc(kCelt2, 3), 48}, 5760},
      {"49 of the shortest", {Toc(kCelt2, 3), 49}, 0},
      {"6 of 20 ms", {Toc(kCelt20, 3), 6}, 5760},
      {"7 of 20 ms", {Toc(kCelt20, 3), 7}, 0},
      {"3 of 60 ms", {Toc(kSilk60, 3), 3}, 0},
      {"the highest count", {Toc(kCelt2, 3), 63}, 0},
      {"a count of none", {Toc(kCelt20, 3), 0}, 0},
      {"a count of none beside both flags", {Toc(kCelt20, 3), 0xc0, 9}, 0},
      {"no count", {Toc(kCelt20, 3)}, 0},
      {"nothing", {}, 0},
  };
  for (const Case& c : cases) EXPECT_EQ(OpusSamples(c.packet), c.samples) << c.what;
}

TEST(OpusPacket, AnyTwoBytesLastAWholeNumberOfFramesAndNeverTooLong) {
  int sound = 0;
  for (int bytes = 0; bytes < 65536; ++bytes) {
    const Bytes packet = {static_cast<std::uint8_t>(bytes >> 8), static_cast<std::uint8_t>(bytes)};
    const std::int64_t samples = OpusSamples(packet);
    ASSERT_GE(samples, 0) << bytes;
    ASSERT_LE(samples, kOpusPacketSamplesMax) << bytes;
    ASSERT_EQ(samples % 120, 0) << bytes;
    sound += samples != 0 ? 1 : 0;
  }
  EXPECT_GT(sound, 3 * 16384);  // every packet but some of code 3
}

}  // namespace
}  // namespace millrace
