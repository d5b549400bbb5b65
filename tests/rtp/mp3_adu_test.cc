#include "rtp/payload/mp3_adu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/rtp/mp3_adu_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;

constexpr std::size_t kPacket = 1400;
constexpr std::int64_t kDuration = 2160;  // 24 ms at 90 kHz

struct Unit {
  std::int64_t pts = 0;
  std::int64_t duration = kDuration;
  Bytes data;
};

Bytes MakeUnit(std::size_t bytes, std::uint8_t fill = 0x55) {
  Bytes unit(bytes, fill);
  const std::uint8_t header[] = {0xff, 0xfb, 0x94, 0x00};
  std::copy_n(header, std::min<std::size_t>(bytes, 4), unit.begin());
  return unit;
}

PacketBlock Packets(const std::vector<Unit>& units, std::size_t packet_bytes = kPacket,
                    std::size_t* refused = nullptr) {
  const std::unique_ptr<Packetizer> packetizer =
      kMp3AduFormat.make_packetizer(testing::MakeTrack(Codec::kMp3Adu, 0), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  for (const Unit& unit : units) {
    const Bytes lent = unit.data;  // gone after the call, as a demuxer's buffer may be
    const bool taken = packetizer->Packetize({.pts = unit.pts,
                                              .dts = unit.pts,
                                              .duration = unit.duration,
                                              .random_access = true,
                                              .data = lent},
                                             builder);
    if (!taken && refused != nullptr) ++*refused;
  }
  packetizer->Flush(builder);
  return std::move(builder).Seal();
}

// One behind the other.
std::vector<Unit> Contiguous(const std::vector<Bytes>& all, std::int64_t duration = kDuration) {
  std::vector<Unit> units;
  for (std::size_t i = 0; i < all.size(); ++i) {
    units.push_back({static_cast<std::int64_t>(i) * duration, duration, all[i]});
  }
  return units;
}

std::string Receive(const PacketBlock& block, testing::Mp3AduDepacketizer* receiver) {
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const auto view = PacketView::Parse(block.packet(i));
    if (!view) return "malformed";
    std::string fault = receiver->Add(view->payload, view->marker, view->timestamp);
    if (!fault.empty()) return fault;
  }
  return receiver->open() ? "the last unit was not finished" : "";
}

TEST(Mp3AduPayload, NamesItself) {
  EXPECT_EQ(kMp3AduFormat.encoding(testing::MakeTrack(Codec::kMp3Adu)), "mpa-robust/90000");
  EXPECT_EQ(kMp3AduFormat.parameters, nullptr);
  EXPECT_EQ(kMp3AduFormat.static_type, nullptr);
}

TEST(Mp3AduPayload, PutsEachUnitIntoAPacketOfItsOwnBehindItsDescriptor) {
  const Bytes small = MakeUnit(36), large = MakeUnit(300);
  const PacketBlock block = Packets(Contiguous({small, large}));
  Bytes first = {0x40, 36}, second = {0x41, 300 - 256};
  first.insert(first.end(), small.begin(), small.end());
  second.insert(second.end(), large.begin(), large.end());
  EXPECT_THAT(testing::Payloads(block), ElementsAre(first, second));
  EXPECT_EQ(block.packets()[0].flags, kPacketUnitStart | kPacketRandomAccess);
}

TEST(Mp3AduPayload, CutsAUnitThatIsLargerThanAPacket) {
  struct Case {
    std::size_t unit_bytes, packet_bytes;
    std::vector<std::size_t> fragments;
  };
  const std::vector<Case> cases = {
      {1386, kPacket, {1386}}, {1387, kPacket, {694, 693}}, {500, 128, {100, 100, 100, 100, 100}},
      {16383, 65535, {16383}}, {16383, 8206, {8192, 8191}},
  };
  for (const Case& c : cases) {
    const Bytes unit = MakeUnit(c.unit_bytes, 7);
    const PacketBlock block = Packets(Contiguous({unit}), c.packet_bytes);
    std::vector<std::size_t> fragments;
    for (const Bytes& payload : testing::Payloads(block)) {
      EXPECT_EQ(payload[0] >> 6, fragments.empty() ? 1 : 3) << c.unit_bytes;
      EXPECT_EQ((payload[0] & 0x3f) << 8 | payload[1], static_cast<int>(c.unit_bytes));
      fragments.push_back(payload.size() - 2);
    }
    EXPECT_EQ(fragments, c.fragments) << c.unit_bytes;
    EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.unit_bytes;
    const Bytes small = MakeUnit(40);
    testing::Mp3AduDepacketizer receiver;
    EXPECT_EQ(Receive(Packets(Contiguous({small, unit, small}), c.packet_bytes), &receiver), "");
    EXPECT_THAT(receiver.units, ElementsAre(small, unit, small)) << c.unit_bytes;
  }
}

TEST(Mp3AduPayload, RefusesWhatIsNoUnit) {
  Bytes reserved_version = MakeUnit(100), reserved_layer = MakeUnit(100), no_sync = MakeUnit(100);
  reserved_version[1] = 0xeb;
  reserved_layer[1] = 0xf9;
  no_sync[1] = 0x7b;
  struct Case {
    const char* what;
    Bytes data;
  };
  const std::vector<Case> cases = {{"empty", {}},
                                   {"three bytes", MakeUnit(3)},
                                   {"a reserved version", reserved_version},
                                   {"a reserved layer", reserved_layer},
                                   {"no sync word", no_sync},
                                   {"larger than any", MakeUnit(kMp3AduBytesMax + 1)}};
  const Bytes unit = MakeUnit(100);
  for (const Case& c : cases) {
    std::size_t refused = 0;
    const PacketBlock block = Packets(Contiguous({unit, c.data, unit}), kPacket, &refused);
    EXPECT_EQ(refused, 1u) << c.what;
    testing::Mp3AduDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_THAT(receiver.units, ElementsAre(unit, unit)) << c.what;
  }
}

TEST(Mp3AduPayload, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t fragments = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? kPacket : 128 + random.Below(1300);
    std::vector<Bytes> sent;
    std::vector<Unit> units;
    std::int64_t pts = 0;
    for (std::uint64_t i = 1 + random.Below(60); i-- > 0;) {
      Bytes unit = testing::RandomBytes(4 + random.Below(random.Chance(0.2) ? 3000 : 400), random);
      const Bytes header = MakeUnit(4);
      std::copy(header.begin(), header.end(), unit.begin());
      sent.push_back(unit);
      units.push_back({pts, kDuration, unit});
      pts += random.Chance(0.9) ? kDuration : static_cast<std::int64_t>(random.Below(5000));
    }
    const PacketBlock block = Packets(units, packet_bytes);
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::Mp3AduDepacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.units, sent) << "seed " << seed;
    fragments += receiver.fragments;
  }
  EXPECT_GT(fragments, 100u);
}

}  // namespace
}  // namespace millrace
