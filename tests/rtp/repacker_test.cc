#include "rtp/payload/repacker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/memory.h"
#include "core/random.h"
#include "rtp/big_endian.h"
#include "tests/rtp/depacketizers.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

struct Part {
  Bytes payload;
  bool marker;
  std::uint32_t units_before;
};

class Collector final : public RepackSink {
 public:
  void OnPayload(std::span<const std::uint8_t> head, std::span<const std::uint8_t> body,
                 bool marker, std::uint32_t units_before) override {
    EXPECT_FALSE(body.empty());
    Part part = {Bytes(head.begin(), head.end()), marker, units_before};
    part.payload.insert(part.payload.end(), body.begin(), body.end());
    parts.push_back(std::move(part));
  }
  std::vector<Bytes> payloads() const {
    std::vector<Bytes> all;
    for (const Part& part : parts) all.push_back(part.payload);
    return all;
  }

  std::vector<Part> parts;
};

// The parts of a payload that can be split.
std::vector<Part> Split(Codec codec, const Bytes& payload, std::size_t max, bool marker = true) {
  Collector collector;
  EXPECT_TRUE(Repack(codec, payload, marker, max, &collector));
  for (const Part& part : collector.parts) EXPECT_LE(part.payload.size(), max);
  return collector.parts;
}

std::vector<Bytes> PayloadsOf(const std::vector<Part>& parts) {
  std::vector<Bytes> all;
  for (const Part& part : parts) all.push_back(part.payload);
  return all;
}

Bytes Unit(Bytes header, std::size_t size) {
  while (header.size() < size) header.push_back(static_cast<std::uint8_t>(header.size()));
  return header;
}

Bytes Aggregation(Bytes header, const std::vector<Bytes>& units) {
  for (const Bytes& unit : units) {
    header.push_back(static_cast<std::uint8_t>(unit.size() >> 8));
    header.push_back(static_cast<std::uint8_t>(unit.size()));
    header.insert(header.end(), unit.begin(), unit.end());
  }
  return header;
}

// A packet of AAC-hbr; `skips` are the AU-index-deltas of the units behind the first.
Bytes Aac(const std::vector<Bytes>& units, const std::vector<int>& skips = {}) {
  Bytes packet(2 + units.size() * 2);
  StoreBe16(packet.data(), static_cast<std::uint16_t>(units.size() * 16));
  for (std::size_t i = 0; i < units.size(); ++i) {
    const int skip = i == 0 || skips.empty() ? 0 : skips[i - 1];
    StoreBe16(&packet[2 + i * 2], static_cast<std::uint16_t>(units[i].size() << 3 | skip));
    packet.insert(packet.end(), units[i].begin(), units[i].end());
  }
  return packet;
}

TEST(Repacker, GivesWhatFitsAsItIs) {
  const Bytes payload = {0xff, 1, 2, 3};
  for (const std::optional<Codec> codec :
       {std::optional<Codec>(), {Codec::kH264}, {Codec::kH265}, {Codec::kAac}}) {
    Collector collector;
    EXPECT_TRUE(Repack(codec, payload, true, 4, &collector));
    ASSERT_EQ(collector.parts.size(), 1u);
    EXPECT_EQ(collector.parts[0].payload, payload);
    EXPECT_TRUE(collector.parts[0].marker);
  }
}

TEST(Repacker, CutsAUnitOfH264IntoEqualFragments) {
  // 9 bytes behind the header, at most 4 a fragment.
  EXPECT_THAT(PayloadsOf(Split(Codec::kH264, Unit({0xe5}, 10), 6)),
              ElementsAre(ElementsAre(0xfc, 0x85, 1, 2, 3), ElementsAre(0xfc, 0x05, 4, 5, 6),
                          ElementsAre(0xfc, 0x45, 7, 8, 9)));
  EXPECT_THAT(
      PayloadsOf(Split(Codec::kH264, Unit({0x41}, 9), 8)),
      ElementsAre(ElementsAre(0x5c, 0x81, 1, 2, 3, 4), ElementsAre(0x5c, 0x41, 5, 6, 7, 8)));
}

TEST(Repacker, CutsAUnitOfH265IntoEqualFragments) {
  EXPECT_THAT(
      PayloadsOf(Split(Codec::kH265, Unit({0xa7, 0x0b}, 10), 6)),
      ElementsAre(ElementsAre(0xe3, 0x0b, 0x93, 2, 3, 4), ElementsAre(0xe3, 0x0b, 0x13, 5, 6, 7),
                  ElementsAre(0xe3, 0x0b, 0x53, 8, 9)));
}

TEST(Repacker, KeepsTheBoundsOfAFragmentToItsFirstAndLastPart) {
  for (int bounds = 0; bounds < 4; ++bounds) {
    const auto bits = static_cast<std::uint8_t>(bounds << 6);
    struct Case {
      Codec codec;
      Bytes header;  // of a fragment, without bounds
    };
    for (const Case& c : {Case{Codec::kH264, {0x7c, 5}}, Case{Codec::kH265, {0x62, 1, 19}}}) {
      Bytes payload = c.header;
      payload.back() |= bits;
      const std::size_t header_bytes = payload.size();
      payload = Unit(payload, 100);
      Bytes body;
      const std::vector<Part> parts = Split(c.codec, payload, 30);
      ASSERT_EQ(parts.size(), 4u);
      for (std::size_t i = 0; i < 4; ++i) {
        Bytes expected = c.header;
        if (i == 0) expected.back() |= bits & 0x80;
        if (i == 3) expected.back() |= bits & 0x40;
        const auto behind = parts[i].payload.begin() + static_cast<std::ptrdiff_t>(header_bytes);
        EXPECT_EQ(Bytes(parts[i].payload.begin(), behind), expected) << bounds << " " << i;
        body.insert(body.end(), behind, parts[i].payload.end());
      }
      EXPECT_TRUE(std::equal(body.begin(), body.end(),
                             payload.begin() + static_cast<std::ptrdiff_t>(header_bytes)));
    }
  }
}

TEST(Repacker, AggregatesAgainWhatFitsTogether) {
  struct Case {
    const char* what;
    std::vector<std::size_t> unit_sizes;
    std::vector<std::size_t> part_sizes;
    std::vector<int> types;
  };
  // At most 50 bytes a part.
  const Case cases[] = {
      {"two that fit each alone", {30, 30}, {30, 30}, {1, 1}},
      {"two and two", {20, 20, 20, 20}, {45, 45}, {24, 24}},
      {"a pair that just fits", {22, 23, 30}, {50, 30}, {24, 1}},
      {"a pair that just does not", {23, 23, 30}, {23, 23, 30}, {1, 1, 1}},
      {"a single one that just fits", {50, 5}, {50, 5}, {1, 1}},
      {"one too large", {51, 5, 6}, {27, 27, 16}, {28, 28, 24}},
      {"one too large between small ones", {5, 6, 97, 7}, {16, 50, 50, 7}, {24, 28, 28, 1}},
      {"one too large alone", {60}, {32, 31}, {28, 28}},
  };
  for (const Case& c : cases) {
    std::vector<Bytes> units;
    for (const std::size_t size : c.unit_sizes) units.push_back(Unit({0x61}, size));
    std::vector<std::size_t> sizes;
    std::vector<int> types;
    for (const Part& part : Split(Codec::kH264, Aggregation({0x78}, units), 50)) {
      sizes.push_back(part.payload.size());
      types.push_back(part.payload[0] & 0x1f);
    }
    EXPECT_THAT(sizes, ElementsAreArray(c.part_sizes)) << c.what;
    EXPECT_THAT(types, ElementsAreArray(c.types)) << c.what;
  }
}

TEST(Repacker, GivesAPartTheHeaderOfItsOwnUnits) {
  // F of the first, the importance of the most important.
  EXPECT_THAT(PayloadsOf(Split(Codec::kH264,
                               Aggregation({0xf8}, {{0x81}, {0x21}, {0x01, 5}, {0x67, 1}}), 8)),
              ElementsAre(ElementsAre(0xb8, 0, 1, 0x81, 0, 1, 0x21), ElementsAre(0x01, 5),
                          ElementsAre(0x67, 1)));
  // The lowest layer and temporal id of those in it.
  EXPECT_THAT(
      PayloadsOf(
          Split(Codec::kH265, Aggregation({0x60, 1}, {{2, 0x12}, {2, 0x0b}, {2, 1, 9, 9, 9}}), 10)),
      ElementsAre(ElementsAre(0x60, 0x0a, 0, 2, 2, 0x12, 0, 2, 2, 0x0b),
                  ElementsAre(2, 1, 9, 9, 9)));
}

TEST(Repacker, PutsTheMarkerOfVideoOnTheLastPartOnly) {
  const std::vector<std::pair<Codec, Bytes>> payloads = {
      {Codec::kH264, Unit({0x65}, 500)},
      {Codec::kH264, Unit({0x7c, 0x45}, 500)},
      {Codec::kH264, Aggregation({0x78}, {Unit({0x65}, 200), Unit({0x61}, 20), Unit({0x61}, 90)})},
      {Codec::kH264, Aggregation({0x78}, {Unit({0x65}, 20), Unit({0x61}, 200)})},
      {Codec::kH265, Unit({0x26, 1}, 500)},
      {Codec::kH265, Aggregation({0x60, 1}, {Unit({2, 1}, 90), Unit({2, 1}, 9), Unit({2, 1}, 9)})},
  };
  for (const auto& [codec, payload] : payloads) {
    for (const bool marker : {false, true}) {
      const std::vector<Part> parts = Split(codec, payload, 100, marker);
      EXPECT_GT(parts.size(), 1u);
      for (std::size_t i = 0; i < parts.size(); ++i) {
        EXPECT_EQ(parts[i].marker, marker && i + 1 == parts.size());
        EXPECT_EQ(parts[i].units_before, 0u);
      }
    }
  }
}

TEST(Repacker, SpreadsAccessUnitsOfAacOverMorePackets) {
  const Bytes a(10, 0xa), b(11, 0xb), c(20, 0xc), d(12, 0xd);
  // At most 28 bytes: a and b together are 2 + 4 + 21.
  const std::vector<Part> parts = Split(Codec::kAac, Aac({a, b, c, d}), 28, false);
  EXPECT_THAT(PayloadsOf(parts), ElementsAre(Aac({a, b}), Aac({c}), Aac({d})));
  EXPECT_EQ(parts[1].units_before, 2u);
  EXPECT_EQ(parts[2].units_before, 3u);
  // Each has whole units, which a marker says, even if the sender forgot.
  for (const Part& part : parts) EXPECT_TRUE(part.marker);
}

TEST(Repacker, CutsAnAccessUnitOfAacIntoFragmentsThatTellItsWholeSize) {
  const Bytes a(5, 0xa), b = Unit({0}, 20), c(6, 0xc);
  const std::vector<Part> parts = Split(Codec::kAac, Aac({a, b, c}), 12);
  EXPECT_THAT(PayloadsOf(parts), ElementsAre(ElementsAre(0, 16, 0, 40, 10, 10, 10, 10, 10),
                                             ElementsAre(0, 16, 0, 160, 0, 1, 2, 3, 4, 5, 6),
                                             ElementsAre(0, 16, 0, 160, 7, 8, 9, 10, 11, 12, 13),
                                             ElementsAre(0, 16, 0, 160, 14, 15, 16, 17, 18, 19),
                                             ElementsAre(0, 16, 0, 48, 12, 12, 12, 12, 12, 12)));
  std::vector<std::pair<bool, std::uint32_t>> marks;
  for (const Part& part : parts) marks.emplace_back(part.marker, part.units_before);
  EXPECT_THAT(marks, ElementsAre(std::pair(true, 0u), std::pair(false, 1u), std::pair(false, 1u),
                                 std::pair(true, 1u), std::pair(true, 2u)));
}

TEST(Repacker, CutsAFragmentOfAacIntoSmallerOnes) {
  Bytes fragment = Aac({Bytes(300, 7)});
  fragment.resize(104);  // 100 of the 300
  for (const bool marker : {false, true}) {
    const std::vector<Part> parts = Split(Codec::kAac, fragment, 54, marker);
    ASSERT_EQ(parts.size(), 2u);
    for (const Part& part : parts) {
      EXPECT_EQ(part.payload.size(), 54u);
      EXPECT_THAT(Bytes(part.payload.begin(), part.payload.begin() + 4),
                  ElementsAre(0, 16, 300 >> 5, (300 << 3) & 0xff));
    }
    EXPECT_FALSE(parts[0].marker);
    EXPECT_EQ(parts[1].marker, marker);
  }
}

TEST(Repacker, TellsThePlacesOfInterleavedAccessUnits) {
  const Bytes unit(20, 1);
  // They are number 0, 3, 6 and 8.
  const std::vector<Part> parts = Split(Codec::kAac, Aac({unit, unit, unit, unit}, {2, 2, 1}), 50);
  EXPECT_THAT(PayloadsOf(parts), ElementsAre(Aac({unit, unit}, {2}), Aac({unit, unit}, {1})));
  EXPECT_EQ(parts[1].units_before, 6u);
}

TEST(Repacker, BoundsTheUnitsOfAPacketThatItPutsTogether) {
  const std::vector<Bytes> units(500, Bytes(1, 5));
  const std::vector<Part> parts = Split(Codec::kAac, Aac(units), 1000);
  testing::AacDepacketizer receiver;
  for (const Part& part : parts) {
    EXPECT_EQ(part.units_before, receiver.frames.size());
    EXPECT_EQ(receiver.Add({.marker = part.marker, .payload = part.payload}), "");
  }
  EXPECT_EQ(receiver.frames, units);
}

TEST(Repacker, RefusesWhatItCannotSplitWithoutAWord) {
  const Bytes large(200, 1);
  Bytes aac_index = Aac({large});
  aac_index[3] |= 1;
  Bytes aac_bits = Aac({large});
  aac_bits[1] = 15;
  Bytes aac_none = Aac({large});
  aac_none[1] = 0;
  Bytes aac_longer = Aac({large});
  aac_longer.push_back(0);
  Bytes aac_shorter = Aac({large, large});
  aac_shorter.pop_back();
  Bytes aac_headers = Aac({large});
  aac_headers[0] = 0xff;
  struct Case {
    const char* what;
    std::optional<Codec> codec;
    Bytes payload;
  };
  const std::vector<Case> cases = {
      {"an unknown codec", std::nullopt, large},
      {"type 0 of H.264", Codec::kH264, Unit({0x60}, 200)},
      {"STAP-B", Codec::kH264, Unit({0x79}, 200)},
      {"MTAP16", Codec::kH264, Unit({0x7a}, 200)},
      {"MTAP24", Codec::kH264, Unit({0x7b}, 200)},
      {"FU-B", Codec::kH264, Unit({0x7d, 0x85}, 200)},
      {"type 30 of H.264", Codec::kH264, Unit({0x7e}, 200)},
      {"a STAP-A whose unit goes beyond it", Codec::kH264, Unit({0x78, 0, 198, 0x65}, 200)},
      {"a STAP-A with half a size", Codec::kH264, Unit({0x78, 0, 196, 0x65}, 200)},
      {"a STAP-A with a unit of nothing", Codec::kH264,
       Aggregation({0x78}, {Unit({0x65}, 200), {}})},
      {"a STAP-A inside another", Codec::kH264,
       Aggregation({0x78}, {Unit({0x65}, 200), {0x78, 0, 1, 0x65}})},
      {"payload content information", Codec::kH265, Unit({100, 1}, 200)},
      {"an AP whose unit goes beyond it", Codec::kH265, Unit({96, 1, 0, 198, 2, 1}, 200)},
      {"an AP with half a header", Codec::kH265, Aggregation({96, 1}, {Unit({2, 1}, 200), {2}})},
      {"an AP inside another", Codec::kH265,
       Aggregation({96, 1}, {Unit({2, 1}, 200), {96, 1, 0, 2, 2, 1}})},
      {"an AU-index", Codec::kAac, aac_index},
      {"AU headers of 15 bits", Codec::kAac, aac_bits},
      {"no AU header", Codec::kAac, aac_none},
      {"bytes behind the units", Codec::kAac, aac_longer},
      {"two units, the second cut", Codec::kAac, aac_shorter},
      {"AU headers beyond the end", Codec::kAac, aac_headers},
      {"a unit of nothing", Codec::kAac, Aac({large, {}})},
  };
  for (const Case& c : cases) {
    Collector collector;
    EXPECT_FALSE(Repack(c.codec, c.payload, true, 100, &collector)) << c.what;
    EXPECT_THAT(collector.parts, IsEmpty()) << c.what;
  }
}

TEST(Repacker, NeedsRoomForAByteBehindTheHeader) {
  struct Case {
    Codec codec;
    Bytes payload;
    std::size_t least;
  };
  for (const Case& c : {Case{Codec::kH264, Unit({0x65}, 200), 3},
                        {Codec::kH264, Aggregation({0x78}, {{0x65}, {0x65}}), 3},
                        {Codec::kH265, Unit({0x26, 1}, 200), 4},
                        {Codec::kAac, Aac({Bytes(200, 1)}), 5}}) {
    for (std::size_t max = 0; max < c.least; ++max) {
      Collector collector;
      EXPECT_FALSE(Repack(c.codec, c.payload, true, max, &collector));
    }
    EXPECT_GT(Split(c.codec, c.payload, c.least).size(), 1u);
  }
}

TEST(Repacker, AllocatesNothing) {
  class Counter final : public RepackSink {
   public:
    void OnPayload(std::span<const std::uint8_t>, std::span<const std::uint8_t>, bool,
                   std::uint32_t) override {
      ++parts;
    }
    int parts = 0;
  };
  const Bytes h264 = Aggregation({0x78}, {Unit({0x65}, 2000), Unit({0x61}, 20), {0x61}});
  const Bytes aac = Aac({Bytes(2000, 1), Bytes(20, 2), Bytes(30, 3)});
  Counter counter;
  const std::uint64_t before = ThreadAllocations().allocations;
  EXPECT_TRUE(Repack(Codec::kH264, h264, true, 100, &counter));
  EXPECT_TRUE(Repack(Codec::kAac, aac, true, 100, &counter));
  EXPECT_EQ(ThreadAllocations().allocations, before);
  EXPECT_GT(counter.parts, 40);
}

// A stream in packets of one size, split once to a smaller and once more: the strict receiver gets
// the same units from each.
template <typename Depacketizer>
void ExpectUnitsSurvive(Codec codec, const std::vector<Bytes>& nals, Random& random) {
  const std::size_t large = 200 + random.Below(9000);
  std::vector<Bytes> payloads = testing::Payloads(
      testing::PacketizeOne(testing::MakeTrack(codec), large, testing::FrameNalUnits(nals, 4)));
  for (const std::size_t max : {100 + random.Below(1400), 4 + random.Below(100)}) {
    Collector collector;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
      const bool last = i + 1 == payloads.size();
      ASSERT_TRUE(Repack(codec, payloads[i], last, max, &collector));
    }
    for (std::size_t i = 0; i < collector.parts.size(); ++i) {
      ASSERT_LE(collector.parts[i].payload.size(), max);
      ASSERT_EQ(collector.parts[i].marker, i + 1 == collector.parts.size());
    }
    payloads = collector.payloads();
    Depacketizer receiver;
    ASSERT_EQ(receiver.AddAll(payloads), "");
    ASSERT_EQ(receiver.nals, nals);
  }
}

TEST(Repacker, LetsAVideoReceiverPutTogetherTheSameUnits) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    const bool h264 = random.Chance(0.5);
    std::vector<Bytes> nals;
    for (std::uint64_t i = 1 + random.Below(10); i-- > 0;) {
      const std::size_t size = 2 + random.Below(random.Chance(0.5) ? 60 : 5000);
      nals.push_back(testing::RandomBytes(size, random));
      const auto type = static_cast<int>(h264 ? 1 + random.Below(23) : random.Below(48));
      nals.back()[0] = static_cast<std::uint8_t>(h264 ? (nals.back()[0] & 0xe0) | type
                                                      : (nals.back()[0] & 0x81) | type << 1);
    }
    if (h264) {
      ExpectUnitsSurvive<testing::H264Depacketizer>(Codec::kH264, nals, random);
    } else {
      ExpectUnitsSurvive<testing::H265Depacketizer>(Codec::kH265, nals, random);
    }
    if (HasFatalFailure()) return;
  }
}

TEST(Repacker, LetsAnAudioReceiverPutTogetherTheSameUnits) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    std::vector<Bytes> frames;
    for (std::uint64_t i = 1 + random.Below(12); i-- > 0;) {
      frames.push_back(
          testing::RandomBytes(1 + random.Below(random.Chance(0.8) ? 700 : 8191), random));
    }
    std::vector<Part> parts = {{Aac(frames), true, 0}};
    for (const std::size_t max : {100 + random.Below(1400), 5 + random.Below(100)}) {
      Collector collector;
      for (const Part& part : parts) {
        const std::size_t before = collector.parts.size();
        ASSERT_TRUE(Repack(Codec::kAac, part.payload, part.marker, max, &collector));
        for (std::size_t i = before; i < collector.parts.size(); ++i) {
          collector.parts[i].units_before += part.units_before;
        }
      }
      parts = collector.parts;
      testing::AacDepacketizer receiver;
      for (const Part& part : parts) {
        ASSERT_LE(part.payload.size(), max);
        ASSERT_EQ(part.units_before, receiver.frames.size() - (receiver.open() ? 1 : 0));
        ASSERT_EQ(receiver.Add({.marker = part.marker, .payload = part.payload}), "");
      }
      ASSERT_FALSE(receiver.open());
      ASSERT_EQ(receiver.frames, frames);
    }
  }
}

}  // namespace
}  // namespace millrace
