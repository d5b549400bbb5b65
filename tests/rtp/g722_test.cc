#include "rtp/payload/g722.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/rtp/sample_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;

Track G722Track(std::uint32_t channels = 1) {
  Track track = testing::MakeTrack(Codec::kG722, 0, RtpClockRate(Codec::kG722, 16000));
  track.channels = channels;
  track.sample_rate = 16000;
  return track;
}

TEST(G722, HasPayloadType9AndAClockOf8000) {
  EXPECT_EQ(G722Track().clock_rate, 8000u);
  EXPECT_EQ(kG722Format.encoding(G722Track()), "G722/8000");
  EXPECT_EQ(kG722Format.static_type(G722Track()), 9);
  EXPECT_EQ(kG722Format.static_type(G722Track(2)), std::nullopt);
  EXPECT_EQ(kG722Format.parameters, nullptr);
}

TEST(G722, CountsAnOctetAsATick) {
  SeededRandom random(3);
  const Bytes data = testing::RandomBytes(480, random);
  const PacketBlock block =
      testing::PacketizeSamples(kG722Format, G722Track(), {{1000, data}}, 1400);
  std::vector<std::int64_t> times;
  for (const PacketEntry& entry : block.packets()) times.push_back(entry.pts);
  EXPECT_THAT(times, ElementsAre(1000, 1160, 1320));  // 160 octets are 20 ms
  testing::SampleDepacketizer receiver(8000, 1);
  EXPECT_EQ(testing::ReceiveSamples(block, &receiver), "");
  ASSERT_EQ(receiver.runs.size(), 1u);
  EXPECT_EQ(receiver.runs[0].bytes, data);
  EXPECT_EQ(testing::FindFault(block, 1400), "");
}

TEST(G722, RefusesAnEmptyUnit) {
  std::vector<bool> taken;
  const PacketBlock block =
      testing::PacketizeSamples(kG722Format, G722Track(), {{0, {}}, {0, {7}}}, 1400, &taken);
  EXPECT_THAT(taken, ElementsAre(false, true));
  EXPECT_THAT(testing::Payloads(block), ElementsAre(Bytes{7}));
}

}  // namespace
}  // namespace millrace
