#include "rtp/payload/mpeg_video.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/rtp/mpeg_video_depacketizer.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::size_t kPacket = 1400;
constexpr std::size_t kRoom = kPacket - kRtpHeaderBytes - 4;  // 1384

// A start code and what follows it; `bytes` in all.
Bytes Element(std::uint8_t code, std::size_t bytes, std::uint8_t fill = 0x55) {
  Bytes element(bytes, fill);
  const std::uint8_t start[] = {0, 0, 1, code};
  std::copy(std::begin(start), std::end(start), element.begin());
  return element;
}

Bytes Sequence() { return Element(0xb3, 12); }
Bytes Extension() { return Element(0xb5, 10); }
Bytes Group() { return Element(0xb8, 8); }
Bytes Slice(std::uint8_t row, std::size_t bytes) { return Element(row, bytes, row); }

// `vectors`: full_pel_forward_vector and forward_f_code, then the same backward, four bits each.
Bytes Picture(std::uint32_t type, std::uint32_t temporal_reference, std::uint32_t vectors = 0) {
  const std::uint64_t bits = std::uint64_t{temporal_reference} << 54 | std::uint64_t{type} << 51 |
                             std::uint64_t{0xffff} << 35 |
                             (type == 2 || type == 3 ? std::uint64_t{vectors >> 4} << 31 : 0) |
                             (type == 3 ? std::uint64_t{vectors & 15} << 27 : 0);
  Bytes picture = {0, 0, 1, 0};
  for (int i = 0; i < (type == 2 || type == 3 ? 5 : 4); ++i) {
    picture.push_back(static_cast<std::uint8_t>(bits >> (56 - 8 * i)));
  }
  return picture;
}

Bytes Join(const std::vector<Bytes>& parts) {
  Bytes joined;
  for (const Bytes& part : parts) joined.insert(joined.end(), part.begin(), part.end());
  return joined;
}

PacketBlock Packets(const Bytes& data, std::size_t packet_bytes = kPacket, bool* sound = nullptr) {
  const std::unique_ptr<Packetizer> packetizer =
      kMpegVideoFormat.make_packetizer(testing::MakeTrack(Codec::kMpegVideo, 0), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  const bool result =
      packetizer->Packetize({.duration = 3600, .random_access = true, .data = data}, builder);
  packetizer->Flush(builder);
  if (sound != nullptr) *sound = result;
  return std::move(builder).Seal();
}

// The four bytes of each packet, as a number.
std::vector<std::uint32_t> Headers(const PacketBlock& block) {
  std::vector<std::uint32_t> headers;
  for (const Bytes& p : testing::Payloads(block)) {
    headers.push_back(std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 |
                      std::uint32_t{p[2]} << 8 | p[3]);
  }
  return headers;
}

constexpr std::uint32_t kS = 0x2000, kB = 0x1000, kE = 0x0800, kI = 0x0100;

TEST(MpegVideo, HasTheStaticPayloadType) {
  const Track track = testing::MakeTrack(Codec::kMpegVideo, 0);
  EXPECT_EQ(kMpegVideoFormat.encoding(track), "MPV/90000");
  EXPECT_EQ(kMpegVideoFormat.parameters, nullptr);
  ASSERT_NE(kMpegVideoFormat.static_type, nullptr);
  EXPECT_EQ(kMpegVideoFormat.static_type(track), 32);
}

TEST(MpegVideo, WritesTheHeaderByteForByte) {
  struct Case {
    const char* what;
    Bytes picture;
    Bytes header;
  };
  const std::vector<Case> cases = {
      {"I", Picture(1, 0x2a5, 0xff), {0x02, 0xa5, 0x19, 0x00}},
      {"P of MPEG-1", Picture(2, 1, 0xaf), {0x00, 0x01, 0x1a, 0x0a}},
      {"P of MPEG-2", Picture(2, 1023, 0x77), {0x03, 0xff, 0x1a, 0x07}},
      {"B of MPEG-1", Picture(3, 0, 0x2c), {0x00, 0x00, 0x1b, 0xc2}},
      {"B of MPEG-2", Picture(3, 0, 0x77), {0x00, 0x00, 0x1b, 0x77}},
      {"D", Picture(4, 2, 0xff), {0x00, 0x02, 0x1c, 0x00}},
  };
  for (const Case& c : cases) {
    const Bytes data = Join({c.picture, Slice(1, 5)});
    const PacketBlock block = Packets(data);
    EXPECT_THAT(testing::Payloads(block), ElementsAre(Join({c.header, data}))) << c.what;
    EXPECT_EQ(block.packets()[0].flags, kPacketMarker | kPacketUnitStart | kPacketRandomAccess);
  }
}

TEST(MpegVideo, PutsHeadersFirstAndSlicesWholeBehindThem) {
  struct Case {
    const char* what;
    std::vector<std::vector<Bytes>> packets;
    std::vector<std::uint32_t> bits;  // of their headers, above picture type I
  };
  const std::size_t headers = 12 + 10 + 8 + 8;
  const std::vector<Case> cases = {
      {"all in one",
       {{Sequence(), Extension(), Group(), Picture(1, 0), Extension(), Slice(1, 50), Slice(2, 60)}},
       {kS | kB | kE}},
      {"exactly full",
       {{Sequence(), Extension(), Group(), Picture(1, 0), Slice(1, kRoom - headers)}},
       {kS | kB | kE}},
      {"a byte too many",
       {{Sequence(), Extension(), Group(), Picture(1, 0)}, {Slice(1, kRoom - headers + 1)}},
       {kS, kB | kE}},
      {"as many slices as fit",
       {{Picture(1, 0), Slice(1, 688), Slice(2, 688)},
        {Slice(3, 692), Slice(4, 692)},
        {Slice(5, 693)},
        {Slice(6, 692)}},
       {kB | kE, kB | kE, kB | kE, kB | kE}},
      {"a picture header follows no sequence header",
       {{Sequence(), Extension()}, {Picture(1, 0), Slice(1, 9)}},
       {kS, kB | kE}},
      {"nor does a sequence header follow anything",
       {{Group()}, {Sequence(), Group(), Picture(1, 0), Slice(1, 9)}},
       {0, kS | kB | kE}},
      {"nor does the end of the sequence follow slices",
       {{Picture(1, 0), Slice(1, 9)}, {Element(0xb7, 4)}},
       {kB | kE, 0}},
      {"user data goes with what it follows",
       {{Sequence(), Element(0xb2, 20), Group(), Element(0xb2, 20), Picture(1, 0),
         Element(0xb2, 200), Slice(1, 9)}},
       {kS | kB | kE}},
      {"user data that leaves no room",
       {{Group(), Picture(1, 0)}, {Element(0xb2, kRoom)}, {Slice(1, 9)}},
       {0, 0, kB | kE}},
  };
  for (const Case& c : cases) {
    std::vector<Bytes> joined;
    for (const std::vector<Bytes>& packet : c.packets) joined.push_back(Join(packet));
    bool sound = false;
    const PacketBlock block = Packets(Join(joined), kPacket, &sound);
    EXPECT_TRUE(sound) << c.what;
    std::vector<Bytes> data;
    for (const Bytes& p : testing::Payloads(block)) data.emplace_back(p.begin() + 4, p.end());
    EXPECT_EQ(data, joined) << c.what;
    std::vector<std::uint32_t> bits;
    for (const std::uint32_t header : Headers(block)) bits.push_back(header - kI);
    EXPECT_THAT(bits, ElementsAreArray(c.bits)) << c.what;
    testing::MpegVideoDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_THAT(receiver.frames, ElementsAre(Join(joined))) << c.what;
    EXPECT_EQ(testing::FindFault(block, kPacket), "") << c.what;
  }
}

TEST(MpegVideo, CutsALargeSliceIntoEqualFragments) {
  struct Case {
    const char* what;
    std::vector<Bytes> elements;
    std::vector<std::size_t> sizes;  // of packets, without their headers
    std::vector<std::uint32_t> bits;
  };
  const std::vector<Case> cases = {
      {"behind a small header",
       {Picture(1, 0), Slice(1, 4000), Slice(2, 9)},
       {1336, 1336, 1336, 9},
       {kB, 0, kE, kB | kE}},
      {"behind a small slice",
       {Picture(1, 0), Slice(1, 9), Slice(2, kRoom + 1), Slice(3, 9)},
       {17, 693, 692, 9},
       {kB | kE, kB, kE, kB | kE}},
      {"of two packets",
       {Sequence(), Group(), Picture(1, 0), Slice(1, 2 * kRoom - 28)},
       {kRoom, kRoom},
       {kS | kB, kE}},
      {"behind headers that leave room for its start code",
       {Picture(1, 0), Element(0xb2, 1370), Slice(1, kRoom + 1)},
       {1382, 1381},
       {kB, kE}},
      {"behind headers that leave less",
       {Picture(1, 0), Element(0xb2, 1371), Slice(1, kRoom + 1)},
       {1379, 693, 692},
       {0, kB, kE}},
  };
  for (const Case& c : cases) {
    const Bytes data = Join(c.elements);
    const PacketBlock block = Packets(data);
    std::vector<std::size_t> sizes;
    for (const std::size_t length : testing::PacketLengths(block)) sizes.push_back(length - 16);
    EXPECT_THAT(sizes, ElementsAreArray(c.sizes)) << c.what;
    std::vector<std::uint32_t> bits;
    for (const std::uint32_t header : Headers(block)) bits.push_back(header - kI);
    EXPECT_THAT(bits, ElementsAreArray(c.bits)) << c.what;
    testing::MpegVideoDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_THAT(receiver.frames, ElementsAre(data)) << c.what;
    EXPECT_EQ(receiver.headers_cut, 0u) << c.what;
  }
}

TEST(MpegVideo, CutsAHeaderOnlyWhereNoPacketHoldsIt) {
  const Bytes data = Join({Element(0xb3, 140), Extension(), Group(), Picture(1, 0), Slice(1, 9)});
  const PacketBlock block = Packets(data, kPacketBytesMin);
  testing::MpegVideoDepacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  EXPECT_THAT(receiver.frames, ElementsAre(data));
  EXPECT_EQ(receiver.headers_cut, 1u);
  EXPECT_THAT(Headers(block), ElementsAre(kI | kS, kI, kI, kI | kB | kE));
}

TEST(MpegVideo, TellsEachFieldOfAFrameItsOwnValuesAndMarksTheLastPacketAlone) {
  const Bytes top = Join({Sequence(), Group(), Picture(1, 7), Extension(), Slice(1, 900)});
  const Bytes bottom = Join({Picture(2, 7, 0x77), Extension(), Slice(1, 900)});
  const PacketBlock block = Packets(Join({top, bottom}));
  ASSERT_EQ(block.packets().size(), 2u);
  EXPECT_THAT(Headers(block), ElementsAre(0x00070000 | kI | kS | kB | kE, 0x00070207 | kB | kE));
  EXPECT_EQ(block.packets()[0].flags & kPacketMarker, 0);
  EXPECT_EQ(block.packets()[1].flags & kPacketMarker, kPacketMarker);
  EXPECT_EQ(block.packets()[1].pts, block.packets()[0].pts);
  testing::MpegVideoDepacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
}

TEST(MpegVideo, TakesHeadersBehindSlicesForTheNextPicturesOwn) {
  const PacketBlock block = Packets(Join({Picture(1, 3), Slice(1, 9), Sequence(), Extension(),
                                          Picture(2, 4, 0x77), Slice(1, 9), Element(0xb7, 4)}));
  EXPECT_THAT(Headers(block), ElementsAre(0x00030000 | kI | kB | kE, 0x00040207 | kS,
                                          0x00040207 | kB | kE, 0x00040207));
  testing::MpegVideoDepacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
}

TEST(MpegVideo, LeavesWhatFollowsAPictureHeaderToThatPicture) {
  const PacketBlock block =
      Packets(Join({Picture(1, 3), Element(0xb2, kRoom), Picture(2, 4, 0x77), Slice(1, 9)}));
  EXPECT_THAT(Headers(block), ElementsAre(0x00030000 | kI, 0x00030000 | kI, 0x00040207 | kB | kE));
}

TEST(MpegVideo, KeepsZerosBeforeAStartCodeWithWhatTheyFollow) {
  const Bytes zeros(3, 0);
  const Bytes body = Join({Picture(1, 0), zeros, Slice(1, 9), zeros});
  bool sound = false;
  const PacketBlock block = Packets(Join({zeros, body}), kPacket, &sound);
  EXPECT_TRUE(sound);
  testing::MpegVideoDepacketizer receiver;
  EXPECT_EQ(Receive(block, &receiver), "");
  EXPECT_THAT(receiver.frames, ElementsAre(body));
}

TEST(MpegVideo, SendsTheSoundPartOfADamagedUnit) {
  const Bytes picture = Picture(1, 0), slice = Slice(1, 9), good = Join({picture, slice});
  Bytes short_picture = picture;
  short_picture.resize(7);
  struct Case {
    const char* what;
    Bytes data;
    Bytes sent;
  };
  const std::vector<Case> cases = {
      {"empty", {}, {}},
      {"zeros", {0, 0, 0, 0}, {}},
      {"no start code", {1, 2, 3, 4, 5}, {}},
      {"half a start code at the end", Join({good, {0, 0, 1}}), good},
      {"bytes in front", Join({{7}, good}), good},
      {"a start code of a system stream", Join({picture, Element(0xe0, 20), slice}), good},
      {"a reserved start code", Join({picture, Element(0xb0, 20), slice}), good},
      {"headers without a picture", Join({Sequence(), Group()}), {}},
      {"a slice before the picture header", Join({slice, good}), good},
      {"a slice without a picture header", slice, {}},
      {"a slice behind another group header", Join({good, Group(), slice}), Join({good, Group()})},
      {"a picture header cut short", Join({short_picture, slice}), {}},
      {"a P picture header cut short", Join({{0, 0, 1, 0, 0, 0x10, 0xff, 0xff}, slice}), {}},
      {"picture type 0", Join({Picture(0, 0), slice}), {}},
      {"picture type 5", Join({Picture(5, 0), slice}), {}},
      {"a damaged second picture", Join({good, Picture(5, 0), Extension(), slice}), good},
      {"a damaged first picture", Join({Picture(5, 0), Extension(), slice, good}), good},
  };
  for (const Case& c : cases) {
    bool sound = true;
    const PacketBlock block = Packets(c.data, kPacket, &sound);
    EXPECT_FALSE(sound) << c.what;
    testing::MpegVideoDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    EXPECT_EQ(receiver.frames.empty() ? Bytes() : receiver.frames[0], c.sent) << c.what;
  }
}

TEST(MpegVideo, ComesOutOfAnIndependentReceiverAsItWentIn) {
  std::size_t slices_cut = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRandom random(seed);
    const std::size_t packet_bytes = random.Chance(0.5) ? kPacket : 300 + random.Below(1200);
    std::vector<Bytes> elements;
    if (random.Chance(0.5)) {
      elements.push_back(Element(0xb3, 12 + 64 * random.Below(3)));
      elements.push_back(Extension());
    }
    if (random.Chance(0.5)) elements.push_back(Group());
    for (std::uint64_t fields = 1 + random.Below(2); fields-- > 0;) {
      const auto type = static_cast<std::uint32_t>(1 + random.Below(3));
      elements.push_back(Picture(type, static_cast<std::uint32_t>(random.Below(1024)),
                                 static_cast<std::uint32_t>(random.Below(256))));
      elements.push_back(Extension());
      const std::size_t slice_max = random.Chance(0.5) ? 300 : 6000;
      for (std::uint8_t row = 1; row <= 30; ++row) {
        elements.push_back(Slice(row, 5 + random.Below(slice_max)));
      }
    }
    const Bytes data = Join(elements);
    bool sound = false;
    const PacketBlock block = Packets(data, packet_bytes, &sound);
    ASSERT_TRUE(sound) << "seed " << seed;
    ASSERT_EQ(testing::FindFault(block, packet_bytes), "") << "seed " << seed;
    testing::MpegVideoDepacketizer receiver;
    ASSERT_EQ(Receive(block, &receiver), "") << "seed " << seed;
    ASSERT_THAT(receiver.frames, ElementsAre(data)) << "seed " << seed;
    EXPECT_EQ(receiver.headers_cut, 0u) << "seed " << seed;
    slices_cut += receiver.slices_cut;
  }
  EXPECT_GT(slices_cut, 1000u);
}

}  // namespace
}  // namespace millrace
