#include "rtp/payload/motion_jpeg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "media/jpeg_image.h"
#include "tests/rtp/motion_jpeg_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAreArray;
using testing::JpegParts;
using testing::MakeJpeg;

constexpr std::size_t kPacket = 1400;
constexpr std::size_t kRoom = kPacket - kRtpHeaderBytes - 8;  // 1380, without restart markers
constexpr std::size_t kTables = 4 + 128;

PacketBlock Packets(const Bytes& data, std::size_t packet_bytes = kPacket, bool* sound = nullptr) {
  const std::unique_ptr<Packetizer> packetizer =
      kMotionJpegFormat.make_packetizer(testing::MakeTrack(Codec::kMotionJpeg, 0), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  const bool result =
      packetizer->Packetize({.duration = 3600, .random_access = true, .data = data}, builder);
  packetizer->Flush(builder);
  if (sound != nullptr) *sound = result;
  return std::move(builder).Seal();
}

Bytes ScanOf(std::size_t bytes) {
  Bytes scan(bytes);
  for (std::size_t i = 0; i < bytes; ++i) scan[i] = static_cast<std::uint8_t>(i % 251);
  return scan;
}

// The image with the bytes of its one segment of that marker changed; the segment keeps its place.
Bytes WithSegment(const JpegParts& parts, std::uint8_t marker,
                  const std::function<void(Bytes*)>& change) {
  const Bytes jpeg = MakeJpeg(parts);
  Bytes changed = {0xff, 0xd8};
  std::size_t at = 2;
  for (bool scan = false; !scan;) {
    const std::size_t length = std::size_t{jpeg[at + 2]} * 256 + jpeg[at + 3];
    Bytes body(jpeg.begin() + static_cast<std::ptrdiff_t>(at) + 4,
               jpeg.begin() + static_cast<std::ptrdiff_t>(at + 2 + length));
    if (jpeg[at + 1] == marker) change(&body);
    testing::AddSegment(jpeg[at + 1], body, &changed);
    scan = jpeg[at + 1] == 0xda;
    at += 2 + length;
  }
  changed.insert(changed.end(), jpeg.begin() + static_cast<std::ptrdiff_t>(at), jpeg.end());
  return changed;
}

// With a segment put in front of the others.
Bytes WithExtra(const JpegParts& parts, std::uint8_t marker, const Bytes& body) {
  Bytes jpeg = {0xff, 0xd8};
  testing::AddSegment(marker, body, &jpeg);
  const Bytes rest = MakeJpeg(parts);
  jpeg.insert(jpeg.end(), rest.begin() + 2, rest.end());
  return jpeg;
}

TEST(MotionJpeg, HasTheStaticPayloadType) {
  const Track track = testing::MakeTrack(Codec::kMotionJpeg, 0);
  EXPECT_EQ(kMotionJpegFormat.encoding(track), "JPEG/90000");
  EXPECT_EQ(kMotionJpegFormat.parameters, nullptr);
  ASSERT_NE(kMotionJpegFormat.static_type, nullptr);
  EXPECT_EQ(kMotionJpegFormat.static_type(track), 26);
}

TEST(MotionJpeg, WritesItsHeadersByteForByte) {
  JpegParts parts = {.scan = {1, 0xff, 0, 2}};
  const auto expected = [&parts](std::initializer_list<std::uint8_t> headers) {
    Bytes payload = headers;
    payload.insert(payload.end(), {0, 0, 0, 128});
    payload.insert(payload.end(), parts.luma_table.begin(), parts.luma_table.end());
    payload.insert(payload.end(), parts.chroma_table.begin(), parts.chroma_table.end());
    payload.insert(payload.end(), parts.scan.begin(), parts.scan.end());
    return std::vector<Bytes>{payload};
  };
  const PacketBlock block = Packets(MakeJpeg(parts));
  EXPECT_EQ(testing::Payloads(block), expected({0, 0, 0, 0, 1, 255, 80, 60}));
  EXPECT_EQ(block.packets()[0].flags, kPacketMarker | kPacketUnitStart | kPacketRandomAccess);

  parts.wide_and_high = false;
  EXPECT_EQ(testing::Payloads(Packets(MakeJpeg(parts))), expected({0, 0, 0, 0, 0, 255, 80, 60}));

  parts.restart_interval = 0x123;
  parts.scan = {1, 0xff, 0xd0, 2};
  EXPECT_EQ(testing::Payloads(Packets(MakeJpeg(parts))),
            expected({0, 0, 0, 0, 64, 255, 80, 60, 1, 0x23, 0xff, 0xff}));
}

TEST(MotionJpeg, RoundsSizesUpToUnitsOf8) {
  struct Case {
    int width, height;
    int units_wide, units_high;
  };
  const std::vector<Case> cases = {
      {1, 1, 1, 1}, {8, 9, 1, 2}, {1920, 1080, 240, 135}, {2040, 2033, 255, 255}};
  for (const Case& c : cases) {
    testing::MotionJpegDepacketizer receiver;
    const PacketBlock block = Packets(MakeJpeg({.width = c.width, .height = c.height}));
    EXPECT_EQ(Receive(block, &receiver), "");
    ASSERT_EQ(receiver.images.size(), 1u);
    EXPECT_EQ(receiver.images[0].width, c.units_wide);
    EXPECT_EQ(receiver.images[0].height, c.units_high);
  }
}

TEST(MotionJpeg, CutsTheScanIntoPacketsOfEqualLengthButForTheLast) {
  struct Case {
    const char* what;
    std::size_t scan_bytes;
    std::size_t packet_bytes;
    int restart_interval;
    std::vector<std::size_t> lengths;
  };
  const std::vector<Case> cases = {
      {"exactly full", kRoom - kTables, kPacket, 0, {kPacket}},
      {"a byte too many", kRoom - kTables + 1, kPacket, 0, {20 + 691, 20 + 690}},
      {"two full", 2 * kRoom - kTables, kPacket, 0, {kPacket, kPacket}},
      {"three", 2 * kRoom - kTables + 1, kPacket, 0, {20 + 921, 20 + 921, 20 + 919}},
      {"with restart markers", kRoom - kTables, kPacket, 7, {24 + 690, 24 + 690}},
      {"least packet", 3, kMotionJpegPacketBytesMin, 7, {24 + 133, 24 + 2}},
      {"tables and a byte come first", 200, 20 + 140, 0, {20 + 133, 20 + 133, 20 + 66}},
  };
  for (const Case& c : cases) {
    const JpegParts parts = {.restart_interval = c.restart_interval, .scan = ScanOf(c.scan_bytes)};
    const PacketBlock block = Packets(MakeJpeg(parts), c.packet_bytes);
    EXPECT_THAT(testing::PacketLengths(block), ElementsAreArray(c.lengths)) << c.what;
    EXPECT_EQ(testing::FindFault(block, c.packet_bytes), "") << c.what;
    testing::MotionJpegDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    ASSERT_EQ(receiver.images.size(), 1u) << c.what;
    EXPECT_EQ(receiver.images[0].scan, parts.scan) << c.what;
    EXPECT_EQ(receiver.images[0].restart_interval, c.restart_interval) << c.what;
  }
}

TEST(MotionJpeg, ReadsWhatOtherEncodersWrite) {
  const JpegParts plain;
  const Bytes jpeg = MakeJpeg(plain);
  Bytes both_tables = {0};
  both_tables.insert(both_tables.end(), plain.luma_table.begin(), plain.luma_table.end());
  both_tables.push_back(1);
  both_tables.insert(both_tables.end(), plain.chroma_table.begin(), plain.chroma_table.end());
  Bytes all_huffman;
  for (const Bytes& table : testing::StandardHuffmanTables()) {
    all_huffman.insert(all_huffman.end(), table.begin(), table.end());
  }
  Bytes unused_table(17, 0);
  unused_table[0] = 2;
  Bytes filled = jpeg;
  filled.insert(filled.begin() + 2, 3, 0xff);
  Bytes filled_end = jpeg;
  filled_end.insert(filled_end.end() - 2, 2, 0xff);
  Bytes padded = jpeg;
  padded.insert(padded.end(), 5, 0);
  struct Case {
    const char* what;
    Bytes data;
  };
  const std::vector<Case> cases = {
      {"no Huffman tables", MakeJpeg({.huffman_tables = false})},
      {"all Huffman tables in one segment",
       WithExtra({.huffman_tables = false}, 0xc4, all_huffman)},
      {"both quantization tables in one segment",
       WithSegment(plain, 0xdb, [&](Bytes* body) { *body = both_tables; })},
      {"a comment", WithExtra(plain, 0xfe, {1, 2, 3})},
      {"an empty application segment", WithExtra(plain, 0xef, {})},
      {"restart interval 0", WithExtra(plain, 0xdd, {0, 0})},
      {"a Huffman table that is not used", WithExtra(plain, 0xc4, unused_table)},
      {"components from 0", MakeJpeg({.first_component = 0})},
      {"fill bytes before a marker", filled},
      {"fill bytes before EOI", filled_end},
      {"zeros behind EOI", padded},
  };
  for (const Case& c : cases) {
    EXPECT_TRUE(ReadJpegImage(c.data).has_value()) << c.what;
    bool sound = false;
    const PacketBlock block = Packets(c.data, kPacket, &sound);
    EXPECT_TRUE(sound) << c.what;
    EXPECT_EQ(testing::Payloads(block), testing::Payloads(Packets(jpeg))) << c.what;
  }
}

TEST(MotionJpeg, SendsTheTablesThatTheComponentsUse) {
  // Luma and chroma share table 0 here, as FFmpeg writes it.
  JpegParts parts;
  const Bytes jpeg = WithSegment(parts, 0xc0, [](Bytes* body) { (*body)[11] = (*body)[14] = 0; });
  testing::MotionJpegDepacketizer receiver;
  EXPECT_EQ(Receive(Packets(jpeg), &receiver), "");
  ASSERT_EQ(receiver.images.size(), 1u);
  EXPECT_EQ(receiver.images[0].tables, Bytes(128, 17));

  // Chroma tables of two numbers: no matter, as long as their values are the same.
  for (const std::uint8_t value : {98, 99}) {
    Bytes third(65, value);
    third[0] = 2;
    const Bytes two = WithSegment(parts, 0xc0, [](Bytes* body) { (*body)[14] = 2; });
    Bytes with_third = {0xff, 0xd8};
    testing::AddSegment(0xdb, third, &with_third);
    with_third.insert(with_third.end(), two.begin() + 2, two.end());
    EXPECT_FALSE(ReadJpegImage(two).has_value());
    EXPECT_EQ(ReadJpegImage(with_third).has_value(), value == 99);
  }
}

TEST(MotionJpeg, RefusesWhatTheFormatCannotTell) {
  const JpegParts plain;
  const auto set = [](std::size_t at, std::uint8_t value) {
    return [at, value](Bytes* body) { (*body)[at] = value; };
  };
  Bytes progressive = MakeJpeg(plain);
  for (std::size_t i = 0; i + 1 < progressive.size(); ++i) {
    if (progressive[i] == 0xff && progressive[i + 1] == 0xc0) progressive[i + 1] = 0xc2;
  }
  Bytes fields = MakeJpeg(plain);
  const Bytes second = fields;
  fields.insert(fields.end(), 3, 0);
  fields.insert(fields.end(), second.begin(), second.end());
  struct Case {
    const char* what;
    Bytes data;
  };
  const std::vector<Case> cases = {
      {"progressive", progressive},
      {"12 bits", WithSegment(plain, 0xc0, set(0, 12))},
      {"too wide", MakeJpeg({.width = 2041})},
      {"too high", MakeJpeg({.height = 2041})},
      {"no width", MakeJpeg({.width = 0})},
      {"a height that DNL is to tell", MakeJpeg({.height = 0})},
      {"one component", WithSegment(plain, 0xc0,
                                    [](Bytes* body) {
                                      body->resize(9);
                                      (*body)[5] = 1;
                                    })},
      {"four components told", WithSegment(plain, 0xc0, set(5, 4))},
      {"4:4:4", WithSegment(plain, 0xc0, set(7, 0x11))},
      {"4:1:1", WithSegment(plain, 0xc0, set(7, 0x41))},
      {"chroma twice as high", WithSegment(plain, 0xc0, set(10, 0x12))},
      {"a quantization table that is not there", WithSegment(plain, 0xc0, set(8, 3))},
      {"a number that no table has", WithSegment(plain, 0xc0, set(8, 4))},
      {"chroma tables that differ", WithSegment(plain, 0xc0, set(14, 0))},
      {"a frame header too long", WithSegment(plain, 0xc0, [](Bytes* b) { b->push_back(0); })},
      {"two frame headers",
       WithExtra(plain, 0xc0, {8, 0, 8, 0, 8, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1})},
      {"16-bit quantization tables", WithSegment(plain, 0xdb,
                                                 [](Bytes* body) {
                                                   (*body)[0] |= 0x10;
                                                   body->resize(129);
                                                 })},
      {"a quantization table cut short", WithSegment(plain, 0xdb, [](Bytes* b) { b->pop_back(); })},
      {"Huffman tables of its own",
       WithSegment(plain, 0xc4, [](Bytes* b) { std::swap(b->back(), (*b)[b->size() - 2]); })},
      {"a Huffman table cut short", WithSegment(plain, 0xc4, [](Bytes* b) { b->pop_back(); })},
      {"a Huffman class that there is not", WithExtra(plain, 0xc4, Bytes(17, 0x20))},
      {"a restart interval of one byte", WithExtra(plain, 0xdd, {1})},
      {"arithmetic coding", WithExtra(plain, 0xcc, {0x00, 0x10})},
      {"chroma before luma in the scan",
       WithSegment(plain, 0xda, [](Bytes* b) { std::swap((*b)[1], (*b)[3]); })},
      {"luma with the chroma codes", WithSegment(plain, 0xda, set(2, 0x11))},
      {"DC and AC codes mixed up", WithSegment(plain, 0xda, set(4, 0x10))},
      {"a Huffman table that is not there", WithSegment(plain, 0xda, set(4, 0x12))},
      {"part of the coefficients", WithSegment(plain, 0xda, set(8, 5))},
      {"one component in the scan",
       WithSegment(plain, 0xda, [](Bytes* b) { *b = {1, 1, 0, 0, 63, 0}; })},
      {"a scan of nothing", MakeJpeg({.scan = {}})},
      {"a scan beyond 2^24 bytes", MakeJpeg({.scan = Bytes((1u << 24) + 1, 1)})},
      {"two fields", fields},
      {"empty", {}},
      {"no JPEG", {1, 2, 3, 4, 5, 6}},
      {"nothing behind SOI", {0xff, 0xd8}},
      {"EOI behind SOI", {0xff, 0xd8, 0xff, 0xd9, 0, 0}},
  };
  for (const Case& c : cases) {
    EXPECT_FALSE(ReadJpegImage(c.data).has_value()) << c.what;
    bool sound = true;
    EXPECT_EQ(Packets(c.data, kPacket, &sound).packets().size(), 0u) << c.what;
    EXPECT_FALSE(sound) << c.what;
  }
}

TEST(MotionJpeg, RefusesPacketsThatDoNotHoldTheTables) {
  bool sound = true;
  const Bytes jpeg = MakeJpeg({});
  EXPECT_EQ(Packets(jpeg, kMotionJpegPacketBytesMin - 1, &sound).packets().size(), 0u);
  EXPECT_FALSE(sound);
  EXPECT_EQ(Packets(jpeg, kMotionJpegPacketBytesMin, &sound).packets().size(), 1u);
  EXPECT_TRUE(sound);
}

TEST(MotionJpeg, SendsTheScanUpToWhereItIsDamagedAndSaysSo) {
  struct Case {
    const char* what;
    int restart_interval;
    Bytes scan;  // with EOI behind it
    std::size_t sent;
  };
  const std::vector<Case> cases = {
      {"a restart marker without an interval", 0, {1, 2, 0xff, 0xd0, 3}, 2},
      {"another scan", 0, {1, 2, 0xff, 0xda, 3}, 2},
      {"a stuffed byte behind fill bytes", 0, {1, 2, 0xff, 0xff, 0, 3}, 2},
      {"another scan behind restart markers",
       4,
       {1, 0xff, 0xd0, 2, 0xff, 0xff, 0xd1, 0xff, 0xc4},
       7},
  };
  for (const Case& c : cases) {
    const Bytes jpeg = MakeJpeg({.restart_interval = c.restart_interval, .scan = c.scan});
    bool sound = true;
    const PacketBlock block = Packets(jpeg, kPacket, &sound);
    EXPECT_FALSE(sound) << c.what;
    testing::MotionJpegDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    ASSERT_EQ(receiver.images.size(), 1u) << c.what;
    EXPECT_EQ(receiver.images[0].scan,
              Bytes(c.scan.begin(), c.scan.begin() + static_cast<std::ptrdiff_t>(c.sent)))
        << c.what;
    EXPECT_TRUE(ReadJpegImage(jpeg).has_value()) << c.what;
  }
}

TEST(MotionJpeg, SendsWhatIsThereOfAnImageCutAnywhereInItsScanAndNothingOfOneCutBefore) {
  const JpegParts parts = {.restart_interval = 4, .scan = {1, 0xff, 0, 2, 0xff, 0xd0, 3, 4}};
  const Bytes jpeg = MakeJpeg(parts);
  const std::size_t scan_at = jpeg.size() - 2 - parts.scan.size();
  for (std::size_t size = 0; size < jpeg.size(); ++size) {
    const Bytes cut(jpeg.begin(), jpeg.begin() + static_cast<std::ptrdiff_t>(size));
    bool sound = true;
    const PacketBlock block = Packets(cut, kPacket, &sound);
    EXPECT_FALSE(sound) << size;
    testing::MotionJpegDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << size;
    ASSERT_EQ(receiver.images.size(), size > scan_at ? 1u : 0u) << size;
    if (size <= scan_at) continue;
    const Bytes& scan = receiver.images[0].scan;
    EXPECT_GE(scan.size() + 1, std::min(size - scan_at, parts.scan.size())) << size;
    EXPECT_TRUE(std::equal(scan.begin(), scan.end(), parts.scan.begin())) << size;
  }
}

TEST(MotionJpeg, ComesOutOfAnIndependentReceiverAsItWentIn) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes =
        random.Chance(0.5) ? kPacket : kMotionJpegPacketBytesMin + random.Below(1300);
    JpegParts parts = {.wide_and_high = random.Chance(0.5),
                       .width = static_cast<int>(1 + random.Below(2040)),
                       .height = static_cast<int>(1 + random.Below(2040)),
                       .restart_interval = static_cast<int>(random.Below(3) * 500),
                       .luma_table = testing::RandomBytes(64, random),
                       .chroma_table = testing::RandomBytes(64, random),
                       .scan = {}};
    for (const std::uint8_t byte : testing::RandomBytes(1 + random.Below(20'000), random)) {
      parts.scan.push_back(byte);
      if (byte == 0xff) {
        const bool restart = parts.restart_interval != 0 && random.Chance(0.5);
        parts.scan.push_back(restart ? static_cast<std::uint8_t>(0xd0 + random.Below(8)) : 0);
      }
    }
    bool sound = false;
    const PacketBlock block = Packets(MakeJpeg(parts), packet_bytes, &sound);
    ASSERT_TRUE(sound) << "seed " << seed;
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::MotionJpegDepacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_EQ(receiver.images.size(), 1u) << "seed " << seed;
    const testing::ReceivedJpeg& image = receiver.images[0];
    EXPECT_EQ(image.type, (parts.wide_and_high ? 1 : 0) + (parts.restart_interval != 0 ? 64 : 0));
    EXPECT_EQ(image.scan, parts.scan) << "seed " << seed;
    EXPECT_TRUE(
        std::equal(image.tables.begin(), image.tables.begin() + 64, parts.luma_table.begin()));
    EXPECT_TRUE(
        std::equal(image.tables.begin() + 64, image.tables.end(), parts.chroma_table.begin()));
  }
}

}  // namespace
}  // namespace millrace
