#include "rtp/payload/t140.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/sample_testing.h"
#include "tests/rtp/t140_depacketizer.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using testing::T140Depacketizer;

Track TextTrack() { return testing::MakeTrack(Codec::kT140, 0, 1000); }

Bytes BytesOf(std::string_view text) { return {text.begin(), text.end()}; }

TEST(T140, CountsMilliseconds) {
  EXPECT_EQ(kT140Format.encoding(TextTrack()), "t140/1000");
  EXPECT_EQ(kT140Format.parameters, nullptr);
  EXPECT_EQ(kT140Format.static_type, nullptr);
}

TEST(T140, BeginsEachCueAndEachLineOfItWithALineSeparator) {
  struct Case {
    const char* cue;
    const char* sent;
  };
  const Case cases[] = {{"Hello", "\u2028Hello"},
                        {"one\ntwo", "\u2028one\u2028two"},
                        {"gr\u00fc\u00dfe \U0001f600", "\u2028gr\u00fc\u00dfe \U0001f600"}};
  for (const Case& c : cases) {
    std::vector<bool> taken;
    const PacketBlock block =
        testing::PacketizeSamples(kT140Format, TextTrack(), {{1500, BytesOf(c.cue)}}, 1400, &taken);
    EXPECT_THAT(taken, ElementsAre(true)) << c.cue;
    EXPECT_THAT(testing::Payloads(block), ElementsAre(BytesOf(c.sent)));
    ASSERT_EQ(block.packets().size(), 1u);
    EXPECT_EQ(block.packets()[0].flags, kPacketMarker | kPacketUnitStart | kPacketRandomAccess);
    EXPECT_EQ(block.packets()[0].pts, 1500);
  }
}

TEST(T140, CutsALongCueBetweenCharacters) {
  std::string words;
  for (int i = 0; i < 100; ++i) words += i % 3 == 0 ? "a" : i % 3 == 1 ? "\u00e4" : "\u6f22";
  for (std::size_t packet_bytes = 128; packet_bytes < 140; ++packet_bytes) {
    const PacketBlock block = testing::PacketizeSamples(
        kT140Format, TextTrack(), {{40, BytesOf(words)}, {90, BytesOf("next")}}, packet_bytes);
    EXPECT_EQ(testing::FindFault(block, packet_bytes), "");
    EXPECT_EQ(block.packets().size(), 3u);
    EXPECT_GE(block.packets()[0].length, packet_bytes - 2);
    T140Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << packet_bytes;
    EXPECT_THAT(receiver.cues, ElementsAre(T140Depacketizer::Cue{1040, "\u2028" + words},
                                           T140Depacketizer::Cue{1090, "\u2028next"}));
  }
}

TEST(T140, LeavesOutWhatIsNoUtf8AndSaysSo) {
  struct Case {
    const char* what;
    Bytes cue;
    const char* sent;  // empty: nothing
  };
  const std::vector<Case> cases = {
      {"nothing", {}, ""},
      {"a lone continuation", {'a', 0x80, 'b'}, "\u2028ab"},
      {"longer than need be", {'a', 0xc0, 0xaf}, "\u2028a"},
      {"a surrogate", {0xed, 0xa0, 0x80, 'b'}, "\u2028b"},
      {"cut at the end", {'a', 0xe6, 0xbc}, "\u2028a"},
      {"beyond the last", {0xf4, 0x90, 0x80, 0x80, 'c'}, "\u2028c"},
      {"nothing else", {0xff, 0xfe}, ""},
  };
  for (const Case& c : cases) {
    std::vector<bool> taken;
    const PacketBlock block =
        testing::PacketizeSamples(kT140Format, TextTrack(), {{0, c.cue}}, 1400, &taken);
    EXPECT_THAT(taken, ElementsAre(false)) << c.what;
    T140Depacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    ASSERT_EQ(receiver.cues.size(), *c.sent == 0 ? 0u : 1u) << c.what;
    if (!receiver.cues.empty()) {
      EXPECT_EQ(receiver.cues[0].text, c.sent) << c.what;
    }
  }
}

}  // namespace
}  // namespace millrace
