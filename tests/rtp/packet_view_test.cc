#include "rtp/packet_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "media/track.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// P and X set, two CSRCs, one word of extension, payload "ab", three bytes of padding.
const Bytes kFull = {0xb2, 0xe0, 0x12, 0x34, 0x01, 0x02, 0x03, 0x04, 0xaa, 0xbb, 0xcc,
                     0xdd, 1,    2,    3,    4,    5,    6,    7,    8,    0xbe, 0xde,
                     0,    1,    9,    8,    7,    6,    'a',  'b',  0,    0,    3};
const Bytes kPlain = {0x80, 0x61, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 2, 'x'};

TEST(PacketView, ReadsAPlainPacket) {
  const auto view = PacketView::Parse(kPlain);
  ASSERT_TRUE(view);
  EXPECT_FALSE(view->marker);
  EXPECT_EQ(view->payload_type, 0x61);
  EXPECT_EQ(view->sequence, 0xffff);
  EXPECT_EQ(view->timestamp, 1u);
  EXPECT_EQ(view->ssrc, 2u);
  EXPECT_THAT(view->csrcs, IsEmpty());
  EXPECT_FALSE(view->has_extension);
  EXPECT_EQ(view->padding_bytes, 0u);
  EXPECT_THAT(view->payload, ElementsAre('x'));
}

TEST(PacketView, FindsThePayloadBetweenCsrcsExtensionAndPadding) {
  const auto view = PacketView::Parse(kFull);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->marker);
  EXPECT_EQ(view->payload_type, 0x60);
  EXPECT_EQ(view->sequence, 0x1234);
  EXPECT_EQ(view->timestamp, 0x01020304u);
  EXPECT_EQ(view->ssrc, 0xaabbccddu);
  EXPECT_THAT(view->csrcs, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_TRUE(view->has_extension);
  EXPECT_EQ(view->extension_profile, 0xbede);
  EXPECT_THAT(view->extension, ElementsAre(9, 8, 7, 6));
  EXPECT_THAT(view->payload, ElementsAre('a', 'b'));
  EXPECT_EQ(view->padding_bytes, 3u);
}

TEST(PacketView, RefusesEveryTruncationBeforeThePayload) {
  // 12 + 8 + 8 bytes are promised before the payload; then the last byte has to be a padding count.
  for (std::size_t length = 0; length < kFull.size(); ++length) {
    const Bytes cut(kFull.begin(), kFull.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_FALSE(PacketView::Parse(cut)) << "cut to " << length;
  }
  for (std::size_t length = 0; length < 12; ++length) {
    const Bytes cut(kPlain.begin(), kPlain.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_FALSE(PacketView::Parse(cut)) << "cut to " << length;
  }
}

TEST(PacketView, RefusesWhatLies) {
  struct Case {
    const char* what;
    Bytes bytes;
    std::size_t at;
    std::uint8_t value;
  };
  const std::vector<Case> cases = {
      {"version 0", kPlain, 0, 0x00},
      {"version 1", kPlain, 0, 0x40},
      {"version 3", kPlain, 0, 0xc0},
      {"CSRC list beyond the end", kPlain, 0, 0x81},
      {"fifteen CSRCs beyond the end", kFull, 0, 0xbf},
      {"extension header beyond the end", kPlain, 0, 0x90},
      {"extension words beyond the end", kFull, 23, 3},
      {"extension of 65535 words", kFull, 22, 0xff},
      {"padding of 0", kFull, kFull.size() - 1, 0},
      {"padding longer than what it pads", kFull, kFull.size() - 1, 6},
      {"padding of 255", kFull, kFull.size() - 1, 255},
  };
  for (const Case& c : cases) {
    Bytes bytes = c.bytes;
    ASSERT_TRUE(PacketView::Parse(bytes));
    bytes[c.at] = c.value;
    EXPECT_FALSE(PacketView::Parse(bytes)) << c.what;
  }
}

TEST(PacketView, AllowsAPayloadOfNothing) {
  Bytes bytes(kPlain.begin(), kPlain.begin() + 12);
  auto view = PacketView::Parse(bytes);
  ASSERT_TRUE(view);
  EXPECT_THAT(view->payload, IsEmpty());

  bytes[0] |= 0x20;  // padding, but no byte that could be its count
  EXPECT_FALSE(PacketView::Parse(bytes));
  bytes.push_back(1);
  view = PacketView::Parse(bytes);
  ASSERT_TRUE(view);
  EXPECT_THAT(view->payload, IsEmpty());
  EXPECT_EQ(view->padding_bytes, 1u);
}

}  // namespace
}  // namespace millrace
