#include "rtp/payload/klv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/media/hand_made.h"
#include "tests/rtp/klv_depacketizer.h"
#include "tests/rtp/sample_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using testing::KlvDepacketizer;

Track KlvTrack() { return testing::MakeTrack(Codec::kKlv, 0); }

TEST(Klv, HasAClockOf90Kilohertz) {
  EXPECT_EQ(kKlvFormat.encoding(KlvTrack()), "smpte336m/90000");
  EXPECT_EQ(kKlvFormat.static_type, nullptr);
}

TEST(Klv, SendsEachUnitWholeAndMarksItsLastPacket) {
  std::vector<testing::SampleUnit> units;
  std::vector<KlvDepacketizer::Unit> sent;
  for (const std::size_t bytes : {0, 1, 97, 98, 1000, 5000, 60000}) {
    Bytes data = KlvItem(static_cast<int>(bytes), bytes);
    const Bytes more = KlvItem(7, 10);
    if (bytes == 1000) data.insert(data.end(), more.begin(), more.end());
    const auto pts = static_cast<std::int64_t>(units.size()) * 3000;
    sent.push_back({testing::kTestStream.first_timestamp + static_cast<std::uint32_t>(pts), data});
    units.push_back({pts, std::move(data)});
  }
  for (const std::size_t packet_bytes : {128, 129, 1400, 65535}) {
    std::vector<bool> taken;
    const PacketBlock block =
        testing::PacketizeSamples(kKlvFormat, KlvTrack(), units, packet_bytes, &taken);
    EXPECT_THAT(taken, ::testing::Each(true));
    EXPECT_EQ(testing::FindFault(block, packet_bytes), "");
    KlvDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "");
    EXPECT_EQ(receiver.units, sent);
  }
}

TEST(Klv, SendsTheWholeItemsOfAMalformedUnit) {
  const Bytes item = KlvItem(5, 50);
  Bytes with_tail = item, cut = item, no_label = item;
  with_tail.push_back(0x06);
  cut.pop_back();
  no_label[0] = 0;
  struct Case {
    const char* what;
    Bytes unit;
    bool sent;
  };
  const std::vector<Case> cases = {{"empty", {}, false},
                                   {"a byte behind it", with_tail, true},
                                   {"cut off", cut, false},
                                   {"no universal label", no_label, false},
                                   {"larger than any", KlvItem(1, 65535), true}};
  for (const Case& c : cases) {
    std::vector<bool> taken;
    Bytes unit = c.unit;
    if (unit.size() > 60000) unit.resize(kKlvUnitBytesMax + 1);
    const bool large = unit.size() > kKlvUnitBytesMax;
    const PacketBlock block =
        testing::PacketizeSamples(kKlvFormat, KlvTrack(), {{0, unit}, {9, item}}, 1400, &taken);
    EXPECT_THAT(taken, ElementsAre(false, true)) << c.what;
    KlvDepacketizer receiver;
    EXPECT_EQ(Receive(block, &receiver), "") << c.what;
    ASSERT_EQ(receiver.units.size(), c.sent && !large ? 2u : 1u) << c.what;
    EXPECT_EQ(receiver.units[0].bytes, item) << c.what;
  }
}

}  // namespace
}  // namespace millrace
