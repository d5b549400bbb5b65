#include "media/jpeg2000_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/random.h"
#include "tests/media/jpeg2000_testing.h"

namespace millrace {
namespace {

using testing::J2kBox;
using testing::J2kFile;
using testing::J2kMainHeader;
using testing::J2kStream;
using testing::J2kTilePart;

Bytes Copy(ByteSpan bytes) { return Bytes(bytes.begin(), bytes.end()); }

TEST(Jpeg2000Image, TellsSizeAndSampling) {
  struct Case {
    std::vector<std::pair<int, int>> components;
    std::uint32_t colour;  // of the box around it; 0: no box
    const char* sampling;  // null: without a name
  };
  const Case cases[] = {
      {{{1, 1}}, 0, "GRAYSCALE"},
      {{{1, 1}, {1, 1}, {1, 1}}, 0, "RGB"},
      {{{1, 1}, {1, 1}, {1, 1}}, 16, "RGB"},
      {{{1, 1}, {1, 1}, {1, 1}}, 18, "YCbCr-4:4:4"},
      {{{1, 1}, {2, 1}, {2, 1}}, 0, "YCbCr-4:2:2"},
      {{{1, 1}, {2, 2}, {2, 2}}, 0, "YCbCr-4:2:0"},
      {{{1, 1}, {4, 1}, {4, 1}}, 0, "YCbCr-4:1:1"},
      {{{1, 1}, {1, 1}, {1, 1}, {1, 1}}, 0, "RGBA"},
      {{{1, 1}, {1, 1}, {1, 1}, {1, 1}}, 18, "YCbCrA"},
      {{{1, 1}, {1, 1}}, 0, nullptr},
      {{{2, 2}}, 0, nullptr},
      {{{1, 1}, {2, 2}, {1, 1}}, 0, nullptr},
      {{{1, 1}, {0, 0}, {0, 0}}, 0, nullptr},
      {{}, 0, nullptr},
      {{{1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 0, nullptr},
  };
  for (const Case& c : cases) {
    const Bytes stream = J2kStream(
        J2kMainHeader(
            {.left = 10, .top = 5, .right = 170, .bottom = 125, .components = c.components}),
        {J2kTilePart(0, 100)});
    const Bytes picture = c.colour == 0 ? stream : J2kFile(stream, c.colour);
    const auto image = ReadJpeg2000(picture);
    ASSERT_EQ(image.has_value(), c.sampling != nullptr) << c.components.size();
    if (!image) continue;
    EXPECT_EQ(image->sampling, c.sampling);
    EXPECT_EQ(image->width, 160u);
    EXPECT_EQ(image->height, 120u);
    // The head alone tells the same.
    const auto head = ReadJpeg2000(ByteSpan(picture).first(image->head_bytes));
    ASSERT_TRUE(head);
    EXPECT_EQ(head->sampling, image->sampling);
    EXPECT_EQ(head->head_bytes, image->head_bytes);
    EXPECT_FALSE(ReadJpeg2000(ByteSpan(picture).first(image->head_bytes - 1)));
  }
  EXPECT_FALSE(ReadJpeg2000(J2kMainHeader({.left = 160})));
}

TEST(Jpeg2000Image, FindsTheCodestreamInItsBoxes) {
  const Bytes stream = J2kStream(J2kMainHeader(), {J2kTilePart(0, 100)});
  EXPECT_EQ(Copy(Jpeg2000Codestream(stream)), stream);
  EXPECT_EQ(Copy(Jpeg2000Codestream(J2kFile(stream, 16))), stream);
  EXPECT_EQ(Copy(Jpeg2000Codestream(J2kBox("jp2c", stream))), stream);
  Bytes open = J2kBox("jp2c", stream);
  std::fill(open.begin(), open.begin() + 4, 0);  // to the end
  EXPECT_EQ(Copy(Jpeg2000Codestream(open)), stream);
  Bytes large = {0, 0, 0, 1, 'j', 'p', '2', 'c'};
  testing::AppendNumber(16 + stream.size(), 8, &large);
  testing::Append(stream, &large);
  EXPECT_EQ(Copy(Jpeg2000Codestream(large)), stream);
  Bytes two_fields = J2kBox("jp2c", stream);
  testing::Append(J2kBox("jp2c", Bytes(100, 1)), &two_fields);
  EXPECT_EQ(Copy(Jpeg2000Codestream(two_fields)), stream);

  for (const Bytes& none : {Bytes{}, Bytes{0xff, 0x4f}, J2kBox("jp2c", {1, 2, 3, 4}),
                            J2kBox("free", stream), Bytes{0, 0, 0, 7, 'j', 'p', '2', 'c'},
                            Bytes{0, 0, 0, 1, 'j', 'p', '2', 'c', 0, 0, 0, 0, 0, 0, 0, 9}}) {
    EXPECT_TRUE(Jpeg2000Codestream(none).empty());
  }
}

TEST(Jpeg2000Image, TakesTileParts) {
  const Bytes header = J2kMainHeader();
  Bytes to_the_end = J2kTilePart(7, 50);
  std::fill(to_the_end.begin() + 6, to_the_end.begin() + 10, 0);
  Bytes too_long = J2kTilePart(7, 50);
  too_long[9] = 60;
  Bytes too_short = J2kTilePart(7, 50);
  too_short[9] = 11;
  struct Case {
    const char* what;
    std::vector<Bytes> parts;
    bool sound;
    std::vector<std::size_t> sizes;  // the last with the marker that ends the codestream
  };
  const Case cases[] = {
      {"one", {J2kTilePart(0, 14)}, true, {16}},
      {"three", {J2kTilePart(0, 20), J2kTilePart(1, 30), J2kTilePart(0, 40)}, true, {20, 30, 42}},
      {"the last to the end", {J2kTilePart(0, 20), to_the_end}, true, {20, 52}},
      {"none", {}, false, {}},
      {"the last too long", {J2kTilePart(0, 20), too_long}, false, {20}},
      {"the last too short", {J2kTilePart(0, 20), too_short}, false, {20}},
      {"bytes between", {J2kTilePart(0, 20), Bytes(20, 1), J2kTilePart(1, 20)}, false, {20}},
  };
  for (const Case& c : cases) {
    std::vector<Jpeg2000TilePart> parts;
    const Bytes stream = J2kStream(header, c.parts);
    EXPECT_EQ(ReadJpeg2000TileParts(stream, &parts), c.sound) << c.what;
    std::vector<std::size_t> sizes;
    for (const Jpeg2000TilePart& part : parts) sizes.push_back(part.bytes.size());
    EXPECT_EQ(sizes, c.sizes) << c.what;
  }
}

TEST(Jpeg2000Image, NeverReachesBeyondAnyBytes) {
  const Bytes whole = J2kFile(
      J2kStream(J2kMainHeader(), {J2kTilePart(0, 40), J2kTilePart(1, 60), J2kTilePart(2, 50)}), 16);
  SeededRandom random(3);
  int described = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(whole.begin(),
                whole.begin() + static_cast<std::ptrdiff_t>(random.Below(whole.size() + 1)));
    for (std::uint64_t i = random.Below(4); i > 0 && !bytes.empty(); --i) {
      bytes[random.Below(bytes.size())] = static_cast<std::uint8_t>(random.Next32());
    }
    if (const auto image = ReadJpeg2000(bytes)) {
      ++described;
      ASSERT_LE(image->head_bytes, bytes.size());
    }
    const ByteSpan stream = Jpeg2000Codestream(bytes);
    std::vector<Jpeg2000TilePart> parts;
    static_cast<void>(ReadJpeg2000TileParts(stream, &parts));
    std::size_t end = Jpeg2000MainHeaderBytes(stream);
    for (const Jpeg2000TilePart& part : parts) {
      ASSERT_EQ(part.bytes.data(), stream.data() + end);  // end to end
      end += part.bytes.size();
    }
    ASSERT_LE(end, stream.size());
  }
  EXPECT_GT(described, 1000);
}

}  // namespace
}  // namespace millrace
