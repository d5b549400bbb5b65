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

TEST(Eac3, ReadsWhatAFrameIsAndWhereAUnitBegins) {
  struct Case {
    const char* what;
    Bytes bytes;
    std::uint32_t sample_rate, channels, frame_samples;
    std::size_t frame_bytes;
    bool starts_unit;
  };
  const Case kCases[] = {
      {"5.1, six blocks", {0x0b, 0x77, 0x02, 0xff, 0x3f, 0x80}, 48000, 6, 1536, 1536, true},
      {"mono, 44.1 kHz, a block", {0x0b, 0x77, 0, 63, 0x42, 0x80}, 44100, 1, 256, 128, true},
      {"32 kHz, two blocks", {0x0b, 0x77, 0, 63, 0x94, 0x80}, 32000, 2, 512, 128, true},
      {"a dependent substream", {0x0b, 0x77, 0x40, 63, 0x34, 0x80}, 48000, 2, 1536, 128, false},
      {"a second program", {0x0b, 0x77, 0x08, 63, 0x34, 0x80}, 48000, 2, 1536, 128, false},
      {"converted from AC-3", {0x0b, 0x77, 0x80, 63, 0x34, 0x80}, 48000, 2, 1536, 128, true},
      {"the largest", {0x0b, 0x77, 0x07, 0xff, 0x34, 0x80}, 48000, 2, 1536, 4096, true},
      {"AC-3", {0x0b, 0x77, 0, 0, 0x14, 0x40, 0x40, 0}, 48000, 2, 1536, 768, true},
  };
  for (const Case& c : kCases) {
    const auto header = ParseEac3(c.bytes);
    ASSERT_TRUE(header) << c.what;
    EXPECT_EQ(header->sample_rate, c.sample_rate) << c.what;
    EXPECT_EQ(header->channels, c.channels) << c.what;
    EXPECT_EQ(header->frame_samples, c.frame_samples) << c.what;
    EXPECT_EQ(header->frame_bytes, c.frame_bytes) << c.what;
    EXPECT_EQ(header->starts_unit, c.starts_unit) << c.what;
  }
  EXPECT_FALSE(ParseEac3(Bytes{0x0b, 0x77, 0, 63, 0x34}));           // cut off
  EXPECT_FALSE(ParseEac3(Bytes{0x0b, 0x77, 0xc0, 63, 0x34, 0x80}));  // reserved type
  EXPECT_FALSE(ParseEac3(Bytes{0x0b, 0x77, 0, 63, 0xf4, 0x80}));     // half a rate
  EXPECT_FALSE(ParseEac3(Bytes{0x0b, 0x77, 0, 63, 0x34, 0x88}));     // a newer syntax
  EXPECT_FALSE(ParseEac3(Bytes{0x0b, 0x77, 0, 0, 0x34, 0x80}));      // no room for its header
}

TEST(Amr, ReadsOnlyTypesOfItsCodec) {
  for (int type = 0; type < 16; ++type) {
    const Bytes frame = {static_cast<std::uint8_t>(type << 3 | 4)};
    EXPECT_EQ(ParseAmr(frame, false).has_value(), type <= 8 || type == 15) << type;
    EXPECT_EQ(ParseAmr(frame, true).has_value(), type <= 9 || type >= 14) << type;
  }
  EXPECT_EQ(ParseAmr(Bytes{7 << 3}, false)->frame_bytes, 32u);
  EXPECT_EQ(ParseAmr(Bytes{8 << 3}, true)->frame_bytes, 61u);
  EXPECT_EQ(ParseAmr(Bytes{15 << 3}, true)->frame_bytes, 1u);
  EXPECT_EQ(ParseAmr(Bytes{0}, false)->frame_samples, 160u);
  EXPECT_EQ(ParseAmr(Bytes{0}, true)->frame_samples, 320u);
  EXPECT_FALSE(ParseAmr(Bytes{}, false));
  for (const std::uint8_t padding : {0x80, 0x01, 0x02})
    EXPECT_FALSE(ParseAmr(Bytes{padding}, false));
}

TEST(AudioFrame, ReadsAnyBytes) {
  SeededRandom random(1);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(random.Next64() % 48);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.Next64());
    if (bytes.size() > 2 && round % 2 == 0) bytes[0] = 0xff, bytes[1] |= 0xe0;
    if (bytes.size() > 2 && round % 2 == 1) bytes[0] = 0x0b, bytes[1] = 0x77;
    for (const auto& header : {ParseMpegAudio(bytes), ParseAc3(bytes), ParseEac3(bytes)}) {
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
