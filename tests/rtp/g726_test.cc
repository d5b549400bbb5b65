#include "rtp/payload/g726.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/g726_depacketizer.h"
#include "tests/rtp/sample_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

Track G726Track(std::uint8_t bits, bool little_endian) {
  Track track = testing::MakeTrack(Codec::kG726, 0, 8000);
  track.channels = 1;
  track.config = {bits};
  track.little_endian = little_endian;
  return track;
}

// Packs words the plainest way there is.
Bytes Pack(const std::vector<int>& words, std::size_t bits, bool little_endian) {
  Bytes bytes(words.size() * bits / 8);
  for (std::size_t i = 0; i < words.size() * bits; ++i) {
    const std::size_t in_word = i % bits;
    const int word = words[i / bits];
    const int bit = little_endian ? word >> in_word & 1 : word >> (bits - 1 - in_word) & 1;
    bytes[i / 8] |= static_cast<std::uint8_t>(bit << (little_endian ? i % 8 : 7 - i % 8));
  }
  return bytes;
}

std::vector<int> RandomWords(std::size_t count, std::size_t bits, Random& random) {
  std::vector<int> words(count);
  for (int& word : words) word = static_cast<int>(random.Below(1u << bits));
  return words;
}

TEST(G726, NamesItsBitRate) {
  const char* const kNames[] = {"G726-16/8000", "G726-24/8000", "G726-32/8000", "G726-40/8000"};
  for (std::uint8_t bits = 2; bits <= 5; ++bits) {
    EXPECT_EQ(kG726Format.encoding(G726Track(bits, false)), kNames[bits - 2]);
  }
}

// The figures of RFC 3551 section 4.5.4: the first word is in the least significant bits.
TEST(G726, PutsTheFirstWordInTheLeastSignificantBits) {
  struct Case {
    std::uint8_t bits;
    Bytes big_endian, expected;
  };
  const std::vector<Case> cases = {
      {2, {0b00'01'10'11, 0}, {0b11'10'01'00, 0}},
      {3, {0b000'001'01, 0b0'011'100'1, 0b01'110'111}, {0b10'001'000, 0b1'100'011'0, 0b111'110'10}},
      {4, {0x12, 0x34, 0x56, 0x78}, {0x21, 0x43, 0x65, 0x87}},
      {5,
       {0b00000'000, 0b01'00010'0, 0b0011'0010, 0b0'00101'00, 0b110'00111},
       {0b001'00000, 0b1'00010'00, 0b0100'0001, 0b10'00101'0, 0b00111'001}},
  };
  for (const Case& c : cases) {
    for (const bool little_endian : {false, true}) {
      const Bytes& data = little_endian ? c.expected : c.big_endian;
      const PacketBlock block = testing::PacketizeSamples(
          kG726Format, G726Track(c.bits, little_endian), {{0, data}}, 1400);
      EXPECT_THAT(testing::Payloads(block), ElementsAre(c.expected)) << int{c.bits};
    }
  }
}

TEST(G726, CutsUnitsIntoEqualPacketsOfAtMost20Milliseconds) {
  struct Case {
    const char* what;
    std::uint8_t bits;
    std::size_t groups, packet_bytes;
    std::vector<std::size_t> payload_sizes;
  };
  const std::vector<Case> cases = {
      {"one group", 5, 1, 1400, {5}},
      {"20 ms", 4, 20, 1400, {80}},
      {"a group more", 4, 21, 1400, {44, 40}},
      {"100 ms", 2, 100, 1400, {40, 40, 40, 40, 40}},
      {"full packets do not matter", 5, 40, 128, {100, 100}},
  };
  for (const Case& c : cases) {
    SeededRandom random(1);
    const std::vector<int> words = RandomWords(c.groups * 8, c.bits, random);
    const PacketBlock block = testing::PacketizeSamples(
        kG726Format, G726Track(c.bits, false), {{800, Pack(words, c.bits, false)}}, c.packet_bytes);
    EXPECT_THAT(testing::PayloadSizes(block), ElementsAreArray(c.payload_sizes)) << c.what;
    EXPECT_EQ(block.packets()[0].pts, 800) << c.what;
    testing::G726Depacketizer receiver(c.bits);
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_EQ(receiver.words, words) << c.what;
    EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.what;
  }
}

TEST(G726, LeavesOutBytesThatAreNoWholeGroupAndSaysSo) {
  for (std::uint8_t bits = 2; bits <= 5; ++bits) {
    for (std::size_t size = 0; size < 3u * bits; ++size) {
      std::vector<bool> taken;
      const PacketBlock block = testing::PacketizeSamples(kG726Format, G726Track(bits, false),
                                                          {{0, Bytes(size)}}, 1400, &taken);
      EXPECT_THAT(taken, ElementsAre(size != 0 && size % bits == 0)) << size;
      EXPECT_EQ(block.packets().size(), size < bits ? 0u : 1u) << size;
    }
  }
}

TEST(G726, SendsNothingOfWordsThatItHasNot) {
  for (const Bytes& config : {Bytes{}, Bytes{1}, Bytes{6}, Bytes{255}, Bytes{4, 4}}) {
    Track track = G726Track(4, false);
    track.config = config;
    std::vector<bool> taken;
    const PacketBlock block =
        testing::PacketizeSamples(kG726Format, track, {{0, Bytes(960)}}, 1400, &taken);
    EXPECT_THAT(taken, ElementsAre(false));
    EXPECT_TRUE(block.packets().empty());
  }
}

TEST(G726, ComesOutOfAnIndependentReceiverAsItWentIn) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SeededRandom random(seed);
    const auto bits = static_cast<std::uint8_t>(2 + random.Below(4));
    const bool little_endian = random.Chance(0.3);
    std::vector<int> words;
    std::vector<testing::SampleUnit> units;
    for (std::uint64_t i = 1 + random.Below(8); i-- > 0;) {
      const std::vector<int> more = RandomWords(8 * (1 + random.Below(200)), bits, random);
      units.push_back({static_cast<std::int64_t>(words.size()), Pack(more, bits, little_endian)});
      words.insert(words.end(), more.begin(), more.end());
    }
    const std::size_t packet_bytes = 128 + random.Below(1300);
    const PacketBlock block =
        testing::PacketizeSamples(kG726Format, G726Track(bits, little_endian), units, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::G726Depacketizer receiver(bits);
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.words, words) << "seed " << seed;
  }
}

}  // namespace
}  // namespace millrace
