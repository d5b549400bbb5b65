#include "rtp/payload/av1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/rtp/av1_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr std::size_t kPacket = 200;
constexpr std::size_t kMax = kPacket - kRtpHeaderBytes;  // 188, of which 1 is aggregation header

// Types of AV1 section 6.2.2.
constexpr int kSequence = 1, kDelimiter = 2, kMetadata = 5, kFrame = 6, kTileList = 8,
              kPadding = 15;

// An OBU as it is sent, header included. `layer`: temporal ID times 4 and spatial ID; -1 without.
Bytes Obu(int type, std::size_t size, int layer = -1, std::uint8_t fill = 0xab) {
  Bytes obu(size, fill);
  obu[0] = static_cast<std::uint8_t>(type * 8);
  if (layer >= 0) {
    obu[0] |= 4;
    obu[1] = static_cast<std::uint8_t>(layer * 8);
  }
  return obu;
}

// In the low-overhead format: with size fields, of `size_bytes` bytes, or as few as will do.
Bytes WithSizes(const std::vector<Bytes>& obus, std::size_t size_bytes = 0) {
  Bytes data;
  for (const Bytes& obu : obus) {
    const std::size_t header = (obu[0] & 4) != 0 ? 2 : 1;
    data.push_back(obu[0] | 2);
    if (header == 2) data.push_back(obu[1]);
    std::size_t size = obu.size() - header;
    for (std::size_t i = 1;; ++i, size /= 128) {
      const bool more = size >= 128 || i < size_bytes;
      data.push_back(static_cast<std::uint8_t>(size % 128 + (more ? 128 : 0)));
      if (!more) break;
    }
    data.insert(data.end(), obu.begin() + static_cast<std::ptrdiff_t>(header), obu.end());
  }
  return data;
}

Bytes Joined(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Unit {
  Bytes data;
  bool random_access = true;
};

PacketBlock Packets(const std::vector<Unit>& units, std::size_t packet_bytes = kPacket,
                    const Bytes& config = {}, bool* sound = nullptr) {
  Track track = testing::MakeTrack(Codec::kAv1);
  track.config = config;
  const std::unique_ptr<Packetizer> packetizer = kAv1Format.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::int64_t pts = 0;
  for (const Unit& unit : units) {
    const Bytes lent = unit.data;  // gone after the call, as a demuxer's buffer may be
    const bool result = packetizer->Packetize({.pts = pts,
                                               .dts = pts,
                                               .duration = 3000,
                                               .random_access = unit.random_access,
                                               .data = lent},
                                              builder);
    if (sound != nullptr) *sound = result;
    pts += 3000;
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

PacketBlock PacketsOf(const std::vector<Bytes>& obus) { return Packets({Unit{WithSizes(obus)}}); }

// The OBUs of the only temporal unit.
std::vector<Bytes> Received(const PacketBlock& block) {
  testing::Av1Depacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  EXPECT_LE(receiver.units.size(), 1u);
  return receiver.units.empty() ? std::vector<Bytes>{} : receiver.units[0].obus;
}

TEST(Av1, IsDescribedByItsNameAlone) {
  const Track track = testing::MakeTrack(Codec::kAv1);
  EXPECT_EQ(kAv1Format.encoding(track), "AV1/90000");
  EXPECT_EQ(kAv1Format.parameters, nullptr);
  EXPECT_EQ(kAv1Format.static_type, nullptr);
}

TEST(Av1, WritesPacketsByteForByte) {
  struct Case {
    const char* what;
    Bytes data;
    bool random_access;
    Bytes payload;
  };
  const std::vector<Case> cases = {
      {"one frame: W=1, no sizes", {0x32, 2, 7, 8}, false, {0x10, 0x30, 7, 8}},
      {"decoding can start, but nothing tells how: no N",
       {0x32, 2, 7, 8},
       true,
       {0x10, 0x30, 7, 8}},
      {"a sequence header and a frame: N, W=2, the last without size",
       {0x12, 0, 0x0a, 1, 5, 0x32, 2, 7, 8},
       true,
       {0x28, 2, 0x08, 5, 0x30, 7, 8}},
      {"a sequence header where decoding cannot start: no N",
       {0x0a, 1, 5, 0x32, 1, 7},
       false,
       {0x20, 2, 0x08, 5, 0x30, 7}},
      {"three: W=3",
       {0x1a, 1, 5, 0x22, 1, 6, 0x22, 1, 7},
       false,
       {0x30, 2, 0x18, 5, 2, 0x20, 6, 0x20, 7}},
      {"four: W=0, all with sizes",
       {0x1a, 1, 5, 0x22, 1, 6, 0x22, 1, 7, 0x22, 1, 8},
       false,
       {0x00, 2, 0x18, 5, 2, 0x20, 6, 2, 0x20, 7, 2, 0x20, 8}},
      {"an extension header is kept", {0x36, 0x28, 1, 7}, false, {0x10, 0x34, 0x28, 7}},
      {"the reserved bit is kept", {0x33, 1, 7}, false, {0x10, 0x31, 7}},
      {"the last without a size field",
       {0x1a, 1, 5, 0x20, 6, 7},
       false,
       {0x20, 2, 0x18, 5, 0x20, 6, 7}},
      {"a size longer than it need be", {0x32, 0x82, 0x80, 0, 7, 8}, false, {0x10, 0x30, 7, 8}},
  };
  for (const Case& c : cases) {
    bool sound = false;
    const PacketBlock block = Packets({{c.data, c.random_access}}, kPacket, {}, &sound);
    EXPECT_TRUE(sound) << c.what;
    EXPECT_THAT(testing::Payloads(block), ElementsAre(c.payload)) << c.what;
    testing::Av1Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
  }
}

TEST(Av1, WritesASizeInTwoBytesFrom128) {
  struct Case {
    std::size_t size;
    std::vector<std::uint8_t> size_field;
  };
  for (const Case& c : {Case{127, {127}}, Case{128, {0x80, 1}}, Case{129, {0x81, 1}}}) {
    const Bytes first = Obu(kMetadata, c.size);
    const Bytes second = Obu(kFrame, 5);
    Bytes expected = {0x20};
    for (const Bytes& part : {c.size_field, first, second}) expected = Joined(expected, part);
    EXPECT_THAT(testing::Payloads(PacketsOf({first, second})), ElementsAre(expected)) << c.size;
  }
}

TEST(Av1, ChoosesTheFormOfPacketByTheSizesOfTheObus) {
  struct Case {
    const char* what;
    std::vector<std::size_t> obu_sizes;
    std::vector<std::size_t> payload_sizes;
    std::vector<int> aggregation_headers;
  };
  const std::vector<Case> cases = {
      {"the smallest OBU", {2}, {3}, {0x10}},
      {"just below a packet", {kMax - 2}, {kMax - 1}, {0x10}},
      {"exactly a packet", {kMax - 1}, {kMax}, {0x10}},
      {"one more than a packet: halves", {kMax}, {95, 95}, {0x50, 0x90}},
      {"as much as two fragments hold", {2 * 187}, {kMax, kMax}, {0x50, 0x90}},
      {"one byte more makes three", {2 * 187 + 1}, {126, 126, 126}, {0x50, 0xd0, 0x90}},
      {"two that just fit together", {93, 93}, {kMax}, {0x20}},
      {"two that just do not", {93, 94}, {94, 95}, {0x10, 0x10}},
      {"three that just fit together", {50, 60, 75}, {kMax}, {0x30}},
      {"three that just do not", {50, 60, 76}, {112, 77}, {0x20, 0x10}},
      {"four that just fit together", {50, 50, 50, 33}, {kMax}, {0x00}},
      {"four that just do not", {50, 50, 50, 34}, {153, 35}, {0x30, 0x10}},
      {"small ones around a large one",
       {5, 6, 400, 7, 8},
       {13, 135, 135, 133, 17},
       {0x20, 0x50, 0xd0, 0x90, 0x20}},
      {"a small one between two large",
       {200, 3, 200},
       {101, 101, 4, 101, 101},
       {0x50, 0x90, 0x10, 0x50, 0x90}},
  };
  for (const Case& c : cases) {
    std::vector<Bytes> obus;
    for (const std::size_t size : c.obu_sizes) obus.push_back(Obu(kMetadata, size));
    const PacketBlock block = PacketsOf(obus);
    std::vector<std::size_t> sizes;
    std::vector<int> headers;
    for (const Bytes& payload : testing::Payloads(block)) {
      sizes.push_back(payload.size());
      headers.push_back(payload[0]);
    }
    EXPECT_THAT(sizes, ElementsAreArray(c.payload_sizes)) << c.what;
    EXPECT_THAT(headers, ElementsAreArray(c.aggregation_headers)) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
    EXPECT_EQ(Received(block), obus) << c.what;
  }
}

TEST(Av1, LetsOnlyObusShareAPacketThatMay) {
  struct Case {
    const char* what;
    std::vector<Bytes> obus;
    std::vector<std::size_t> elements_per_packet;
  };
  const std::vector<Case> cases = {
      {"of no layer", {Obu(kSequence, 9), Obu(kMetadata, 9), Obu(kFrame, 9)}, {3}},
      {"of one layer", {Obu(kFrame, 9, 5), Obu(kFrame, 9, 5)}, {2}},
      {"of two spatial layers", {Obu(kFrame, 9, 5), Obu(kFrame, 9, 6)}, {1, 1}},
      {"of two temporal layers", {Obu(kFrame, 9, 1), Obu(kFrame, 9, 5)}, {1, 1}},
      {"of no layer, then of one", {Obu(kMetadata, 9), Obu(kFrame, 9, 0)}, {2}},
      {"of a layer, then of none", {Obu(kFrame, 9, 0), Obu(kMetadata, 9)}, {1, 1}},
      {"the example of section 5.1",
       {Obu(kSequence, 9), Obu(kMetadata, 9), Obu(kMetadata, 9, 0), Obu(kFrame, 9, 0),
        Obu(kMetadata, 9, 1), Obu(kFrame, 9, 1)},
       {4, 2}},
      {"a sequence header is the first",
       {Obu(kMetadata, 9), Obu(kSequence, 9), Obu(kFrame, 9)},
       {1, 2}},
      {"and there is one", {Obu(kSequence, 9), Obu(kSequence, 9)}, {1, 1}},
  };
  for (const Case& c : cases) {
    const PacketBlock block = PacketsOf(c.obus);
    testing::Av1Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_EQ(receiver.elements_per_packet, c.elements_per_packet) << c.what;
    EXPECT_EQ(receiver.units.at(0).obus, c.obus) << c.what;
  }
}

TEST(Av1, LeavesOutWhatIsNotSent) {
  for (int type = 0; type < 16; ++type) {
    const Bytes obu = Obu(type, 9);
    const bool left_out = type == kDelimiter || type == kTileList || type == kPadding;
    bool sound = false;
    const PacketBlock block =
        Packets({{WithSizes({obu, Obu(kFrame, 20)}), false}}, kPacket, {}, &sound);
    EXPECT_TRUE(sound) << type;
    EXPECT_EQ(Received(block).size(), left_out ? 1u : 2u) << type;
    // One of nothing but a header tells nothing.
    EXPECT_EQ(Received(Packets({{WithSizes({Obu(type, 1), Obu(kFrame, 20)}), false}})).size(), 1u);
  }
}

TEST(Av1, SendsTheSoundPartOfAMalformedUnitAndSaysSo) {
  struct Case {
    const char* what;
    Bytes data;
    std::vector<Bytes> obus;
  };
  const std::vector<Bytes> frame = {{0x30, 7}};
  const std::vector<Case> cases = {
      {"nothing", {}, {}},
      {"a temporal delimiter", {0x12, 0}, {}},
      {"a header", {0x32}, {}},
      {"an extension flag without extension", {0x36}, {}},
      {"a size beyond the end", {0x32, 1, 7, 0x32, 3, 8, 9}, frame},
      {"a size of nothing that is there", {0x32, 1, 7, 0x32, 1}, frame},
      {"a header without its size", {0x32, 1, 7, 0x32}, frame},
      {"an extension flag at the end", {0x32, 1, 7, 0x36}, frame},
      {"an extension at the end", {0x32, 1, 7, 0x36, 0}, frame},
      {"a size without end", {0x32, 1, 7, 0x32, 0x80, 0x80}, frame},
      {"a size of nine bytes",
       {0x32, 1, 7, 0x32, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 8},
       frame},
      {"a size of 4 GiB", {0x32, 1, 7, 0x32, 0x80, 0x80, 0x80, 0x80, 0x10, 8}, frame},
      {"a size of 2^32 - 1", {0x32, 1, 7, 0x32, 0xff, 0xff, 0xff, 0xff, 0x0f, 8}, frame},
      {"a size of 2^56 - 1",
       {0x32, 1, 7, 0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 8},
       frame},
      {"the forbidden bit", {0x32, 1, 7, 0xb2, 1, 8, 0x32, 1, 9}, frame},
      {"the forbidden bit at the front", {0xb2, 1, 8, 0x32, 1, 9}, {}},
  };
  for (const Case& c : cases) {
    bool sound = true;
    const PacketBlock block = Packets({{c.data, false}}, kPacket, {}, &sound);
    EXPECT_FALSE(sound) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
    EXPECT_EQ(Received(block), c.obus) << c.what;
  }
}

TEST(Av1, PutsTheConfigurationsObusBeforeAUnitThatLacksThem) {
  const Bytes record = {0x81, 0x05, 0x0c, 0x00};
  const Bytes sequence = Obu(kSequence, 12);
  const Bytes metadata = Obu(kMetadata, 7);
  const Bytes frame = Obu(kFrame, 50);
  const Bytes other = Obu(kSequence, 13);
  struct Case {
    const char* what;
    Bytes config;
    bool random_access;
    std::vector<Bytes> obus;
    std::vector<Bytes> sent;
    bool starts_sequence;
  };
  const Bytes config = Joined(record, WithSizes({sequence, metadata}));
  const Bytes lies = Joined(Joined(record, WithSizes({sequence})), {0x2a, 9, 1});
  const std::vector<Case> cases = {
      {"it lacks them", config, true, {frame}, {sequence, metadata, frame}, true},
      {"it has its own", config, true, {other, frame}, {other, frame}, true},
      {"decoding cannot start there", config, false, {frame}, {frame}, false},
      {"no record", {}, true, {frame}, {frame}, false},
      {"a record without OBUs", record, true, {frame}, {frame}, false},
      {"half a record", {0x81, 5}, true, {frame}, {frame}, false},
      {"a record of another version",
       Joined({0x82, 5, 12, 0}, WithSizes({sequence})),
       true,
       {frame},
       {frame},
       false},
      {"a record without sequence header",
       Joined(record, WithSizes({metadata})),
       true,
       {frame},
       {frame},
       false},
      {"a record with a size beyond its end", lies, true, {frame}, {frame}, false},
      {"delimiters stay out of it",
       Joined(record, WithSizes({Obu(kDelimiter, 1), sequence, Obu(kPadding, 9)})),
       true,
       {frame},
       {sequence, frame},
       true},
      {"a record of more than a packet",
       Joined(record, WithSizes({sequence, Obu(kMetadata, 1000)})),
       true,
       {frame},
       {sequence, Obu(kMetadata, 1000), frame},
       true},
  };
  for (const Case& c : cases) {
    // Twice, since what is held for the first must serve the second.
    const Unit unit = {WithSizes(c.obus), c.random_access};
    const PacketBlock block = Packets({unit, unit}, kPacket, c.config);
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
    testing::Av1Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    ASSERT_EQ(receiver.units.size(), 2u) << c.what;
    for (const testing::Av1TemporalUnit& received : receiver.units) {
      EXPECT_EQ(received.obus, c.sent) << c.what;
      EXPECT_EQ(received.starts_sequence, c.starts_sequence) << c.what;
    }
  }
  // Nor is a configuration sent on its own.
  const Unit damaged = {{0xb2, 1, 8}};
  bool sound = true;
  EXPECT_THAT(testing::Payloads(Packets({damaged}, kPacket, config, &sound)), IsEmpty());
  EXPECT_FALSE(sound);
}

TEST(Av1, SetsNInTheFirstPacketAlone) {
  const auto payloads = testing::Payloads(PacketsOf({Obu(kSequence, 400), Obu(kFrame, 300)}));
  ASSERT_EQ(payloads.size(), 5u);
  EXPECT_THAT(
      (std::vector{payloads[0][0], payloads[1][0], payloads[2][0], payloads[3][0], payloads[4][0]}),
      ElementsAre(0x58, 0xd0, 0x90, 0x50, 0x90));
}

TEST(Av1, MarksOnlyTheLastPacketOfTheTemporalUnit) {
  const PacketBlock block =
      PacketsOf({Obu(kSequence, 12), Obu(kFrame, 900), Obu(kFrame, 300), Obu(kFrame, 20)});
  ASSERT_GT(block.packets().size(), 5u);
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const bool last = i + 1 == block.packets().size();
    EXPECT_EQ((block.packets()[i].flags & kPacketMarker) != 0, last) << i;
    EXPECT_EQ((block.packets()[i].flags & kPacketRandomAccess) != 0, i == 0) << i;
  }
}

TEST(Av1, TimesPacketsByDecodingTimeAndStampsThemByPresentationTime) {
  const auto packetizer = kAv1Format.make_packetizer(testing::MakeTrack(Codec::kAv1), kPacket);
  PacketBlockBuilder builder(testing::kTestStream, 1s, 0, 1);
  const Bytes data = WithSizes({Obu(kFrame, 300)});
  EXPECT_TRUE(packetizer->Packetize({.pts = 108000, .dts = 99000, .duration = 3600, .data = data},
                                    builder));
  const PacketBlock block = std::move(builder).Seal();
  ASSERT_EQ(block.packets().size(), 2u);
  EXPECT_EQ(block.packets()[0].pts, 108000);
  EXPECT_EQ(block.packets()[0].due_us, 100'000u);
  EXPECT_EQ(block.packets()[1].due_us, 120'000u);
}

// Within a run of fragments only the last may be shorter, so that the run is one GSO train.
void ExpectFragmentsOfOneSize(const std::vector<Bytes>& payloads) {
  for (std::size_t i = 1; i < payloads.size(); ++i) {
    if ((payloads[i][0] & 0x80) == 0) continue;  // no fragment behind a fragment
    if ((payloads[i][0] & 0x40) == 0) {
      EXPECT_LE(payloads[i].size(), payloads[i - 1].size());
    } else {
      EXPECT_EQ(payloads[i].size(), payloads[i - 1].size());
    }
  }
}

TEST(Av1, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t aggregations = 0;
  std::size_t fragments = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? 1400 : 128 + random.Below(1300);
    const std::size_t max = packet_bytes - kRtpHeaderBytes;
    const std::size_t edges[] = {3, 127, 128, max - 1, max, max / 2, 2 * max, 3 * (max - 1) + 1};
    std::vector<Unit> units;
    std::vector<std::vector<Bytes>> sent;
    for (std::uint64_t n = 1 + random.Below(4); n-- > 0;) {
      sent.emplace_back();
      for (std::uint64_t i = 1 + random.Below(12); i-- > 0;) {
        const std::size_t size = random.Chance(0.4)   ? edges[random.Below(std::size(edges))]
                                 : random.Chance(0.7) ? 3 + random.Below(60)
                                                      : 3 + random.Below(40'000);
        const int types[] = {kSequence, 3, 4, kMetadata, kFrame, kFrame, kFrame, 7};
        const int layer = random.Chance(0.8) ? -1 : static_cast<int>(random.Below(2));
        sent.back().push_back(
            Obu(types[random.Below(8)], size, layer, static_cast<std::uint8_t>(random.Below(256))));
      }
      units.push_back({WithSizes(sent.back(), random.Below(9)), random.Chance(0.5)});
    }
    const PacketBlock block = Packets(units, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::Av1Depacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.units.size(), sent.size()) << "seed " << seed;
    for (std::size_t i = 0; i < sent.size(); ++i) {
      ASSERT_EQ(receiver.units[i].obus, sent[i]) << "seed " << seed;
      bool has_header = false;
      for (const Bytes& obu : sent[i]) has_header |= obu[0] >> 3 == kSequence;
      ASSERT_EQ(receiver.units[i].starts_sequence, units[i].random_access && has_header);
    }
    ExpectFragmentsOfOneSize(testing::Payloads(block));
    fragments += receiver.fragments;
    for (const std::size_t elements : receiver.elements_per_packet) {
      aggregations += elements > 1 ? 1 : 0;
    }
  }
  // The inputs were such that both forms were tried.
  EXPECT_GT(aggregations, 100u);
  EXPECT_GT(fragments, 1000u);
}

TEST(Av1, KeepsPacketsWithinBoundsWhateverSizeIsAskedFor) {
  const Bytes frame = Obu(kFrame, 200'000);
  for (const std::size_t asked : {std::size_t{0}, kPacketBytesMin, std::size_t{1} << 40}) {
    const PacketBlock block = Packets({Unit{WithSizes({frame})}}, asked);
    EXPECT_EQ(testing::FindFault(block, asked <= kPacketBytesMin ? kPacketBytesMin : 65535), "");
    EXPECT_THAT(Received(block), ElementsAre(frame)) << asked;
  }
}

}  // namespace
}  // namespace millrace
