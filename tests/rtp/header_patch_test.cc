#include "rtp/header_patch.h"

#include <gtest/gtest.h>

#include <array>

#include "core/random.h"
#include "rtp/packet_view.h"

namespace millrace {
namespace {

using Header = std::array<std::uint8_t, 12>;

constexpr Header kOriginal = {0x80, 0xe1, 0xff, 0xfe, 0xff, 0xff,
                              0xff, 0x00, 0xde, 0xad, 0xbe, 0xef};

Header Patched(const HeaderPatch& patch, const Header& original) {
  Header out;
  out.fill(0x55);
  patch.Apply(original.data(), out.data());
  return out;
}

TEST(HeaderPatch, IsTheIdentityOnlyWhenItChangesNothing) {
  EXPECT_TRUE(HeaderPatch{}.identity());
  EXPECT_FALSE(HeaderPatch{.sequence_offset = 1}.identity());
  EXPECT_FALSE(HeaderPatch{.timestamp_offset = 1}.identity());
  EXPECT_FALSE(HeaderPatch{.ssrc = 1}.identity());
  EXPECT_EQ(Patched({}, kOriginal), kOriginal);
}

TEST(HeaderPatch, AddsOffsetsAcrossTheWrapAndNeverTouchesTheFirstTwoBytes) {
  EXPECT_EQ(Patched({.sequence_offset = 3}, kOriginal),
            (Header{0x80, 0xe1, 0x00, 0x01, 0xff, 0xff, 0xff, 0x00, 0xde, 0xad, 0xbe, 0xef}));
  EXPECT_EQ(Patched({.timestamp_offset = 0x1234}, kOriginal),
            (Header{0x80, 0xe1, 0xff, 0xfe, 0x00, 0x00, 0x11, 0x34, 0xde, 0xad, 0xbe, 0xef}));
  EXPECT_EQ(Patched({.ssrc = 0x01020304}, kOriginal),
            (Header{0x80, 0xe1, 0xff, 0xfe, 0xff, 0xff, 0xff, 0x00, 0x01, 0x02, 0x03, 0x04}));
}

TEST(HeaderPatch, WorksInPlace) {
  const HeaderPatch patch = {.sequence_offset = 5, .timestamp_offset = 6, .ssrc = 7};
  Header header = kOriginal;
  patch.Apply(header.data(), header.data());
  EXPECT_EQ(header, Patched(patch, kOriginal));
}

TEST(HeaderPatch, IsUndoneByItsOpposite) {
  SeededRandom random(7);
  for (int i = 0; i < 1000; ++i) {
    Header header;
    for (std::uint8_t& byte : header) byte = static_cast<std::uint8_t>(random.Next64());
    header[0] = 0x80;
    const HeaderPatch patch = {.sequence_offset = random.Next16(),
                               .timestamp_offset = random.Next32()};
    const HeaderPatch opposite = {
        .sequence_offset = static_cast<std::uint16_t>(0 - patch.sequence_offset),
        .timestamp_offset = 0 - patch.timestamp_offset};
    const Header patched = Patched(patch, header);
    EXPECT_EQ(Patched(opposite, patched), header);
    const auto before = PacketView::Parse(header);
    const auto after = PacketView::Parse(patched);
    ASSERT_TRUE(before && after);
    EXPECT_EQ(static_cast<std::uint16_t>(after->sequence - before->sequence),
              patch.sequence_offset);
    EXPECT_EQ(after->timestamp - before->timestamp, patch.timestamp_offset);
    EXPECT_EQ(after->payload_type, before->payload_type);
    EXPECT_EQ(after->marker, before->marker);
  }
}

}  // namespace
}  // namespace millrace
