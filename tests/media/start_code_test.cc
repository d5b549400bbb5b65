#include "media/start_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

std::vector<std::size_t> StartCodes(ByteSpan data) {
  std::vector<std::size_t> found;
  for (std::size_t at = FindStartCode(data, 0); at < data.size();
       at = FindStartCode(data, at + 4)) {
    found.push_back(at);
  }
  return found;
}

TEST(StartCode, IsFoundWhereverItLies) {
  EXPECT_THAT(StartCodes(Bytes{0, 0, 1, 0xb3, 9, 0, 0, 1, 0x00}), ElementsAre(0, 5));
  EXPECT_THAT(StartCodes(Bytes{7, 0, 0, 0, 1, 0xb3, 1, 1, 0, 1, 0, 0, 1, 2}), ElementsAre(2, 10));
  EXPECT_THAT(StartCodes(Bytes{}), ElementsAre());
  EXPECT_THAT(StartCodes(Bytes{1}), ElementsAre());
  EXPECT_THAT(StartCodes(Bytes{0, 0, 1}), ElementsAre(0));  // without its name
  EXPECT_THAT(StartCodes(Bytes{1, 1, 1, 1, 1, 1}), ElementsAre());
  EXPECT_EQ(FindStartCode(Bytes{0, 0, 1, 5}, 9), 4u);
}

TEST(StartCode, TellsWhereDecodingCanStart) {
  EXPECT_TRUE(StartsMpegSequence(Bytes{0, 0, 1, 0xb3, 1, 2, 0, 0, 1, 0x00, 3}));
  EXPECT_FALSE(StartsMpegSequence(Bytes{0, 0, 1, 0x00, 3, 0, 0, 1, 0xb3}));
  EXPECT_FALSE(StartsMpegSequence(Bytes{0, 0, 1, 0xb8, 3, 0, 0, 1, 0x00}));
  EXPECT_FALSE(StartsMpegSequence(Bytes{}));

  EXPECT_TRUE(StartsMpeg4Video(Bytes{0, 0, 1, 0xb6, 0x10}));   // I
  EXPECT_FALSE(StartsMpeg4Video(Bytes{0, 0, 1, 0xb6, 0x50}));  // P
  EXPECT_FALSE(StartsMpeg4Video(Bytes{0, 0, 1, 0xb6, 0x90}));  // B
  EXPECT_FALSE(StartsMpeg4Video(Bytes{0, 0, 1, 0xb6}));
  EXPECT_TRUE(StartsMpeg4Video(Bytes{0, 0, 1, 0xb3, 0, 0, 1, 0xb6, 0x00, 0, 0, 1, 0xb6, 0x50}));
}

TEST(StartCode, TakesMpeg4HeadersFromInFrontOfTheFirstPlane) {
  const Bytes kWithLayer = {0, 0, 1, 0xb0, 1, 0, 0, 1, 0x20, 8, 0, 0, 1, 0xb6, 0x10};
  EXPECT_THAT(Mpeg4VideoHeaders(kWithLayer),
              ElementsAreArray({0, 0, 1, 0xb0, 1, 0, 0, 1, 0x20, 8}));
  EXPECT_TRUE(Mpeg4VideoHeaders(Bytes{0, 0, 1, 0xb0, 1, 0, 0, 1, 0xb6, 0x10}).empty());
  EXPECT_TRUE(Mpeg4VideoHeaders(Bytes{0, 0, 1, 0xb6, 0x10, 0, 0, 1, 0x20, 8}).empty());
  EXPECT_TRUE(Mpeg4VideoHeaders(Bytes{0, 0, 1, 0x20, 8}).empty());
}

}  // namespace
}  // namespace millrace
