#include "media/audio_frame.h"

#include <gtest/gtest.h>

#include "core/random.h"

namespace millrace {
namespace {

Bytes Padded(Bytes bytes, std::size_t size = 64) {
  bytes.resize(std::max(bytes.size(), size));
  return bytes;
}

TEST(MpegAudio, ReadsEveryVersionAndLayer) {
  struct Case {
    const char* what;
    Bytes bytes;
    std::uint32_t sample_rate, channels, frame_samples;
    std::size_t frame_bytes;
  };
  const Case kCases[] = {
      {"1, III, 128 kbit/s, 44.1 kHz, joint stereo", {0xff, 0xfb, 0x90, 0x64}, 44100, 2, 1152, 417},
      {"the same, padded", {0xff, 0xfb, 0x92, 0x64}, 44100, 2, 1152, 418},
      {"1, III, 320 kbit/s, 48 kHz", {0xff, 0xfb, 0xe4, 0x00}, 48000, 2, 1152, 960},
      {"1, II, 192 kbit/s, 48 kHz", {0xff, 0xfd, 0xa4, 0x00}, 48000, 2, 1152, 576},
      {"1, I, 384 kbit/s, 32 kHz", {0xff, 0xff, 0xc8, 0x00}, 32000, 2, 384, 576},
      {"2, III, 64 kbit/s, 22.05 kHz, mono", {0xff, 0xf3, 0x80, 0xc0}, 22050, 1, 576, 208},
      {"2, II, 160 kbit/s, 24 kHz", {0xff, 0xf5, 0xe4, 0x00}, 24000, 2, 1152, 960},
      {"2.5, III, 8 kbit/s, 8 kHz", {0xff, 0xe3, 0x18, 0x00}, 8000, 2, 576, 72},
  };
  for (const Case& c : kCases) {
    const auto header = ParseMpegAudio(c.bytes);
    ASSERT_TRUE(header) << c.what;
    EXPECT_EQ(header->sample_rate, c.sample_rate) << c.what;
    EXPECT_EQ(header->channels, c.channels) << c.what;
    EXPECT_EQ(header->frame_samples, c.frame_samples) << c.what;
    EXPECT_EQ(header->frame_bytes, c.frame_bytes) << c.what;
  }
}

TEST(MpegAudio, RefusesWhatIsNoFrame) {
  const Bytes kNone[] = {
      {},
      {0xff, 0xfb, 0x90},        // cut off
      {0xff, 0xdb, 0x90, 0x64},  // no sync
      {0xff, 0xeb, 0x90, 0x64},  // reserved version
      {0xff, 0xf9, 0x90, 0x64},  // reserved layer
      {0xff, 0xfb, 0x00, 0x64},  // free format
      {0xff, 0xfb, 0xf0, 0x64},  // reserved bit rate
      {0xff, 0xfb, 0x9c, 0x64},  // reserved sample rate
  };
  for (const Bytes& bytes : kNone) EXPECT_FALSE(ParseMpegAudio(bytes));
}

TEST(MpegAudio, KnowsTheFrameThatHoldsNoSound) {
  const auto with = [](Bytes header, std::size_t at, const char* name) {
    Bytes frame = Padded(std::move(header));
    std::copy(name, name + 4, frame.begin() + static_cast<std::ptrdiff_t>(at));
    return frame;
  };
  EXPECT_TRUE(IsMp3InfoFrame(with({0xff, 0xfb, 0x90, 0x64}, 36, "Xing")));
  EXPECT_TRUE(IsMp3InfoFrame(with({0xff, 0xfb, 0x90, 0xc4}, 21, "Info")));
  EXPECT_TRUE(IsMp3InfoFrame(with({0xff, 0xf3, 0x80, 0xc0}, 13, "Info")));
  EXPECT_TRUE(IsMp3InfoFrame(with({0xff, 0xfb, 0x90, 0x64}, 36, "VBRI")));
  EXPECT_FALSE(IsMp3InfoFrame(with({0xff, 0xfb, 0x90, 0x64}, 37, "Xing")));
  EXPECT_FALSE(IsMp3InfoFrame(with({0xff, 0xfd, 0xa4, 0x00}, 36, "Xing")));  // layer II
  EXPECT_FALSE(IsMp3InfoFrame(Bytes{0xff, 0xfb, 0x90, 0x64}));
}

TEST(Ac3, ReadsRateChannelsAndLength) {
  struct Case {
    const char* what;
    Bytes bytes;
    std::uint32_t sample_rate, channels;
    std::size_t frame_bytes;
  };
  const Case kCases[] = {
      {"448 kbit/s, 48 kHz, 5.1", {0x0b, 0x77, 0, 0, 0x1e, 0x40, 0xe1, 0xf0}, 48000, 6, 1792},
      {"192 kbit/s, 48 kHz, stereo", {0x0b, 0x77, 0, 0, 0x14, 0x40, 0x40, 0}, 48000, 2, 768},
      {"192 kbit/s, 44.1 kHz", {0x0b, 0x77, 0, 0, 0x54, 0x40, 0x40, 0}, 44100, 2, 834},
      {"the same, a word longer", {0x0b, 0x77, 0, 0, 0x55, 0x40, 0x40, 0}, 44100, 2, 836},
      {"32 kbit/s, 32 kHz, mono", {0x0b, 0x77, 0, 0, 0x80, 0x40, 0x20, 0}, 32000, 1, 192},
  };
  for (const Case& c : kCases) {
    const auto header = ParseAc3(c.bytes);
    ASSERT_TRUE(header) << c.what;
    EXPECT_EQ(header->sample_rate, c.sample_rate) << c.what;
    EXPECT_EQ(header->channels, c.channels) << c.what;
    EXPECT_EQ(header->frame_samples, 1536u) << c.what;
    EXPECT_EQ(header->frame_bytes, c.frame_bytes) << c.what;
  }
  EXPECT_FALSE(ParseAc3(Bytes{0x0b, 0x77, 0, 0, 0x14, 0x40}));              // cut off
  EXPECT_FALSE(ParseAc3(Bytes{0x77, 0x0b, 0, 0, 0x14, 0x40, 0x40, 0}));     // no sync
  EXPECT_FALSE(ParseAc3(Bytes{0x0b, 0x77, 0, 0, 0xd4, 0x40, 0x40, 0}));     // reserved rate
  EXPECT_FALSE(ParseAc3(Bytes{0x0b, 0x77, 0, 0, 0x26, 0x40, 0x40, 0}));     // beyond the table
  EXPECT_FALSE(ParseAc3(Bytes{0x0b, 0x77, 0, 0, 0x14, 0x80, 0x40, 0, 0}));  // E-AC-3
}

TEST(AudioFrame, ReadsAnyBytes) {
  SeededRandom random(1);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(random.Next64() % 48);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.Next64());
    if (bytes.size() > 2 && round % 2 == 0) bytes[0] = 0xff, bytes[1] |= 0xe0;
    if (bytes.size() > 2 && round % 2 == 1) bytes[0] = 0x0b, bytes[1] = 0x77;
    for (const auto& header : {ParseMpegAudio(bytes), ParseAc3(bytes)}) {
      if (!header) continue;
      EXPECT_GT(header->frame_bytes, 4u);
      EXPECT_LE(header->frame_bytes, 8192u);
      EXPECT_GE(header->sample_rate, 8000u);
    }
    IsMp3InfoFrame(bytes);
  }
}

}  // namespace
}  // namespace millrace
