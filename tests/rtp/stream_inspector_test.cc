#include "rtp/payload/stream_inspector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/memory.h"
#include "core/random.h"
#include "tests/rtp/packet_testing.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Bits of a NAL unit behind its header, emulation prevention left to the caller.
class BitWriter {
 public:
  BitWriter& Bits(std::uint32_t value, int count) {
    while (count-- > 0) bits_.push_back((value >> count & 1) != 0);
    return *this;
  }
  BitWriter& Zeros(int count) {
    bits_.insert(bits_.end(), static_cast<std::size_t>(count), false);
    return *this;
  }
  BitWriter& Ones(int count) {
    bits_.insert(bits_.end(), static_cast<std::size_t>(count), true);
    return *this;
  }
  BitWriter& Unsigned(std::uint32_t value) {  // ue(v)
    int length = 0;
    while ((value + 1) >> (length + 1) != 0) ++length;
    return Zeros(length).Bits(value + 1, length + 1);
  }
  // Behind the given header; the last byte filled with ones, and `more` bytes behind.
  Bytes Nal(Bytes header, const Bytes& more = {}) const {
    for (std::size_t i = 0; i < bits_.size(); ++i) {
      if (i % 8 == 0) header.push_back(0xff);
      if (!bits_[i]) header.back() &= static_cast<std::uint8_t>(~(0x80 >> i % 8));
    }
    header.insert(header.end(), more.begin(), more.end());
    return header;
  }

 private:
  std::vector<bool> bits_;
};

Bytes H264Sps(std::uint32_t id, const Bytes& more = {}) {
  return BitWriter().Bits(0x64001f, 24).Unsigned(id).Nal({0x67}, more);
}
Bytes H264Pps(std::uint32_t id, const Bytes& more = {}) {
  return BitWriter().Unsigned(id).Unsigned(0).Nal({0x68}, more);
}
Bytes H265Vps(std::uint32_t id, const Bytes& more = {}) {
  return BitWriter().Bits(id, 4).Ones(12).Nal({0x40, 1}, more);
}
Bytes H265Pps(std::uint32_t id, const Bytes& more = {}) {
  return BitWriter().Unsigned(id).Unsigned(0).Nal({0x44, 1}, more);
}
// `profiles` and `levels`: of each sub-layer but the highest, whether it tells them.
Bytes H265Sps(std::uint32_t id, const std::vector<bool>& profiles = {},
              const std::vector<bool>& levels = {}, const Bytes& more = {}) {
  BitWriter bits;
  const auto sub_layers_minus_1 = static_cast<std::uint32_t>(profiles.size());
  bits.Bits(3, 4).Bits(sub_layers_minus_1, 3).Ones(1).Ones(96);
  if (sub_layers_minus_1 > 0) {
    for (std::size_t i = 0; i < profiles.size(); ++i) bits.Bits(profiles[i], 1).Bits(levels[i], 1);
    for (std::size_t i = profiles.size(); i < 8; ++i) bits.Ones(2);  // reserved, whatever they are
    for (std::size_t i = 0; i < profiles.size(); ++i) bits.Ones(profiles[i] * 88 + levels[i] * 8);
  }
  return bits.Unsigned(id).Nal({0x42, 1}, more);
}

Bytes Aggregation(Bytes header, const std::vector<Bytes>& units) {
  for (const Bytes& unit : units) {
    header.push_back(static_cast<std::uint8_t>(unit.size() >> 8));
    header.push_back(static_cast<std::uint8_t>(unit.size()));
    header.insert(header.end(), unit.begin(), unit.end());
  }
  return header;
}
Bytes StapA(const std::vector<Bytes>& units) { return Aggregation({0x78}, units); }
Bytes Ap(const std::vector<Bytes>& units) { return Aggregation({0x60, 1}, units); }

bool Starts(Codec codec, const Bytes& payload) { return StreamInspector(codec).Inspect(payload); }

struct StartCase {
  const char* what;
  Bytes payload;
  bool starts;
};

TEST(StreamInspector, FindsWhereH264DecodingCanStart) {
  const Bytes idr = {0x65, 1, 2}, slice = {0x41, 1, 2};
  const std::vector<StartCase> cases = {
      {"nothing", {}, false},
      {"a header alone", {0x65}, false},
      {"an IDR slice", idr, true},
      {"another slice", slice, false},
      {"an SPS", H264Sps(0), true},
      {"a PPS", H264Pps(0), false},
      {"an access unit delimiter", {0x09, 0xf0}, false},
      {"a recovery point", {0x06, 6, 1, 0x80, 0x80}, true},
      {"a recovery point without its count", {0x06, 6, 1}, false},
      {"a recovery point behind another message", {0x06, 5, 2, 6, 1, 6, 1, 0x80}, true},
      {"a message longer than what is there", {0x06, 5, 200, 6, 1, 0x80}, false},
      {"a message of a type beyond 255", {0x06, 255, 6, 1, 0x80, 0x80}, false},
      {"a message of 256 bytes before it",
       [] {
         Bytes sei = {0x06, 1, 255, 1};
         sei.resize(4 + 256, 7);
         sei.insert(sei.end(), {6, 1, 0x80});
         return sei;
       }(),
       true},
      {"escaped zeros before it", {0x06, 1, 4, 0, 0, 3, 1, 9, 6, 1, 0x80}, true},
      {"endless 255", Bytes(60'000, 255), false},
      {"a SEI unit of endless 255",
       [] {
         Bytes sei(60'000, 255);
         sei[0] = 6;
         return sei;
       }(),
       false},
      {"an aggregation with an IDR slice last", StapA({{0x09, 0xf0}, H264Pps(0), idr}), true},
      {"an aggregation with an SPS first", StapA({H264Sps(0), {0x41, 1}}), true},
      {"an aggregation of other slices", StapA({slice, slice}), false},
      {"an aggregation cut in its second unit", {0x78, 0, 2, 0x65, 1, 0, 9, 0x41}, true},
      {"an aggregation cut in its IDR slice", {0x78, 0, 2, 0x41, 1, 0, 9, 0x65, 1}, false},
      {"an aggregation with a unit of nothing", {0x78, 0, 0, 0, 2, 0x65, 1}, false},
      {"an aggregation of nothing", {0x78}, false},
      {"an aggregation inside another", StapA({StapA({idr})}), false},
      {"the start of a fragmented IDR slice", {0x7c, 0x85, 1}, true},
      {"a later fragment of it", {0x7c, 0x05, 1}, false},
      {"its end", {0x7c, 0x45, 1}, false},
      {"the start of another slice", {0x7c, 0x81, 1}, false},
      {"the start of a fragmented recovery point", {0x7c, 0x86, 6, 1, 0x80}, true},
      {"a fragment of nothing", {0x7c, 0x85}, false},
      {"a STAP-B", {0x79, 0, 0, 0, 2, 0x65, 1}, false},
      {"an FU-B", {0x7d, 0x85, 0, 0, 1}, false},
  };
  for (const StartCase& c : cases) {
    EXPECT_EQ(Starts(Codec::kH264, c.payload), c.starts) << c.what;
  }
}

TEST(StreamInspector, FindsWhereH265DecodingCanStart) {
  for (int type = 0; type < 48; ++type) {
    const bool starts = (type >= 16 && type <= 21) || type == 32 || type == 33;
    const auto first = static_cast<std::uint8_t>(type << 1);
    EXPECT_EQ(Starts(Codec::kH265, {first, 1, 0xaa}), starts) << type;
    EXPECT_EQ(Starts(Codec::kH265, Ap({{0x02, 1, 5}, {first, 1, 0xaa}})), starts) << type;
    const auto fu = [&](int bits) {
      return Bytes{49 << 1, 1, static_cast<std::uint8_t>(bits | type), 0xaa};
    };
    EXPECT_EQ(Starts(Codec::kH265, fu(0x80)), starts) << type;
    EXPECT_FALSE(Starts(Codec::kH265, fu(0))) << type;
    EXPECT_FALSE(Starts(Codec::kH265, fu(0x40))) << type;
    // Of a layer above the base: 1, and 32, whose bit is in the first byte.
    EXPECT_FALSE(Starts(Codec::kH265, {first, 0x09, 0xaa})) << type;
    EXPECT_FALSE(Starts(Codec::kH265, {static_cast<std::uint8_t>(first | 1), 1, 0xaa})) << type;
    Bytes fragment = fu(0x80);
    fragment[1] = 0x09;
    EXPECT_FALSE(Starts(Codec::kH265, fragment)) << type;
  }
  const std::vector<StartCase> cases = {
      {"nothing", {}, false},
      {"half a header", {0x26}, false},
      {"a header alone", {0x26, 1}, false},
      {"a fragment without its header", {0x62, 1}, false},
      {"an aggregation cut in its picture", {0x60, 1, 0, 3, 0x02, 1, 5, 0, 9, 0x26, 1, 5}, false},
      {"an aggregation cut behind its picture", {0x60, 1, 0, 3, 0x26, 1, 5, 0, 9, 2, 1}, true},
      {"payload content information", {50 << 1, 1, 0x26, 1, 0xaa}, false},
  };
  for (const StartCase& c : cases) {
    EXPECT_EQ(Starts(Codec::kH265, c.payload), c.starts) << c.what;
  }
}

TEST(StreamInspector, LetsAudioStartAnywhere) {
  EXPECT_TRUE(Starts(Codec::kAac, {}));
  EXPECT_TRUE(Starts(Codec::kAac, {0, 16, 8, 0}));
}

TEST(StreamInspector, CollectsTheParameterSetsOfH264) {
  StreamInspector inspector(Codec::kH264);
  EXPECT_EQ(inspector.changed(), 0u);
  inspector.Inspect(H264Sps(0));
  inspector.Inspect(StapA({H264Pps(0), {0x65, 1}, H264Pps(255)}));
  EXPECT_THAT(inspector.sps(), ElementsAre(H264Sps(0)));
  EXPECT_THAT(inspector.pps(), ElementsAre(H264Pps(0), H264Pps(255)));
  EXPECT_THAT(inspector.vps(), IsEmpty());
  EXPECT_EQ(inspector.changed(), 3u);

  inspector.Inspect(StapA({H264Sps(0), H264Pps(0), H264Pps(255)}));  // nothing new
  EXPECT_EQ(inspector.changed(), 3u);
  inspector.Inspect(H264Pps(0, {9}));  // takes the place of its id
  inspector.Inspect(H264Sps(31));
  EXPECT_THAT(inspector.sps(), ElementsAre(H264Sps(0), H264Sps(31)));
  EXPECT_THAT(inspector.pps(), ElementsAre(H264Pps(0, {9}), H264Pps(255)));
  EXPECT_EQ(inspector.changed(), 5u);
}

TEST(StreamInspector, CollectsTheParameterSetsOfH265) {
  StreamInspector inspector(Codec::kH265);
  inspector.Inspect(Ap({H265Vps(0), H265Sps(0), H265Pps(0)}));
  inspector.Inspect(H265Vps(15));
  inspector.Inspect(H265Sps(15));
  inspector.Inspect(H265Pps(63));
  EXPECT_THAT(inspector.vps(), ElementsAre(H265Vps(0), H265Vps(15)));
  EXPECT_THAT(inspector.sps(), ElementsAre(H265Sps(0), H265Sps(15)));
  EXPECT_THAT(inspector.pps(), ElementsAre(H265Pps(0), H265Pps(63)));
  inspector.Inspect(H265Vps(0, {1}));
  inspector.Inspect(H265Sps(0, {}, {}, {1}));
  inspector.Inspect(H265Pps(63, {1}));
  EXPECT_THAT(inspector.vps(), ElementsAre(H265Vps(0, {1}), H265Vps(15)));
  EXPECT_THAT(inspector.sps(), ElementsAre(H265Sps(0, {}, {}, {1}), H265Sps(15)));
  EXPECT_THAT(inspector.pps(), ElementsAre(H265Pps(0), H265Pps(63, {1})));
  EXPECT_EQ(inspector.changed(), 9u);
}

TEST(StreamInspector, FindsTheIdOfAnH265SpsBehindItsSubLayers) {
  struct Case {
    std::vector<bool> profiles, levels;
  };
  for (const Case& c : {Case{{}, {}},
                        {{false}, {false}},
                        {{true}, {false}},
                        {{true, false, true}, {true, true, false}},
                        {std::vector<bool>(6, true), std::vector<bool>(6, true)}}) {
    StreamInspector inspector(Codec::kH265);
    for (const std::uint32_t id : {3u, 4u, 3u, 9u}) {
      inspector.Inspect(H265Sps(id, c.profiles, c.levels));
    }
    EXPECT_EQ(inspector.sps().size(), 3u);
    inspector.Inspect(H265Sps(4));  // of the same id, though it looks different
    EXPECT_EQ(inspector.sps().size(), 3u);
  }
}

TEST(StreamInspector, IgnoresParameterSetsItCannotUse) {
  StreamInspector h264(Codec::kH264);
  const std::vector<Bytes> wrong264 = {{0x67},
                                       {0x67, 0x64, 0, 0x1f},
                                       {0x68},
                                       {0x68, 0},
                                       {0x68, 0, 0, 0, 0, 0, 0},
                                       H264Sps(32),
                                       H264Pps(256),
                                       H264Sps(0, Bytes(StreamInspector::kSetBytesMax, 1))};
  for (const Bytes& nal : wrong264) h264.Inspect(nal);
  EXPECT_EQ(h264.changed(), 0u);
  StreamInspector h265(Codec::kH265);
  const std::vector<Bytes> wrong265 = {{0x40, 1},    {0x42, 1, 0x01, 0xff},
                                       {0x44, 1, 0}, H265Sps(16),
                                       H265Pps(64),  {0x40, 0x09, 0x0c, 0x01}};
  for (const Bytes& nal : wrong265) h265.Inspect(nal);
  EXPECT_EQ(h265.changed(), 0u);
  StreamInspector aac(Codec::kAac);
  aac.Inspect(H264Sps(0));
  EXPECT_EQ(aac.changed(), 0u);
}

TEST(StreamInspector, KeepsNoMoreSetsThanItsBoundButStillTheNewestOfThose) {
  StreamInspector inspector(Codec::kH264);
  for (std::uint32_t id = 0; id < 100; ++id) inspector.Inspect(H264Pps(id));
  EXPECT_EQ(inspector.pps().size(), StreamInspector::kSetsMax);
  EXPECT_EQ(inspector.changed(), StreamInspector::kSetsMax);
  inspector.Inspect(H264Pps(31, {9}));
  EXPECT_EQ(inspector.pps()[31], H264Pps(31, {9}));
  const Bytes largest = H264Sps(1, Bytes(StreamInspector::kSetBytesMax - H264Sps(1).size(), 1));
  inspector.Inspect(largest);
  EXPECT_THAT(inspector.sps(), ElementsAre(largest));
}

TEST(StreamInspector, AllocatesNothingWhenNothingChanged) {
  StreamInspector inspector(Codec::kH264);
  const std::vector<Bytes> payloads = {StapA({H264Sps(0), H264Pps(0)}),
                                       H264Sps(1),
                                       {0x65, 1, 2},
                                       {0x06, 6, 1, 0x80},
                                       {0x7c, 0x85, 1}};
  for (const Bytes& payload : payloads) inspector.Inspect(payload);
  const std::uint64_t before = ThreadAllocations().allocations;
  for (const Bytes& payload : payloads) inspector.Inspect(payload);
  EXPECT_EQ(ThreadAllocations().allocations, before);
}

TEST(StreamInspector, UnderstandsWhatThePacketizersSend) {
  struct Case {
    Codec codec;
    std::vector<Bytes> sets;
    Bytes key, other;
  };
  const std::vector<Case> cases = {
      {Codec::kH264, {H264Sps(0), H264Pps(0)}, {0x65, 7}, {0x41, 7}},
      {Codec::kH265, {H265Vps(0), H265Sps(0), H265Pps(0)}, {19 << 1, 1, 7}, {2, 1, 7}},
  };
  for (const Case& c : cases) {
    for (const std::size_t bytes : {10, 5000}) {
      std::vector<Bytes> nals = c.sets;
      nals.push_back(c.key);
      nals.back().resize(bytes, 7);
      Bytes other = c.other;
      other.resize(bytes, 7);
      StreamInspector inspector(c.codec);
      const Track track = testing::MakeTrack(c.codec);
      const auto payloads =
          testing::Payloads(testing::PacketizeOne(track, 1400, testing::FrameNalUnits(nals, 4)));
      EXPECT_TRUE(inspector.Inspect(payloads[0]));
      EXPECT_EQ(inspector.changed(), c.sets.size());
      for (const Bytes& payload : testing::Payloads(
               testing::PacketizeOne(track, 1400, testing::FrameNalUnits({other}, 4)))) {
        EXPECT_FALSE(inspector.Inspect(payload));
      }
    }
  }
}

TEST(StreamInspector, ReadsNothingBeyondAPayloadCutAnywhere) {
  for (const Codec codec : {Codec::kH264, Codec::kH265}) {
    const Bytes whole = codec == Codec::kH264
                            ? StapA({H264Sps(0), H264Pps(0), {0x06, 5, 3, 1, 2, 3, 6, 1, 0x80}})
                            : Ap({H265Vps(0), H265Sps(0, {true}, {true}), H265Pps(0)});
    for (std::size_t length = 0; length <= whole.size(); ++length) {
      // A copy of that size, so that a sanitizer sees any read beyond it.
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      StreamInspector inspector(codec);
      inspector.Inspect(cut);
      EXPECT_EQ(inspector.pps().size(),
                length == whole.size() || (codec == Codec::kH264 && length >= 12) ? 1u : 0u)
          << length;
    }
  }
}

}  // namespace
}  // namespace millrace
