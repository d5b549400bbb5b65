#include "rtp/payload/speex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/sample_testing.h"
#include "tests/rtp/speex_depacketizer.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using testing::SpeexDepacketizer;

Track SpeexTrack() { return testing::MakeTrack(Codec::kSpeex, 0, 16000); }

TEST(Speex, NamesItsRate) {
  EXPECT_EQ(kSpeexFormat.encoding(SpeexTrack()), "speex/16000");
  EXPECT_EQ(kSpeexFormat.static_type, nullptr);
}

TEST(Speex, SendsEachUnitAsItIs) {
  SeededRandom random(9);
  std::vector<testing::SampleUnit> units;
  std::vector<SpeexDepacketizer::Packet> sent;
  for (std::int64_t i = 0; i < 20; ++i) {
    const std::int64_t pts = i * 320 - 143;
    units.push_back({pts, testing::RandomBytes(1 + random.Below(116), random)});
    sent.push_back({testing::kTestStream.first_timestamp + static_cast<std::uint32_t>(pts),
                    units.back().data});
  }
  std::vector<bool> taken;
  const PacketBlock block =
      testing::PacketizeSamples(kSpeexFormat, SpeexTrack(), units, 128, &taken);
  EXPECT_THAT(taken, ::testing::Each(true));
  EXPECT_EQ(testing::FindFault(block, 128), "");
  SpeexDepacketizer receiver;
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    EXPECT_EQ(receiver.Add(*PacketView::Parse(block.packet(i))), "");
  }
  EXPECT_EQ(receiver.packets, sent);
}

TEST(Speex, RefusesWhatCannotBeAPacket) {
  std::vector<bool> taken;
  const std::vector<testing::SampleUnit> units = {
      {0, {}}, {0, Bytes(116, 1)}, {0, Bytes(117, 2)}, {0, Bytes(70'000, 3)}};
  const PacketBlock block =
      testing::PacketizeSamples(kSpeexFormat, SpeexTrack(), units, 128, &taken);
  EXPECT_THAT(taken, ElementsAre(false, true, false, false));
  EXPECT_THAT(testing::Payloads(block), ElementsAre(Bytes(116, 1)));
}

}  // namespace
}  // namespace millrace
