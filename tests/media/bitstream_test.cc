#include "media/bitstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "core/random.h"
#include "media/bit_reader.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;

struct Walk {
  std::vector<Bytes> nals;
  bool malformed = false;
};

Walk WalkNals(const Bytes& unit, std::uint32_t length_size) {
  NalIterator iterator(unit, length_size);
  Walk walk;
  ByteSpan nal;
  while (iterator.Next(&nal)) walk.nals.emplace_back(nal.begin(), nal.end());
  walk.malformed = iterator.malformed();
  return walk;
}

// Writes bits for building records by hand.
class BitWriter {
 public:
  BitWriter& Bits(std::uint64_t value, unsigned count) {
    while (count-- > 0) {
      if (used_ % 8 == 0) bytes_.push_back(0);
      if ((value >> count & 1u) != 0) bytes_.back() |= static_cast<std::uint8_t>(0x80 >> used_ % 8);
      ++used_;
    }
    return *this;
  }
  BitWriter& Golomb(std::uint32_t value) {
    unsigned length = 0;
    while ((value + 1) >> (length + 1) != 0) ++length;
    return Bits(0, length).Bits(value + 1, length + 1);
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
  unsigned used_ = 0;
};

struct NalCase {
  const char* name;
  std::uint32_t length_size;
  Bytes unit;
  std::vector<Bytes> nals;
  bool malformed;
};

class NalTable : public ::testing::TestWithParam<NalCase> {};

TEST_P(NalTable, GivesTheNalUnitsAndReportsDamage) {
  const NalCase& expected = GetParam();
  const Walk walk = WalkNals(expected.unit, expected.length_size);
  EXPECT_EQ(walk.nals, expected.nals);
  EXPECT_EQ(walk.malformed, expected.malformed);
}

INSTANTIATE_TEST_SUITE_P(
    Nal, NalTable,
    ::testing::Values(
        NalCase{"Empty", 0, {}, {}, false}, NalCase{"EmptyPrefixed", 4, {}, {}, false},
        NalCase{"ThreeByteCode", 0, {0, 0, 1, 0x65, 9}, {{0x65, 9}}, false},
        NalCase{"FourByteCode", 0, {0, 0, 0, 1, 0x65, 9}, {{0x65, 9}}, false},
        NalCase{
            "Mixed", 0, {0, 0, 0, 1, 7, 0, 0, 1, 8, 1, 0, 0, 0, 1, 5}, {{7}, {8, 1}, {5}}, false},
        NalCase{"TrailingZeros", 0, {0, 0, 1, 7, 0, 0, 0, 0, 0, 1, 8, 0, 0}, {{7}, {8}}, false},
        NalCase{"EmptyNalSkipped", 0, {0, 0, 1, 0, 0, 1, 8}, {{8}}, false},
        NalCase{"CodeAtTheEnd", 0, {0, 0, 1, 8, 0, 0, 1}, {{8}}, false},
        NalCase{"EmulationKept", 0, {0, 0, 1, 8, 0, 0, 3, 1}, {{8, 0, 0, 3, 1}}, false},
        NalCase{"GarbageBefore", 0, {5, 0, 0, 1, 8}, {{8}}, true},
        NalCase{"NoCodeAtAll", 0, {5, 6, 7}, {}, true},
        NalCase{"OneByteLength", 1, {2, 7, 1, 1, 8}, {{7, 1}, {8}}, false},
        NalCase{"TwoByteLength", 2, {0, 2, 7, 1, 0, 1, 8}, {{7, 1}, {8}}, false},
        NalCase{"FourByteLength", 4, {0, 0, 0, 2, 7, 1, 0, 0, 0, 1, 8}, {{7, 1}, {8}}, false},
        NalCase{"ZeroLengthSkipped", 2, {0, 0, 0, 1, 8}, {{8}}, false},
        NalCase{"LengthBeyondTheEnd", 2, {0, 1, 8, 0, 9, 1}, {{8}}, true},
        NalCase{"HugeLength", 4, {0xff, 0xff, 0xff, 0xff, 1}, {}, true},
        NalCase{"TornLength", 4, {0, 0, 0, 1, 8, 0, 0}, {{8}}, true},
        NalCase{"LengthOfNothing", 1, {1}, {}, true}),
    [](const auto& test) { return test.param.name; });

TEST(NalIterator, FindsWhatWasWrittenWhateverTheFraming) {
  SeededRandom random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Bytes> nals(1 + random.Below(6));
    for (Bytes& nal : nals) {
      nal.resize(1 + random.Below(40));
      for (auto& byte : nal) byte = static_cast<std::uint8_t>(2 + random.Below(200));
    }
    Bytes annex_b, prefixed;
    for (const Bytes& nal : nals) {
      annex_b.insert(annex_b.end(), 2 + random.Below(4), 0);
      annex_b.push_back(1);
      annex_b.insert(annex_b.end(), nal.begin(), nal.end());
      prefixed.push_back(0);
      prefixed.push_back(static_cast<std::uint8_t>(nal.size()));
      prefixed.insert(prefixed.end(), nal.begin(), nal.end());
    }
    EXPECT_EQ(WalkNals(annex_b, 0).nals, nals);
    EXPECT_EQ(WalkNals(prefixed, 2).nals, nals);
  }
}

TEST(NalTypes, AreReadFromTheHeader) {
  EXPECT_EQ(H264NalType(Bytes{0x65}), kH264Idr);
  EXPECT_EQ(H264RefIdc(Bytes{0x65}), 3);
  EXPECT_EQ(H264NalType({}), 0);
  EXPECT_EQ(H265NalType(Bytes{0x40, 1}), kH265Vps);
  EXPECT_EQ(H265NalType(Bytes{0x2a, 1}), kH265Cra);
  EXPECT_TRUE(IsH265Irap(kH265Cra));
  EXPECT_FALSE(IsH265Irap(kH265Vps));
}

TEST(ClassifyAccessUnit, TellsWhereDecodingCanStart) {
  const auto classify = [](Codec codec, std::initializer_list<Bytes> nals) {
    Bytes unit;
    for (const Bytes& nal : nals) {
      unit.push_back(static_cast<std::uint8_t>(nal.size()));
      unit.insert(unit.end(), nal.begin(), nal.end());
    }
    return ClassifyAccessUnit(codec, unit, 1);
  };
  const Bytes recovery = {6, 5, 2, 1, 1, 6, 1, 0x80};  // an unregistered message, then type 6
  const Bytes other_sei = {6, 5, 2, 6, 6, 0x80};
  EXPECT_EQ(classify(Codec::kH264, {{9, 16}, {0x67, 1}, {0x65, 1}}), PictureStart::kSequence);
  EXPECT_EQ(classify(Codec::kH264, {recovery, {0x41, 1}}), PictureStart::kRandomAccess);
  EXPECT_EQ(classify(Codec::kH264, {other_sei, {0x41, 1}}), PictureStart::kNone);
  EXPECT_EQ(classify(Codec::kH264, {{0x41, 1}, recovery}), PictureStart::kNone);
  EXPECT_EQ(classify(Codec::kH265, {{0x40, 1}, {0x28, 1}}), PictureStart::kSequence);  // IDR_N_LP
  EXPECT_EQ(classify(Codec::kH265, {{0x20, 1}}), PictureStart::kSequence);             // BLA_W_LP
  EXPECT_EQ(classify(Codec::kH265, {{0x2a, 1}}), PictureStart::kRandomAccess);
  EXPECT_EQ(classify(Codec::kH265, {{0x02, 1}}), PictureStart::kNone);
  EXPECT_EQ(classify(Codec::kH265, {}), PictureStart::kNone);
}

TEST(EndsSequence, IsTheLastNalUnitOnly) {
  EXPECT_TRUE(EndsSequence(Codec::kH264, Bytes{1, 0x65, 1, 10}, 1));
  EXPECT_FALSE(EndsSequence(Codec::kH264, Bytes{1, 10, 1, 0x65}, 1));
  EXPECT_TRUE(EndsSequence(Codec::kH265, Bytes{2, 0x26, 1, 2, 0x48, 1}, 1));
}

Bytes SampleAvcC() {
  return {1, 0x64, 0, 31, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, 31, 1, 0, 3, 0x68, 0xee, 0x3c};
}

TEST(ParseAvcC, GivesParameterSetsAndLengthSize) {
  Track track;
  ASSERT_TRUE(ParseAvcC(SampleAvcC(), &track));
  EXPECT_EQ(track.nal_length_size, 4u);
  EXPECT_THAT(track.sps, ElementsAre(Bytes{0x67, 0x64, 0, 31}));
  EXPECT_THAT(track.pps, ElementsAre(Bytes{0x68, 0xee, 0x3c}));
}

TEST(ParseAvcC, RefusesEveryTruncationAndLeavesTheTrackAlone) {
  const Bytes whole = SampleAvcC();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Track track;
    EXPECT_FALSE(ParseAvcC(ByteSpan(whole).first(size), &track)) << size;
    EXPECT_TRUE(track.sps.empty());
  }
  Bytes three_byte_lengths = whole;
  three_byte_lengths[4] = 0xfe;
  Track track;
  EXPECT_FALSE(ParseAvcC(three_byte_lengths, &track));
}

Bytes SampleHvcC() {
  Bytes record(21);
  record[0] = 1;
  record.insert(record.end(), {0x0f, 3});
  record.insert(record.end(), {0xa0, 0, 1, 0, 3, 0x40, 1, 12});
  record.insert(record.end(), {0xa1, 0, 2, 0, 3, 0x42, 1, 1, 0, 3, 0x42, 1, 2});
  record.insert(record.end(), {0xa2, 0, 1, 0, 2, 0x44, 1});
  return record;
}

TEST(ParseHvcC, GivesParameterSetsAndLengthSize) {
  Track track;
  track.codec = Codec::kH265;
  ASSERT_TRUE(ParseHvcC(SampleHvcC(), &track));
  EXPECT_EQ(track.nal_length_size, 4u);
  EXPECT_THAT(track.vps, ElementsAre(Bytes{0x40, 1, 12}));
  EXPECT_THAT(track.sps, ElementsAre(Bytes{0x42, 1, 1}, Bytes{0x42, 1, 2}));
  EXPECT_THAT(track.pps, ElementsAre(Bytes{0x44, 1}));
}

TEST(ParseHvcC, RefusesEveryTruncation) {
  const Bytes whole = SampleHvcC();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Track track;
    EXPECT_FALSE(ParseHvcC(ByteSpan(whole).first(size), &track)) << size;
  }
}

TEST(ParseVideoExtradata, TakesAnnexBAsItIs) {
  Track track;
  ASSERT_TRUE(ParseVideoExtradata(Bytes{0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 1, 0x68, 5}, &track));
  EXPECT_EQ(track.nal_length_size, 0u);
  EXPECT_THAT(track.sps, ElementsAre(Bytes{0x67, 1, 2, 3}));
  EXPECT_THAT(track.pps, ElementsAre(Bytes{0x68, 5}));
}

TEST(CollectParameterSets, AddsEachOnceAndIsBounded) {
  Track track;
  const Bytes unit = {0, 0, 1, 0x67, 1, 2, 3, 0, 0, 1, 0x68, 5};
  CollectParameterSets(unit, 0, &track);
  CollectParameterSets(unit, 0, &track);
  EXPECT_EQ(track.sps.size(), 1u);
  for (int i = 1; i < 255; ++i) {
    CollectParameterSets(Bytes{0, 0, 1, 0x68, 7, static_cast<std::uint8_t>(i)}, 0, &track);
  }
  EXPECT_EQ(track.pps.size(), 64u);
}

TEST(BitReader, RemovesEmulationPreventionAndStaysAtTheEnd) {
  const Bytes escaped = {0, 0, 3, 1, 0, 0, 3};
  BitReader plain(escaped), nal(escaped, true);
  EXPECT_EQ(plain.Bits(32), 0x00000301u);
  EXPECT_EQ(nal.Bits(24), 0x000001u);
  EXPECT_EQ(nal.Bits(16), 0u);
  EXPECT_TRUE(nal.ok());
  EXPECT_EQ(nal.Bit(), 0u);
  EXPECT_FALSE(nal.ok());
}

TEST(BitReader, SkipsAsIfBitByBit) {
  SeededRandom random(5);
  Bytes bytes(40);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.Next32());
  for (unsigned from = 0; from < 17; ++from) {
    for (unsigned count = 0; count < 8 * 40 + 20; ++count) {
      BitReader skips(bytes), reads(bytes);
      skips.Skip(from);
      reads.Bits(from);
      skips.Skip(count);
      for (unsigned i = 0; i < count; ++i) reads.Bit();
      ASSERT_EQ(skips.ok(), reads.ok()) << from << " " << count;
      if (reads.ok()) {
        ASSERT_EQ(skips.position(), from + count);
      }
      ASSERT_EQ(skips.Bits(20), reads.Bits(20)) << from << " " << count;
      ASSERT_EQ(skips.ok(), reads.ok()) << from << " " << count;
    }
  }
}

TEST(BitReader, ReadsExpGolombCodes) {
  BitWriter writer;
  const std::vector<std::uint32_t> values = {0, 1, 2, 3, 7, 8, 255, 65534};
  for (const auto value : values) writer.Golomb(value);
  BitReader reader(writer.bytes());
  for (const auto value : values) EXPECT_EQ(reader.Unsigned(), value);
  const Bytes four = {0b00101000}, zeros(8);
  BitReader negative(four);
  EXPECT_EQ(negative.Signed(), -2);
  BitReader endless(zeros);
  EXPECT_EQ(endless.Unsigned(), 0u);
  EXPECT_FALSE(endless.ok());
}

Bytes BaselineSps(bool vui, std::uint32_t units_in_tick, std::uint32_t time_scale) {
  BitWriter sps;
  sps.Bits(0x67, 8).Bits(66, 8).Bits(0, 8).Bits(30, 8);
  sps.Golomb(0).Golomb(0).Golomb(2).Golomb(1).Bits(0, 1).Golomb(9).Golomb(7);
  sps.Bits(1, 1).Bits(1, 1).Bits(0, 1).Bits(vui ? 1 : 0, 1);
  if (vui) {
    sps.Bits(1, 1).Bits(255, 8).Bits(0x00050004, 32);  // extended sample aspect ratio
    sps.Bits(0, 1).Bits(1, 1).Bits(5, 3).Bits(0, 1).Bits(0, 1).Bits(0, 1);
    sps.Bits(1, 1).Bits(units_in_tick, 32).Bits(time_scale, 32).Bits(1, 1);
  }
  // Escaped as an encoder would write it.
  Bytes escaped;
  int zeros = 0;
  for (const std::uint8_t byte : sps.bytes()) {
    if (zeros >= 2 && byte <= 3) {
      escaped.push_back(3);
      zeros = 0;
    }
    escaped.push_back(byte);
    zeros = byte == 0 ? zeros + 1 : 0;
  }
  return escaped;
}

TEST(ReadH264FrameRate, HalvesTheFieldRateOfTheVui) {
  const auto rate = ReadH264FrameRate(BaselineSps(true, 1001, 60000));
  ASSERT_TRUE(rate.has_value());
  EXPECT_EQ(rate->numerator, 60000u);
  EXPECT_EQ(rate->denominator, 2002u);
}

TEST(ReadH264FrameRate, IsEmptyWithoutTimingOrWithSenselessTiming) {
  EXPECT_FALSE(ReadH264FrameRate(BaselineSps(false, 0, 0)));
  EXPECT_FALSE(ReadH264FrameRate(BaselineSps(true, 0, 60000)));
  EXPECT_FALSE(ReadH264FrameRate(BaselineSps(true, 1001, 0)));
  const Bytes whole = BaselineSps(true, 1001, 60000);
  for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
    EXPECT_FALSE(ReadH264FrameRate(ByteSpan(whole).first(size))) << size;
  }
}

TEST(ParseAdts, ReadsTheHeaderAndMakesTheConfiguration) {
  const Bytes frame = {0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc, 1, 2, 3};
  const auto header = ParseAdts(frame);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->object_type, 2u);
  EXPECT_EQ(header->sample_rate, 44100u);
  EXPECT_EQ(header->channel_config, 2u);
  EXPECT_EQ(header->header_bytes, 7u);
  EXPECT_EQ(header->frame_bytes, 16u);
  EXPECT_EQ(header->raw_data_blocks, 1u);
  EXPECT_THAT(header->audio_specific_config, ElementsAre(0x12, 0x10));
  Bytes with_checksum = frame;
  with_checksum[1] = 0xf0;
  EXPECT_EQ(ParseAdts(with_checksum)->header_bytes, 9u);
}

TEST(ParseAdts, RefusesWhatIsNoHeader) {
  const Bytes good = {0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc};
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseAdts(ByteSpan(good).first(size)));
  }
  const auto with = [&](std::size_t at, std::uint8_t byte) {
    Bytes bytes = good;
    bytes[at] = byte;
    return bytes;
  };
  EXPECT_FALSE(ParseAdts(with(0, 0xfe)));  // sync
  EXPECT_FALSE(ParseAdts(with(1, 0xf3)));  // layer
  EXPECT_FALSE(ParseAdts(with(2, 0x7c)));  // sample rate index 15
  EXPECT_FALSE(ParseAdts(with(4, 0x00)));  // a frame shorter than its header
}

TEST(ReadAudioSpecificConfig, ReadsTheCommonOnes) {
  const auto lc = ReadAudioSpecificConfig(Bytes{0x12, 0x10});
  ASSERT_TRUE(lc.has_value());
  EXPECT_EQ(lc->object_type, 2u);
  EXPECT_EQ(lc->sample_rate, 44100u);
  EXPECT_EQ(lc->channels, 2u);
  EXPECT_EQ(lc->frame_samples, 1024u);

  BitWriter escape;
  escape.Bits(2, 5).Bits(15, 4).Bits(44000, 24).Bits(7, 4).Bits(1, 1);
  const auto odd = ReadAudioSpecificConfig(escape.bytes());
  ASSERT_TRUE(odd.has_value());
  EXPECT_EQ(odd->sample_rate, 44000u);
  EXPECT_EQ(odd->channels, 8u);
  EXPECT_EQ(odd->frame_samples, 960u);

  BitWriter sbr;
  sbr.Bits(5, 5).Bits(6, 4).Bits(2, 4).Bits(3, 4).Bits(2, 5).Bits(0, 3);
  const auto high_efficiency = ReadAudioSpecificConfig(sbr.bytes());
  ASSERT_TRUE(high_efficiency.has_value());
  EXPECT_TRUE(high_efficiency->sbr);
  EXPECT_EQ(high_efficiency->object_type, 2u);
  EXPECT_EQ(high_efficiency->core_rate, 24000u);
  EXPECT_EQ(high_efficiency->sample_rate, 48000u);
  EXPECT_EQ(high_efficiency->frame_samples, 2048u);

  BitWriter ps;
  ps.Bits(29, 5).Bits(6, 4).Bits(1, 4).Bits(3, 4).Bits(2, 5).Bits(0, 3);
  EXPECT_EQ(ReadAudioSpecificConfig(ps.bytes())->channels, 2u);
}

TEST(ReadAudioSpecificConfig, RefusesDamage) {
  EXPECT_FALSE(ReadAudioSpecificConfig({}));
  EXPECT_FALSE(ReadAudioSpecificConfig(Bytes{0x12}));
  EXPECT_FALSE(ReadAudioSpecificConfig(Bytes{0x16, 0x90}));  // reserved sample rate index
  EXPECT_FALSE(ReadAudioSpecificConfig(Bytes{0x02, 0x10}));  // object type 0
  EXPECT_FALSE(ReadAudioSpecificConfig(Bytes{0x17, 0xff, 0xff, 0xff, 0x90}));
}

TEST(Bitstream, SurvivesRandomBytes) {
  SeededRandom random(11);
  std::size_t nals_found = 0;
  for (int round = 0; round < 3000; ++round) {
    Bytes bytes(random.Below(64));
    for (auto& byte : bytes) {
      byte = static_cast<std::uint8_t>(random.Chance(0.5) ? random.Below(4) : random.Next32());
    }
    for (const std::uint32_t length_size : {0u, 1u, 2u, 4u}) {
      const Walk walk = WalkNals(bytes, length_size);
      std::size_t sum = 0;
      for (const Bytes& nal : walk.nals) sum += nal.size();
      EXPECT_LE(sum, bytes.size());
      nals_found += walk.nals.size();
      ClassifyAccessUnit(Codec::kH264, bytes, length_size);
    }
    Track track;
    ParseAvcC(bytes, &track);
    ParseHvcC(bytes, &track);
    ReadH264FrameRate(bytes);
    ReadAudioSpecificConfig(bytes);
    ParseAdts(bytes);
  }
  EXPECT_GT(nals_found, 1000u);
}

}  // namespace
}  // namespace millrace
